//! The real file system.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use wharf_sys::Identity;

use super::{
    Detail, Entries, FileSystem, FsErrorKind, FsResult, JailedFs, Metadata, Sink, Source, Timestamp, VPath,
    WriteMode,
};
use crate::Uploads;
use crate::auth::User;

/// The real file system from `/` on, where the user's own rights are the only limit.
///
/// It is what [`JailedFs`] makes of the directory `/`: links lead wherever they lead. `/proc` is closed, because the kernel
/// shows a process more of itself than it would show the user, and the process is the server.
#[doc(alias = "UnixFilesystem")]
#[derive(Clone, Debug)]
pub struct UnixFs {
    files: JailedFs,
    start: VPath,
}

impl UnixFs {
    /// The real file system, with the rights of `identity`.
    ///
    /// # Errors
    /// When the identity cannot be entered.
    pub fn new(identity: &Identity) -> FsResult<Self> {
        Ok(Self { files: JailedFs::new(Path::new("/"), identity)?, start: VPath::root() })
    }

    /// The real file system with the rights of `user`, beginning in the user's home.
    ///
    /// # Errors
    /// When the identity cannot be entered, or no client could name the home.
    pub fn open(user: &User) -> FsResult<Self> {
        let start = VPath::parse(user.home.as_os_str().as_bytes()).map_err(|_| FsErrorKind::InvalidName)?;
        Ok(Self { start, ..Self::new(&user.identity)? })
    }

    /// The same, with other rules for uploads.
    pub fn with_uploads(self, uploads: Uploads) -> Self {
        Self { files: self.files.with_uploads(uploads), ..self }
    }
}

#[deny(clippy::missing_trait_methods)]
impl FileSystem for UnixFs {
    fn start(&self) -> VPath {
        self.start.clone()
    }

    fn local_path(&self, path: &VPath) -> Option<PathBuf> {
        self.files.local_path(path)
    }

    async fn metadata(&self, path: &VPath) -> FsResult<Metadata> {
        self.files.metadata(path).await
    }

    async fn link_metadata(&self, path: &VPath) -> FsResult<Metadata> {
        self.files.link_metadata(path).await
    }

    async fn enter(&self, path: &VPath) -> FsResult<()> {
        self.files.enter(path).await
    }

    async fn list(&self, path: &VPath, detail: Detail) -> FsResult<Entries> {
        self.files.list(path, detail).await
    }

    async fn read(&self, path: &VPath, from: u64) -> FsResult<Source> {
        self.files.read(path, from).await
    }

    async fn write(&self, path: &VPath, mode: WriteMode) -> FsResult<Sink> {
        self.files.write(path, mode).await
    }

    async fn write_unique(&self, directory: &VPath, prefix: &[u8]) -> FsResult<(VPath, Sink)> {
        self.files.write_unique(directory, prefix).await
    }

    async fn create_dir(&self, path: &VPath) -> FsResult<()> {
        self.files.create_dir(path).await
    }

    async fn remove_dir(&self, path: &VPath) -> FsResult<()> {
        self.files.remove_dir(path).await
    }

    async fn remove_file(&self, path: &VPath) -> FsResult<()> {
        self.files.remove_file(path).await
    }

    async fn rename(&self, from: &VPath, to: &VPath) -> FsResult<()> {
        self.files.rename(from, to).await
    }

    async fn set_modified(&self, path: &VPath, time: Timestamp) -> FsResult<()> {
        self.files.set_modified(path, time).await
    }

    async fn set_mode(&self, path: &VPath, mode: u32) -> FsResult<()> {
        self.files.set_mode(path, mode).await
    }
}
