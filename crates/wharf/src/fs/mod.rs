//! File systems: what a user sees and where uploads go.
//!
//! A [`FileSystem`] is made once per login, so its operations carry no user. [`JailedFs`] serves a directory and
//! nothing outside it; [`UnixFs`] serves the real file system with the user's own rights. An embedder may wrap
//! either, or bring one of its own; [`conformance`] checks it.
//!
//! What is read and written is a [`Source`] or a [`Sink`]. One made of an open file is moved by the kernel where TLS
//! and ASCII conversion allow; one made of a stream is pumped.
//!
//! ```
//! use wharf::fs::{FileSystem, FsResult, JailedFs};
//! use wharf::{Identity, VPath};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let files = JailedFs::new(&std::env::temp_dir(), &Identity::process())?;
//! assert!(files.metadata(&VPath::root()).await?.is_dir());
//! assert!(files.metadata(&VPath::parse(b"/no/such/thing")?).await.is_err());
//! # Ok(()) }
//! ```

mod batches;
mod blocking;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod entries;
mod erased;
mod error;
mod homes;
mod jailed;
#[cfg(any(test, feature = "testing"))]
mod memory;
mod shared;
mod source;
#[cfg(target_os = "linux")]
mod storage;
mod tree;
#[cfg(unix)]
mod unix;

use std::future::Future;
use std::path::PathBuf;

pub use self::blocking::blocking;
pub use self::entries::{Detail, Entries};
pub(crate) use self::erased::DynFileSystem;
pub use self::error::{FsError, FsErrorKind, FsResult};
pub(crate) use self::homes::Homes;
pub use self::jailed::JailedFs;
#[cfg(any(test, feature = "testing"))]
pub use self::memory::MemoryFs;
pub use self::shared::SharedFs;
pub use self::source::{ByteSink, Sink, Source};
pub(crate) use self::source::{DynByteSink, OpenSink, SinkKind, SourceKind, Span};
#[cfg(target_os = "linux")]
pub(crate) use self::storage::Storage;
#[cfg(unix)]
pub use self::unix::UnixFs;
pub use wharf_proto::listing::Entry;
pub use wharf_proto::{Ending, FileKind, Metadata, Timestamp, VPath, WriteMode};

/// The files that one logged-in user sees.
///
/// # Contract
/// * Paths are absolute and normal ([`VPath`]); `/` is the root of what the user sees.
/// * An operation that fails changes nothing.
/// * Nothing blocks an async worker: calls that may wait for a disk go through [`blocking`].
/// * A future that is dropped leaves no half-done work behind but what the file system itself cannot undo.
///
/// # Wrappers
/// A file system that wraps another forwards every operation, those with defaults included; put
/// `#[deny(clippy::missing_trait_methods)]` on the implementation to be told when one is added.
#[doc(alias = "AbstractedFS")]
#[doc(alias = "validpath")]
#[doc(alias = "abstracted_fs")]
pub trait FileSystem: Send + Sync + 'static {
    /// The working directory after login.
    fn start(&self) -> VPath {
        VPath::root()
    }

    /// Where `path` lies on this machine, for callbacks that work on it; `None` when it lies nowhere.
    #[doc(alias = "ftp2fs")]
    #[doc(alias = "fs2ftp")]
    fn local_path(&self, path: &VPath) -> Option<PathBuf> {
        let _ = path;
        None
    }

    /// Facts about `path`; a symbolic link at its end is followed.
    #[doc(alias = "stat")]
    #[doc(alias = "getmtime")]
    #[doc(alias = "getsize")]
    #[doc(alias = "isdir")]
    #[doc(alias = "isfile")]
    fn metadata(&self, path: &VPath) -> impl Future<Output = FsResult<Metadata>> + Send;

    /// Facts about `path`; a symbolic link at its end is described itself.
    #[doc(alias = "lstat")]
    #[doc(alias = "islink")]
    #[doc(alias = "lexists")]
    fn link_metadata(&self, path: &VPath) -> impl Future<Output = FsResult<Metadata>> + Send {
        self.metadata(path)
    }

    /// Succeeds when `path` is a directory that the user may enter.
    #[doc(alias = "chdir")]
    fn enter(&self, path: &VPath) -> impl Future<Output = FsResult<()>> + Send {
        async move {
            if self.metadata(path).await?.is_dir() { Ok(()) } else { Err(FsErrorKind::NotADirectory.into()) }
        }
    }

    /// What a directory holds, as a stream of batches, or the one thing that `path` names if it is no directory.
    /// `detail` says what will be printed: a file system need not find out more.
    #[doc(alias = "listdir")]
    #[doc(alias = "get_user_by_uid")]
    #[doc(alias = "get_group_by_gid")]
    #[doc(alias = "readlink")]
    fn list(&self, path: &VPath, detail: Detail) -> impl Future<Output = FsResult<Entries>> + Send;

    /// Opens a regular file for reading from byte `from` on.
    ///
    /// # Errors
    /// [`FsErrorKind::OffsetBeyondEnd`] when the file is shorter, [`FsErrorKind::NotAFile`] for pipes and devices.
    #[doc(alias = "open")]
    fn read(&self, path: &VPath, from: u64) -> impl Future<Output = FsResult<Source>> + Send;

    /// Opens a regular file for writing, creating it unless `mode` is [`WriteMode::At`]. What it is to replace had better
    /// stay until the first byte is written: the upload may never begin.
    #[doc(alias = "open")]
    fn write(&self, path: &VPath, mode: WriteMode) -> impl Future<Output = FsResult<Sink>> + Send;

    /// Creates a file in `directory` whose name starts with `prefix` and was free (STOU); answers its path as well.
    #[doc(alias = "mkstemp")]
    fn write_unique(
        &self,
        directory: &VPath,
        prefix: &[u8],
    ) -> impl Future<Output = FsResult<(VPath, Sink)>> + Send {
        let _ = (directory, prefix);
        async { Err(FsErrorKind::Unsupported.into()) }
    }

    /// Creates a directory.
    #[doc(alias = "mkdir")]
    fn create_dir(&self, path: &VPath) -> impl Future<Output = FsResult<()>> + Send;

    /// Removes an empty directory.
    #[doc(alias = "rmdir")]
    fn remove_dir(&self, path: &VPath) -> impl Future<Output = FsResult<()>> + Send;

    /// Removes a file, or a symbolic link itself.
    #[doc(alias = "remove")]
    fn remove_file(&self, path: &VPath) -> impl Future<Output = FsResult<()>> + Send;

    /// Renames a file or directory, replacing a file at the destination.
    fn rename(&self, from: &VPath, to: &VPath) -> impl Future<Output = FsResult<()>> + Send;

    /// Sets when the content last changed (MFMT).
    #[doc(alias = "utime")]
    fn set_modified(&self, path: &VPath, time: Timestamp) -> impl Future<Output = FsResult<()>> + Send {
        let _ = (path, time);
        async { Err(FsErrorKind::Unsupported.into()) }
    }

    /// Sets the permission bits (SITE CHMOD).
    #[doc(alias = "chmod")]
    fn set_mode(&self, path: &VPath, mode: u32) -> impl Future<Output = FsResult<()>> + Send {
        let _ = (path, mode);
        async { Err(FsErrorKind::Unsupported.into()) }
    }
}
