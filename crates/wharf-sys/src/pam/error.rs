//! Why PAM said no, named by what the caller can do about it.

use std::ffi::c_int;
use std::fmt;

use super::ffi;

/// A login that PAM did not accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PamError {
    kind: PamErrorKind,
    text: String,
}

/// What a [`PamError`] means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PamErrorKind {
    /// PAM, one of its modules or what they ask (a directory server) is not there: the password was not checked.
    Unavailable,
    /// Unknown user or wrong password, which PAM keeps apart from nobody; a locked password counts as wrong.
    Denied,
    /// The password is right, but the account's date has passed.
    AccountExpired,
    /// The password is right, but it is too old; FTP has no way to change it.
    PasswordExpired,
    /// The password is right, but the account may not log in: locked out, not at this hour, not from there.
    AccountDenied,
    /// Anything else; the error's text says what.
    Other,
}

/// What was going on when PAM said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Load,
    Start,
    Authenticate,
    Account,
}

impl PamError {
    pub(super) fn new(service: &str, stage: Stage, code: c_int, message: Option<String>) -> Self {
        let doing = match stage {
            Stage::Load => "cannot load libpam.so.0",
            Stage::Start => "start",
            Stage::Authenticate => "authentication",
            Stage::Account => "account check",
        };
        let because = message.map(|message| format!(": {message}")).unwrap_or_default();
        Self { kind: kind(stage, code), text: format!("PAM service {service}: {doing}{because}") }
    }

    /// A module turned the user into somebody else, whom the caller's own rules were never asked about.
    pub(super) fn renamed(service: &str) -> Self {
        let text = format!("PAM service {service}: a module changed the user's name, which is not supported");
        Self { kind: PamErrorKind::Other, text }
    }

    /// What the error means for the caller.
    pub fn kind(&self) -> PamErrorKind {
        self.kind
    }
}

impl fmt::Display for PamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for PamError {}

fn kind(stage: Stage, code: c_int) -> PamErrorKind {
    match (stage, code) {
        (
            _,
            ffi::OPEN_ERR
            | ffi::SYMBOL_ERR
            | ffi::SERVICE_ERR
            | ffi::SYSTEM_ERR
            | ffi::AUTHINFO_UNAVAIL
            | ffi::MODULE_UNKNOWN,
        ) => PamErrorKind::Unavailable,
        (_, ffi::ACCT_EXPIRED) => PamErrorKind::AccountExpired,
        (_, ffi::NEW_AUTHTOK_REQD | ffi::AUTHTOK_EXPIRED | ffi::CRED_EXPIRED) => {
            PamErrorKind::PasswordExpired
        }
        (Stage::Account, ffi::AUTH_ERR | ffi::PERM_DENIED | ffi::USER_UNKNOWN | ffi::MAXTRIES) => {
            PamErrorKind::AccountDenied
        }
        (
            _,
            ffi::AUTH_ERR | ffi::PERM_DENIED | ffi::USER_UNKNOWN | ffi::MAXTRIES | ffi::CRED_INSUFFICIENT,
        ) => PamErrorKind::Denied,
        _ => PamErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_by_what_they_mean_at_their_stage() {
        use PamErrorKind::{AccountDenied, AccountExpired, Denied, Other, PasswordExpired, Unavailable};

        let table = [
            (Stage::Load, ffi::OPEN_ERR, Unavailable),
            (Stage::Authenticate, ffi::AUTHINFO_UNAVAIL, Unavailable),
            (Stage::Authenticate, ffi::AUTH_ERR, Denied),
            (Stage::Authenticate, ffi::USER_UNKNOWN, Denied),
            (Stage::Account, ffi::AUTH_ERR, AccountDenied),
            (Stage::Account, ffi::PERM_DENIED, AccountDenied),
            (Stage::Account, ffi::ACCT_EXPIRED, AccountExpired),
            (Stage::Account, ffi::NEW_AUTHTOK_REQD, PasswordExpired),
            (Stage::Start, ffi::BUF_ERR, Other),
        ];
        for (stage, code, expected) in table {
            assert_eq!(kind(stage, code), expected, "{stage:?} {code}");
        }
    }

    #[test]
    fn the_text_names_the_service_and_the_stage() {
        let error = PamError::new(
            "wharf",
            Stage::Account,
            ffi::ACCT_EXPIRED,
            Some("User account has expired".into()),
        );
        assert_eq!(error.to_string(), "PAM service wharf: account check: User account has expired");
    }
}
