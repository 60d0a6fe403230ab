//! What can only be shown on a real system: other users' files, PAM, capabilities, sandboxes, service managers.
//!
//! Rows that need root are reported as ignored, by name, when it is missing. Rows that change their process for good
//! run in a process of their own: this program again, told by an environment variable which row to run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test"
)]

#[cfg(target_os = "linux")]
mod accounts;
#[cfg(target_os = "linux")]
mod daemon;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod privileges;
#[cfg(target_os = "linux")]
mod rows;
#[cfg(target_os = "linux")]
mod temporary;

#[cfg(target_os = "linux")]
fn main() {
    rows::run(&[accounts::ROWS, daemon::ROWS, identity::ROWS, privileges::ROWS]);
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("skipped: all of it: needs Linux");
}
