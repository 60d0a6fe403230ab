//! Removing what uploads left when the server was killed.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, StatxFlags, flock, openat, unlinkat};

use super::super::FsResult;
use super::directory::{BUFFER, Names};
use super::linux::{metadata_at, metadata_of_handle, readable, regular};
use super::names;
use super::resolve::Place;

/// How deep the sweep goes: each level is an open handle.
const MAX_DEPTH: usize = 64;

/// How many names it looks at before it leaves the rest for another day.
const MAX_NAMES: usize = 4_000_000;

/// Removes hidden files of staged uploads below `root` that nobody is writing and that have not changed for
/// `older_than`; answers how many.
///
/// A file is told to be ours by its name, and to be dead by its lock. One that had its final name already, as another link,
/// keeps that. Symbolic links are not followed; deep or huge trees are swept in part. What cannot be looked at or removed is
/// left. It blocks.
///
/// # Errors
/// When `root` cannot be opened.
pub(in super::super) fn sweep(root: &Path, older_than: Duration) -> FsResult<usize> {
    let root = openat(CWD, root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut sweep = Sweep { dead_since: SystemTime::now().checked_sub(older_than), looked_at: 0, removed: 0 };
    sweep.directory(Arc::new(root), 0);
    Ok(sweep.removed)
}

/// As [`sweep`], for the one directory `place`, which its user sees as empty.
pub(super) fn sweep_directory(place: &Place) -> FsResult<usize> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = readable(openat(&*place.directory, &place.name, flags, Mode::empty())?)?;
    let mut sweep = Sweep { dead_since: Some(SystemTime::now()), looked_at: 0, removed: 0 };
    sweep.directory(Arc::new(directory), MAX_DEPTH);
    Ok(sweep.removed)
}

struct Sweep {
    /// What changed later is left alone.
    dead_since: Option<SystemTime>,
    looked_at: usize,
    removed: usize,
}

impl Sweep {
    fn directory(&mut self, directory: Arc<OwnedFd>, depth: usize) {
        let mut names = Names::new(Arc::clone(&directory), BUFFER);
        while self.looked_at < MAX_NAMES && !names.is_at_end() {
            let mut batch = Vec::new();
            if names.read(|name, kind| batch.push((name.to_bytes().to_vec(), kind))).is_err() {
                return;
            }
            self.looked_at += batch.len();
            for (name, kind) in batch {
                let place = Place { directory: Arc::clone(&directory), name };
                if names::is_hidden(&place.name) {
                    if matches!(self.remove_dead(&place), Ok(true)) {
                        self.removed += 1;
                    }
                } else if kind == FileType::Directory && depth < MAX_DEPTH {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    if let Ok(below) = openat(&*directory, &place.name, flags, Mode::empty()) {
                        self.directory(Arc::new(below), depth + 1);
                    }
                }
            }
        }
    }

    fn remove_dead(&self, place: &Place) -> FsResult<bool> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(&*place.directory, &place.name, flags, Mode::empty())?;
        let open = metadata_of_handle(&file)?;
        regular(&open)?;
        let changed = u64::try_from(open.modified.seconds).unwrap_or(0);
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(changed);
        if self.dead_since.is_none_or(|limit| changed > limit) {
            return Ok(false);
        }
        // Whoever writes it holds the lock; having it, nobody does.
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let named = metadata_at(place, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO)?;
        if (named.device, named.inode) != (open.device, open.inode) {
            return Ok(false);
        }
        unlinkat(&*place.directory, &place.name, AtFlags::empty())?;
        Ok(true)
    }
}
