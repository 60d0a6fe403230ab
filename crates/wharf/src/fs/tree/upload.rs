//! Uploads: how they begin, and what becomes of them when they end.
//!
//! The file that is written is locked (`flock`), so that a second upload to the same name is told that it is in use
//! rather than mixed into the first; staged ones that take its place whole need not be. File systems without locks do
//! without.
//!
//! What `incomplete = "delete"` removes is a file that held nothing before the upload: one that was created or
//! emptied for it. A file that was to be resumed or appended to stays, with what came.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, StatxFlags, fchmod, fdatasync, flock, fsync, openat, unlinkat,
};
use rustix::io::Errno;

use super::super::{Ending, FsErrorKind, FsResult, Metadata, WriteMode};
use super::Lookup;
use super::linux::{brief, from_root, metadata_at, metadata_of_handle, readable, regular};
use super::resolve::{Place, Root};
use super::staged::Staged;
use crate::config::{Incomplete, Publish};
use crate::{Uploads, VPath};

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

/// What an upload needs to begin.
pub(super) struct Uploading<'a> {
    pub(super) root: &'a Root,
    pub(super) uploads: Uploads,
}

/// What is to be done when an upload ends.
#[derive(Debug)]
pub(in super::super) struct Upload {
    /// Where the file is; known where something will be done with its name.
    place: Option<Place>,
    plan: Plan,
    /// Whether what the file holds is to go before anything is written.
    empties: bool,
    sync: bool,
    /// Whether the file had a name when the upload began, so that it may lose it. Some file systems do not count names.
    named: bool,
}

#[derive(Debug)]
enum Plan {
    /// The file is written under its final name.
    Keep,
    /// So it is, and if the upload is aborted its name goes.
    DeleteAborted,
    /// The file is written out of sight.
    Publish(Staged),
}

impl Uploading<'_> {
    /// Opens the file that an upload to `path` writes.
    pub(super) fn begin(&self, path: &VPath, mode: WriteMode) -> FsResult<(File, Upload)> {
        if path.is_root() {
            return Err(FsErrorKind::IsADirectory.into());
        }
        if self.root.stays() && (self.uploads.publish == Publish::Staged || mode != WriteMode::Replace) {
            return Err(FsErrorKind::Unsupported.into());
        }
        if self.uploads.publish == Publish::Staged {
            let place = self.root.place(path)?;
            let (file, staged) = Staged::begin(&place, mode)?;
            return Ok((file, self.upload(Some(place), Plan::Publish(staged), false)));
        }
        let create = if matches!(mode, WriteMode::At(_)) { OFlags::empty() } else { OFlags::CREATE };
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | create;
        let (place, file) = if self.needs_place() {
            let place = self.root.place(path)?;
            let file = open_in(&place, flags)?;
            (Some(place), file)
        } else {
            (None, self.root.open_at(from_root(path), flags, Lookup::Disk).map(File::from)?)
        };
        let found = take(&file)?;
        let size = found.size;
        if self.root.stays() {
            brief(size)?;
        }
        position(&file, mode, size)?;
        lend_nothing(&file, &found)?;
        let replaces = mode == WriteMode::Replace;
        let upload = self.upload(place, self.in_place(replaces || size == 0), found.links > 0);
        Ok((file, Upload { empties: replaces && size > 0, ..upload }))
    }

    /// Opens a file for an upload under a name that is free.
    pub(super) fn begin_new(&self, path: &VPath) -> FsResult<(File, Upload)> {
        let place = self.root.parent(path)?;
        let (file, plan, named) = match self.uploads.publish {
            Publish::Staged => {
                let (file, staged) = Staged::begin_new(&place)?;
                (file, Plan::Publish(staged), false)
            }
            Publish::Direct => {
                let file = open_in(&place, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
                let links = take(&file)?.links;
                (file, self.in_place(true), links > 0)
            }
        };
        Ok((file, self.upload(Some(place), plan, named)))
    }

    fn upload(&self, place: Option<Place>, plan: Plan, named: bool) -> Upload {
        Upload { place, plan, empties: false, sync: self.uploads.sync, named }
    }

    fn in_place(&self, held_nothing: bool) -> Plan {
        match self.uploads.incomplete {
            Incomplete::Delete if held_nothing => Plan::DeleteAborted,
            Incomplete::Delete | Incomplete::Keep => Plan::Keep,
        }
    }

    /// Whether the end of an upload in place concerns the directory that the file is in.
    fn needs_place(&self) -> bool {
        self.uploads.sync || self.uploads.incomplete == Incomplete::Delete
    }
}

impl Upload {
    /// Whether what the file holds is to go, which is left to whoever writes the first bytes: an upload that never begins
    /// leaves the file as it was.
    pub(in super::super) fn empties(&self) -> bool {
        self.empties
    }

    /// Closes and publishes `file`, or discards it.
    pub(in super::super) fn finish(self, file: File, ending: Ending) -> FsResult<()> {
        match (&self.plan, ending, &self.place) {
            (Plan::Publish(staged), Ending::Complete, Some(place)) => {
                self.flush(&file)?;
                // Closing one of two handles reports what a server on the network could not store, before the file
                // gets its name.
                wharf_sys::close(file.try_clone()?)?;
                staged.publish(&file, place, self.sync)?;
            }
            (Plan::Publish(staged), _, place) => {
                if let Some(place) = place {
                    staged.discard(place);
                }
                return Err(FsErrorKind::NotPublished.into());
            }
            (Plan::DeleteAborted, Ending::Aborted, Some(place)) => {
                return remove_if_same(place, &file);
            }
            (Plan::Keep | Plan::DeleteAborted, Ending::Aborted, _) => {
                return Ok(wharf_sys::close(file)?);
            }
            (Plan::Keep | Plan::DeleteAborted, Ending::Complete | Ending::Unproven, _) => {
                self.flush(&file)?;
                let deleted = self.named && metadata_of_handle(&file)?.links == 0;
                wharf_sys::close(file)?;
                if deleted {
                    return Err(FsErrorKind::NotFound.into());
                }
            }
        }
        match &self.place {
            Some(place) if self.sync => sync_directory(place),
            _ => Ok(()),
        }
    }

