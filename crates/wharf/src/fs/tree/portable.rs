//! A directory by way of the standard library, for systems without handles to resolve beneath.
//!
//! Each component of a path is looked at before it is used: a symbolic link, or what Windows calls a reparse point, must
//! lead to something inside the root. Between the look and the use nothing is held, so this is no wall against somebody
//! who replaces directories on the host meanwhile; FTP has no command that makes a link, so a client alone cannot.
//! Staged uploads are written under a hidden name beside their target.
//!
//! Most of these systems find a file under other spellings of its name. Rights are given by the spelling that the disk has, so
//! directories and links have to be called by that.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wharf_sys::Identity;

use super::super::{
    Detail, Ending, Entry, FileKind, FsErrorKind, FsResult, Metadata, Source, Span, Timestamp, WriteMode,
};
use super::{DirectoryId, Found, Lookup, creatable, names, visible};
use crate::config::{Incomplete, Publish};
use crate::{Uploads, VPath};

/// How often STOU tries another name.
const UNIQUE_TRIES: usize = 16;

/// How many entries are listed at once.
const BATCH: usize = 256;

/// Directories of no more names are sorted.
const SORTED: usize = 1_000;

/// A directory and all that is below it.
#[derive(Debug)]
pub(in super::super) struct Tree {
    /// Without links in it.
    root: PathBuf,
}

/// A directory that is being listed.
#[derive(Debug)]
pub(in super::super) struct Listing {
    root: PathBuf,
    first: Vec<fs::DirEntry>,
    rest: fs::ReadDir,
    at_end: bool,
    detail: Detail,
    identity: Identity,
}

/// Which directories were listed a moment ago: nothing is made of that here.
#[derive(Debug, Default)]
pub(in super::super) struct Recent;

/// What is to be done when an upload ends.
#[derive(Debug)]
pub(in super::super) struct Upload {
    target: PathBuf,
    /// Where the upload is while it is out of sight.
    hidden: Option<PathBuf>,
    /// Whether what the file holds is to go before anything is written.
    empties: bool,
    /// What an upload that is out of sight adds to, so that nobody else does meanwhile.
    held: Option<File>,
    delete_aborted: bool,
    sync: bool,
}

impl Tree {
    pub(in super::super) fn open(path: &Path, lookup: Lookup) -> FsResult<Self> {
        never_cached(lookup)?;
        let root = fs::canonicalize(path)?;
        if root.is_dir() { Ok(Self { root }) } else { Err(FsErrorKind::NotADirectory.into()) }
    }

    /// Nothing is known here of what lies in memory.
    pub(in super::super) fn in_memory(&self) -> Option<Self> {
        None
    }

    pub(in super::super) fn directory(&self) -> DirectoryId {
        DirectoryId::default()
    }

    /// There are no sandboxes.
    pub(in super::super) fn is_shut_off(&self) -> bool {
        false
    }

    /// Whether both are the same directory.
    pub(in super::super) fn is_same(&self, other: &Self) -> bool {
        self.root == other.root
    }

    pub(in super::super) fn metadata(&self, path: &VPath, lookup: Lookup) -> FsResult<Metadata> {
        never_cached(lookup)?;
        Ok(metadata_of(&fs::metadata(self.followed(path)?)?))
    }

    pub(in super::super) fn link_metadata(&self, path: &VPath) -> FsResult<Metadata> {
        Ok(metadata_of(&fs::symlink_metadata(self.kept(path)?)?))
    }

    pub(in super::super) fn enter(&self, path: &VPath, lookup: Lookup) -> FsResult<()> {
        never_cached(lookup)?;
        let real = self.followed(path)?;
        if !fs::metadata(&real)?.is_dir() {
            return Err(FsErrorKind::NotADirectory.into());
        }
        Ok(fs::read_dir(real).map(drop)?)
    }

    /// Lists `path` with the rights of `identity`, whatever those of the thread.
    pub(in super::super) fn list(
        &self,
        path: &VPath,
        detail: Detail,
        identity: &Identity,
        _: &Recent,
    ) -> FsResult<Found> {
        let _entered = identity.enter()?;
        let real = self.followed(path)?;
        let metadata = metadata_of(&fs::metadata(&real)?);
        if !metadata.is_dir() {
            let name = path.file_name().unwrap_or_default().into();
            return Ok(Found::Single(Entry { name, metadata, link_target: None, owner: None, group: None }));
        }
        let mut rest = fs::read_dir(&real)?;
        let mut first = rest.by_ref().take(SORTED + 1).collect::<Result<Vec<_>, _>>()?;
        if first.len() <= SORTED {
            first.sort_by_key(fs::DirEntry::file_name);
        }
        first.reverse(); // taken from the end
        let identity = identity.clone();
        let mut listing = Listing { root: self.root.clone(), first, rest, at_end: false, detail, identity };
        Ok(Found::Directory(listing.read()?, listing))
    }

