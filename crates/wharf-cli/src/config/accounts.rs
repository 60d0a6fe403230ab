//! Who may log in, and as what.

use std::collections::HashSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use wharf::auth::{LONGEST_PASSWORD, PasswordHash, UserLimits, VirtualUser, VirtualUsers};
use wharf::auth::{VirtualUsersError, VirtualUsersError as E};
use wharf::{Letters, Secret};

use super::flags::directory_of;
use super::raw;
use crate::failure::Failure;

/// The name under which nobody in particular logs in.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// Where users come from.
#[derive(Debug)]
pub(crate) enum Accounts {
    /// These and nobody else.
    Virtual {
        /// All of them, as the library asks for them.
        known: VirtualUsers,
        /// The users with passwords.
        users: Vec<Account>,
        /// The user without one.
        anonymous: Option<Account>,
    },
    /// The accounts of the system.
    Unix {
        /// Which of them, and how far they can go.
        options: raw::UnixAccounts,
        /// What is different for some of them.
        overrides: Vec<SystemUser>,
    },
    /// The accounts of Windows.
    Windows {
        /// Which of them.
        options: raw::WindowsAccounts,
        /// What is different for some of them.
        overrides: Vec<SystemUser>,
    },
}

/// One user of ours.
#[derive(Debug)]
pub(crate) struct Account {
    /// The name.
    pub(crate) name: String,
    /// What the user proves to know; `None` for anonymous.
    pub(crate) password: Option<Password>,
    /// The directory that the user's files are in: absolute, and there.
    pub(crate) home: PathBuf,
    /// What the user may do.
    pub(crate) permissions: Letters,
    /// What the user may do in some directories instead.
    pub(crate) overrides: Vec<raw::Override>,
    /// The text of the 230, if not the usual one.
    pub(crate) login_message: Option<String>,
    /// The text of the 221, if not the usual one.
    pub(crate) quit_message: Option<String>,
    /// What the user may use up.
    pub(crate) limits: UserLimits,
}

/// What is different for one user of the system.
#[derive(Debug)]
pub(crate) struct SystemUser {
    /// The name.
    pub(crate) name: String,
    /// Another password than the system's.
    pub(crate) password: Option<Password>,
    /// Another home than the system's.
    pub(crate) home: Option<PathBuf>,
    /// Other rights than those of all.
    pub(crate) permissions: Option<Letters>,
    /// Other rights in some directories.
    pub(crate) overrides: Vec<raw::Override>,
    /// The text of the 230.
    pub(crate) login_message: Option<String>,
    /// The text of the 221.
    pub(crate) quit_message: Option<String>,
    /// What the user may use up.
    pub(crate) limits: UserLimits,
}

/// What a user proves to know.
#[derive(Debug)]
pub(crate) enum Password {
    /// The password itself.
    Clear(Secret),
    /// A hash of it.
    Hash(PasswordHash),
}

/// # Errors
/// When a user lacks something, contradicts itself, is there twice, or has a home that is not.
pub(crate) fn accounts(
    auth: raw::Auth,
    users: Vec<raw::User>,
    anonymous: Option<raw::Anonymous>,
) -> Result<Accounts, Failure> {
    refuse_twins(&users, auth.kind)?;
    match auth.kind {
        raw::AuthKind::Virtual => {
            let users = users.into_iter().map(account).collect::<Result<Vec<_>, _>>()?;
            let anonymous = anonymous.map(anonymous_account).transpose()?;
            let known = virtual_users(users.iter().chain(&anonymous))?;
            Ok(Accounts::Virtual { known, users, anonymous })
        }
        raw::AuthKind::Unix => {
            Ok(Accounts::Unix { options: auth.unix, overrides: system_users(users, anonymous.as_ref())? })
        }
        raw::AuthKind::Windows => Ok(Accounts::Windows {
            options: auth.windows,
            overrides: system_users(users, anonymous.as_ref())?,
        }),
    }
}

fn refuse_twins(users: &[raw::User], kind: raw::AuthKind) -> Result<(), Failure> {
    let mut names = HashSet::new();
    for user in users {
        let name = user.name.as_str();
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Failure::usage(format!("users.name: {name:?}: expected a name, in one line")));
        }
        if name == ANONYMOUS && kind == raw::AuthKind::Virtual {
            return Err(Failure::usage("users.name: \"anonymous\" has a table of its own: [anonymous]"));
        }
        if !names.insert(name) {
            return Err(Failure::usage(format!("users.name: {name:?} is there twice")));
        }
    }
    Ok(())
}

fn account(user: raw::User) -> Result<Account, Failure> {
    let setting = |key: &str| format!("users.{key} of {:?}", user.name);
    let password = password(&user)?.ok_or_else(|| {
        Failure::usage(format!("{}: a user needs this or password_hash", setting("password")))
    })?;
    let home =
        user.home.as_ref().ok_or_else(|| Failure::usage(format!("{}: is missing", setting("home"))))?;
    Ok(Account {
        home: directory_of(&setting("home"), home)?,
        password: Some(password),
        permissions: user.permissions.map_or(Letters::READ_ONLY, |written| written.0),
        overrides: user.overrides,
        login_message: user.login_message,
        quit_message: user.quit_message,
        limits: limits(user.max_sessions, user.upload_rate, user.download_rate),
        name: user.name,
    })
}

