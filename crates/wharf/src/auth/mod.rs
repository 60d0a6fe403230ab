//! Who may log in, and as what.
//!
//! An [`Authorizer`] is asked once per login and answers with a [`User`]: a value that holds all that the server needs
//! to know. Nothing is looked up by name again, so a user who is removed or changed meanwhile keeps the session as it
//! began, and the next login sees the change.
//!
//! [`VirtualUsers`] are users of the server alone. `UnixUsers` (on Linux) and `WindowsUsers` (on Windows) are those of the
//! system, whose files are read and written with their own rights.
//!
//! ```
//! use wharf::auth::{AuthError, Authorizer, Login, Secret, User};
//!
//! /// Lets in everybody on this machine who knows the word.
//! struct Neighbours(Secret);
//!
//! impl Authorizer for Neighbours {
//!     async fn authenticate(&self, login: Login<'_>) -> Result<User, AuthError> {
//!         if login.peer.ip().is_loopback() && login.password == &self.0 {
//!             Ok(User::new(login.user, "/srv/pub"))
//!         } else {
//!             Err(AuthError::Refused)
//!         }
//!     }
//! }
//! # let _ = Neighbours(Secret::new("sugar"));
//! ```

mod erased;
mod even_pace;
mod password;
#[cfg(any(target_os = "linux", windows))]
mod system_users;
mod turns;
#[cfg(target_os = "linux")]
mod unix;
#[cfg(any(target_os = "linux", windows))]
mod user_override;
mod virtual_user;
mod virtual_users;
#[cfg(windows)]
mod windows;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use self::erased::DynAuthorizer;
pub use self::password::{LONGEST_PASSWORD, PasswordHash, PasswordHashError, hash_password};
#[cfg(any(target_os = "linux", windows))]
pub use self::system_users::SystemUsersError;
#[cfg(target_os = "linux")]
pub use self::unix::{UnixUsers, UnixUsersBuilder};
#[cfg(any(target_os = "linux", windows))]
pub use self::user_override::UserOverride;
pub use self::virtual_user::VirtualUser;
pub use self::virtual_users::{VirtualUsers, VirtualUsersError};
#[cfg(windows)]
pub use self::windows::{WindowsUsers, WindowsUsersBuilder};
pub use wharf_proto::{Letter, Letters, Permissions, Secret, UnknownLetter, VPath};
pub use wharf_sys::Identity;

/// Decides who may log in.
///
/// # Contract
/// * It takes the same time for known and unknown names, and blocks no async worker.
/// * It says no with the [`AuthError`] that fits; the client learns no more than that.
#[doc(alias = "AuthorizerError")]
#[doc(alias = "DummyAuthorizer")]
#[doc(alias = "validate_authentication")]
pub trait Authorizer: Send + Sync + 'static {
    /// Answers a USER/PASS pair with everything the server needs to know about the user.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for a wrong name or password, and the others as they say.
    fn authenticate(&self, login: Login<'_>) -> impl Future<Output = Result<User, AuthError>> + Send;
}

/// A USER/PASS pair, and where it came from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Login<'a> {
    /// The argument of USER.
    pub user: &'a str,
    /// The argument of PASS.
    pub password: &'a Secret,
    /// Where the client is.
    pub peer: SocketAddr,
    /// The address of ours that it reached.
    pub local: SocketAddr,
    /// Whether the control connection is under TLS.
    pub secured: bool,
    /// The subject of the client certificate that TLS verified, if there was one.
    pub certificate: Option<&'a str>,
}

impl<'a> Login<'a> {
    /// What a client says that has connected in clear from `peer` to our address `local`: to try an [`Authorizer`] out.
    pub fn new(user: &'a str, password: &'a Secret, peer: SocketAddr, local: SocketAddr) -> Self {
        Self { user, password, peer, local, secured: false, certificate: None }
    }
}

/// Why a login is refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthError {
    /// Unknown user or wrong password: 530, and the client cannot tell which.
    Refused,
    /// A user whom rules keep out, whatever the password: 530 as for a wrong one, and the log says why.
    NotAllowed(Box<dyn std::error::Error + Send + Sync>),
    /// There is no anonymous user: 530, saying so.
    NoAnonymous,
    /// The check could not be made: 421, the session ends, and the log says why.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("unknown user or wrong password"),
            Self::NotAllowed(reason) => reason.fmt(f),
            Self::NoAnonymous => f.write_str("anonymous access is not allowed"),
            Self::Unavailable(source) => write!(f, "the login could not be checked: {source}"),
        }
    }
}

impl std::error::Error for AuthError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(source) | Self::NotAllowed(source) => Some(&**source),
            Self::Refused | Self::NoAnonymous => None,
        }
    }
}

/// Everything the server needs to know about a user who has logged in. Cloning is cheap.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct User {
    /// The name, for callbacks and logs.
    pub name: Arc<str>,
    /// The directory that the user's files are in.
    #[doc(alias = "get_home_dir")]
    pub home: Arc<std::path::Path>,
    /// Rights per directory.
    #[doc(alias = "has_perm")]
    #[doc(alias = "get_perms")]
    pub permissions: Arc<Permissions>,
    /// The rights with which the operating system sees the user's operations.
    #[doc(alias = "impersonate_user")]
    #[doc(alias = "terminate_impersonation")]
    pub identity: Identity,
    /// The text of the 230.
    #[doc(alias = "msg_login")]
    #[doc(alias = "get_msg_login")]
    pub login_message: Arc<str>,
    /// The text of the 221.
    #[doc(alias = "msg_quit")]
    #[doc(alias = "get_msg_quit")]
    pub quit_message: Arc<str>,
    /// What this user may use up.
    pub limits: UserLimits,
    /// Which account it is where the system knows several names for one.
    pub(crate) account: Option<Arc<str>>,
}

/// What one user may use up. `None` is no limit of the user's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserLimits {
    /// Sessions at once, from wherever they come.
    pub sessions: Option<std::num::NonZeroUsize>,
    /// Bytes per second of one upload; overrides the server's.
    pub upload_rate: Option<NonZeroU64>,
    /// Bytes per second of one download; overrides the server's.
    pub download_rate: Option<NonZeroU64>,
}

impl User {
    /// A user whose files are in `home`, who may look and fetch, with the process's own rights.
    pub fn new(name: impl Into<Arc<str>>, home: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            home: home.into().into(),
            permissions: Arc::new(Letters::READ_ONLY.into()),
            identity: Identity::process(),
            login_message: Arc::from("Login successful."),
            quit_message: Arc::from("Goodbye."),
            limits: UserLimits::default(),
            account: None,
        }
    }

    /// The same user with other rights.
    pub fn with_permissions(self, permissions: impl Into<Permissions>) -> Self {
        Self { permissions: Arc::new(permissions.into()), ..self }
    }

    /// The same user as the operating system's user `identity`.
    pub fn with_identity(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }
}
