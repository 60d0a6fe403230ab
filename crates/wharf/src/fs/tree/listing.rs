//! What a directory holds, a batch at a time.
//!
//! Names come from `getdents64` into one buffer that is used again and again, metadata from `statx` relative to the
//! directory's handle. A directory of up to a thousand names is sorted by their bytes; a larger one comes in the
//! order in which the file system keeps it, since sorting would take all of it into memory before the first byte.
//!
//! A name that cannot be looked up is left out: it has vanished since, or the user may read the directory but not
//! search it.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::OwnedFd;
use std::slice;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, OFlags, RawDir, StatxFlags, readlinkat, statx};
use rustix::io::Errno;
use wharf_sys::Identity;

use super::super::{Detail, Entry, FileKind, FsError, FsErrorKind, FsResult, Metadata};
use super::linux::{from_root, from_statx, metadata_of_handle};
use super::owners::{name_known_owners, name_owners};
use super::recent::{Listed, Recent};
use super::resolve::Root;
use super::{Found, Lookup, names};
use crate::VPath;

/// Directories of no more names are sorted.
const SORTED: usize = 1_000;

/// How many entries come first: few, so that the client soon sees something.
const FIRST_BATCH: usize = 256;

/// How many entries come at once later.
const BATCH: usize = 1_024;

/// What is read from a directory at once, in bytes: some thousand names.
pub(super) const BUFFER: usize = 32 << 10;

/// Directories of no more names may be listed on the thread of a session: that takes a tenth of a millisecond.
const FEW: usize = 128;

/// What is read of those at once, in bytes: a few names more.
const BRIEF_BUFFER: usize = 8 << 10;

/// A directory that is being listed.
#[derive(Debug)]
pub(in super::super) struct Listing {
    entries: Lister,
    names: Names,
    identity: Identity,
}

impl Found {
    /// Finds out what `path` names, and lists the beginning of it.
    pub(super) fn find(
        root: &Arc<Root>,
        path: &VPath,
        detail: Detail,
        identity: &Identity,
        recent: &Recent,
    ) -> FsResult<Self> {
        let opened = {
            let _entered = identity.enter()?;
            match Lister::open(root, path, detail, Lookup::Disk) {
                Ok(lister) => Ok((lister.names(BUFFER, SORTED)?, lister)),
                Err(error) => Err(single(root, path, detail, error)?),
            }
        };
        let (names, entries) = match opened {
            Ok(opened) => opened,
            Err(mut entry) => {
                name_owners_for(detail, slice::from_mut(&mut entry));
                return Ok(Self::Single(entry));
            }
        };
        let is_brief = identity.is_process() && root.has_caches() && names.are_brief(detail);
        let mut listing = Listing { entries, names, identity: identity.clone() };
        let first = listing.batch(FIRST_BATCH)?;
        if is_brief
            && let Ok(listed) = listing.entries.listed()
            && listed.has_all(&first)
        {
            recent.note(listed);
        }
        Ok(Self::Directory(first, listing))
    }
}

impl Listing {
    /// The next entries; none means that there are no more. It blocks.
    pub(in super::super) fn next_batch(&mut self) -> FsResult<Vec<Entry>> {
        self.batch(BATCH)
    }

    /// Whether there is nothing more to come.
    pub(in super::super) fn is_at_end(&self) -> bool {
        self.names.is_at_end()
    }

    fn batch(&mut self, size: usize) -> FsResult<Vec<Entry>> {
        let mut entries = Vec::new();
        {
            let _entered = self.identity.enter()?;
            while entries.is_empty() && !self.names.is_at_end() {
                let names = self.names.take(size)?;
                entries = names.into_iter().filter_map(|found| self.entries.entry(found)).collect();
            }
        }
        name_owners_for(self.entries.detail, &mut entries);
        Ok(entries)
    }
}

/// All entries of a directory that `recent` has, if it is small still; any error means that it is none, or that something
/// in it may have to be waited for.
pub(super) fn list_cached(
    root: &Arc<Root>,
    path: &VPath,
    detail: Detail,
    recent: &Recent,
) -> FsResult<Vec<Entry>> {
    let lister = Lister::open(root, path, detail, Lookup::Cache)?;
    let listed = lister.listed()?;
    if !recent.contains(listed) {
        return Err(FsErrorKind::Unsupported.into());
    }
    let entries = lister.all_of_few(listed);
    match &entries {
        Ok(_) => recent.note(listed),
        Err(_) => recent.forget(listed),
    }
    entries
}

