//! Why a file-system operation failed.

use std::fmt;
use std::io;

pub use wharf_proto::FsErrorKind;

/// The result of a file-system operation.
pub type FsResult<T> = Result<T, FsError>;

/// A refused or failed file-system operation: what the client is told ([`FsErrorKind`]), and what caused it, for
/// the log.
#[derive(Debug)]
pub struct FsError {
    kind: FsErrorKind,
    source: Option<io::Error>,
}

impl FsError {
    /// What the client is told.
    pub fn kind(&self) -> FsErrorKind {
        self.kind
    }
}

impl From<FsErrorKind> for FsError {
    fn from(kind: FsErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<io::Error> for FsError {
    fn from(source: io::Error) -> Self {
        use FsErrorKind as K;
        let kind = match source.kind() {
            io::ErrorKind::NotFound => K::NotFound,
            io::ErrorKind::PermissionDenied => K::PermissionDenied,
            io::ErrorKind::AlreadyExists => K::AlreadyExists,
            io::ErrorKind::NotADirectory => K::NotADirectory,
            io::ErrorKind::IsADirectory => K::IsADirectory,
            io::ErrorKind::DirectoryNotEmpty => K::DirectoryNotEmpty,
            io::ErrorKind::InvalidFilename => K::NameTooLong,
            io::ErrorKind::StorageFull => K::NoSpace,
            io::ErrorKind::QuotaExceeded => K::QuotaExceeded,
            io::ErrorKind::FileTooLarge => K::FileTooLarge,
            io::ErrorKind::ReadOnlyFilesystem => K::ReadOnly,
            io::ErrorKind::CrossesDevices => K::CrossDevice,
            // A lock that somebody else holds is reported as WouldBlock.
            io::ErrorKind::ResourceBusy | io::ErrorKind::ExecutableFileBusy | io::ErrorKind::WouldBlock => {
                K::Busy
            }
            io::ErrorKind::InvalidInput => K::InvalidName,
            io::ErrorKind::Unsupported => K::Unsupported,
            _ => Self::kind_of_raw(&source),
        };
        Self { kind, source: Some(source) }
    }
}

impl FsError {
    /// Kinds that the standard library does not name yet.
    #[cfg(unix)]
    fn kind_of_raw(source: &io::Error) -> FsErrorKind {
        use rustix::io::Errno;
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::LOOP) => FsErrorKind::TooManyLinks,
            // Opening a socket, or a pipe without a reader, for writing.
            Some(Errno::NXIO) => FsErrorKind::NotAFile,
            // What `openat2` says of a path that leaves the directory it must stay beneath is CrossDevice (EXDEV);
            // the file systems that use it know, and say OutsideHome themselves.
            _ => FsErrorKind::Failed,
        }
    }

    /// Kinds that the standard library does not name yet.
    #[cfg(not(unix))]
    fn kind_of_raw(_: &io::Error) -> FsErrorKind {
        FsErrorKind::Failed
    }
}

#[cfg(unix)]
impl From<rustix::io::Errno> for FsError {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(source) = &self.source else { return self.kind.fmt(f) };
        // The system mostly says the same, and its number.
        let (kind, source) = (self.kind.to_string(), source.to_string());
        if source.starts_with(&kind) { f.write_str(&source) } else { write!(f, "{kind} ({source})") }
    }
}

impl std::error::Error for FsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_named_once() {
        let missing = FsError::from(io::Error::from_raw_os_error(2)).to_string();
        assert_eq!(missing.matches("No such file").count(), 1, "{missing}");
        let other = FsError::from(io::Error::other("the bucket is gone")).to_string();
        assert!(other.ends_with(" (the bucket is gone)"), "{other}");
    }
}
