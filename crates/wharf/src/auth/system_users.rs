//! What the users of Unix and of Windows have in common: whom to let in, and what is different for some of them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wharf_proto::Letters;
use wharf_sys::Identity;

use super::virtual_user::{ANONYMOUS, warn_if_writable};
use super::{AuthError, LONGEST_PASSWORD, PasswordHash, User, UserOverride};

/// Why users of the system cannot be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum SystemUsersError {
    /// The process may not take on the rights of others, or not read their passwords.
    NotPrivileged(io::Error),
    /// An override, or the anonymous user, names an account that does not exist.
    NoSuchUser(String),
    /// Both lists were given.
    BothLists,
    /// A list names `anonymous`, which is nobody's account.
    AnonymousInList,
    /// A list names an account that does not exist.
    UnknownUser(String),
    /// The home of the anonymous user is missing.
    NoHome(String),
    /// The login shell of an account that is to be let in is not one of `/etc/shells`.
    NoValidShell(String),
    /// An override overrides nothing.
    EmptyOverride(String),
    /// An override, or the anonymous user, names an account that the lists keep out, or one with all rights that they do
    /// not let in.
    NotAllowed(String),
    /// An override gives the anonymous user a password.
    PasswordForAnonymous,
    /// An override gives a password of more than 511 bytes, which would never be right.
    PasswordTooLong(String),
    /// Windows gives nobody's rights away without the password that it knows itself.
    PasswordOfWindows(String),
    /// The home of an override is no directory.
    NoSuchDirectory(PathBuf),
    /// The system cannot tell.
    System(io::Error),
}

/// Whom to let in, as it was asked for.
pub(super) struct Options {
    pub(super) allowed_users: Vec<String>,
    pub(super) rejected_users: Vec<String>,
    pub(super) anonymous_user: Option<String>,
    pub(super) permissions: Letters,
    pub(super) login_message: Option<Arc<str>>,
    pub(super) quit_message: Option<Arc<str>>,
    pub(super) overrides: Vec<UserOverride>,
}

/// The methods by which both builders set [`Options`], for users of the `$system`.
macro_rules! common_options {
    ($system:literal) => {
        /// Nobody but these may log in.
        pub fn allowed_users(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
            self.options.allowed_users = names.into_iter().map(Into::into).collect();
            self
        }

        /// Everybody but these may log in.
        pub fn rejected_users(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
            self.options.rejected_users = names.into_iter().map(Into::into).collect();
            self
        }

        #[doc = concat!("What all users may do, on top of what ", $system, " lets them. Everything, if nothing else is said.")]
        #[doc(alias = "global_perm")]
        pub fn permissions(mut self, letters: Letters) -> Self {
            self.options.permissions = letters;
            self
        }

        /// The text of the 230.
        #[doc(alias = "msg_login")]
        pub fn login_message(mut self, text: impl Into<Arc<str>>) -> Self {
            self.options.login_message = Some(text.into());
            self
        }

        /// The text of the 221.
        #[doc(alias = "msg_quit")]
        pub fn quit_message(mut self, text: impl Into<Arc<str>>) -> Self {
            self.options.quit_message = Some(text.into());
            self
        }
    };
}
pub(super) use common_options;

/// What the system knows about accounts.
pub(super) trait Accounts {
    /// The account of this name. It may ask a name service on the network, so it may block.
    fn find(&self, name: &str) -> io::Result<Option<Found>>;
}

/// What matters of an account.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The same for every spelling of the name.
    pub(super) key: String,
    pub(super) home: Option<PathBuf>,
    pub(super) shell: Shell,
    pub(super) power: Power,
}

/// Whether the login shell lets its user in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shell {
    Valid,
    Invalid,
}

/// Whether the system's own rules hold for the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    Ordinary,
    Superuser,
}

/// Whom to let in, checked against the accounts that there are.
pub(super) struct Policy {
    /// Empty: everybody but `rejected` and superusers.
    allowed: HashSet<String>,
    rejected: HashSet<String>,
    pub(super) anonymous_user: Option<String>,
    /// What users have that no override changes.
    template: User,
    /// By key; those of the anonymous user by `anonymous`.
    overrides: HashMap<String, UserOverride>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed_users: Vec::new(),
            rejected_users: Vec::new(),
            anonymous_user: None,
            permissions: Letters::ALL,
            login_message: None,
            quit_message: None,
            overrides: Vec::new(),
        }
    }
}

impl Options {
    /// Checks all of it against the accounts of the system.
    pub(super) fn settle(self, accounts: &impl Accounts) -> Result<Policy, SystemUsersError> {
        use SystemUsersError as E;

        let anonymous = self.anonymous_user.as_ref();
        let anonymous = anonymous.map(|name| require(accounts, name, E::NoSuchUser)).transpose()?;
        if !self.allowed_users.is_empty() && !self.rejected_users.is_empty() {
            return Err(E::BothLists);
        }
        if self.allowed_users.iter().chain(&self.rejected_users).any(|name| name == ANONYMOUS) {
            return Err(E::AnonymousInList);
        }
        let allowed = find_all(accounts, &self.allowed_users)?;
        let mut policy = Policy {
            allowed: allowed.iter().map(|(_, found)| found.key.clone()).collect(),
            rejected: find_all(accounts, &self.rejected_users)?
                .into_iter()
                .map(|(_, found)| found.key)
                .collect(),
            template: self.template(),
            anonymous_user: self.anonymous_user,
            overrides: HashMap::new(),
        };
        if let (Some(name), Some(found)) = (&policy.anonymous_user, anonymous) {
            policy.admit(&found).map_err(|_| E::NotAllowed(name.clone()))?;
            if !found.home.as_deref().is_some_and(Path::is_dir) {
                return Err(E::NoHome(name.clone()));
            }
        }
        if let Some((name, _)) = allowed.into_iter().find(|(_, found)| found.shell == Shell::Invalid) {
            return Err(E::NoValidShell(name));
        }
        for one in self.overrides {
            policy.add(one, accounts)?;
        }
        Ok(policy)
    }

