//! From a path to a handle, without ever leaving the root.
//!
//! The kernel resolves beneath the open root in one call where it can (`openat2`). It refuses every absolute link,
//! though, and a host's administrator means `/srv/ann/music` by a link of that text, not `/srv/ann/srv/ann/music`. So
//! where the kernel refuses, and where it lacks the call, [`Root::walk`] goes component by component. It holds a handle
//! on each directory that it came through and never looks up two names at once, so nothing that is renamed or replaced
//! meanwhile can lead it out.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    Access, AtFlags, CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, accessat, fstat, fstatfs,
    openat, openat2, readlink, readlinkat,
};
use rustix::io::Errno;

use super::super::{FsErrorKind, FsResult, Metadata, Storage};
use super::linux::{metadata_of_handle, readable};
use super::{DirectoryId, Lookup};
use crate::VPath;

/// How many links one path may lead through, as in the kernel.
const MAX_LINKS: usize = 40;

/// How many directories deep a path may lead where it is walked: each is an open handle meanwhile.
const MAX_DEPTH: usize = 256;

/// An open directory that paths are resolved beneath.
#[derive(Debug)]
pub(super) struct Root {
    handle: Arc<OwnedFd>,
    directory: DirectoryId,
    /// The absolute paths that the root goes by: as configured, and as the kernel knows it.
    names: Vec<Vec<u8>>,
    /// What the kernel must hold to; nothing where it cannot.
    confinement: Option<ResolveFlags>,
    /// What it lies on.
    storage: Storage,
    /// Whether what leads away from the root's own file system is an error.
    stays: bool,
}

/// A name in an open directory: what operations on names work with.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) directory: Arc<OwnedFd>,
    pub(super) name: Vec<u8>,
}

/// What becomes of a symbolic link at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Follow,
    Keep,
}

impl Root {
    pub(super) fn open(path: &Path) -> FsResult<Self> {
        let handle = openat(CWD, path, Self::FLAGS, Mode::empty())?;
        let real = std::fs::canonicalize(path)?.into_os_string().into_vec();
        let root = Self::new(handle, path, real)?;
        let probe = openat2(&*root.handle, c".", Self::FLAGS, Mode::empty(), ResolveFlags::BENEATH);
        // A kernel without the call, or a sandbox that forbids it.
        let confinement = root.confinement.filter(|_| probe.is_ok());
        Ok(Self { confinement, ..root })
    }

    /// The same, if that needs neither a disk nor a network; any error means that it may.
    pub(super) fn find_cached(path: &Path) -> FsResult<Self> {
        let find = |resolve| openat2(CWD, path, Self::FLAGS, Mode::empty(), ResolveFlags::CACHED | resolve);
        let direct = if is_plain(path) { find(ResolveFlags::NO_SYMLINKS) } else { Err(Errno::LOOP) };
        let (handle, real) = match direct {
            // Where no link leads there the path is the real one, and the kernel need not be asked for it.
            Ok(handle) => (handle, path.as_os_str().as_bytes().to_vec()),
            Err(Errno::LOOP) => {
                let handle = find(ResolveFlags::empty())?;
                let real = readlink(format!("/proc/self/fd/{}", handle.as_raw_fd()), Vec::new())?;
                (handle, real.into_bytes())
            }
            Err(error) => return Err(error.into()),
        };
        let root = Self::new(handle, path, real)?;
        if root.storage.has_caches() { Ok(root) } else { Err(FsErrorKind::Unsupported.into()) }
    }

    const FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

    /// The directory `handle`, found as `path`, whose real path is `real`.
    fn new(handle: OwnedFd, path: &Path, real: Vec<u8>) -> FsResult<Self> {
        let confinement = match real.as_slice() {
            b"/" => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            _ => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        };
        let mut names = vec![real];
        if path.is_absolute() && names.iter().all(|real| real != path.as_os_str().as_bytes()) {
            names.push(path.as_os_str().as_bytes().to_vec());
        }
        let directory = DirectoryId::of(&handle)?;
        Ok(Self {
            storage: Storage::of(&handle),
            handle: Arc::new(handle),
            directory,
            names,
            confinement: Some(confinement),
            stays: false,
        })
    }