    /// Nothing is known here of what the caches hold.
    pub(in super::super) fn list_cached(&self, _: &VPath, _: Detail, _: &Recent) -> FsResult<Vec<Entry>> {
        Err(FsErrorKind::Unsupported.into())
    }

    pub(in super::super) fn read(&self, path: &VPath, from: u64, lookup: Lookup) -> FsResult<Source> {
        never_cached(lookup)?;
        let real = self.followed(path)?;
        let length = regular(&metadata_of(&fs::metadata(&real)?))?;
        if from > length {
            return Err(FsErrorKind::OffsetBeyondEnd(length).into());
        }
        Ok(Source::span(File::open(real)?, Span { offset: from, length, in_memory: false }))
    }

    pub(in super::super) fn write(
        &self,
        path: &VPath,
        mode: WriteMode,
        uploads: Uploads,
    ) -> FsResult<(File, Upload)> {
        creatable(path)?;
        let target = self.followed(path)?;
        let exists = match fs::metadata(&target) {
            Ok(found) => {
                regular(&metadata_of(&found))?;
                true
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Err(error) if matches!(mode, WriteMode::At(_)) => return Err(error.into()),
            Err(_) => false,
        };
        let hidden = hidden_beside(&target, uploads)?;
        let create =
            |path: &Path| open_alone(OpenOptions::new().write(true).create(true).truncate(false), path);
        let (mut file, held, size) = match &hidden {
            None => {
                let resumes = matches!(mode, WriteMode::At(_));
                let mut options = OpenOptions::new();
                let file = open_alone(options.write(true).create(!resumes).truncate(false), &target)?;
                let size = file.metadata()?.len();
                (file, None, size)
            }
            Some(hidden) if exists && mode != WriteMode::Replace => {
                let mut existing = open_alone(OpenOptions::new().read(true).write(true), &target)?;
                let size = existing.metadata()?.len();
                start(mode, size)?;
                let mut file = create(hidden)?;
                io::copy(&mut existing, &mut file)?;
                (file, Some(existing), size)
            }
            Some(hidden) => (create(hidden)?, None, 0),
        };
        file.seek(SeekFrom::Start(start(mode, size)?))?;
        let replaces = mode == WriteMode::Replace;
        let empties = replaces && size > 0;
        let upload = upload(target, hidden, uploads, replaces || size == 0);
        Ok((file, Upload { held, empties, ..upload }))
    }

    pub(in super::super) fn write_unique(
        &self,
        directory: &VPath,
        prefix: &[u8],
        uploads: Uploads,
    ) -> FsResult<(VPath, File, Upload)> {
        if !names::is_component(prefix) {
            return Err(FsErrorKind::InvalidName.into());
        }
        for _ in 0..UNIQUE_TRIES {
            let path = directory.join(&names::unique(prefix)?).map_err(|_| FsErrorKind::NameTooLong)?;
            let target = self.kept(&path)?;
            // The client is told the name at once, so it is taken at once, and such an upload is in sight
            // even where others are staged.
            match open_alone(OpenOptions::new().write(true).create_new(true), &target) {
                Err(error) if error.kind() == FsErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    let uploads = Uploads { publish: Publish::Direct, ..uploads };
                    return Ok((path, file, upload(target, None, uploads, true)));
                }
            }
        }
        Err(FsErrorKind::AlreadyExists.into())
    }

    pub(in super::super) fn create_dir(&self, path: &VPath) -> FsResult<()> {
        creatable(path)?;
        if path.is_root() {
            return Err(FsErrorKind::AlreadyExists.into());
        }
        Ok(fs::create_dir(self.kept(path)?)?)
    }

    pub(in super::super) fn remove_dir(&self, path: &VPath) -> FsResult<()> {
        not_root(path)?;
        Ok(fs::remove_dir(self.kept(path)?)?)
    }

    pub(in super::super) fn remove_file(&self, path: &VPath) -> FsResult<()> {
        not_root(path)?;
        let real = self.kept(path)?;
        if fs::symlink_metadata(&real)?.is_dir() {
            return Err(FsErrorKind::IsADirectory.into());
        }
        Ok(fs::remove_file(real)?)
    }

    pub(in super::super) fn rename(&self, from: &VPath, to: &VPath) -> FsResult<()> {
        not_root(from)?;
        not_root(to)?;
        creatable(to)?;
        Ok(fs::rename(self.kept(from)?, self.kept(to)?)?)
    }

