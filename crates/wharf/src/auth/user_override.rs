//! What is different for one user of the system.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use wharf_proto::{Permissions, Secret};

use super::{PasswordHash, User, UserLimits};

/// What is different for one user of the system. What is left out is as for all others.
///
/// ```
/// use wharf::auth::{Letters, UserOverride};
///
/// let matt = UserOverride::new("matt").password("foo").permissions(Letters::READ_ONLY);
/// ```
#[derive(Clone)]
pub struct UserOverride {
    pub(super) name: String,
    pub(super) password: Option<PasswordHash>,
    pub(super) home: Option<PathBuf>,
    pub(super) permissions: Option<Arc<Permissions>>,
    login_message: Option<Arc<str>>,
    quit_message: Option<Arc<str>>,
    limits: Option<UserLimits>,
}

impl UserOverride {
    /// Begins with nothing that is different for the user `name`, or for `anonymous`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: None,
            home: None,
            permissions: None,
            login_message: None,
            quit_message: None,
            limits: None,
        }
    }

    /// The user logs in with this password, and no longer with the system's.
    pub fn password(self, password: impl Into<Vec<u8>>) -> Self {
        self.password_hash(PasswordHash::plain(Secret::new(password)))
    }

    /// As [`password`](Self::password), with a hash of it.
    pub fn password_hash(self, hash: PasswordHash) -> Self {
        Self { password: Some(hash), ..self }
    }

    /// The directory that the user's files are in. It has to exist.
    pub fn home(self, home: impl Into<PathBuf>) -> Self {
        Self { home: Some(home.into()), ..self }
    }

    /// What the user may do, on top of what the system says.
    pub fn permissions(self, permissions: impl Into<Permissions>) -> Self {
        Self { permissions: Some(Arc::new(permissions.into())), ..self }
    }

    /// The text of the 230.
    #[doc(alias = "msg_login")]
    pub fn login_message(self, text: impl Into<Arc<str>>) -> Self {
        Self { login_message: Some(text.into()), ..self }
    }

    /// The text of the 221.
    #[doc(alias = "msg_quit")]
    pub fn quit_message(self, text: impl Into<Arc<str>>) -> Self {
        Self { quit_message: Some(text.into()), ..self }
    }

    /// What the user may use up.
    pub fn limits(self, limits: UserLimits) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// Whether nothing is different.
    pub(super) fn is_empty(&self) -> bool {
        let texts = self.login_message.is_some() || self.quit_message.is_some();
        let others = self.password.is_some() || self.home.is_some() || self.permissions.is_some();
        !texts && !others && self.limits.is_none()
    }

    /// The user with what is different; the home is not touched.
    pub(super) fn apply(&self, user: User) -> User {
        User {
            permissions: self.permissions.clone().unwrap_or(user.permissions),
            login_message: self.login_message.clone().unwrap_or(user.login_message),
            quit_message: self.quit_message.clone().unwrap_or(user.quit_message),
            limits: self.limits.unwrap_or(user.limits),
            ..user
        }
    }
}

impl fmt::Debug for UserOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserOverride").field("name", &self.name).finish_non_exhaustive()
    }
}
