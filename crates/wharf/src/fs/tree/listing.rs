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
use super::owners::name_owners;
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
const BUFFER: usize = 32 << 10;

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
    ) -> FsResult<Self> {
        let opened = {
            let _entered = identity.enter()?;
            match Lister::open(root, path, detail) {
                Ok(opened) => Ok(opened),
                Err(error) => Err(single(root, path, detail, error)?),
            }
        };
        let (lister, names) = match opened {
            Ok(opened) => opened,
            Err(mut entry) => {
                name_owners_for(detail, slice::from_mut(&mut entry));
                return Ok(Self::Single(entry));
            }
        };
        let mut listing = Listing { entries: lister, names, identity: identity.clone() };
        let first = listing.batch(FIRST_BATCH)?;
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
    fn open(root: &Arc<Root>, path: &VPath, detail: Detail) -> FsResult<(Self, Names)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK;
        let directory = Arc::new(root.open_at(from_root(path), flags, Lookup::Disk)?);
        let mut names = Names::new(Arc::clone(&directory));
        names.sort_if_few()?;
        Ok((Self { root: Arc::clone(root), directory, path: from_root(path).to_vec(), detail }, names))
    }

    fn entry(&self, found: Name) -> Option<Entry> {
        let Name { name, kind } = found;
        if names::is_hidden(&name) {
            return None;
        }
        let mut link_target = None;
        let metadata = match self.detail {
            Detail::Names if kind == FileType::Directory => Metadata::directory(),
            Detail::Names => Metadata::file(0),
            Detail::Facts => match self.metadata(&name, StatxFlags::BASIC_STATS - StatxFlags::NLINK)? {
                Metadata { kind: FileKind::Symlink, .. } => self.follow(&name)?,
                metadata => metadata,
            },
            Detail::Long => {
                let metadata = self.metadata(&name, StatxFlags::BASIC_STATS)?;
                if metadata.kind == FileKind::Symlink {
                    link_target = link_text(&self.root, &self.directory, &name, &self.below(&name));
                }
                metadata
            }
        };
        Some(Entry { name, metadata, link_target, owner: None, group: None })
    }

    fn metadata(&self, name: &[u8], facts: StatxFlags) -> Option<Metadata> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        Some(from_statx(
            &statx(&*self.directory, name, flags, facts - StatxFlags::ATIME - StatxFlags::CTIME).ok()?,
        ))
    }

    /// Facts about what a link leads to, if that is below the root.
    fn follow(&self, name: &[u8]) -> Option<Metadata> {
        let handle = self.root.open_at(&self.below(name), OFlags::PATH, Lookup::Disk).ok()?;
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
    pub(super) fn new(directory: Arc<OwnedFd>) -> Self {
        Self { directory, buffer: Vec::with_capacity(BUFFER), pending: VecDeque::new(), ended: false }
    }

    /// Up to `count` names; none means that there are no more.
    pub(super) fn take(&mut self, count: usize) -> FsResult<Vec<Name>> {
        self.read(count)?;
        Ok(self.pending.drain(..count.min(self.pending.len())).collect())
    }

    fn sort_if_few(&mut self) -> FsResult<()> {
        self.read(SORTED + 1)?;
        if self.ended && self.pending.len() <= SORTED {
            self.pending.make_contiguous().sort_unstable_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(())
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
