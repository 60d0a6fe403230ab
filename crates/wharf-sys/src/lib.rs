//! What wharf asks of the operating system, and every `unsafe` block of the project.
//!
//! * [`identity`]: work with the rights of one user, on one thread, for one call.
//! * [`users`] (Unix): accounts, groups, login shells, shadow entries, password hashes.
//! * [`pam`] (Linux): password and account checks by the system's own rules.
//! * [`capabilities`] and [`sandbox`] (Linux): give up what a server does not need.
//! * [`daemon`] (Unix) and [`service`] (Linux): file limits and umask; notices to systemd and sockets from it.
//! * `windows` (Windows): accounts, profile directories, logons.
//!
//! Nothing here knows FTP. Nearly everything may block, so none of it belongs on an async worker.
#![allow(unsafe_code)]

mod file;
pub mod identity;

#[cfg(unix)]
pub mod daemon;
#[cfg(unix)]
pub mod users;

#[cfg(target_os = "linux")]
pub mod capabilities;
#[cfg(target_os = "linux")]
pub mod pam;
#[cfg(target_os = "linux")]
pub mod sandbox;
#[cfg(target_os = "linux")]
pub mod service;

#[cfg(windows)]
pub mod windows;

#[cfg(target_os = "linux")]
mod dynamic;
#[cfg(target_os = "linux")]
mod secret;
#[cfg(target_os = "linux")]
mod socket;
#[cfg(target_os = "linux")]
mod threads;

pub use file::close;
pub use identity::{Entered, Identity};
#[cfg(target_os = "linux")]
pub use socket::{set_receive_low_water, unacknowledged, unsent};
