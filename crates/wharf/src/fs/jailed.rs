//! A directory and nothing outside it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use wharf_sys::Identity;

use super::batches::Batches;
use super::tree::{self, DirectoryId, Found, Lookup, Recent, Tree, Upload};
use super::{
    Detail, Entries, FileSystem, FsErrorKind, FsResult, Metadata, Sink, Source, Timestamp, VPath, WriteMode,
    blocking,
};
use crate::Uploads;
use crate::auth::User;

/// A directory of the real disk, and nothing outside it.
///
/// # Confinement
/// The directory is opened once, and everything is found from that handle: no path is compared, and nothing that is
/// renamed or replaced meanwhile leads out. Symbolic links that stay inside work, relative ones and absolute ones
/// (judged as paths of the host); one that leads out is refused with
/// [`OutsideHome`](super::FsErrorKind::OutsideHome), even if it would come back in. The link itself can be renamed
/// and deleted all the same. What is mounted below the directory belongs to it, but for procfs, which is closed: it
/// would show the server's own memory map, open files and environment.
///
/// Outside Linux the standard library's means are weaker: links are judged before a path is used, so whoever can
/// replace directories *on the host* while a client works can lead it out.
///
/// # Files
/// Only regular files are read and written. New ones have mode 0666, directories 0777, less the process's umask.
/// An upload locks its file; a second one to the same name is told that it is in use, unless both are staged and will each
/// take its place whole.
///
/// Listings of up to 1,000 entries are sorted by the bytes of the names; larger ones come in the order of the disk.
#[derive(Clone, Debug)]
pub struct JailedFs {
    home: Arc<Path>,
    tree: Arc<Tree>,
    /// The same as far as it lies in memory, found out when it is first needed.
    in_memory: Arc<OnceLock<Option<Tree>>>,
    recent: Arc<Recent>,
    identity: Identity,
    uploads: Uploads,
}

/// Landlock knows directories, not their paths, and would refuse whatever is done in this one.
const REPLACED: &str =
    "the sandbox knows the directory that was here at the start, not this one: restart to serve it";

impl JailedFs {
    /// The files in `home`, with the rights of `identity`. It opens the directory, so it may block.
    ///
    /// # Errors
    /// When the directory cannot be opened, also because a sandbox has not heard of it, or the identity not entered.
    pub fn new(home: &Path, identity: &Identity) -> FsResult<Self> {
        let _entered = identity.enter()?;
        let found = Self::find(home, identity, Lookup::Disk)?;
        found.check_sandbox()?;
        Ok(found)
    }

    fn find(home: &Path, identity: &Identity, lookup: Lookup) -> FsResult<Self> {
        Ok(Self {
            home: Arc::from(home),
            tree: Arc::new(Tree::open(home, lookup)?),
            in_memory: Arc::default(),
            recent: Arc::default(),
            identity: identity.clone(),
            uploads: Uploads::default(),
        })
    }

    /// The files in the home of `user`, with the user's rights. It opens the directory, so it may block.
    ///
    /// # Errors
    /// When the directory cannot be opened, also because a sandbox has not heard of it, or the identity not entered.
    pub fn open(user: &User) -> FsResult<Self> {
        Self::new(&user.home, &user.identity)
    }

    /// As [`open`](Self::open), if that need not block; any error means that it may.
    pub(super) fn open_cached(user: &User) -> FsResult<Self> {
        if !user.identity.is_process() {
            return Err(FsErrorKind::Unsupported.into());
        }
        Self::find(&user.home, &user.identity, Lookup::Cache)
    }

    /// Whether both serve the same directory with the rights of the process.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let ours = self.identity.is_process() && other.identity.is_process();
        ours && self.home == other.home && self.tree.is_same(&other.tree)
    }

    /// Which directory it serves, whatever its path.
    pub(super) fn directory(&self) -> DirectoryId {
        self.tree.directory()
    }

    /// Makes sure that no sandbox keeps the calling thread out of a directory that it has the rights for.
    ///
    /// # Errors
    /// When one does.
    pub(super) fn check_sandbox(&self) -> FsResult<()> {
        if self.tree.is_shut_off() {
            return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, REPLACED).into());
        }
        Ok(())
    }

    /// The same, with other rules for uploads.
    pub fn with_uploads(self, uploads: Uploads) -> Self {
        Self { uploads, ..self }
    }

    /// The same, with what listings have told others.
    pub(super) fn with_recent(self, recent: Arc<Recent>) -> Self {
        Self { recent, ..self }
    }

    /// Removes what staged uploads left below `root` when a server was killed, and answers how many files that were.
    ///
    /// Nothing that is being written, or has changed within `older_than`, is touched. It reads the whole tree, and
    /// blocks while it does.
    ///
    /// # Errors
    /// When `root` cannot be opened.
    pub fn sweep(root: &Path, older_than: Duration) -> FsResult<usize> {
        tree::sweep(root, older_than)
    }

    /// The same, as a kernel without `openat2` serves it.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn walking(self) -> Self {
        let tree = Arc::into_inner(self.tree).expect("nobody else has it yet");
        Self { tree: Arc::new(tree.walking()), in_memory: Arc::default(), ..self }
    }

    /// Carries out `work` on the blocking pool: one hop.
    async fn hop<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> FsResult<T> + Send + 'static,
    ) -> FsResult<T> {
        let tree = Arc::clone(&self.tree);
        blocking(&self.identity, move || work(&tree)).await
    }

    /// Carries out `work` at once if the kernel's caches have all that it needs, and by a hop otherwise.
    async fn hop_unless_cached<T: Send + 'static>(
        &self,
        work: impl Fn(&Tree, Lookup) -> FsResult<T> + Send + 'static,
    ) -> FsResult<T> {
        if self.identity.is_process()
            && let Ok(done) = work(&self.tree, Lookup::Cache)
        {
            return Ok(done);
        }
        self.hop(move |tree| work(tree, Lookup::Disk)).await
    }

    /// Carries out `work` at once on a file system that has nothing but memory, and by a hop otherwise.
    async fn hop_unless_in_memory<T: Send + 'static>(
        &self,
        work: impl Fn(&Tree) -> FsResult<T> + Send + 'static,
    ) -> FsResult<T> {
        match self.try_in_memory(&work) {
            Some(done) => Ok(done),
            None => self.hop(work).await,
        }
    }

    /// What `work` comes to where that takes memory alone.
    fn try_in_memory<T>(&self, work: impl Fn(&Tree) -> FsResult<T>) -> Option<T> {
        if !self.identity.is_process() {
            return None;
        }
        let tree = self.in_memory.get_or_init(|| self.tree.in_memory());
        // What goes wrong goes wrong again in the hop, which tells why.
        tree.as_ref().and_then(|tree| work(tree).ok())
    }

    /// The sink of an upload, which goes on and ends with the rights that it began with.
    fn sink(&self, file: std::fs::File, upload: Upload) -> Sink {
        let empties = upload.empties();
        let sink = Sink::file(file, move |file, ending| upload.finish(file, ending));
        let sink = sink.written_by(self.identity.clone());
        if empties { sink.begun_by(|file| Ok(file.set_len(0)?)) } else { sink }
    }
}

