//! Logons with a password.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::windows::io::{FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{
    ERROR_ACCOUNT_DISABLED, ERROR_ACCOUNT_EXPIRED, ERROR_ACCOUNT_LOCKED_OUT, ERROR_ACCOUNT_RESTRICTION,
    ERROR_INVALID_LOGON_HOURS, ERROR_INVALID_WORKSTATION, ERROR_LOGON_FAILURE, ERROR_LOGON_TYPE_NOT_GRANTED,
    ERROR_NO_SUCH_USER, ERROR_PASSWORD_EXPIRED, ERROR_PASSWORD_MUST_CHANGE, HANDLE, WIN32_ERROR,
};
use windows_sys::Win32::Security::{LOGON32_LOGON_INTERACTIVE, LOGON32_PROVIDER_DEFAULT, LogonUserW};

use super::{check, wide};
use crate::identity::Token;

/// Turns a name and a password into the handle of a logon. [`SystemLogon`] is the real one; tests bring their own.
pub trait Logon {
    /// Logs a user on (`name`, `DOMAIN\name` or `name@domain`).
    ///
    /// # Errors
    ///
    /// The system's error, as it came.
    fn log_on(&self, name: &str, password: &str) -> io::Result<OwnedHandle>;
}

/// Logons by `LogonUserW`, interactive as at the console.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLogon;

/// Checks a password and returns the user's rights, once they have been entered and left on a trial.
///
/// # Errors
///
/// A [`LogonError`], whose [kind](LogonError::kind) tells a wrong password from an account that may not log on.
pub fn authenticate(logon: &impl Logon, name: &str, password: &str) -> Result<Token, LogonError> {
    logon.log_on(name, password).and_then(|handle| Token::new(&handle)).map_err(LogonError)
}

impl Logon for SystemLogon {
    fn log_on(&self, name: &str, password: &str) -> io::Result<OwnedHandle> {
        let (domain, name) = split(name);
        let domain = domain.map(|domain| wide(domain).ok_or_else(denied)).transpose()?;
        let name = wide(name).ok_or_else(denied)?;
        let password = wide(password).ok_or_else(denied)?;
        let mut handle: HANDLE = ptr::null_mut();
        // SAFETY: the strings end with a NUL, a missing domain is null, `handle` is a place for a handle.
        check(unsafe {
            LogonUserW(
                name.as_ptr(),
                domain.as_ref().map_or(ptr::null(), |domain| domain.as_ptr()),
                password.as_ptr(),
                LOGON32_LOGON_INTERACTIVE,
                LOGON32_PROVIDER_DEFAULT,
                &raw mut handle,
            )
        })?;
        // SAFETY: the call succeeded, so the handle is open and ours.
        Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
    }
}

/// A logon that Windows did not accept.
#[derive(Debug)]
pub struct LogonError(io::Error);

/// What a [`LogonError`] means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogonErrorKind {
    /// Unknown user or wrong password.
    Denied,
    /// The account's date has passed.
    AccountExpired,
    /// The password is too old; FTP has no way to change it.
    PasswordExpired,
    /// The account may not log on: disabled, locked out, not at this hour, not in this way.
    AccountDenied,
    /// Anything else; the error's text says what.
    Other,
}

impl LogonError {
    /// What the error means for the caller.
    pub fn kind(&self) -> LogonErrorKind {
        self.0.raw_os_error().map_or(LogonErrorKind::Other, |code| kind(code.cast_unsigned()))
    }
}

impl fmt::Display for LogonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Windows logon: {}", self.0)
    }
}

impl Error for LogonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn kind(code: WIN32_ERROR) -> LogonErrorKind {
    match code {
        ERROR_LOGON_FAILURE | ERROR_NO_SUCH_USER => LogonErrorKind::Denied,
        ERROR_ACCOUNT_EXPIRED => LogonErrorKind::AccountExpired,
        ERROR_PASSWORD_EXPIRED | ERROR_PASSWORD_MUST_CHANGE => LogonErrorKind::PasswordExpired,
        ERROR_ACCOUNT_DISABLED
        | ERROR_ACCOUNT_LOCKED_OUT
        | ERROR_ACCOUNT_RESTRICTION
        | ERROR_INVALID_LOGON_HOURS
        | ERROR_INVALID_WORKSTATION
        | ERROR_LOGON_TYPE_NOT_GRANTED => LogonErrorKind::AccountDenied,
        _ => LogonErrorKind::Other,
    }
}

/// The domain that a name carries: none for `name@domain`, which Windows resolves itself, this computer for a bare name.
fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once('\\') {
        Some((domain, name)) => (Some(domain), name),
        None if name.contains('@') => (None, name),
        None => (Some("."), name),
    }
}

fn denied() -> io::Error {
    io::Error::from_raw_os_error(ERROR_LOGON_FAILURE.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each logon with a handle of the wrong sort, or with an error.
    struct Fake(Result<(), WIN32_ERROR>);

    impl Logon for Fake {
        fn log_on(&self, _name: &str, _password: &str) -> io::Result<OwnedHandle> {
            self.0.map_err(|code| io::Error::from_raw_os_error(code.cast_signed()))?;
            Ok(std::fs::File::open(std::env::current_exe()?)?.into())
        }
    }

    #[test]
    fn a_logon_that_cannot_be_impersonated_is_refused() {
        assert!(authenticate(&Fake(Ok(())), "ann", "secret").is_err());
    }

    #[test]
    fn nobody_logs_on_with_a_made_up_name() {
        assert!(authenticate(&SystemLogon, "no such user of wharf", "secret").is_err());
        let error = authenticate(&SystemLogon, "ann", "nul\0inside").unwrap_err();
        assert_eq!(error.kind(), LogonErrorKind::Denied);
    }

    #[test]
    fn errors_are_named_by_what_they_mean() {
        for (code, expected) in [
            (ERROR_LOGON_FAILURE, LogonErrorKind::Denied),
            (ERROR_ACCOUNT_EXPIRED, LogonErrorKind::AccountExpired),
            (ERROR_PASSWORD_MUST_CHANGE, LogonErrorKind::PasswordExpired),
            (ERROR_ACCOUNT_LOCKED_OUT, LogonErrorKind::AccountDenied),
            (1, LogonErrorKind::Other),
        ] {
            assert_eq!(
                authenticate(&Fake(Err(code)), "ann", "secret").unwrap_err().kind(),
                expected,
                "{code}"
            );
        }
    }

    #[test]
    fn a_name_may_carry_its_domain() {
        assert_eq!(split("ann"), (Some("."), "ann"));
        assert_eq!(split(r"OFFICE\ann"), (Some("OFFICE"), "ann"));
        assert_eq!(split("ann@office.example"), (None, "ann@office.example"));
    }
}