fn anonymous_account(user: raw::Anonymous) -> Result<Account, Failure> {
    Ok(Account {
        name: ANONYMOUS.into(),
        password: None,
        home: directory_of("anonymous.home", &user.home)?,
        permissions: user.permissions.map_or(Letters::READ_ONLY, |written| written.0),
        overrides: user.overrides,
        login_message: user.login_message,
        quit_message: user.quit_message,
        limits: limits(user.max_sessions, user.upload_rate, user.download_rate),
    })
}

fn system_users(
    users: Vec<raw::User>,
    anonymous: Option<&raw::Anonymous>,
) -> Result<Vec<SystemUser>, Failure> {
    if anonymous.is_some() {
        return Err(Failure::usage(
            "[anonymous] is for virtual users; system users have anonymous_user in [auth.unix] or [auth.windows], \
             and [[users]] with name = \"anonymous\"",
        ));
    }
    let template = |user: raw::User| {
        let password = password(&user)?;
        if user.permissions.is_none() && !user.overrides.is_empty() {
            let problem = "overrides need permissions of the user itself";
            return Err(Failure::usage(format!("users.overrides of {:?}: {problem}", user.name)));
        }
        Ok(SystemUser {
            password,
            home: user.home,
            permissions: user.permissions.map(|written| written.0),
            overrides: user.overrides,
            login_message: user.login_message,
            quit_message: user.quit_message,
            limits: limits(user.max_sessions, user.upload_rate, user.download_rate),
            name: user.name,
        })
    };
    users.into_iter().map(template).collect()
}

fn password(user: &raw::User) -> Result<Option<Password>, Failure> {
    let problem = match user.password.as_ref().map(|clear| clear.0.expose().len()) {
        Some(0) => Some("expected a password that is not empty".to_owned()),
        Some(length) if length > LONGEST_PASSWORD => {
            Some(format!("expected a password of at most {LONGEST_PASSWORD} bytes"))
        }
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(Failure::usage(format!("users.password of {:?}: {problem}", user.name)));
    }
    match (&user.password, &user.password_hash) {
        (None, None) => Ok(None),
        (Some(clear), None) => Ok(Some(Password::Clear(clear.0.clone()))),
        (None, Some(hash)) => match String::from_utf8_lossy(hash.0.expose()).parse() {
            Ok(hash) => Ok(Some(Password::Hash(hash))),
            Err(error) => Err(Failure::usage(format!(
                "users.password_hash of {:?}: {error}; wharf hash-password makes one",
                user.name
            ))),
        },
        (Some(_), Some(_)) => Err(Failure::usage(format!(
            "users of {:?}: password and password_hash exclude each other",
            user.name
        ))),
    }
}

fn limits(sessions: Option<usize>, upload_rate: Option<u64>, download_rate: Option<u64>) -> UserLimits {
    let mut limits = UserLimits::default();
    limits.sessions = sessions.and_then(NonZeroUsize::new);
    limits.upload_rate = upload_rate.and_then(NonZeroU64::new);
    limits.download_rate = download_rate.and_then(NonZeroU64::new);
    limits
}

fn virtual_users<'a>(accounts: impl Iterator<Item = &'a Account>) -> Result<VirtualUsers, Failure> {
    let known = VirtualUsers::new();
    for account in accounts {
        let added = known.add(account.describe());
        added.map_err(|error| refused(account, &error))?;
    }
    Ok(known)
}

/// What the library refuses of a user are directories of overrides, all else is known to be right.
fn refused(account: &Account, error: &VirtualUsersError) -> Failure {
    let failure = Failure::usage(match account.password {
        None => format!("anonymous.overrides: {error}"),
        Some(_) => format!("users.overrides of {:?}: {error}", account.name),
    });
    let (E::NoSuchDirectory(refused) | E::OverridesHome(refused) | E::EscapesHome(refused)) = error else {
        return failure;
    };
    let is_refused = |one: &raw::Override| {
        let directory = directory_in_home(one);
        *refused == *directory || *refused == account.home.join(&directory)
    };
    match account.overrides.iter().position(is_refused) {
        Some(index) => failure.in_entry(index),
        None => failure,
    }
}

/// The directory of an override, from the home on.
fn directory_in_home(one: &raw::Override) -> String {
    String::from_utf8_lossy(one.directory.0.as_bytes()).trim_start_matches('/').to_owned()
}

impl Account {
    /// The user as the library wants it described.
    fn describe(&self) -> VirtualUser {
        let mut user = match &self.password {
            None => VirtualUser::anonymous(&self.home),
            Some(Password::Clear(secret)) => {
                VirtualUser::new(self.name.as_str(), PasswordHash::plain(secret.clone()), &self.home)
            }
            Some(Password::Hash(hash)) => VirtualUser::new(self.name.as_str(), hash.clone(), &self.home),
        };
        user = user.permissions(self.permissions).limits(self.limits);
        for one in &self.overrides {
            user = user.override_permissions(directory_in_home(one), one.permissions.0, one.recursive);
        }
        if let Some(text) = &self.login_message {
            user = user.login_message(text.as_str());
        }
        if let Some(text) = &self.quit_message {
            user = user.quit_message(text.as_str());
        }
        user
    }
}
