//! Whether a password is right and its account may log in now.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use wharf_proto::Secret;
use wharf_sys::pam::{PamError, PamErrorKind, Service};
use wharf_sys::users::{ShadowEntry, Standing, crypt, shadow_entry, today};

use super::super::{AuthError, PasswordHash};

/// While one of these is there, nobody but root logs in; its text says why. PAM knows them itself.
const NOLOGIN: [&str; 2] = ["/etc/nologin", "/run/nologin"];

/// Who knows passwords.
#[derive(Clone, Debug)]
pub(super) enum Passwords {
    /// PAM.
    Pam(Service),
    /// The shadow database.
    Shadow,
}

impl Passwords {
    /// # Errors
    /// When the process may not read the shadow database although it has to.
    pub(super) fn require_readable(&self) -> io::Result<()> {
        match self {
            Self::Pam(_) => Ok(()),
            Self::Shadow => shadow_entry("root").map(drop),
        }
    }

    /// Checks a password, then the account. Blocks.
    pub(super) fn check(&self, name: &str, password: &Secret, peer: IpAddr) -> Result<(), AuthError> {
        match self {
            Self::Pam(service) => {
                service.authenticate(name, password.expose(), peer).map(drop).map_err(refused_by_pam)
            }
            Self::Shadow => {
                let entry = entry_of(name)?;
                if !is_right(password, &entry.hash) {
                    return Err(AuthError::Refused);
                }
                standing(name, &entry, entry.standing(today()))
            }
        }
    }

    /// Checks the account of a user whose password was right elsewhere: neither the age of the system's password nor its
    /// being locked matters then. Blocks.
    pub(super) fn check_account(&self, name: &str, peer: IpAddr) -> Result<(), AuthError> {
        match self {
            Self::Pam(service) => match service.check_account(name, peer) {
                Err(error) if error.kind() != PamErrorKind::PasswordExpired => Err(refused_by_pam(error)),
                _ => Ok(()),
            },
            Self::Shadow => {
                let entry = entry_of(name)?;
                let expired = entry.expires.is_some_and(|day| today() >= day);
                let now = if expired { Standing::AccountExpired } else { Standing::Usable };
                standing(name, &entry, now)
            }
        }
    }
}

fn refused_by_pam(error: PamError) -> AuthError {
    match error.kind() {
        PamErrorKind::Denied => AuthError::Refused,
        PamErrorKind::AccountExpired | PamErrorKind::PasswordExpired | PamErrorKind::AccountDenied => {
            AuthError::NotAllowed(error.into())
        }
        _ => AuthError::Unavailable(error.into()),
    }
}

fn entry_of(name: &str) -> Result<ShadowEntry, AuthError> {
    shadow_entry(name).map_err(|error| AuthError::Unavailable(error.into()))?.ok_or(AuthError::Refused)
}

/// Compares by the system's own library, or where that does not know the hash, by ours.
fn is_right(password: &Secret, hash: &str) -> bool {
    crypt::verify(password.expose(), hash)
        .unwrap_or_else(|| hash.parse().is_ok_and(|hash: PasswordHash| hash.verify(password)))
}

fn standing(name: &str, entry: &ShadowEntry, now: Standing) -> Result<(), AuthError> {
    let no = |reason: &dyn fmt::Display| Err(AuthError::NotAllowed(format!("{name}: {reason}").into()));
    match now {
        Standing::Usable => match NOLOGIN.iter().find(|file| Path::new(file).exists()) {
            Some(file) => no(&format_args!("{file} keeps everybody out")),
            None => Ok(()),
        },
        Standing::Locked => Err(AuthError::Refused),
        Standing::AccountExpired => no(&"the account has expired"),
        Standing::PasswordExpired => no(&format_args!(
            "the password has expired: last changed on day {}",
            entry.last_change.unwrap_or_default()
        )),
    }
}
