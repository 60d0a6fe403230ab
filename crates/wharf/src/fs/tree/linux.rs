//! The operations on names and metadata, by handles.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, Statx, StatxFlags, Timespec, Timestamps, UTIME_OMIT,
    chmod, fstat, makedev, mkdirat, renameat_with, statx, unlinkat, utimensat,
};
use rustix::io::Errno;
use wharf_sys::Identity;

use super::super::{
    Detail, Entry, FileKind, FsErrorKind, FsResult, Metadata, Source, Span, Timestamp, WriteMode,
};
use super::listing::list_cached;
use super::recent::Recent;
use super::resolve::{Place, Root};
use super::sweep::sweep_directory;
use super::upload::{Upload, Uploading};
use super::{DirectoryId, Found, Lookup, creatable, names, visible};
use crate::{Uploads, VPath};

/// How many bytes are freed at once without a hop.
const BRIEF: u64 = 1 << 20;

/// How often STOU tries another name.
const UNIQUE_TRIES: usize = 16;

/// An open directory and all that is below it.
#[derive(Debug)]
pub(in super::super) struct Tree {
    root: Arc<Root>,
}

impl Tree {
    pub(in super::super) fn open(path: &Path, lookup: Lookup) -> FsResult<Self> {
        let root = match lookup {
            Lookup::Cache => Root::find_cached(path)?,
            Lookup::Disk => Root::open(path)?,
        };
        Ok(Self { root: Arc::new(root) })
    }

    /// The same tree as far as it lies in memory, where nothing waits for a disk and nothing takes long; an error tells
    /// that something might. `None` where it lies elsewhere.
    pub(in super::super) fn in_memory(&self) -> Option<Self> {
        Some(Self { root: Arc::new(self.root.in_memory()?) })
    }

    /// Which directory it is.
    pub(in super::super) fn directory(&self) -> DirectoryId {
        self.root.directory()
    }

    /// Whether a sandbox keeps the calling thread out of a directory that it has the rights for.
    pub(in super::super) fn is_shut_off(&self) -> bool {
        self.root.is_shut_off()
    }

    /// Whether both are the same directory.
    pub(in super::super) fn is_same(&self, other: &Self) -> bool {
        self.root.is_same(&other.root)
    }

    /// The same tree, as a kernel without `openat2` sees it.
    #[cfg(test)]
    pub(in super::super) fn walking(self) -> Self {
        Self { root: Arc::new(Arc::into_inner(self.root).expect("nobody else has it yet").walking()) }
    }

    /// Whether anything here can be found without a wait.
    #[cfg(test)]
    pub(in super::super) fn has_caches(&self) -> bool {
        self.root.has_caches()
    }

    pub(in super::super) fn metadata(&self, path: &VPath, lookup: Lookup) -> FsResult<Metadata> {
        visible(path)?;
        metadata_of_handle(&self.root.open_at(from_root(path), OFlags::PATH, lookup)?)
    }

    pub(in super::super) fn link_metadata(&self, path: &VPath) -> FsResult<Metadata> {
        visible(path)?;
        metadata_of_handle(&self.root.open_at(
            from_root(path),
            OFlags::PATH | OFlags::NOFOLLOW,
            Lookup::Disk,
        )?)
    }

    pub(in super::super) fn enter(&self, path: &VPath, lookup: Lookup) -> FsResult<()> {
        visible(path)?;
        // To look up the dot is to search the directory, so the kernel asks whether the user may.
        let inside = [from_root(path), b"/."].concat();
        self.root.open_at(&inside, OFlags::PATH | OFlags::DIRECTORY, lookup).map(drop)
    }

    /// Lists `path` with the rights of `identity`, whatever those of the thread. `recent` comes to know it if it is small.
    pub(in super::super) fn list(
        &self,
        path: &VPath,
        detail: Detail,
        identity: &Identity,
        recent: &Recent,
    ) -> FsResult<Found> {
        visible(path)?;
        Found::find(&self.root, path, detail, identity, recent)
    }

