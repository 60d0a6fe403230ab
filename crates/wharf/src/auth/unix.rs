//! The accounts of a Unix system.

mod builder;
mod passwords;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use wharf_proto::Secret;
use wharf_sys::users::{self, Account};

pub use self::builder::UnixUsersBuilder;
use self::passwords::{Decoy, Passwords};
use super::even_pace::{Checked, EvenPace};
use super::password::is_too_long;
use super::system_users::{Accounts, Found, Policy, Power, Shell, not_allowed, unavailable};
use super::virtual_user::ANONYMOUS;
use super::{AuthError, Authorizer, Login, User};

/// The accounts of the system, checked through PAM. Each user works with the own user id and groups, and
/// `anonymous`, where that is allowed, with those of one account.
///
/// ```no_run
/// use wharf::Server;
/// use wharf::auth::{Letters, UnixUsers, UserOverride};
///
/// # async fn run() -> wharf::Result<()> {
/// let matt = UserOverride::new("matt").password("foo").permissions(Letters::READ_ONLY);
/// let users = UnixUsers::builder().rejected_users(["jay"]).override_user(matt).build()?;
/// Server::builder(users).bind("0.0.0.0:21").await?.serve().await
/// # }
/// ```
///
/// # Who gets in
/// Whoever the lists, the login shell (`/etc/shells`) and PAM let in. An account with user id 0 has to be in
/// `allowed_users` by name. Names are exact: an account that the name service knows under another spelling is refused.
///
/// A password that an override gives takes the place of the system's, a locked one included. The account is still asked
/// for: one that has expired is refused.
///
/// Passwords are checked on the blocking pool, a few at a time, fewer from one address, and all refusals take the same time. So
/// does the turn of a login that is refused without a question: it computes a hash as for `/etc/shadow`, and waits as long as
/// PAM usually takes. PAM itself is not asked about names that are refused before: it would count that against accounts which
/// may not log in here, and lock them.
///
/// # What users have of the process
/// Files are found, opened, written, named and removed with the rights of the user, so quotas and blocks that a file system
/// reserves bind users whatever the process may do. The bytes of an open file are read with the rights of the process.
#[derive(Clone)]
#[doc(alias = "UnixAuthorizer")]
pub struct UnixUsers(Arc<Inner>);

struct Inner {
    policy: Policy,
    accounts: SystemAccounts,
    passwords: Passwords,
    decoy: Decoy,
    pace: EvenPace,
}

/// The accounts that the name service knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SystemAccounts {
    WithValidShell,
    WhateverTheShell,
}

impl UnixUsers {
    /// Begins with all accounts that have a valid shell, and all permissions.
    pub fn builder() -> UnixUsersBuilder {
        UnixUsersBuilder::default()
    }
}

impl Authorizer for UnixUsers {
    async fn authenticate(&self, login: Login<'_>) -> Result<User, AuthError> {
        let (users, name, password) = (self.clone(), login.user.to_owned(), login.password.clone());
        let peer = login.peer.ip();
        self.0.pace.check(peer, move || users.0.check(&name, &password, peer)).await
    }
}

impl Inner {
    /// Blocks: on the name service, on PAM, and for as long as a hash takes.
    fn check(&self, name: &str, password: &Secret, peer: IpAddr) -> Checked {
        if name == ANONYMOUS {
            return Checked::NotAsked(self.anonymous());
        }
        match self.admit(name) {
            Ok((account, found)) => {
                let outcome = self
                    .check_password(name, &found.key, password, peer)
                    .and_then(|()| self.user(name, &found.key, &account));
                if self.asks(&found.key, password) {
                    Checked::Asked(outcome)
                } else {
                    Checked::NotAsked(outcome)
                }
            }
            Err(error) => {
                self.decoy.check(password);
                Checked::NotAsked(Err(error))
            }
        }
    }

    fn anonymous(&self) -> Result<User, AuthError> {
        let account = self.policy.anonymous_user.as_deref().ok_or(AuthError::NoAnonymous)?;
        let account = account_of(account)?.ok_or_else(|| not_allowed(account, "the account is gone"))?;
        self.user(ANONYMOUS, ANONYMOUS, &account)
    }

    /// The account, if it may log in with the right password.
    fn admit(&self, name: &str) -> Result<(Account, Found), AuthError> {
        let account = account_of(name)?.ok_or(AuthError::Refused)?;
        let found = self.accounts.judge(&account, name).map_err(unavailable)?;
        self.policy.admit(&found).map_err(|reason| not_allowed(name, reason))?;
        if found.shell == Shell::Invalid {
            return Err(not_allowed(name, "the login shell is not valid (require_valid_shell)"));
        }
        Ok((account, found))
    }

    /// Whether the system is asked about the password: there is none of ours in its place, and it is one that PAM can carry.
    fn asks(&self, key: &str, password: &Secret) -> bool {
        let ours = self.policy.overridden(key).is_some_and(|one| one.password.is_some());
        !ours && !is_too_long(password) && !password.expose().contains(&0)
    }

