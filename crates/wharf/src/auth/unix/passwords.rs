//! Whether a password is right and its account may log in now.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_proto::Secret;
use wharf_sys::pam::{PamError, PamErrorKind, Service};
use wharf_sys::users::{ShadowEntry, Standing, crypt, shadow_entry, shadow_hashes, today};

use super::super::password::is_too_long;
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

    /// Checks a password, then the account; a `decoy` where there is none to check. Blocks.
    pub(super) fn check(
        &self,
        name: &str,
        password: &Secret,
        peer: IpAddr,
        decoy: &Decoy,
    ) -> Result<(), AuthError> {
        match self {
            Self::Pam(service) => service.authenticate(name, password.expose(), peer).map_err(refused_by_pam),
            Self::Shadow => {
                let entry = match entry_of(name) {
                    Ok(entry) if entry.standing(today()) != Standing::Locked => entry,
                    outcome => {
                        decoy.check(password);
                        return outcome.and(Err(AuthError::Refused));
                    }
                };
                decoy.learn(&entry.hash);
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

/// The dearest hash of the shadow database. Logins for which there is none to check are checked against it, so that what they
/// cost tells nobody which accounts exist.
#[derive(Default)]
pub(super) struct Decoy(Mutex<Option<Dearest>>);

#[derive(Clone)]
struct Dearest {
    cost: u64,
    hash: Secret,
}

impl Decoy {
    /// As the shadow database is now, if it can be read.
    pub(super) fn of_system() -> Self {
        let decoy = Self::default();
        shadow_hashes().unwrap_or_default().iter().for_each(|hash| decoy.learn(hash));
        decoy
    }

    /// Takes a hash that costs more.
    pub(super) fn learn(&self, hash: &str) {
        let cost = hash.parse().map_or(0, |hash: PasswordHash| hash.cost());
        let mut dearest = self.dearest();
        if dearest.as_ref().map_or(0, |dearest| dearest.cost) < cost {
            *dearest = Some(Dearest { cost, hash: Secret::new(hash) });
        }
    }

    /// Does what it takes to check `password`, in vain. Blocks.
    pub(super) fn check(&self, password: &Secret) {
        let dearest = self.dearest().clone();
        if let Some(hash) = dearest.as_ref().and_then(|dearest| str::from_utf8(dearest.hash.expose()).ok()) {
            is_right(password, hash);
        }
    }

    fn dearest(&self) -> MutexGuard<'_, Option<Dearest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    if is_too_long(password) {
        return false;
    }
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