    /// The same root as far as it lies in memory, where nothing ever waits for a device: an error tells what leads on to
    /// another file system, or may. `None` where it lies elsewhere.
    pub(super) fn in_memory(&self) -> Option<Self> {
        let confinement = self.confinement.filter(|_| self.storage == Storage::Memory)?;
        Some(Self {
            handle: Arc::clone(&self.handle),
            directory: self.directory,
            names: self.names.clone(),
            confinement: Some(confinement | ResolveFlags::NO_XDEV),
            storage: self.storage,
            stays: true,
        })
    }

    /// Which directory it is.
    pub(super) fn directory(&self) -> DirectoryId {
        self.directory
    }

    /// Whether a sandbox keeps the calling thread out of a directory that it has the rights for.
    pub(super) fn is_shut_off(&self) -> bool {
        // To find a directory needs no right that a sandbox might take, to open it does; what the modes allow can be
        // asked for besides.
        matches!(readable(&*self.handle), Err(Errno::ACCESS))
            && accessat(&*self.handle, c".", Access::READ_OK, AtFlags::EACCESS).is_ok()
    }

    /// Whether both are the same directory, and go by the same names.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.directory == other.directory && self.names == other.names
    }

    /// The same root, as a kernel without `openat2` resolves beneath it.
    #[cfg(test)]
    pub(super) fn walking(self) -> Self {
        Self { confinement: None, ..self }
    }

    /// Opens what `path`, relative to the root, leads to. `NOFOLLOW` keeps a link at its end.
    pub(super) fn open_at(&self, path: &[u8], flags: OFlags, lookup: Lookup) -> FsResult<OwnedFd> {
        // `openat2` takes nothing besides with a handle that is for finding only.
        let terminal = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NOCTTY };
        let flags = flags | terminal | OFlags::CLOEXEC;
        let mode = if flags.contains(OFlags::CREATE) { Mode::from(0o666) } else { Mode::empty() };
        if lookup == Lookup::Cache {
            return self.open_cached(path, flags);
        }
        if let Some(confinement) = self.confinement {
            match openat2(&*self.handle, path, flags, mode, confinement) {
                // An absolute link, or a rename that crossed our way: look closer.
                Err(Errno::XDEV | Errno::AGAIN) => {}
                opened => return self.shown(opened?),
            }
        }
        let last = if flags.contains(OFlags::NOFOLLOW) { Last::Keep } else { Last::Follow };
        let place = self.walk(path, last)?;
        self.shown(openat(&*place.directory, &place.name, flags | OFlags::NOFOLLOW, mode)?)
    }

    /// Passes on what clients may see: everything below the root but procfs. There the kernel shows a process its own
    /// memory map, open files and environment, whoever its thread works for, and the process is the server. Who serves a
    /// procfs itself means it.
    fn shown<T: AsFd>(&self, handle: T) -> FsResult<T> {
        // A server on the network would have to be asked what it is; on which device it is, is known.
        let may_be_procfs = !self.stays && metadata_of_handle(&handle)?.device != self.directory.device;
        if may_be_procfs && is_procfs(&handle) && !is_procfs(&*self.handle) {
            return Err(FsErrorKind::PermissionDenied.into());
        }
        Ok(handle)
    }

    /// Whether anything can be found below it without a wait.
    pub(super) fn has_caches(&self) -> bool {
        self.confinement.is_some() && self.storage.has_caches()
    }

    /// Opens what `path` leads to if that needs neither a disk nor a network; any error means that it may.
    fn open_cached(&self, path: &[u8], flags: OFlags) -> FsResult<OwnedFd> {
        let Some(confinement) = self.confinement.filter(|_| self.storage.has_caches()) else {
            return Err(FsErrorKind::Unsupported.into());
        };
        // Another file system may be mounted below, one that asks a server on every open.
        let resolve = confinement | ResolveFlags::CACHED | ResolveFlags::NO_XDEV;
        Ok(openat2(&*self.handle, path, flags, Mode::empty(), resolve)?)
    }

    /// The directory that `path` is in, and its name there. The root itself is in no directory.
    pub(super) fn parent(&self, path: &VPath) -> FsResult<Place> {
        let name = path.file_name().ok_or(FsErrorKind::PermissionDenied)?.to_vec();
        let parent = path.parent();
        let directory = if parent.is_root() {
            Arc::clone(&self.handle)
        } else {
            Arc::new(self.open_at(parent.relative(), OFlags::PATH | OFlags::DIRECTORY, Lookup::Disk)?)
        };
        Ok(Place { directory, name })
    }

    /// Where `path` really is, or would be created: links at its end are followed.
    pub(super) fn place(&self, path: &VPath) -> FsResult<Place> {
        let place = self.parent(path)?;
        match readlinkat(&*place.directory, &place.name, Vec::new()) {
            Err(Errno::INVAL | Errno::NOENT) => Ok(place),
            Ok(_) => {
                let place = self.walk(path.relative(), Last::Follow)?;
                self.shown(&*place.directory)?;
                Ok(place)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Goes from the root to the directory that holds the end of `path`.
    fn walk(&self, path: &[u8], last: Last) -> FsResult<Place> {
        if self.stays {
            return Err(FsErrorKind::Unsupported.into());
        }
        let mut above = vec![Arc::clone(&self.handle)];
        let mut ahead = Vec::new();
        push_components(&mut ahead, path);
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            let Some(current) = above.last().cloned() else {
                return Err(FsErrorKind::OutsideHome.into());
            };
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    above.pop();
                    if above.is_empty() && self.is_everything() {
                        above.push(current);
                    }
                    continue;
                }
                _ if ahead.is_empty() && last == Last::Keep => {
                    return Ok(Place { directory: current, name });
                }
                _ => {}
            }
            let handle = match openat(
                &*current,
                &name,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            ) {
                Err(Errno::NOENT) if ahead.is_empty() => {
                    return Ok(Place { directory: current, name });
                }
                opened => opened?,
            };
            match FileType::from_raw_mode(fstat(&handle)?.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    let target = readlinkat(&handle, c"", Vec::new())?.into_bytes();
                    if target.starts_with(b"/") {
                        above.truncate(1);
                    }
                    if links > MAX_LINKS {
                        return Err(FsErrorKind::TooManyLinks.into());
                    }
                    push_components(&mut ahead, self.below(&target)?);
                }
                _ if ahead.is_empty() => {
                    return Ok(Place { directory: current, name });
                }
                FileType::Directory if above.len() >= MAX_DEPTH => {
                    return Err(FsErrorKind::NameTooLong.into());
                }
                FileType::Directory => above.push(Arc::new(handle)),
                _ => return Err(FsErrorKind::NotADirectory.into()),
            }
        }
        let directory = above.pop().ok_or(FsErrorKind::OutsideHome)?;
        Ok(Place { directory, name: b".".to_vec() })
    }

    /// The text of a link as it reads from the root: an absolute one must name something below it.
    pub(super) fn below<'a>(&self, target: &'a [u8]) -> FsResult<&'a [u8]> {
        if !target.starts_with(b"/") {
            return Ok(target);
        }
        let rest = self.names.iter().find_map(|name| strip_components(target, name));
        rest.or_else(|| self.below_on_host(target)).ok_or_else(|| FsErrorKind::OutsideHome.into())
    }

    /// What is left of a path of the host behind the root, which may have more names than those it was configured and
    /// is known by: `/home` is often a link itself. It only tells what to look for beneath the root.
    fn below_on_host<'a>(&self, target: &'a [u8]) -> Option<&'a [u8]> {
        let ends = (1..=target.len()).filter(|&end| matches!(target.get(end), None | Some(b'/')));
        for end in ends {
            let (path, rest) = target.split_at_checked(end)?;
            let directory = openat(CWD, path, Self::FLAGS, Mode::empty()).ok()?;
            if DirectoryId::of(&directory).ok()? == self.directory {
                return Some(rest);
            }
        }
        None
    }

    /// Whether what leads away from the root's own file system is an error.
    pub(super) fn stays(&self) -> bool {
        self.stays
    }

    /// Whether a file that was found by `lookup` lies in memory, and not perhaps on another file system.
    pub(super) fn keeps_in_memory(&self, lookup: Lookup) -> bool {
        self.storage == Storage::Memory && (self.stays || lookup == Lookup::Cache)
    }

    /// Whether the root is that of the real file system.
    fn is_everything(&self) -> bool {
        self.names.first().is_some_and(|real| real == b"/")
    }
}

