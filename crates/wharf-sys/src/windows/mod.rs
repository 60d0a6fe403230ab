//! Accounts of Windows: who exists, where their profile is, and logons with a password.
//!
//! ```no_run
//! use wharf_sys::identity::Identity;
//! use wharf_sys::windows::{SystemLogon, account_by_name, authenticate};
//!
//! let account = account_by_name("ann")?.expect("ann exists");
//! let home = account.profile_directory()?;
//! let identity = Identity::token(authenticate(&SystemLogon, "ann", "secret")?);
//! # let _ = (home, identity);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! All of this may ask a domain controller, so it may block for seconds.

use std::io;

use zeroize::Zeroizing;

mod accounts;
mod logon;

pub use accounts::{WindowsAccount, account_by_name};
pub use logon::{Logon, LogonError, LogonErrorKind, SystemLogon, authenticate};

/// The result of a Windows call that reports by a `BOOL`.
pub(crate) fn check(succeeded: i32) -> io::Result<()> {
    if succeeded == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Text as Windows takes it, with a NUL at its end, wiped in the end; nothing when it has a NUL inside.
fn wide(text: &str) -> Option<Zeroizing<Vec<u16>>> {
    if text.contains('\0') {
        return None;
    }
    // Room for all of it from the start: a vector that grows leaves copies behind.
    let mut units = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    units.extend(text.encode_utf16());
    units.push(0);
    Some(units)
}

/// The text of Windows up to its NUL.
fn narrow(units: &[u16]) -> std::ffi::OsString {
    use std::os::windows::ffi::OsStringExt;

    let text = units.split(|unit| *unit == 0).next().unwrap_or_default();
    std::ffi::OsString::from_wide(text)
}