    /// As [`list`](Self::list) with the rights of the process, for a small directory that `recent` has. Any error means that
    /// it is none, or may take longer.
    ///
    /// The kernel can tell whether a *path* is in its caches, but not whether what a directory holds is. That all of it was
    /// there seconds ago is a bet: if it is lost, or somebody else holds the directory, the calling thread waits, once.
    pub(in super::super) fn list_cached(
        &self,
        path: &VPath,
        detail: Detail,
        recent: &Recent,
    ) -> FsResult<Vec<Entry>> {
        visible(path)?;
        list_cached(&self.root, path, detail, recent)
    }

    pub(in super::super) fn read(&self, path: &VPath, from: u64, lookup: Lookup) -> FsResult<Source> {
        visible(path)?;
        let file =
            File::from(self.root.open_at(from_root(path), OFlags::RDONLY | OFlags::NONBLOCK, lookup)?);
        let length = regular(&metadata_of_handle(&file)?)?.size;
        if from > length {
            return Err(FsErrorKind::OffsetBeyondEnd(length).into());
        }
        Ok(Source::span(file, Span { offset: from, length, in_memory: self.root.keeps_in_memory(lookup) }))
    }

    pub(in super::super) fn write(
        &self,
        path: &VPath,
        mode: WriteMode,
        uploads: Uploads,
    ) -> FsResult<(File, Upload)> {
        creatable(path)?;
        Uploading { root: &self.root, uploads }.begin(path, mode)
    }

    pub(in super::super) fn write_unique(
        &self,
        directory: &VPath,
        prefix: &[u8],
        uploads: Uploads,
    ) -> FsResult<(VPath, File, Upload)> {
        visible(directory)?;
        if !names::is_component(prefix) {
            return Err(FsErrorKind::InvalidName.into());
        }
        for _ in 0..UNIQUE_TRIES {
            let path = directory.join(&names::unique(prefix)?).map_err(|_| FsErrorKind::NameTooLong)?;
            match (Uploading { root: &self.root, uploads }).begin_new(&path) {
                Err(error) if error.kind() == FsErrorKind::AlreadyExists => {}
                begun => return begun.map(|(file, upload)| (path, file, upload)),
            }
        }
        Err(FsErrorKind::AlreadyExists.into())
    }

    pub(in super::super) fn create_dir(&self, path: &VPath) -> FsResult<()> {
        creatable(path)?;
        if path.is_root() {
            return Err(FsErrorKind::AlreadyExists.into());
        }
        let place = self.root.parent(path)?;
        Ok(mkdirat(&*place.directory, &place.name, Mode::from(0o777))?)
    }

    pub(in super::super) fn remove_dir(&self, path: &VPath) -> FsResult<()> {
        visible(path)?;
        let place = self.root.parent(path)?;
        let remove = || unlinkat(&*place.directory, &place.name, AtFlags::REMOVEDIR);
        match remove() {
            // What is in the way may be what a crash left, which the user cannot see.
            Err(Errno::NOTEMPTY) if sweep_directory(&place)? > 0 => Ok(remove()?),
            removed => Ok(removed?),
        }
    }

    pub(in super::super) fn remove_file(&self, path: &VPath) -> FsResult<()> {
        visible(path)?;
        let place = self.root.parent(path)?;
        if self.root.stays() {
            brief(metadata_at(&place, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::SIZE)?.size)?;
        }
        Ok(unlinkat(&*place.directory, &place.name, AtFlags::empty())?)
    }

    pub(in super::super) fn rename(&self, from: &VPath, to: &VPath) -> FsResult<()> {
        visible(from)?;
        creatable(to)?;
        let (from, to) = (self.root.parent(from)?, self.root.parent(to)?);
        Ok(renameat_with(&*from.directory, &from.name, &*to.directory, &to.name, RenameFlags::empty())?)
    }