#[deny(clippy::missing_trait_methods)]
impl FileSystem for JailedFs {
    fn start(&self) -> VPath {
        VPath::root()
    }

    fn local_path(&self, path: &VPath) -> Option<PathBuf> {
        tree::native(path.relative()).map(|relative| self.home.join(relative))
    }

    async fn metadata(&self, path: &VPath) -> FsResult<Metadata> {
        let path = path.clone();
        self.hop_unless_cached(move |tree, lookup| tree.metadata(&path, lookup)).await
    }

    async fn link_metadata(&self, path: &VPath) -> FsResult<Metadata> {
        let path = path.clone();
        self.hop(move |tree| tree.link_metadata(&path)).await
    }

    async fn enter(&self, path: &VPath) -> FsResult<()> {
        let path = path.clone();
        self.hop_unless_cached(move |tree, lookup| tree.enter(&path, lookup)).await
    }

    async fn list(&self, path: &VPath, detail: Detail) -> FsResult<Entries> {
        if self.identity.is_process()
            && let Ok(entries) = self.tree.list_cached(path, detail, &self.recent)
        {
            return Ok(Entries::of(entries));
        }
        let (tree, recent) = (Arc::clone(&self.tree), Arc::clone(&self.recent));
        let (path, identity) = (path.clone(), self.identity.clone());
        // The listing takes on the rights itself: names of owners are asked for without them.
        let list = move || tree.list(&path, detail, &identity, &recent);
        let found = blocking(&Identity::process(), list).await?;
        Ok(match found {
            Found::Directory(first, listing) => Entries::directory(Batches::new(first, listing)),
            Found::Single(entry) => Entries::single(entry),
        })
    }

    async fn read(&self, path: &VPath, from: u64) -> FsResult<Source> {
        let path = path.clone();
        self.hop_unless_cached(move |tree, lookup| tree.read(&path, from, lookup)).await
    }

    async fn write(&self, path: &VPath, mode: WriteMode) -> FsResult<Sink> {
        let (path, uploads) = (path.clone(), self.uploads);
        let write = move |tree: &Tree| tree.write(&path, mode, uploads);
        if let Some((file, upload)) = self.try_in_memory(&write) {
            return Ok(Sink { in_memory: true, ..self.sink(file, upload) });
        }
        let (file, upload) = self.hop(write).await?;
        Ok(self.sink(file, upload))
    }

    async fn write_unique(&self, directory: &VPath, prefix: &[u8]) -> FsResult<(VPath, Sink)> {
        let (directory, prefix, uploads) = (directory.clone(), prefix.to_vec(), self.uploads);
        let (path, file, upload) =
            self.hop(move |tree| tree.write_unique(&directory, &prefix, uploads)).await?;
        Ok((path, self.sink(file, upload)))
    }

    async fn create_dir(&self, path: &VPath) -> FsResult<()> {
        let path = path.clone();
        self.hop_unless_in_memory(move |tree| tree.create_dir(&path)).await
    }

    async fn remove_dir(&self, path: &VPath) -> FsResult<()> {
        let path = path.clone();
        self.hop(move |tree| tree.remove_dir(&path)).await
    }

    async fn remove_file(&self, path: &VPath) -> FsResult<()> {
        let path = path.clone();
        self.hop_unless_in_memory(move |tree| tree.remove_file(&path)).await
    }

    async fn rename(&self, from: &VPath, to: &VPath) -> FsResult<()> {
        let (from, to) = (from.clone(), to.clone());
        self.hop(move |tree| tree.rename(&from, &to)).await
    }

    async fn set_modified(&self, path: &VPath, time: Timestamp) -> FsResult<()> {
        let path = path.clone();
        self.hop(move |tree| tree.set_modified(&path, time)).await
    }

    async fn set_mode(&self, path: &VPath, mode: u32) -> FsResult<()> {
        let path = path.clone();
        self.hop(move |tree| tree.set_mode(&path, mode)).await
    }
}

#[cfg(test)]
mod tests;