    fn flush(&self, file: &File) -> FsResult<()> {
        if self.sync { Ok(fdatasync(file)?) } else { Ok(()) }
    }
}

/// Opens a name for writing, whatever it is; a link is refused, because the caller has followed those.
pub(super) fn open_in(place: &Place, flags: OFlags) -> FsResult<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(openat(&*place.directory, &place.name, flags, Mode::from(0o666))?.into())
}

/// Locks a file that is to be written, if it is a regular one.
pub(super) fn take(file: &File) -> FsResult<Metadata> {
    let metadata = metadata_of_handle(file)?;
    regular(&metadata)?;
    lock(file, Lock::Alone)?;
    Ok(metadata)
}

/// How an upload holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    /// Nobody else may.
    Alone,
    /// Others may, in the same way.
    Shared,
}

/// Locks a file, or holds it in another way than before.
pub(super) fn lock(file: &File, how: Lock) -> FsResult<()> {
    let operation = match how {
        Lock::Alone => FlockOperation::NonBlockingLockExclusive,
        Lock::Shared => FlockOperation::NonBlockingLockShared,
    };
    match flock(file, operation) {
        Err(Errno::WOULDBLOCK) => Err(FsErrorKind::Busy.into()),
        // Not every file system has locks.
        _ => Ok(()),
    }
}

/// Refuses to begin behind the end of a file of `size` bytes.
pub(super) fn begins_within(mode: WriteMode, size: u64) -> FsResult<()> {
    match mode {
        WriteMode::At(offset) if offset > size => Err(FsErrorKind::OffsetBeyondEnd(size).into()),
        _ => Ok(()),
    }
}

/// Goes to where `mode` begins in a file of `size` bytes.
pub(super) fn position(mut file: &File, mode: WriteMode, size: u64) -> FsResult<()> {
    begins_within(mode, size)?;
    match mode {
        WriteMode::Replace => {}
        WriteMode::At(offset) => _ = file.seek(SeekFrom::Start(offset))?,
        // No O_APPEND: the kernel cannot splice into such a file.
        WriteMode::Append => _ = file.seek(SeekFrom::Start(size))?,
    }
    Ok(())
}

/// Takes away the bits that lend a program the rights of its owner or group, as the kernel does when somebody writes to it.
/// It would leave them when root does, and a server whose users are virtual may be root.
pub(super) fn lend_nothing(file: &File, found: &Metadata) -> FsResult<()> {
    if found.mode & SET_ID == 0 {
        return Ok(());
    }
    match fchmod(file, Mode::from(found.mode & 0o1777)) {
        Ok(()) => Ok(()),
        // Somebody else's file, or a file system that has no such thing: who may not change the bits does not keep them by
        // writing either, and to the kernel a file that is cut to the length it has is written to.
        Err(_) => Ok(file.set_len(found.size)?),
    }
}

/// Removes a name if it still is that of `file`.
fn remove_if_same(place: &Place, file: &File) -> FsResult<()> {
    if is_at(file, place) { Ok(unlinkat(&*place.directory, &place.name, AtFlags::empty())?) } else { Ok(()) }
}

/// Whether `place` still names `file`.
pub(super) fn is_at(file: &File, place: &Place) -> bool {
    let named = metadata_at(place, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO);
    matches!((metadata_of_handle(file), named), (Ok(ours), Ok(named))
        if (ours.device, ours.inode) == (named.device, named.inode))
}

fn sync_directory(place: &Place) -> FsResult<()> {
    match readable(&*place.directory) {
        Ok(directory) => Ok(fsync(directory)?),
        // A drop box that its users cannot read: they cannot ask for this either.
        Err(Errno::ACCESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, hard_link, metadata, set_permissions, write};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_written_lends_no_rights() {
        let modes = [WriteMode::Replace, WriteMode::Append, WriteMode::At(1)];
        let publishing = [Publish::Direct, Publish::Staged];
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("file"), directory.path().join("other"));
        let root = Root::open(directory.path()).unwrap();
        for (bits, publish) in
            [0o6755, 0o2755, 0o4644].into_iter().flat_map(|it| publishing.map(|how| (it, how)))
        {
            for (mode, links) in modes.into_iter().flat_map(|it| [1, 2].map(|links| (it, links))) {
                write(&path, "old").unwrap();
                if links > 1 {
                    hard_link(&path, &other).unwrap();
                }
                set_permissions(&path, Permissions::from_mode(bits)).unwrap();
                let uploads = Uploads { publish, ..Uploads::default() };
                let uploading = Uploading { root: &root, uploads };
                let (mut file, upload) = uploading.begin(&VPath::parse(b"/file").unwrap(), mode).unwrap();
                file.write_all(b"new").unwrap();
                upload.finish(file, Ending::Complete).unwrap();
                let left = metadata(&path).unwrap().permissions().mode() & 0o7777;
                assert_eq!(left, bits & 0o1777, "{bits:o} {publish:?} {mode:?} {links}");
                let _ = std::fs::remove_file(&other);
            }
        }
    }
}
