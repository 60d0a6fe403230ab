//! Uploads that nobody sees before they are complete.
//!
//! The file is written without a name (`O_TMPFILE`), so that a crash leaves nothing behind, and gets its final one when
//! the upload is complete. Where that is not to be had it is written under a hidden name, which [`sweep`](super::sweep)
//! removes after a crash. To replace a file takes a hidden name for a moment in any case, since the kernel links only
//! to names that are free and renames only what has a name.
//!
//! What replaces a file takes over its owner, permissions, access list and user attributes. Where it cannot, because
//! the file has several names (hard links) or an owner whom this user cannot make another file belong to, the content
//! is copied into the file at the end instead. That keeps the file what it was, and it is not one step: who reads
//! meanwhile sees part of it.
//!
//! Only what is complete is published, whatever `incomplete` says: to keep a part under a name that nobody sees would
//! help nobody. An upload that resumes or appends works on a copy of the file (shared blocks where the file system has
//! them), which takes the right to read it; it is refused in the end where that file has lost its name meanwhile, or somebody
//! has written into it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, Gid, Mode, OFlags, RenameFlags, StatxFlags, Uid, XattrFlags, fallocate,
    fchmod, fchown, fdatasync, fgetxattr, flistxattr, fremovexattr, fsetxattr, ioctl_ficlone, linkat, openat,
    renameat, renameat_with, statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::super::{FsErrorKind, FsResult, Timestamp, WriteMode};
use super::linux::{metadata_at, metadata_of_handle, regular};
use super::names;
use super::resolve::Place;
use super::upload::{Lock, begins_within, is_at, lend_nothing, lock, open_in, position};

/// Whether a file without a name can be given one: by way of `/proc`, since the direct call takes a capability.
static UNNAMED_FILES: LazyLock<bool> = LazyLock::new(|| Path::new("/proc/self/fd").is_dir());

/// The attribute that grants rights to single users and groups.
const ACCESS_LIST: &[u8] = b"system.posix_acl_access";

/// The largest attribute value in Linux.
const MAX_ATTRIBUTE: usize = 64 << 10;

/// An upload that is out of sight.
#[derive(Debug)]
pub(super) struct Staged {
    /// The file that will be replaced: locked, and open for writing, which proves that the user may.
    existing: Option<File>,
    /// The hidden name that the upload is written under, if it has one.
    hidden: Option<Vec<u8>>,
    takes: Takes,
    /// What was copied of the file that it adds to.
    copied: Option<Content>,
}

/// What tells that somebody has written into a file. The time of a change of the file itself would not do: a new name is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    size: u64,
    modified: Timestamp,
}

/// What an upload may take the place of when it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Whatever has the name then.
    Whatever,
    /// What it began with alone: the file that it adds to, or nothing. The content of anything else would be lost.
    WhatWasThere,
}