    pub(in super::super) fn set_modified(&self, path: &VPath, time: Timestamp) -> FsResult<()> {
        let file = OpenOptions::new().write(true).open(self.followed(path)?)?;
        let seconds = Duration::from_secs(time.seconds.unsigned_abs());
        let whole = if time.seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(seconds)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(seconds)
        };
        let exact = whole.and_then(|whole| whole.checked_add(Duration::from_nanos(time.nanoseconds.into())));
        Ok(file.set_modified(exact.ok_or(FsErrorKind::Unsupported)?)?)
    }

    /// There are no permission bits to set.
    pub(in super::super) fn set_mode(&self, path: &VPath, _: u32) -> FsResult<()> {
        self.followed(path)?;
        Err(FsErrorKind::Unsupported.into())
    }

    /// Where `path` is, if what its last component leads to is inside as well, or is not there yet.
    fn followed(&self, path: &VPath) -> FsResult<PathBuf> {
        let kept = self.kept(path)?;
        match fs::canonicalize(&kept) {
            Ok(real) if real.starts_with(&self.root) => Ok(real),
            Ok(_) => Err(FsErrorKind::OutsideHome.into()),
            // A link that leads to nothing yet might lead out.
            Err(_) if fs::symlink_metadata(&kept).is_ok() => Err(FsErrorKind::NotFound.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(kept),
            Err(error) => Err(error.into()),
        }
    }

    /// Where `path` is, its last component taken as it is.
    fn kept(&self, path: &VPath) -> FsResult<PathBuf> {
        visible(path)?;
        let mut real = self.root.clone();
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            let name = name_of(component)?;
            let found = fs::symlink_metadata(real.join(name));
            if let Ok(found) = &found
                && !is_spelled(&real, name, found)?
            {
                return Err(FsErrorKind::NotFound.into());
            }
            real.push(name);
            if components.peek().is_some() {
                real = fs::canonicalize(&real)?;
                if !real.starts_with(&self.root) {
                    return Err(FsErrorKind::OutsideHome.into());
                }
            }
        }
        Ok(real)
    }
}

impl Listing {
    /// The next entries; none means that there are no more. It blocks.
    pub(in super::super) fn next_batch(&mut self) -> FsResult<Vec<Entry>> {
        let identity = self.identity.clone();
        let _entered = identity.enter()?;
        self.read()
    }