impl DirectoryId {
    fn of(handle: impl AsFd) -> FsResult<Self> {
        let Metadata { device, inode, .. } = metadata_of_handle(handle)?;
        Ok(Self { device, inode })
    }
}

fn is_procfs(handle: impl AsFd) -> bool {
    fstatfs(handle).is_ok_and(|found| found.f_type == PROC_SUPER_MAGIC)
}

/// Whether the absolute `path` names each directory once, as the kernel spells paths.
fn is_plain(path: &Path) -> bool {
    let components = path.as_os_str().as_bytes().strip_prefix(b"/");
    components
        .is_some_and(|path| path.split(|&byte| byte == b'/').all(|name| !matches!(name, b"" | b"." | b"..")))
}

/// Puts the components of `path` on the stack, the first on top.
fn push_components(stack: &mut Vec<Vec<u8>>, path: &[u8]) {
    stack.extend(path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
}

/// What is left of the absolute `path` behind the components of `prefix`; `None` when it starts otherwise.
fn strip_components<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let mut rest = path;
    for component in prefix.split(|&byte| byte == b'/').filter(|component| !component.is_empty()) {
        while let Some(shorter) = rest.strip_prefix(b"/") {
            rest = shorter;
        }
        rest = rest.strip_prefix(component)?;
        if !(rest.is_empty() || rest.starts_with(b"/")) {
            return None;
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_known_by_all_its_names() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).into_os_string().into_vec();
        std::fs::create_dir_all(directory.path().join("disk/home/ann")).unwrap();
        std::os::unix::fs::symlink("disk/home", directory.path().join("home")).unwrap();
        let root = Root::open(&directory.path().join("disk/home/ann").canonicalize().unwrap()).unwrap();
        for (target, expected) in [
            (at("disk/home/ann/music"), Some(b"/music".as_slice())),
            (at("home/ann/music/new"), Some(b"/music/new")),
            (at("home//ann"), Some(b"")),
            (b"music".to_vec(), Some(b"music")),
            (at("home/ann-2"), None),
            (at("home"), None),
            (b"/".to_vec(), None),
            (at("absent/ann"), None),
        ] {
            assert_eq!(root.below(&target).ok(), expected, "{}", target.escape_ascii());
        }
    }

    #[test]
    fn a_home_that_the_caches_know_goes_by_the_same_names() {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(at("disk/ann")).unwrap();
        std::os::unix::fs::symlink("disk", at("home")).unwrap();
        let check = |name: &str| {
            // The kernel gives up where another thread renames something meanwhile.
            let mut tries = (0..1_000).map(|_| Root::find_cached(&at(name)));
            match tries.find_map(Result::ok) {
                Some(found) => assert!(found.is_same(&Root::open(&at(name)).unwrap()), "{found:?}"),
                None => eprintln!("skipped {name}: no openat2 here"),
            }
        };
        ["disk/ann", "home/ann", "disk//ann", "disk/ann/", "disk/./ann", "home/../disk/ann"]
            .into_iter()
            .for_each(check);
        std::fs::rename(at("disk"), at("moved")).unwrap();
        assert!(Root::find_cached(&at("disk/ann")).is_err());
        assert!(Root::find_cached(&at("home/ann")).is_err());
        check("moved/ann");
    }

    #[test]
    fn prefixes_end_at_components() {
        for (path, prefix, expected) in [
            ("/srv/ann/music", "/srv/ann", Some("/music")),
            ("//srv//ann", "/srv/ann", Some("")),
            ("/srv/anna", "/srv/ann", None),
            ("/srv", "/srv/ann", None),
            ("/etc/passwd", "/", Some("/etc/passwd")),
            ("/srv/ann/../x", "/srv/ann", Some("/../x")),
        ] {
            assert_eq!(
                strip_components(path.as_bytes(), prefix.as_bytes()),
                expected.map(str::as_bytes),
                "{path} {prefix}"
            );
        }
    }
}