    fn template(&self) -> User {
        let user = User::new("", PathBuf::new()).with_permissions(self.permissions);
        User {
            login_message: self.login_message.clone().unwrap_or(user.login_message),
            quit_message: self.quit_message.clone().unwrap_or(user.quit_message),
            ..user
        }
    }
}

impl Policy {
    /// Says why the lists keep an account out, if they do.
    pub(super) fn admit(&self, found: &Found) -> Result<(), &'static str> {
        if self.allowed.contains(&found.key) {
            Ok(())
        } else if !self.allowed.is_empty() {
            Err("the user is not among allowed_users")
        } else if self.rejected.contains(&found.key) {
            Err("the user is among rejected_users")
        } else if found.power == Power::Superuser {
            Err("the user has all rights of the system, and allowed_users does not name such a user")
        } else {
            Ok(())
        }
    }

    /// What is different for the account with this key.
    pub(super) fn overridden(&self, key: &str) -> Option<&UserOverride> {
        self.overrides.get(key)
    }

    /// The user who has logged in as `name` to the account with this key.
    pub(super) fn user(&self, name: &str, key: &str, home: PathBuf, identity: Identity) -> User {
        let account = Some(key.into());
        let user = User { name: name.into(), home: home.into(), identity, account, ..self.template.clone() };
        let user = if key == ANONYMOUS { user.with_permissions(Letters::READ_ONLY) } else { user };
        match self.overridden(key) {
            Some(one) => one.apply(user),
            None => user,
        }
    }

    fn add(&mut self, one: UserOverride, accounts: &impl Accounts) -> Result<(), SystemUsersError> {
        use SystemUsersError as E;

        let key = if one.name == ANONYMOUS {
            if self.anonymous_user.is_none() {
                return Err(E::NoSuchUser(one.name));
            }
            ANONYMOUS.to_owned()
        } else {
            let found = require(accounts, &one.name, E::NoSuchUser)?;
            if found.shell == Shell::Invalid {
                return Err(E::NoValidShell(one.name));
            }
            self.admit(&found).map_err(|_| E::NotAllowed(one.name.clone()))?;
            found.key
        };
        if one.is_empty() {
            return Err(E::EmptyOverride(one.name));
        }
        if key == ANONYMOUS && one.password.is_some() {
            return Err(E::PasswordForAnonymous);
        }
        if one.password.as_ref().is_some_and(PasswordHash::is_too_long) {
            return Err(E::PasswordTooLong(one.name));
        }
        if let Some(home) = one.home.as_ref().filter(|home| !home.is_dir()) {
            return Err(E::NoSuchDirectory(home.clone()));
        }
        if let Some(permissions) = &one.permissions {
            warn_if_writable(&one.name, permissions.base());
        }
        self.overrides.insert(key, one);
        Ok(())
    }
}

fn require(
    accounts: &impl Accounts,
    name: &str,
    otherwise: fn(String) -> SystemUsersError,
) -> Result<Found, SystemUsersError> {
    accounts.find(name).map_err(SystemUsersError::System)?.ok_or_else(|| otherwise(name.to_owned()))
}

fn find_all(accounts: &impl Accounts, names: &[String]) -> Result<Vec<(String, Found)>, SystemUsersError> {
    let find = |name: &String| Ok((name.clone(), require(accounts, name, SystemUsersError::UnknownUser)?));
    names.iter().map(find).collect()
}

impl fmt::Display for SystemUsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPrivileged(error) => write!(f, "super user privileges are required: {error}"),
            Self::NoSuchUser(name) => write!(f, "no such user {name:?}"),
            Self::BothLists => f.write_str("rejected_users and allowed_users options are mutually exclusive"),
            Self::AnonymousInList => write!(f, "invalid username {ANONYMOUS:?}"),
            Self::UnknownUser(name) => write!(f, "unknown user {name:?}"),
            Self::NoHome(name) => write!(f, "no valid home set for user {name:?}"),
            Self::NoValidShell(name) => write!(f, "user {name:?} has not a valid shell"),
            Self::EmptyOverride(name) => write!(f, "the override of {name:?} must change something"),
            Self::NotAllowed(name) => write!(f, "{name:?} is not an allowed user"),
            Self::PasswordForAnonymous => f.write_str("can't assign password to anonymous user"),
            Self::PasswordTooLong(name) => {
                write!(f, "the password of {name:?} is longer than {LONGEST_PASSWORD} bytes")
            }
            Self::PasswordOfWindows(name) => {
                write!(
                    f,
                    "can't assign password to {name:?}: Windows logs nobody on without its own password"
                )
            }
            Self::NoSuchDirectory(path) => write!(f, "no such directory: {path:?}"),
            Self::System(error) => write!(f, "the system does not tell about users: {error}"),
        }
    }
}

impl std::error::Error for SystemUsersError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotPrivileged(error) | Self::System(error) => Some(error),
            _ => None,
        }
    }
}

/// The system cannot tell.
pub(super) fn unavailable(error: io::Error) -> AuthError {
    AuthError::Unavailable(error.into())
}

/// The user is kept out for a reason that only the log is told.
pub(super) fn not_allowed(name: &str, reason: impl fmt::Display) -> AuthError {
    AuthError::NotAllowed(format!("{name}: {reason}").into())
}

#[cfg(test)]
mod tests;
