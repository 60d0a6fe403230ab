//! Who may log in and what they see, for the library.

use wharf::{Server, ServerBuilder};

use crate::config::{Accounts, Config};
use crate::failure::Failure;

/// A server for these users, with nothing set up but them and their files.
///
/// # Errors
/// When users of the system cannot be had: here, without its rights, or with these options.
pub(crate) fn builder(config: &Config) -> Result<ServerBuilder, Failure> {
    match &config.accounts {
        Accounts::Virtual { known, .. } => Ok(Server::builder(known.clone())),
        #[cfg(target_os = "linux")]
        Accounts::Unix { options, overrides } => system::unix(options, overrides, config.settings.uploads),
        #[cfg(not(target_os = "linux"))]
        Accounts::Unix { .. } => Err(Failure::usage("auth.kind = \"unix\" works on Linux only")),
        #[cfg(windows)]
        Accounts::Windows { options, overrides } => system::windows(options, overrides),
        #[cfg(not(windows))]
        Accounts::Windows { .. } => Err(Failure::usage("auth.kind = \"windows\" works on Windows only")),
    }
}

#[cfg(any(target_os = "linux", windows))]
mod system {
    use wharf::auth::{SystemUsersError, UserLimits, UserOverride};
    use wharf::{Letters, Permissions};

    use super::*;
    use crate::config::{ANONYMOUS, Password, SystemUser, raw};

    #[cfg(target_os = "linux")]
    pub(super) fn unix(
        options: &raw::UnixAccounts,
        overrides: &[SystemUser],
        uploads: wharf::Uploads,
    ) -> Result<ServerBuilder, Failure> {
        use wharf::{auth::UnixUsers, fs::UnixFs};

        let asked = Asked {
            kind: "unix",
            allowed: &options.allowed_users,
            anonymous: options.anonymous_user.as_deref(),
            overrides,
        };
        let mut users = UnixUsers::builder()
            .allowed_users(&options.allowed_users)
            .rejected_users(&options.rejected_users)
            .require_valid_shell(options.require_valid_shell)
            .permissions(options.permissions.0);
        users = match options.passwords {
            raw::Passwords::Pam => users.pam_service(options.pam_service.as_str()),
            raw::Passwords::Shadow => users.without_pam(),
        };
        if let Some(name) = &options.anonymous_user {
            users = users.anonymous_user(name);
        }
        for user in overrides {
            users = users.override_user(overriding(user, options.permissions.0));
        }
        let builder = Server::builder(users.build().map_err(|error| refused(&asked, &error))?);
        Ok(match options.filesystem {
            raw::Reach::Home => builder,
            raw::Reach::Unix => builder.filesystem(move |user| Ok(UnixFs::open(user)?.with_uploads(uploads))),
        })
    }

    #[cfg(windows)]
    pub(super) fn windows(
        options: &raw::WindowsAccounts,
        overrides: &[SystemUser],
    ) -> Result<ServerBuilder, Failure> {
        let asked = Asked {
            kind: "windows",
            allowed: &options.allowed_users,
            anonymous: options.anonymous_user.as_deref(),
            overrides,
        };
        let mut users = wharf::auth::WindowsUsers::builder()
            .allowed_users(&options.allowed_users)
            .rejected_users(&options.rejected_users)
            .permissions(options.permissions.0);
        if let Some(name) = &options.anonymous_user {
            let password =
                options.anonymous_password.as_ref().map_or(&[][..], |password| password.0.expose());
            users = users.anonymous_user(name, password);
        }
        for user in overrides {
            users = users.override_user(overriding(user, options.permissions.0));
        }
        Ok(Server::builder(users.build().map_err(|error| refused(&asked, &error))?))
    }

    /// What is different for one user, as the library wants it described.
    fn overriding(user: &SystemUser, letters_of_all: Letters) -> UserOverride {
        let mut one = UserOverride::new(user.name.as_str());
        one = match &user.password {
            None => one,
            Some(Password::Clear(secret)) => one.password(secret.expose()),
            Some(Password::Hash(hash)) => one.password_hash(hash.clone()),
        };
        if let Some(home) = &user.home {
            one = one.home(home);
        }
        if user.permissions.is_some() || !user.overrides.is_empty() {
            let mut permissions = Permissions::new(user.permissions.unwrap_or(letters_of_all));
            for below in &user.overrides {
                permissions.override_directory(
                    below.directory.0.clone(),
                    below.permissions.0,
                    below.recursive,
                );
            }
            one = one.permissions(permissions);
        }
        if let Some(text) = &user.login_message {
            one = one.login_message(text.as_str());
        }
        if let Some(text) = &user.quit_message {
            one = one.quit_message(text.as_str());
        }
        if user.limits != UserLimits::default() {
            one = one.limits(user.limits);
        }
        one
    }

    /// What is asked for, by the keys that ask for it.
    struct Asked<'a> {
        kind: &'static str,
        allowed: &'a [String],
        anonymous: Option<&'a str>,
        overrides: &'a [SystemUser],
    }

    /// Names the key that the mistake is in.
    fn refused(asked: &Asked<'_>, error: &SystemUsersError) -> Failure {
        use SystemUsersError as E;

        let key = |key: &str| format!("auth.{}.{key}", asked.kind);
        let list = |holds: bool| key(if holds { "allowed_users" } else { "rejected_users" });
        let is_allowed = |name: &str| asked.allowed.iter().any(|one| one == name);
        let of_account = |name: &str| match asked.anonymous {
            Some(anonymous) if anonymous == name => key("anonymous_user"),
            _ => "users.name".to_owned(),
        };
        let setting = match error {
            E::BothLists => {
                let (allowed, rejected) = (list(true), list(false));
                return Failure::usage(format!("{allowed} and {rejected} exclude each other"));
            }
            E::EmptyOverride(name) => {
                return Failure::usage(format!(
                    "users of {name:?}: changes nothing; give another key or leave it out"
                ));
            }
            E::NoSuchUser(name) if name == ANONYMOUS => {
                return Failure::usage(format!("users.name: {name:?} needs {}", key("anonymous_user")));
            }
            E::NoValidShell(name) => {
                let setting = if is_allowed(name) { list(true) } else { "users.name".to_owned() };
                let remedy = key("require_valid_shell");
                return Failure::usage(format!("{setting}: {error}, and {remedy} is true"));
            }
            E::AnonymousInList => list(is_allowed(ANONYMOUS)),
            E::UnknownUser(name) => list(is_allowed(name)),
            E::NoSuchUser(name) | E::NoHome(name) | E::NotAllowed(name) => of_account(name),
            E::PasswordForAnonymous => format!("users.password of {ANONYMOUS:?}"),
            E::PasswordOfWindows(name) => format!("users.password of {name:?}"),
            E::NoSuchDirectory(path) => {
                let of = asked.overrides.iter().find(|user| user.home.as_ref() == Some(path));
                of.map_or_else(|| "users.home".into(), |user| format!("users.home of {:?}", user.name))
            }
            _ => format!("auth.kind = {:?}", asked.kind),
        };
        Failure::usage(format!("{setting}: {error}"))
    }
}
