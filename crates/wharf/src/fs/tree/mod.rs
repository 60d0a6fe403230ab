//! A directory of the real disk, as [`JailedFs`](super::JailedFs) and `UnixFs` serve it.
//!
//! Everything here blocks; the types above bring it to the blocking pool with the rights of the user. Linux has
//! handles and `openat2` for it, elsewhere [`portable`] does with what the standard library offers.

#[cfg(target_os = "linux")]
mod directory;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod listing;
mod names;
#[cfg(target_os = "linux")]
mod owners;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(target_os = "linux")]
mod recent;
#[cfg(target_os = "linux")]
mod resolve;
#[cfg(target_os = "linux")]
mod staged;
#[cfg(target_os = "linux")]
mod sweep;
#[cfg(target_os = "linux")]
mod upload;

use super::{Entry, FsErrorKind, FsResult, VPath};

#[cfg(target_os = "linux")]
pub(super) use self::linux::Tree;
#[cfg(target_os = "linux")]
pub(super) use self::listing::Listing;
#[cfg(not(target_os = "linux"))]
pub(super) use self::portable::{Listing, Recent, Tree, Upload, sweep};
#[cfg(target_os = "linux")]
pub(super) use self::recent::Recent;
#[cfg(target_os = "linux")]
pub(super) use self::sweep::sweep;
#[cfg(target_os = "linux")]
pub(super) use self::upload::Upload;

/// A directory, whatever path leads to it. Where paths are all there is it is always the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DirectoryId {
    device: u64,
    inode: u64,
}

/// What a path that is to be listed names.
#[derive(Debug)]
pub(super) enum Found {
    /// A directory, and its first entries.
    Directory(Vec<Entry>, Listing),
    /// Something else.
    Single(Entry),
}

/// How long an operation may take to find a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Only as long as memory needs; whatever would take longer is an error.
    Cache,
    /// As long as the disk needs.
    Disk,
}

/// A relative path of the client as one of this system; `None` where it can be none.
#[cfg(unix)]
pub(super) fn native(relative: &[u8]) -> Option<&std::path::Path> {
    use std::os::unix::ffi::OsStrExt;
    Some(std::path::Path::new(std::ffi::OsStr::from_bytes(relative)))
}

/// A relative path of the client as one of this system; `None` where it can be none.
#[cfg(not(unix))]
pub(super) fn native(relative: &[u8]) -> Option<&std::path::Path> {
    std::str::from_utf8(relative).ok().map(std::path::Path::new)
}

/// Refuses paths that lead through the hidden name of an upload: to clients there is no such thing.
fn visible(path: &VPath) -> FsResult<()> {
    if path.components().any(names::is_hidden) { Err(FsErrorKind::NotFound.into()) } else { Ok(()) }
}

/// Refuses paths whose end would have a name that clients cannot see.
fn creatable(path: &VPath) -> FsResult<()> {
    visible(&path.parent())?;
    if path.file_name().is_some_and(names::is_hidden) { Err(FsErrorKind::InvalidName.into()) } else { Ok(()) }
}