    /// Sets the time of the last change, and that alone.
    pub(in super::super) fn set_modified(&self, path: &VPath, time: Timestamp) -> FsResult<()> {
        visible(path)?;
        let place = self.root.place_or_root(path)?;
        let before = metadata_at(&place, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)?.modified;
        touch(&place, time)?;
        let after = metadata_at(&place, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)?.modified;
        // A file system keeps the nearest time that it can express; two seconds are the coarsest in use.
        if after.seconds.abs_diff(time.seconds) > 2 {
            touch(&place, before)?;
            return Err(FsErrorKind::Unsupported.into());
        }
        Ok(())
    }

    pub(in super::super) fn set_mode(&self, path: &VPath, mode: u32) -> FsResult<()> {
        visible(path)?;
        let handle = self.root.open_at(from_root(path), OFlags::PATH, Lookup::Disk)?;
        // The one way to what a handle refers to that needs no permission to read it.
        Ok(chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::from(mode & 0o7777))?)
    }
}

impl Root {
    /// As [`Root::place`], with the root itself as the dot in it.
    fn place_or_root(&self, path: &VPath) -> FsResult<Place> {
        if !path.is_root() {
            return self.place(path);
        }
        let directory = self.open_at(b".", OFlags::PATH | OFlags::DIRECTORY, Lookup::Disk)?;
        Ok(Place { directory: directory.into(), name: b".".to_vec() })
    }
}

/// The path as it is resolved beneath the root.
pub(super) fn from_root(path: &VPath) -> &[u8] {
    if path.is_root() { b"." } else { path.relative() }
}

/// Passes on the metadata of a regular file, and nothing else's.
pub(super) fn regular(metadata: &Metadata) -> FsResult<&Metadata> {
    match metadata.kind {
        FileKind::File => Ok(metadata),
        FileKind::Directory => Err(FsErrorKind::IsADirectory.into()),
        _ => Err(FsErrorKind::NotAFile.into()),
    }
}

/// Refuses what would take long: to free the memory of so many bytes.
pub(super) fn brief(size: u64) -> FsResult<()> {
    if size > BRIEF { Err(FsErrorKind::Unsupported.into()) } else { Ok(()) }
}

/// Facts about what is open.
pub(super) fn metadata_of_handle(handle: impl AsFd) -> FsResult<Metadata> {
    Ok(from_stat(&fstat(handle)?))
}

/// Facts about a name.
pub(super) fn metadata_at(place: &Place, flags: AtFlags, facts: StatxFlags) -> FsResult<Metadata> {
    Ok(from_statx(&statx(&*place.directory, &place.name, flags, facts)?))
}

pub(super) fn from_statx(found: &Statx) -> Metadata {
    let mode = u32::from(found.stx_mode);
    Metadata {
        kind: kind(mode),
        size: found.stx_size,
        modified: Timestamp { seconds: found.stx_mtime.tv_sec, nanoseconds: found.stx_mtime.tv_nsec },
        mode: mode & 0o7777,
        links: found.stx_nlink.into(),
        uid: found.stx_uid,
        gid: found.stx_gid,
        device: makedev(found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
    }
}

/// As [`from_statx`], from the older call, which is the cheaper one.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "types differ between architectures")]
pub(super) fn from_stat(found: &Stat) -> Metadata {
    Metadata {
        kind: kind(found.st_mode),
        size: found.st_size as u64,
        modified: Timestamp { seconds: found.st_mtime.into(), nanoseconds: found.st_mtime_nsec as u32 },
        mode: found.st_mode & 0o7777,
        links: found.st_nlink.into(),
        uid: found.st_uid,
        gid: found.st_gid,
        device: found.st_dev.into(),
        inode: found.st_ino.into(),
    }
}

fn kind(mode: u32) -> FileKind {
    match FileType::from_raw_mode(mode) {
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::CharacterDevice => FileKind::CharDevice,
        FileType::RegularFile | FileType::Unknown => FileKind::File,
    }
}

/// Another handle on the directory, one that can be read and synchronised.
pub(super) fn readable(directory: impl AsFd) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(directory, c".", flags, Mode::empty())
}

fn touch(place: &Place, time: Timestamp) -> FsResult<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() },
    };
    Ok(utimensat(&*place.directory, &place.name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
