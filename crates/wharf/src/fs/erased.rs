//! File systems behind a pointer.

use std::path::PathBuf;

use super::{Detail, Entries, FileSystem, FsResult, Metadata, Sink, Source, Timestamp, WriteMode};
use crate::{BoxFuture, VPath};

/// The object-safe twin of [`FileSystem`], which every file system is as well.
pub(crate) trait DynFileSystem: Send + Sync {
    fn start(&self) -> VPath;
    fn local_path(&self, path: &VPath) -> Option<PathBuf>;
    fn metadata<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<Metadata>>;
    fn link_metadata<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<Metadata>>;
    fn enter<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<()>>;
    fn list<'a>(&'a self, path: &'a VPath, detail: Detail) -> BoxFuture<'a, FsResult<Entries>>;
    fn read<'a>(&'a self, path: &'a VPath, from: u64) -> BoxFuture<'a, FsResult<Source>>;
    fn write<'a>(&'a self, path: &'a VPath, mode: WriteMode) -> BoxFuture<'a, FsResult<Sink>>;
    fn write_unique<'a>(
        &'a self,
        directory: &'a VPath,
        prefix: &'a [u8],
    ) -> BoxFuture<'a, FsResult<(VPath, Sink)>>;
    fn create_dir<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<()>>;
    fn remove_dir<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<()>>;
    fn remove_file<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<()>>;
    fn rename<'a>(&'a self, from: &'a VPath, to: &'a VPath) -> BoxFuture<'a, FsResult<()>>;
    fn set_modified<'a>(&'a self, path: &'a VPath, time: Timestamp) -> BoxFuture<'a, FsResult<()>>;
    fn set_mode<'a>(&'a self, path: &'a VPath, mode: u32) -> BoxFuture<'a, FsResult<()>>;
}

impl<F: FileSystem> DynFileSystem for F {
    fn start(&self) -> VPath {
        FileSystem::start(self)
    }

    fn local_path(&self, path: &VPath) -> Option<PathBuf> {
        FileSystem::local_path(self, path)
    }

    fn metadata<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<Metadata>> {
        Box::pin(FileSystem::metadata(self, path))
    }

    fn link_metadata<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<Metadata>> {
        Box::pin(FileSystem::link_metadata(self, path))
    }

    fn enter<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<()>> {
        Box::pin(FileSystem::enter(self, path))
    }

    fn list<'a>(&'a self, path: &'a VPath, detail: Detail) -> BoxFuture<'a, FsResult<Entries>> {
        Box::pin(FileSystem::list(self, path, detail))
    }

    fn read<'a>(&'a self, path: &'a VPath, from: u64) -> BoxFuture<'a, FsResult<Source>> {
        Box::pin(FileSystem::read(self, path, from))
    }

    fn write<'a>(&'a self, path: &'a VPath, mode: WriteMode) -> BoxFuture<'a, FsResult<Sink>> {
        Box::pin(FileSystem::write(self, path, mode))
    }

    fn write_unique<'a>(
        &'a self,
        directory: &'a VPath,
        prefix: &'a [u8],
    ) -> BoxFuture<'a, FsResult<(VPath, Sink)>> {
        Box::pin(FileSystem::write_unique(self, directory, prefix))
    }

    fn create_dir<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<()>> {
        Box::pin(FileSystem::create_dir(self, path))
    }

    fn remove_dir<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<()>> {
        Box::pin(FileSystem::remove_dir(self, path))
    }

    fn remove_file<'a>(&'a self, path: &'a VPath) -> BoxFuture<'a, FsResult<()>> {
        Box::pin(FileSystem::remove_file(self, path))
    }

    fn rename<'a>(&'a self, from: &'a VPath, to: &'a VPath) -> BoxFuture<'a, FsResult<()>> {
        Box::pin(FileSystem::rename(self, from, to))
    }

    fn set_modified<'a>(&'a self, path: &'a VPath, time: Timestamp) -> BoxFuture<'a, FsResult<()>> {
        Box::pin(FileSystem::set_modified(self, path, time))
    }

    fn set_mode<'a>(&'a self, path: &'a VPath, mode: u32) -> BoxFuture<'a, FsResult<()>> {
        Box::pin(FileSystem::set_mode(self, path, mode))
    }
}