/// Looks up what a listing prints.
#[derive(Debug)]
struct Lister {
    root: Arc<Root>,
    directory: Arc<OwnedFd>,
    /// The path of the directory as it is resolved beneath the root, for links.
    path: Vec<u8>,
    detail: Detail,
}

impl Lister {
    fn open(root: &Arc<Root>, path: &VPath, detail: Detail, lookup: Lookup) -> FsResult<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK;
        let directory = Arc::new(root.open_at(from_root(path), flags, lookup)?);
        Ok(Self { root: Arc::clone(root), directory, path: from_root(path).to_vec(), detail })
    }

    /// The names in the directory, read `buffer` bytes at a time; sorted if there are no more than `most`.
    fn names(&self, buffer: usize, most: usize) -> FsResult<Names> {
        let mut names = Names::new(Arc::clone(&self.directory), buffer);
        names.sort_if_few(most)?;
        Ok(names)
    }

    /// What is read of the directory by listing it.
    fn listed(&self) -> FsResult<Listed> {
        let Metadata { device, inode, .. } = metadata_of_handle(&*self.directory)?;
        Ok(Listed { device, inode, facts: self.detail != Detail::Names })
    }

    /// All entries of a small directory without links, in which nothing is mounted; an error if it is another.
    fn all_of_few(&self, listed: Listed) -> FsResult<Vec<Entry>> {
        let mut names = self.names(BRIEF_BUFFER, FEW)?;
        if !names.are_brief(self.detail) {
            return Err(FsErrorKind::Unsupported.into());
        }
        let found = names.take(FEW)?;
        let mut entries: Vec<_> = found.into_iter().filter_map(|found| self.itself(found)).collect();
        let are_named = self.detail != Detail::Long || name_known_owners(&mut entries);
        // One may have taken the place of something else just now.
        let has_links = entries.iter().any(|entry| entry.metadata.kind == FileKind::Symlink);
        if has_links || !are_named || !listed.has_all(&entries) {
            return Err(FsErrorKind::Unsupported.into());
        }
        Ok(entries)
    }

    fn entry(&self, found: Name) -> Option<Entry> {
        let mut entry = self.itself(found)?;
        if entry.metadata.kind == FileKind::Symlink {
            let below = self.below(&entry.name);
            match self.detail {
                Detail::Names => {}
                Detail::Facts => entry.metadata = self.follow(&below)?,
                Detail::Long => {
                    entry.link_target = link_text(&self.root, &self.directory, &entry.name, &below);
                }
            }
        }
        Some(entry)
    }

    /// The entry as it is, whatever it leads to.
    fn itself(&self, found: Name) -> Option<Entry> {
        let Name { name, kind } = found;
        if names::is_hidden(&name) {
            return None;
        }
        let metadata = match self.detail {
            Detail::Names if kind == FileType::Directory => Metadata::directory(),
            Detail::Names => Metadata::file(0),
            Detail::Facts => self.metadata(&name, StatxFlags::BASIC_STATS - StatxFlags::NLINK)?,
            Detail::Long => self.metadata(&name, StatxFlags::BASIC_STATS)?,
        };
        Some(Entry { name, metadata, link_target: None, owner: None, group: None })
    }

    fn metadata(&self, name: &[u8], facts: StatxFlags) -> Option<Metadata> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        Some(from_statx(
            &statx(&*self.directory, name, flags, facts - StatxFlags::ATIME - StatxFlags::CTIME).ok()?,
        ))
    }

    /// Facts about what a link leads to, if that is below the root.
    fn follow(&self, path: &[u8]) -> Option<Metadata> {
        let handle = self.root.open_at(path, OFlags::PATH, Lookup::Disk).ok()?;
        metadata_of_handle(handle).ok()
    }

    fn below(&self, name: &[u8]) -> Vec<u8> {
        [&self.path, b"/".as_slice(), name].concat()
    }
}

