//! A file system that is shared by reference.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{
    Detail, DynFileSystem, Entries, FileSystem, FsResult, Metadata, Sink, Source, Timestamp, VPath, WriteMode,
};

/// The file system of a session, for those who are handed one: commands that an embedder adds, say. Cloning shares it.
#[derive(Clone)]
pub struct SharedFs(Arc<dyn DynFileSystem>);

impl SharedFs {
    pub(crate) fn new(files: Arc<dyn DynFileSystem>) -> Self {
        Self(files)
    }
}

#[deny(clippy::missing_trait_methods)]
impl FileSystem for SharedFs {
    fn start(&self) -> VPath {
        self.0.start()
    }

    fn local_path(&self, path: &VPath) -> Option<PathBuf> {
        self.0.local_path(path)
    }

    async fn metadata(&self, path: &VPath) -> FsResult<Metadata> {
        self.0.metadata(path).await
    }

    async fn link_metadata(&self, path: &VPath) -> FsResult<Metadata> {
        self.0.link_metadata(path).await
    }

    async fn enter(&self, path: &VPath) -> FsResult<()> {
        self.0.enter(path).await
    }

    async fn list(&self, path: &VPath, detail: Detail) -> FsResult<Entries> {
        self.0.list(path, detail).await
    }

    async fn read(&self, path: &VPath, from: u64) -> FsResult<Source> {
        self.0.read(path, from).await
    }

    async fn write(&self, path: &VPath, mode: WriteMode) -> FsResult<Sink> {
        self.0.write(path, mode).await
    }

    async fn write_unique(&self, directory: &VPath, prefix: &[u8]) -> FsResult<(VPath, Sink)> {
        self.0.write_unique(directory, prefix).await
    }

    async fn create_dir(&self, path: &VPath) -> FsResult<()> {
        self.0.create_dir(path).await
    }

    async fn remove_dir(&self, path: &VPath) -> FsResult<()> {
        self.0.remove_dir(path).await
    }

    async fn remove_file(&self, path: &VPath) -> FsResult<()> {
        self.0.remove_file(path).await
    }

    async fn rename(&self, from: &VPath, to: &VPath) -> FsResult<()> {
        self.0.rename(from, to).await
    }

    async fn set_modified(&self, path: &VPath, time: Timestamp) -> FsResult<()> {
        self.0.set_modified(path, time).await
    }

    async fn set_mode(&self, path: &VPath, mode: u32) -> FsResult<()> {
        self.0.set_mode(path, mode).await
    }
}

impl fmt::Debug for SharedFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedFs")
    }
}