    fn check_password(
        &self,
        name: &str,
        key: &str,
        password: &Secret,
        peer: IpAddr,
    ) -> Result<(), AuthError> {
        match self.policy.overridden(key).and_then(|one| one.password.as_ref()) {
            Some(hash) if !hash.verify(password) => {
                if hash.is_plain() {
                    self.decoy.check(password);
                }
                Err(AuthError::Refused)
            }
            Some(_) => self.passwords.check_account(name, peer),
            None => self.passwords.check(name, password, peer, &self.decoy),
        }
    }

    fn user(&self, name: &str, key: &str, account: &Account) -> Result<User, AuthError> {
        let identity = account.identity().map_err(unavailable)?;
        let home = self.policy.overridden(key).and_then(|one| one.home.as_deref()).unwrap_or(&account.home);
        // With the user's rights, which may be the only ones that a home on another host knows.
        let entered = identity.enter().map_err(unavailable)?;
        let real = real_directory(home);
        drop(entered);
        let home =
            real.map_err(|error| not_allowed(name, format!("the home {}: {error}", home.display())))?;
        Ok(self.policy.user(name, key, home, identity))
    }
}

fn real_directory(path: &Path) -> io::Result<std::path::PathBuf> {
    let real = path.canonicalize()?;
    if real.is_dir() { Ok(real) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

impl Accounts for SystemAccounts {
    fn find(&self, name: &str) -> io::Result<Option<Found>> {
        exact_account(name)?.map(|account| self.judge(&account, name)).transpose()
    }
}

impl SystemAccounts {
    fn judge(self, account: &Account, name: &str) -> io::Result<Found> {
        let valid = self == Self::WhateverTheShell || users::valid_shells()?.is_valid(&account.shell);
        Ok(Found {
            key: name.to_owned(),
            home: Some(account.home.clone()),
            shell: if valid { Shell::Valid } else { Shell::Invalid },
            power: if account.uid == 0 { Power::Superuser } else { Power::Ordinary },
        })
    }
}

/// The account that is called just so.
fn exact_account(name: &str) -> io::Result<Option<Account>> {
    Ok(users::account_by_name(name)?.filter(|account| account.name == name))
}

fn account_of(name: &str) -> Result<Option<Account>, AuthError> {
    exact_account(name).map_err(unavailable)
}

impl fmt::Debug for UnixUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixUsers").field("passwords", &self.0.passwords).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    use super::super::{LONGEST_PASSWORD, UserOverride};
    use super::builder::pace;
    use super::*;

    /// The time of a processor that `work` takes.
    fn cost(work: impl FnOnce()) -> Duration {
        let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let before = now();
        work();
        now() - before
    }

    #[test]
    fn nobody_is_refused_without_the_work() {
        let Ok(users) = UnixUsers::builder().without_pam().build() else {
            println!("skipped: nobody_is_refused_without_the_work needs root, to read the shadow database");
            return;
        };
        // A dear one, so that nothing else matters.
        users.0.decoy.learn(&format!("$6$rounds=300000$saltstring${}", ".".repeat(86)));
        let password = Secret::new("secret");
        let expected = cost(|| users.0.decoy.check(&password));
        // Root may not log in unless it is named.
        for name in ["no such user of wharf", "root"] {
            let work = || _ = users.0.check(name, &password, [127, 0, 0, 1].into());
            assert!(cost(work) > expected / 2, "{name}");
        }
        let locked =
            || _ = users.0.passwords.check("daemon", &password, [127, 0, 0, 1].into(), &users.0.decoy);
        assert!(cost(locked) > expected / 2, "an account without a password");
    }

    /// What takes no time is no measure of what does.
    #[test]
    fn only_what_the_system_is_asked_counts_as_asked() {
        let overridden = UserOverride::new("nobody").password("ours");
        let builder = UnixUsers::builder().without_pam().require_valid_shell(false).override_user(overridden);
        let Ok(users) = builder.build() else {
            println!(
                "skipped: only_what_the_system_is_asked_counts_as_asked needs root, to read the shadow database"
            );
            return;
        };
        let too_long = "x".repeat(LONGEST_PASSWORD + 1);
        for (name, password, asked) in [
            (ANONYMOUS, "", false),
            ("no such user of wharf", "wrong", false),
            ("nobody", "wrong", false),
            ("daemon", "wrong", true),
            ("daemon", &too_long, false),
            ("daemon", "nul\0inside", false),
        ] {
            let checked = users.0.check(name, &Secret::new(password), [127, 0, 0, 1].into());
            assert_eq!(matches!(checked, Checked::Asked(Err(_))), asked, "{name}");
        }
    }

    #[test]
    fn the_first_refusals_keep_their_turn_as_well() {
        let decoy = Decoy::default();
        decoy.learn(&format!("$6$rounds=300000$saltstring${}", ".".repeat(86)));
        let expected = cost(|| decoy.check(&Secret::new("secret")));
        assert!(pace(&Passwords::Shadow, &decoy).usual() > expected.min(Duration::from_millis(500)) / 2);
    }
}