/// The one entry of a path that could not be opened as a directory, because of `error`.
fn single(root: &Root, path: &VPath, detail: Detail, error: FsError) -> FsResult<Entry> {
    use FsErrorKind::{NotADirectory, NotFound, TooManyLinks};
    let name = match path.file_name() {
        Some(name) if matches!(error.kind(), NotADirectory | NotFound | TooManyLinks) => name,
        _ => return Err(error),
    };
    let keep = if detail == Detail::Facts { OFlags::empty() } else { OFlags::NOFOLLOW };
    let metadata = metadata_of_handle(root.open_at(path.relative(), OFlags::PATH | keep, Lookup::Disk)?)?;
    let mut link_target = None;
    if metadata.kind == FileKind::Symlink {
        let place = root.parent(path)?;
        link_target = link_text(root, &place.directory, name, path.relative());
    }
    Ok(Entry { name: name.into(), metadata, link_target, owner: None, group: None })
}

/// The text of a link, absolute ones as clients see the path; `None` when it leads out of the root, or the user may not
/// know.
fn link_text(root: &Root, directory: &OwnedFd, name: &[u8], path: &[u8]) -> Option<Box<[u8]>> {
    use FsErrorKind::{OutsideHome, PermissionDenied};
    let text = readlinkat(directory, name, Vec::new()).ok()?.into_bytes();
    if let Err(error) = root.open_at(path, OFlags::PATH, Lookup::Disk)
        && matches!(error.kind(), OutsideHome | PermissionDenied)
    {
        return None;
    }
    if !text.starts_with(b"/") {
        return Some(text.into());
    }
    let mut below = root.below(&text).ok()?;
    while let Some(rest) = below.strip_prefix(b"/") {
        below = rest;
    }
    Some([b"/", below].concat().into())
}

fn name_owners_for(detail: Detail, entries: &mut [Entry]) {
    if detail == Detail::Long {
        name_owners(entries);
    }
}

/// A name in a directory, and what the file system says that it is.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) name: Box<[u8]>,
    pub(super) kind: FileType,
}

/// The names in a directory.
#[derive(Debug)]
pub(super) struct Names {
    directory: Arc<OwnedFd>,
    buffer: Vec<u8>,
    pending: VecDeque<Name>,
    ended: bool,
}

impl Names {
    /// The names in a directory that was opened for reading.
    pub(super) fn new(directory: Arc<OwnedFd>, buffer: usize) -> Self {
        Self { directory, buffer: Vec::with_capacity(buffer), pending: VecDeque::new(), ended: false }
    }

    /// Up to `count` names; none means that there are no more.
    pub(super) fn take(&mut self, count: usize) -> FsResult<Vec<Name>> {
        self.read(count)?;
        Ok(self.pending.drain(..count.min(self.pending.len())).collect())
    }

    /// Sorts them if there are no more than `most`.
    fn sort_if_few(&mut self, most: usize) -> FsResult<()> {
        self.read(most + 1)?;
        if self.ended && self.pending.len() <= most {
            self.pending.make_contiguous().sort_unstable_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(())
    }

    /// Whether these are all names of the directory, few, and none of a link that has to be looked into for `detail`.
    fn are_brief(&self, detail: Detail) -> bool {
        let may_lead_away = |name: &Name| matches!(name.kind, FileType::Symlink | FileType::Unknown);
        self.ended
            && self.pending.len() <= FEW
            && (detail == Detail::Names || !self.pending.iter().any(may_lead_away))
    }

    fn is_at_end(&self) -> bool {
        self.ended && self.pending.is_empty()
    }

    /// Reads on until `count` names are pending or there are no more.
    fn read(&mut self, count: usize) -> FsResult<()> {
        while !self.ended && self.pending.len() < count {
            let mut raw = RawDir::new(&*self.directory, self.buffer.spare_capacity_mut());
            loop {
                match raw.next() {
                    None => self.ended = true,
                    // The directory was removed while it was read.
                    Some(Err(Errno::NOENT)) => self.ended = true,
                    Some(entry) => {
                        let entry = entry?;
                        let name = entry.file_name().to_bytes();
                        if !matches!(name, b"." | b"..") {
                            self.pending.push_back(Name { name: name.into(), kind: entry.file_type() });
                        }
                    }
                }
                if self.ended || raw.is_buffer_empty() {
                    break;
                }
            }
        }
        if self.ended {
            mem::take(&mut self.buffer);
        }
        Ok(())
    }
}
