//! The accounts of Windows.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use wharf_proto::{Letters, Secret};
use wharf_sys::Identity;
use wharf_sys::windows::{self, LogonErrorKind, SystemLogon, WindowsAccount};

use super::even_pace::{Checked, EvenPace, Work};
use super::system_users::{
    Accounts, Found, Options, Policy, Power, Shell, common_options, not_allowed, unavailable,
};
use super::virtual_user::ANONYMOUS;
use super::{AuthError, Authorizer, Login, SystemUsersError, User, UserOverride};

/// The accounts of Windows, checked by logging them on. Each user works with the token of that logon, in the account's profile
/// directory, and `anonymous`, where that is allowed, with the token of one account.
///
/// ```no_run
/// use wharf::Server;
/// use wharf::auth::WindowsUsers;
///
/// # async fn run() -> wharf::Result<()> {
/// let users = WindowsUsers::builder().rejected_users(["Administrator"]).build()?;
/// Server::builder(users).bind("0.0.0.0:21").await?.serve().await
/// # }
/// ```
///
/// An account is meant whatever its name looks like (`ann`, `ANN`, `.\ann`, `OFFICE\ann`, `ann@office.example`): lists and
/// overrides go by its security identifier. Passwords are checked on the blocking pool, a few at a time, fewer from one address, and
/// all refusals take the same time.
#[derive(Clone)]
#[doc(alias = "WindowsAuthorizer")]
pub struct WindowsUsers(Arc<Inner>);

struct Inner {
    policy: Policy,
    anonymous_password: Secret,
    pace: EvenPace,
}

/// Which accounts of Windows may log in, and how.
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct WindowsUsersBuilder {
    options: Options,
    anonymous_password: Option<Secret>,
}

/// The accounts that Windows knows.
struct SystemAccounts;

impl WindowsUsers {
    /// Begins with all accounts, and all permissions.
    pub fn builder() -> WindowsUsersBuilder {
        WindowsUsersBuilder::default()
    }
}

impl WindowsUsersBuilder {
    common_options!("Windows");

    /// The account that `anonymous` works as, and its password; looking and fetching only (`elr`) unless an override of
    /// `anonymous` says more.
    pub fn anonymous_user(mut self, name: impl Into<String>, password: impl Into<Vec<u8>>) -> Self {
        self.options.anonymous_user = Some(name.into());
        self.anonymous_password = Some(Secret::new(password));
        self
    }

    /// What is different for one user, or for `anonymous`. A later override of the same user replaces an earlier one whole. It
    /// cannot bring a password: Windows gives a user's rights away for its own password only.
    pub fn override_user(mut self, one: UserOverride) -> Self {
        self.options.overrides.push(one);
        self
    }

    /// Checks all of it against the accounts that there are, and logs the anonymous user on. It may block.
    ///
    /// # Errors
    /// When the options name what is not there or contradict each other, or the anonymous user cannot log on.
    pub fn build(self) -> Result<WindowsUsers, SystemUsersError> {
        let with_password = |one: &&UserOverride| one.password.is_some() && one.name != ANONYMOUS;
        if let Some(one) = self.options.overrides.iter().find(with_password) {
            return Err(SystemUsersError::PasswordOfWindows(one.name.clone()));
        }
        let policy = self.options.settle(&SystemAccounts)?;
        let anonymous_password = self.anonymous_password.unwrap_or_else(|| Secret::new(""));
        if let Some(name) = &policy.anonymous_user {
            let refused =
                |error: AuthError| SystemUsersError::NotPrivileged(io::Error::other(error.to_string()));
            log_on(name, &anonymous_password).map_err(refused)?;
        }
        Ok(WindowsUsers(Arc::new(Inner { policy, anonymous_password, pace: EvenPace::of(Work::Asking) })))
    }
}

impl Authorizer for WindowsUsers {
    async fn authenticate(&self, login: Login<'_>) -> Result<User, AuthError> {
        let (users, name, password) = (self.clone(), login.user.to_owned(), login.password.clone());
        self.0.pace.check(login.peer.ip(), move || users.0.check(&name, &password)).await
    }
}