    /// Whether there is nothing more to come.
    pub(in super::super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    fn read(&mut self) -> FsResult<Vec<Entry>> {
        let mut entries = Vec::new();
        while entries.len() < BATCH {
            let found = match self.first.pop() {
                Some(found) => found,
                None => match self.rest.next() {
                    Some(found) => found?,
                    None => {
                        self.at_end = true;
                        break;
                    }
                },
            };
            entries.extend(self.entry(&found));
        }
        Ok(entries)
    }

    fn entry(&self, found: &fs::DirEntry) -> Option<Entry> {
        let name: Box<[u8]> = found.file_name().as_encoded_bytes().into();
        let mut metadata = found.metadata().ok()?;
        if metadata.is_symlink() && self.detail == Detail::Facts {
            let real = fs::canonicalize(found.path()).ok()?;
            metadata = fs::metadata(real.starts_with(&self.root).then_some(real)?).ok()?;
        }
        let metadata = metadata_of(&metadata);
        let entry = Entry { name, metadata, link_target: None, owner: None, group: None };
        (!names::is_hidden(&entry.name)).then_some(entry)
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
        if self.sync && ending != Ending::Aborted {
            file.sync_data()?;
        }
        wharf_sys::close(file)?;
        drop(self.held);
        match self.hidden {
            Some(hidden) if ending == Ending::Complete => Ok(fs::rename(hidden, self.target)?),
            Some(hidden) => {
                fs::remove_file(hidden)?;
                Err(FsErrorKind::NotPublished.into())
            }
            None if ending == Ending::Aborted && self.delete_aborted => Ok(fs::remove_file(self.target)?),
            None => Ok(()),
        }
    }
}

/// Removes hidden files of staged uploads below `root` that have not changed for `older_than`; answers how many.
///
/// # Errors
/// When `root` cannot be read.
pub(in super::super) fn sweep(root: &Path, older_than: Duration) -> FsResult<usize> {
    let mut removed = 0;
    let mut ahead = vec![fs::read_dir(root)?];
    while let Some(directory) = ahead.pop() {
        for found in directory.flatten() {
            let Ok(metadata) = found.metadata() else {
                continue;
            };
            let age = metadata.modified().ok().and_then(|time| time.elapsed().ok());
            if metadata.is_dir() {
                ahead.extend(fs::read_dir(found.path()));
            } else if names::is_hidden(found.file_name().as_encoded_bytes())
                && age.is_some_and(|age| age >= older_than)
                && fs::remove_file(found.path()).is_ok()
            {
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// Nothing is known of the caches here.
fn never_cached(lookup: Lookup) -> FsResult<()> {
    match lookup {
        Lookup::Cache => Err(FsErrorKind::Unsupported.into()),
        Lookup::Disk => Ok(()),
    }
}

fn not_root(path: &VPath) -> FsResult<()> {
    if path.is_root() { Err(FsErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

/// A component as the system spells it.
#[cfg(unix)]
fn name_of(component: &[u8]) -> FsResult<&OsStr> {
    Ok(std::os::unix::ffi::OsStrExt::from_bytes(component))
}

/// A component as the system spells it; refused where the system would take it for something else.
#[cfg(windows)]
fn name_of(component: &[u8]) -> FsResult<&OsStr> {
    match std::str::from_utf8(component) {
        Ok(name) if names::is_plain_on_windows(component) => Ok(OsStr::new(name)),
        _ => Err(FsErrorKind::InvalidName.into()),
    }
}

/// Whether what is `found` under `name` in `directory` is called so on the disk, if rights may hang on that. Those of a file are
/// those of its directory.
fn is_spelled(directory: &Path, name: &OsStr, found: &fs::Metadata) -> FsResult<bool> {
    if found.is_symlink() {
        // What it leads to is called something else.
        let mut entries = fs::read_dir(directory)?;
        return Ok(entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() == name)));
    }
    Ok(!found.is_dir() || fs::canonicalize(directory.join(name))?.file_name() == Some(name))
}

/// Opens a file that nobody else may write meanwhile.
#[cfg(windows)]
fn open_alone(options: &mut OpenOptions, path: &Path) -> FsResult<File> {
    use std::os::windows::fs::OpenOptionsExt;

    /// Others may read, rename and remove it. A lock would keep out those who read as well.
    const SHARE_READ_AND_DELETE: u32 = 1 | 4;
    /// `ERROR_SHARING_VIOLATION`
    const SHARING_VIOLATION: i32 = 32;

    options.share_mode(SHARE_READ_AND_DELETE).open(path).map_err(|error| match error.raw_os_error() {
        Some(SHARING_VIOLATION) => FsErrorKind::Busy.into(),
        _ => error.into(),
    })
}

/// Opens a file that no other upload writes meanwhile.
#[cfg(not(windows))]
fn open_alone(options: &mut OpenOptions, path: &Path) -> FsResult<File> {
    let file = options.open(path)?;
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(FsErrorKind::Busy.into()),
        // Not every file system has locks.
        _ => Ok(file),
    }
}

/// Where `mode` begins in a file of `size` bytes.
fn start(mode: WriteMode, size: u64) -> FsResult<u64> {
    match mode {
        WriteMode::Replace => Ok(0),
        WriteMode::Append => Ok(size),
        WriteMode::At(offset) if offset > size => Err(FsErrorKind::OffsetBeyondEnd(size).into()),
        WriteMode::At(offset) => Ok(offset),
    }
}

fn hidden_beside(target: &Path, uploads: Uploads) -> FsResult<Option<PathBuf>> {
    if uploads.publish == Publish::Direct {
        return Ok(None);
    }
    let name = names::hidden()?;
    Ok(Some(target.with_file_name(name_of(&name)?)))
}

fn upload(target: PathBuf, hidden: Option<PathBuf>, uploads: Uploads, held_nothing: bool) -> Upload {
    let delete_aborted = uploads.incomplete == Incomplete::Delete && held_nothing;
    Upload { target, hidden, held: None, empties: false, delete_aborted, sync: uploads.sync }
}

/// The size of a regular file.
fn regular(metadata: &Metadata) -> FsResult<u64> {
    match metadata.kind {
        FileKind::File => Ok(metadata.size),
        FileKind::Directory => Err(FsErrorKind::IsADirectory.into()),
        _ => Err(FsErrorKind::NotAFile.into()),
    }
}

fn metadata_of(found: &fs::Metadata) -> Metadata {
    let metadata = match found.file_type() {
        kind if kind.is_dir() => Metadata::directory(),
        kind if kind.is_symlink() => Metadata { kind: FileKind::Symlink, ..Metadata::file(found.len()) },
        kind if kind.is_file() => Metadata::file(found.len()),
        _ => Metadata { kind: FileKind::CharDevice, ..Metadata::file(0) },
    };
    let read_only = if found.permissions().readonly() { 0o222 } else { 0 };
    Metadata { modified: timestamp(found.modified().ok()), mode: metadata.mode & !read_only, ..metadata }
}

fn timestamp(time: Option<SystemTime>) -> Timestamp {
    let Some(time) = time else {
        return Timestamp::default();
    };
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Timestamp {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: since.subsec_nanos(),
        },
        // Whole seconds are precise enough before the epoch.
        Err(before) => Timestamp {
            seconds: i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
            nanoseconds: 0,
        },
    }
}

#[cfg(test)]
mod tests;
