//! What a directory holds, a batch at a time.
//!
//! Names come from `getdents64` into one buffer that is used again and again, metadata from `fstatat` or `statx` relative to the
//! directory's handle. A directory of up to a thousand names is sorted by their bytes; a larger one comes in the
//! order in which the file system keeps it, since sorting would take all of it into memory before the first byte. Once it
//! is known to be large, each name is looked up where the kernel put it.
//!
//! A name that cannot be looked up is left out: it has vanished since, or the user may read the directory but not
//! search it.

use std::ffi::CStr;
use std::mem;
use std::os::fd::OwnedFd;
use std::slice;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, OFlags, StatxFlags, readlinkat, statat, statx};
use wharf_sys::Identity;

use super::super::{Detail, Entry, FileKind, FsError, FsErrorKind, FsResult, Metadata};
use super::directory::{BUFFER, Gathered, Names};
use super::linux::{from_root, from_stat, from_statx, metadata_of_handle};
use super::owners::{name_known_owners, name_owners};
use super::recent::{Listed, Recent};
use super::resolve::Root;
use super::{Found, Lookup, names};
use crate::VPath;

/// Directories of no more names are sorted.
const SORTED: usize = 1_000;

/// How many entries come first: few, so that the client soon sees something.
const FIRST_BATCH: usize = 256;

/// How many entries come at once later, of those that were read before it was known that they would not be sorted. Then it is
/// what fills the buffer.
const BATCH: usize = 1_024;

/// Directories of no more names may be listed on the thread of a session: that takes a tenth of a millisecond.
const FEW: usize = 128;

/// What is read of those at once, in bytes: a few names more.
const BRIEF_BUFFER: usize = 8 << 10;

/// A directory that is being listed.
#[derive(Debug)]
pub(in super::super) struct Listing {
    lister: Lister,
    gathered: Gathered,
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
                Ok(lister) => Ok((lister.gather(BUFFER, SORTED)?, lister)),
                Err(error) => Err(single(root, path, detail, error)?),
            }
        };
        let ((gathered, names), lister) = match opened {
            Ok(opened) => opened,
            Err(mut entry) => {
                name_owners_for(detail, slice::from_mut(&mut entry));
                return Ok(Self::Single(entry));
            }
        };
        let is_brief = identity.is_process() && root.has_caches() && lister.is_brief(&gathered, &names);
        let mut listing = Listing { lister, gathered, names, identity: identity.clone() };
        let first = listing.batch(FIRST_BATCH)?;
        if is_brief
            && let Ok(listed) = listing.lister.listed()
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
        self.gathered.len() == 0 && self.names.is_at_end()
    }

    fn batch(&mut self, size: usize) -> FsResult<Vec<Entry>> {
        let mut entries = Vec::new();
        {
            let _entered = self.identity.enter()?;
            while entries.is_empty() && !self.is_at_end() {
                let Self { lister, gathered, names, .. } = self;
                if gathered.len() > 0 {
                    entries.reserve(size.min(gathered.len()));
                    entries.extend(gathered.take(size).filter_map(|(name, kind)| lister.entry(name, kind)));
                } else {
                    mem::take(gathered);
                    entries.reserve(BATCH);
                    names.read(|name, kind| entries.extend(lister.entry(name, kind)))?;
                }
            }
        }
        name_owners_for(self.lister.detail, &mut entries);
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

    /// The first names in the directory, read `buffer` bytes at a time, and where others come from. If there are no more than
    /// `most`, these are all, and sorted.
    fn gather(&self, buffer: usize, most: usize) -> FsResult<(Gathered, Names)> {
        let mut names = Names::new(Arc::clone(&self.directory), buffer);
        let mut gathered = Gathered::default();
        while gathered.len() <= most && !names.is_at_end() {
            names.read(|name, kind| gathered.push(name, kind))?;
        }
        if gathered.len() <= most {
            gathered.sort();
        }
        Ok((gathered, names))
    }

    /// Whether these are all names of the directory, few, and none of a link that has to be looked into.
    fn is_brief(&self, gathered: &Gathered, names: &Names) -> bool {
        let may_lead_away = |kind| matches!(kind, FileType::Symlink | FileType::Unknown);
        names.is_at_end()
            && gathered.len() <= FEW
            && (self.detail == Detail::Names || !gathered.kinds().any(may_lead_away))
    }

    /// What is read of the directory by listing it.
    fn listed(&self) -> FsResult<Listed> {
        let Metadata { device, inode, .. } = metadata_of_handle(&*self.directory)?;
        Ok(Listed { device, inode, facts: self.detail != Detail::Names })
    }

    /// All entries of a small directory without links, in which nothing is mounted; an error if it is another.
    fn all_of_few(&self, listed: Listed) -> FsResult<Vec<Entry>> {
        let (mut gathered, names) = self.gather(BRIEF_BUFFER, FEW)?;
        if !self.is_brief(&gathered, &names) {
            return Err(FsErrorKind::Unsupported.into());
        }
        let mut entries = Vec::with_capacity(gathered.len());
        entries.extend(gathered.take(FEW).filter_map(|(name, kind)| self.itself(name, kind)));
        let are_named = self.detail != Detail::Long || name_known_owners(&mut entries);
        // One may have taken the place of something else just now.
        let has_links = entries.iter().any(|entry| entry.metadata.kind == FileKind::Symlink);
        if has_links || !are_named || !listed.has_all(&entries) {
            return Err(FsErrorKind::Unsupported.into());
        }
        Ok(entries)
    }

    fn entry(&self, name: &CStr, kind: FileType) -> Option<Entry> {
        let mut entry = self.itself(name, kind)?;
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
    fn itself(&self, name: &CStr, kind: FileType) -> Option<Entry> {
        if names::is_hidden(name.to_bytes()) {
            return None;
        }
        let metadata = match self.detail {
            Detail::Names if kind == FileType::Directory => Metadata::directory(),
            Detail::Names => Metadata::file(0),
            Detail::Facts => self.metadata(name, StatxFlags::BASIC_STATS - StatxFlags::NLINK)?,
            Detail::Long => self.metadata(name, StatxFlags::BASIC_STATS)?,
        };
        Some(Entry::new(name.to_bytes(), metadata))
    }

    fn metadata(&self, name: &CStr, facts: StatxFlags) -> Option<Metadata> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        // It gives all facts, which only a server elsewhere has to be asked for one by one.
        if self.root.has_caches() {
            return Some(from_stat(&statat(&*self.directory, name, flags).ok()?));
        }
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