impl Inner {
    /// Blocks on Windows, which may ask a domain controller.
    fn check(&self, name: &str, password: &Secret) -> Checked {
        if name == ANONYMOUS {
            return Checked::NotAsked(self.anonymous());
        }
        match self.admit(name) {
            Ok(found) => {
                let identity = log_on(name, password);
                let outcome = identity.and_then(|it| self.user(name, &found.key, found.home, it));
                if can_be_asked(password) { Checked::Asked(outcome) } else { Checked::NotAsked(outcome) }
            }
            Err(error) => Checked::NotAsked(Err(error)),
        }
    }

    fn anonymous(&self) -> Result<User, AuthError> {
        let account = self.policy.anonymous_user.as_deref().ok_or(AuthError::NoAnonymous)?;
        let found = SystemAccounts.find(account).map_err(unavailable)?.ok_or(AuthError::Refused)?;
        let identity = log_on(account, &self.anonymous_password)?;
        self.user(ANONYMOUS, ANONYMOUS, found.home, identity)
    }

    /// The account, if it may log in with the right password.
    fn admit(&self, name: &str) -> Result<Found, AuthError> {
        let found = SystemAccounts.find(name).map_err(unavailable)?.ok_or(AuthError::Refused)?;
        self.policy.admit(&found).map_err(|reason| not_allowed(name, reason))?;
        Ok(found)
    }

    fn user(
        &self,
        name: &str,
        key: &str,
        profile: Option<PathBuf>,
        identity: Identity,
    ) -> Result<User, AuthError> {
        let overridden = self.policy.overridden(key).and_then(|one| one.home.clone());
        let home =
            overridden.or(profile).ok_or_else(|| not_allowed(name, "there is no profile directory yet"))?;
        let entered = identity.enter().map_err(unavailable)?;
        let is_directory = home.is_dir();
        drop(entered);
        if !is_directory {
            return Err(not_allowed(name, format!("the home {} is no directory", home.display())));
        }
        Ok(self.policy.user(name, key, home, identity))
    }
}

impl Accounts for SystemAccounts {
    fn find(&self, name: &str) -> io::Result<Option<Found>> {
        let found = |account: WindowsAccount| {
            let home = account.profile_directory()?;
            Ok(Found { key: account.sid, home, shell: Shell::Valid, power: Power::Ordinary })
        };
        windows::account_by_name(name)?.map(found).transpose()
    }
}

/// Whether Windows is asked about a password: it is text without a NUL.
fn can_be_asked(password: &Secret) -> bool {
    std::str::from_utf8(password.expose()).is_ok_and(|text| !text.contains('\0'))
}

fn log_on(name: &str, password: &Secret) -> Result<Identity, AuthError> {
    let password = std::str::from_utf8(password.expose()).map_err(|_| AuthError::Refused)?;
    let token = windows::authenticate(&SystemLogon, name, password);
    token.map(Identity::token).map_err(|error| match error.kind() {
        LogonErrorKind::Denied => AuthError::Refused,
        LogonErrorKind::Other => AuthError::Unavailable(error.into()),
        _ => AuthError::NotAllowed(error.into()),
    })
}

impl fmt::Debug for WindowsUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowsUsers").finish_non_exhaustive()
    }
}

impl fmt::Debug for WindowsUsersBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowsUsersBuilder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_go_by_their_security_identifier() {
        let name = std::env::var("USERNAME").unwrap();
        let key = |name: &str| SystemAccounts.find(name).unwrap().map(|found| found.key);
        assert!(key(&name).unwrap().starts_with("S-1-5-"));
        assert_eq!(key("no such user of wharf"), None);
    }

    #[test]
    fn nobody_gets_in_whom_windows_cannot_impersonate() {
        let users = WindowsUsers::builder().build().unwrap();
        let name = std::env::var("USERNAME").unwrap();
        for name in [&*name, "no such user of wharf", "anonymous"] {
            let checked = users.0.check(name, &Secret::new("secret"));
            assert!(matches!(checked, Checked::Asked(Err(_)) | Checked::NotAsked(Err(_))), "{name}");
        }
    }

    #[test]
    fn wrong_combinations_are_named() {
        let with_password = UserOverride::new("ann").password("foo");
        let error = WindowsUsers::builder().override_user(with_password).build().unwrap_err();
        assert!(matches!(error, SystemUsersError::PasswordOfWindows(name) if name == "ann"));
        let error = WindowsUsers::builder().rejected_users(["no such user of wharf"]).build().unwrap_err();
        assert!(matches!(error, SystemUsersError::UnknownUser(_)));
    }
}