impl Staged {
    /// Opens the file that is written for `place`.
    pub(super) fn begin(place: &Place, mode: WriteMode) -> FsResult<(File, Self)> {
        let access = if mode == WriteMode::Replace { OFlags::WRONLY } else { OFlags::RDWR };
        let existing = match open_in(place, access) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == FsErrorKind::NotFound && !matches!(mode, WriteMode::At(_)) => None,
            Err(error) => return Err(error),
        };
        if let Some(existing) = &existing {
            regular(&metadata_of_handle(existing)?)?;
        }
        let (file, hidden) = create(place)?;
        let takes = if mode == WriteMode::Replace { Takes::Whatever } else { Takes::WhatWasThere };
        let staged = Self { existing, hidden, takes, copied: None };
        match staged.prepare(&file, mode, place) {
            Ok(copied) => Ok((file, Self { copied, ..staged })),
            Err(error) => {
                staged.discard(place);
                Err(error)
            }
        }
    }

    /// Locks what is there, and begins with what `mode` keeps of it: that is the answer.
    ///
    /// Uploads that will each take the place of it whole do not meet, and the last to end is what stays. Whatever else
    /// they do to it, they do alone.
    fn prepare(&self, file: &File, mode: WriteMode, place: &Place) -> FsResult<Option<Content>> {
        let Some(existing) = &self.existing else { return Ok(None) };
        if mode == WriteMode::Replace {
            return hold(existing, file).map(|()| None);
        }
        lock(existing, Lock::Alone)?;
        if !is_at(existing, place) {
            // It was replaced before it was locked.
            return Err(FsErrorKind::Busy.into());
        }
        let content = Content::of(existing)?;
        begins_within(mode, content.size)?;
        copy(existing, file)?;
        position(file, mode, content.size)?;
        Ok(Some(content))
    }

    /// Opens a file that is written for `place`, where nothing is and nothing may be replaced.
    pub(super) fn begin_new(place: &Place) -> FsResult<(File, Self)> {
        match statat(&*place.directory, &place.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Err(FsErrorKind::AlreadyExists.into()),
        }
        let (file, hidden) = create(place)?;
        Ok((file, Self { existing: None, hidden, takes: Takes::WhatWasThere, copied: None }))
    }

    /// Gives the complete `file` the name that it was written for. With `sync` it is on the disk already, and so will be
    /// what it is copied into.
    pub(super) fn publish(&self, file: &File, place: &Place, sync: bool) -> FsResult<()> {
        // Others find it under its name before it is closed; the sweep still keeps off.
        lock(file, Lock::Shared)?;
        self.take_place(file, place, sync).inspect_err(|_| self.discard(place))
    }

    fn take_place(&self, file: &File, place: &Place, sync: bool) -> FsResult<()> {
        if self.existing.is_none() && self.hidden.is_none() {
            match link(file, place, &place.name) {
                // Something has come there meanwhile.
                Err(Errno::EXIST) if self.takes == Takes::Whatever => {}
                linked => return Ok(linked?),
            }
        }
        self.check_unwritten()?;
        let newcomer = self.newcomer(file, place)?;
        if let Some(existing) = newcomer.as_ref().or(self.existing.as_ref())
            && !inherit(existing, file)
            && overwrite(existing, file, place, sync)?
        {
            self.discard(place);
            return Ok(());
        }
        self.check_untouched(place)?;
        let hidden = match &self.hidden {
            Some(hidden) => hidden.clone(),
            None => {
                let hidden = names::hidden()?;
                link(file, place, &hidden)?;
                hidden
            }
        };
        let renamed = match (self.takes, &self.existing) {
            (Takes::WhatWasThere, None) => rename_new(place, &hidden),
            (Takes::Whatever, _) | (_, Some(_)) => rename(place, &hidden),
        };
        renamed.map_err(|error| {
            remove(place, &hidden);
            error.into()
        })
    }

    /// Refuses to add to a file that somebody has written into since its content was copied, who need not have asked for the
    /// lock. What is written between this look and the end is lost.
    fn check_unwritten(&self) -> FsResult<()> {
        match (&self.existing, self.copied) {
            (Some(existing), Some(copied)) if Content::of(existing)? != copied => {
                Err(FsErrorKind::Busy.into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses to add to a file that somebody has renamed, removed or replaced since the upload began. Other uploads do
    /// not, because it is locked. Who renames something to the name between this look and our own rename still loses it: there is
    /// no rename that compares.
    fn check_untouched(&self, place: &Place) -> FsResult<()> {
        match &self.existing {
            Some(existing) if self.takes == Takes::WhatWasThere && !is_at(existing, place) => {
                // Where there is nothing, that is the answer.
                metadata_at(place, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO)?;
                Err(FsErrorKind::Busy.into())
            }
            _ => Ok(()),
        }
    }

    /// What has come to the name since the upload began, another upload most likely, held as what was there would be.
    fn newcomer(&self, file: &File, place: &Place) -> FsResult<Option<File>> {
        let replaces = self.takes == Takes::Whatever;
        if !replaces || self.existing.as_ref().is_some_and(|existing| is_at(existing, place)) {
            return Ok(None);
        }
        let newcomer = match open_in(place, OFlags::WRONLY) {
            Ok(newcomer) => newcomer,
            // Nothing, or a link, which is replaced itself.
            Err(error) if matches!(error.kind(), FsErrorKind::NotFound | FsErrorKind::TooManyLinks) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        regular(&metadata_of_handle(&newcomer)?)?;
        hold(&newcomer, file)?;
        Ok(Some(newcomer))
    }

    /// Leaves nothing of the upload.
    pub(super) fn discard(&self, place: &Place) {
        if let Some(hidden) = &self.hidden {
            remove(place, hidden);
        }
    }
}

impl Content {
    fn of(file: &File) -> FsResult<Self> {
        metadata_of_handle(file).map(|found| Self { size: found.size, modified: found.modified })
    }
}

/// Locks what `file` will take the place of whole: with others that will, where nothing has to be written into it.
fn hold(existing: &File, file: &File) -> FsResult<()> {
    let (old, new) = (metadata_of_handle(existing)?, metadata_of_handle(file)?);
    let gives_way = old.links <= 1 && (old.uid, old.gid) == (new.uid, new.gid);
    lock(existing, if gives_way { Lock::Shared } else { Lock::Alone })
}

/// Creates the file to write: without a name, or with a hidden one.
fn create(place: &Place) -> FsResult<(File, Option<Vec<u8>>)> {
    if !*UNNAMED_FILES {
        return create_hidden(place);
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match openat(&*place.directory, c".", flags, Mode::from(0o666)) {
        // Old kernels take the flag for O_DIRECTORY.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => create_hidden(place),
        opened => {
            let file = File::from(opened?);
            lock(&file, Lock::Alone)?;
            Ok((file, None))
        }
    }
}

fn create_hidden(place: &Place) -> FsResult<(File, Option<Vec<u8>>)> {
    let hidden = Place { directory: Arc::clone(&place.directory), name: names::hidden()? };
    let file = open_in(&hidden, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
    // Tells the sweep that somebody is at it.
    lock(&file, Lock::Alone)?;
    Ok((file, Some(hidden.name)))
}

/// Gives an open file a name that must be free.
fn link(file: &File, place: &Place, name: &[u8]) -> rustix::io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, open, &*place.directory, name, AtFlags::SYMLINK_FOLLOW)
}

/// Gives what is hidden its name, whatever has it now.
fn rename(place: &Place, hidden: &[u8]) -> rustix::io::Result<()> {
    renameat(&*place.directory, hidden, &*place.directory, &place.name)
}

/// Gives what is hidden its name, which must be free.
fn rename_new(place: &Place, hidden: &[u8]) -> rustix::io::Result<()> {
    match renameat_with(&*place.directory, hidden, &*place.directory, &place.name, RenameFlags::NOREPLACE) {
        // NFS, and what is in user space, may know only how to replace.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link_new(place, hidden),
        renamed => renamed,
    }
}

/// As [`rename_new`], in two steps, of which the first fails if the name is not free.
fn link_new(place: &Place, hidden: &[u8]) -> rustix::io::Result<()> {
    match linkat(&*place.directory, hidden, &*place.directory, &place.name, AtFlags::empty()) {
        Ok(()) => {
            remove(place, hidden);
            Ok(())
        }
        Err(Errno::PERM | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => look_and_rename(place, hidden),
        Err(error) => Err(error),
    }
}

/// As [`rename_new`] where there are no links either: who takes the name between the look and the rename loses it.
fn look_and_rename(place: &Place, hidden: &[u8]) -> rustix::io::Result<()> {
    match statat(&*place.directory, &place.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rename(place, hidden),
        Err(error) => Err(error),
    }
}

/// Removes a hidden name. What cannot be removed now is left to the sweep.
fn remove(place: &Place, hidden: &[u8]) {
    let _ = unlinkat(&*place.directory, hidden, AtFlags::empty());
}

/// Makes `file` belong to whom `existing` belongs to and give the same rights; `false` when that cannot be.
fn inherit(existing: &File, file: &File) -> bool {
    let (Ok(old), Ok(new)) = (metadata_of_handle(existing), metadata_of_handle(file)) else {
        return false;
    };
    if old.links > 1 {
        return false;
    }
    let same_owner = (old.uid, old.gid) == (new.uid, new.gid);
    // Set-id bits do not survive a change of content in place either.
    (same_owner || fchown(file, Some(Uid::from_raw(old.uid)), Some(Gid::from_raw(old.gid))).is_ok())
        && fchmod(file, Mode::from(old.mode & 0o1777)).is_ok()
        && copy_attributes(existing, file).is_ok()
}

/// Makes the content of `existing` that of `file`; `false` when it has lost its name meanwhile.
fn overwrite(existing: &File, file: &File, place: &Place, sync: bool) -> FsResult<bool> {
    lock(existing, Lock::Alone)?;
    if !is_at(existing, place) {
        return Ok(false);
    }
    lend_nothing(existing, &metadata_of_handle(existing)?)?;
    copy(file, existing)?;
    if sync {
        fdatasync(existing)?;
    }
    wharf_sys::close(existing.try_clone()?)?;
    Ok(true)
}

/// Copies the access list and what users have attached.
fn copy_attributes(from: &File, to: &File) -> rustix::io::Result<()> {
    let mut list = Vec::with_capacity(MAX_ATTRIBUTE);
    match flistxattr(from, rustix::buffer::spare_capacity(&mut list)) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        listed => listed?,
    };
    let mut value = Vec::new();
    let mut has_access_list = false;
    for name in list.split(|&byte| byte == 0) {
        has_access_list |= name == ACCESS_LIST;
        if name.starts_with(b"user.") || name == ACCESS_LIST {
            value.clear();
            value.reserve(MAX_ATTRIBUTE);
            fgetxattr(from, name, rustix::buffer::spare_capacity(&mut value))?;
            fsetxattr(to, name, &value, XattrFlags::empty())?;
        }
    }
    if has_access_list {
        return Ok(());
    }
    // The directory may have given the new file one.
    match fremovexattr(to, ACCESS_LIST) {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        removed => removed,
    }
}

/// Makes sure of the room for `length` bytes before anything of `file` is lost to them, where the file system can.
fn reserve(file: &File, length: u64) -> FsResult<()> {
    if length == 0 {
        return Ok(());
    }
    let before = metadata_of_handle(file)?.size;
    match retry_on_intr(|| fallocate(file, FallocateFlags::KEEP_SIZE, 0, length)) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => {
            // Gives back what it got of it, behind the end.
            file.set_len(before)?;
            Err(error.into())
        }
    }
}

/// Makes the content of `to` that of `from`, sharing the blocks where the file system can.
fn copy(mut from: &File, mut to: &File) -> FsResult<()> {
    let length = match ioctl_ficlone(to, from) {
        Ok(()) => metadata_of_handle(from)?.size,
        Err(_) => {
            reserve(to, metadata_of_handle(from)?.size)?;
            from.seek(SeekFrom::Start(0))?;
            to.seek(SeekFrom::Start(0))?;
            io::copy(&mut from, &mut to)?
        }
    };
    // Neither way takes away what `to` had behind that.
    Ok(to.set_len(length)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::SystemTime;

    use super::*;
    use crate::VPath;
    use crate::fs::tree::resolve::Root;

    #[test]
    fn what_was_just_published_is_not_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "old").unwrap();
        let root = Root::open(directory.path()).unwrap();
        let place = root.parent(&VPath::parse(b"/file").unwrap()).unwrap();
        let begin = || Staged::begin(&place, WriteMode::Replace).unwrap();
        // All stay open until the last has its name.
        for (file, staged) in &[begin(), begin(), begin()] {
            staged.publish(file, &place, false).unwrap();
            assert!(is_at(file, &place));
        }
        begin();
    }

    #[test]
    fn what_others_write_meanwhile_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("file"), directory.path().join("other"));
        let root = Root::open(directory.path()).unwrap();
        let place = root.parent(&VPath::parse(b"/file").unwrap()).unwrap();
        type Meanwhile = fn(&Path, &Path);
        let rows: [(&str, Meanwhile, Option<FsErrorKind>); 5] = [
            ("nothing", |_, _| {}, None),
            ("a name", |path, other| std::fs::hard_link(path, other).unwrap(), None),
            (
                "permissions",
                |path, _| {
                    let mut permissions = std::fs::metadata(path).unwrap().permissions();
                    permissions.set_readonly(true);
                    std::fs::set_permissions(path, permissions).unwrap();
                },
                None,
            ),
            ("as much", |path, _| std::fs::write(path, "OLD").unwrap(), Some(FsErrorKind::Busy)),
            ("more", |path, _| std::fs::write(path, "older").unwrap(), Some(FsErrorKind::Busy)),
        ];
        for (what, meanwhile, refused) in rows {
            for mode in [WriteMode::Append, WriteMode::At(3)] {
                std::fs::write(&path, "old").unwrap();
                // Clocks of file systems are coarse.
                File::options()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_modified(SystemTime::UNIX_EPOCH)
                    .unwrap();
                let (mut file, staged) = Staged::begin(&place, mode).unwrap();
                file.write_all(b" and new").unwrap();
                meanwhile(&path, &other);
                let written = std::fs::read_to_string(&path).unwrap();
                let published = staged.publish(&file, &place, false).map_err(|error| error.kind());
                assert_eq!(published.err(), refused, "{what}");
                let expected = if refused.is_some() { written } else { "old and new".into() };
                assert_eq!(std::fs::read_to_string(&path).unwrap(), expected, "{what}");
                drop((file, staged));
                std::fs::remove_file(&path).unwrap();
                let _ = std::fs::remove_file(&other);
            }
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is hidden");
    }

    /// What a file system does that has no files without names.
    #[test]
    fn a_hidden_name_becomes_the_final_one_or_goes() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        let place = root.parent(&VPath::parse(b"/file").unwrap()).unwrap();
        let names = || std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        for (takes, published) in
            [(Takes::WhatWasThere, true), (Takes::WhatWasThere, false), (Takes::Whatever, true)]
        {
            let (file, hidden) = create_hidden(&place).unwrap();
            let staged = Staged { existing: None, hidden, takes, copied: None };
            assert!(names().any(|name| names::is_hidden(name.as_encoded_bytes())));
            assert_eq!(staged.publish(&file, &place, false).is_ok(), published);
            assert_eq!(names().collect::<Vec<_>>(), ["file"]);
        }
        let (_, hidden) = create_hidden(&place).unwrap();
        Staged { existing: None, hidden, takes: Takes::Whatever, copied: None }.discard(&place);
        assert_eq!(names().count(), 1);
    }

    /// What is done on file systems that know less and less.
    #[test]
    fn a_name_that_must_be_free_is_taken_if_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        for (number, take) in [rename_new, link_new, look_and_rename].into_iter().enumerate() {
            let place = root.parent(&VPath::parse(format!("/{number}").as_bytes()).unwrap()).unwrap();
            let hidden = || create_hidden(&place).unwrap().1.unwrap();
            let (first, second) = (hidden(), hidden());
            take(&place, &first).unwrap();
            assert_eq!(take(&place, &second), Err(Errno::EXIST));
            remove(&place, &second);
            assert_eq!(
                std::fs::read_dir(directory.path()).unwrap().count(),
                number + 1,
                "nothing is hidden any more"
            );
        }
    }
}
