//! Errors of setting up and running a server.

use std::fmt;
use std::io;

/// The result of setting up or running a server.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server cannot be set up or cannot go on.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What the reader of an [`Error`] can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An address cannot be listened on: it is in use, not ours, or not allowed.
    Bind,
    /// A setting has no sensible meaning.
    Setting,
    /// Users cannot be set up.
    Users,
    /// A certificate or key cannot be used.
    Tls,
    /// The operating system failed.
    System,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    pub(crate) fn caused_by(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self {
            kind: ErrorKind::System,
            what: "the operating system refused".into(),
            source: Some(source.into()),
        }
    }
}

#[cfg(feature = "tls")]
impl From<crate::tls::TlsError> for Error {
    fn from(source: crate::tls::TlsError) -> Self {
        Self { kind: ErrorKind::Tls, what: "TLS cannot be set up".into(), source: Some(Box::new(source)) }
    }
}

impl From<crate::auth::VirtualUsersError> for Error {
    fn from(source: crate::auth::VirtualUsersError) -> Self {
        Self { kind: ErrorKind::Users, what: "users cannot be set up".into(), source: Some(Box::new(source)) }
    }
}

#[cfg(any(target_os = "linux", windows))]
impl From<crate::auth::SystemUsersError> for Error {
    fn from(source: crate::auth::SystemUsersError) -> Self {
        Self { kind: ErrorKind::Users, what: "users cannot be set up".into(), source: Some(Box::new(source)) }
    }
}
