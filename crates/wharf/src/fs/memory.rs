//! A file system in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures_core::Stream;

use super::{
    ByteSink, Detail, Ending, Entries, Entry, FileSystem, FsErrorKind, FsResult, Metadata, Sink, Source,
    Timestamp, VPath, WriteMode,
};

/// How much a download yields at once, in bytes.
const PIECE: usize = 64 << 10;

/// A file system in memory, for tests of FTP clients. Clones share it.
///
/// ```
/// use wharf::fs::MemoryFs;
///
/// let files = MemoryFs::new().with_file("/pub/hello.txt", "hello");
/// assert_eq!(files.file("/pub/hello.txt").as_deref(), Some(b"hello".as_slice()));
/// assert_eq!(files.file("/pub"), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryFs {
    nodes: Arc<Mutex<Nodes>>,
}

/// All files and directories by path; the root is implied.
type Nodes = BTreeMap<VPath, Node>;

/// The bytes of a file, which an upload keeps even if the file is renamed or removed.
type Content = Arc<Mutex<Vec<u8>>>;

#[derive(Debug)]
struct Node {
    /// None for a directory.
    content: Option<Content>,
    modified: Timestamp,
    mode: u32,
}

impl MemoryFs {
    /// An empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a file, and the directories that lead to it. What was there is replaced.
    ///
    /// # Panics
    /// When `path` is none, names the root, or leads through a file.
    pub fn with_file(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let path = VPath::parse(path.as_bytes()).expect("a path holds no line ends and is not too long");
        assert!(!path.is_root(), "the root is a directory");
        let mut nodes = self.lock();
        let mut above = path.parent();
        while !above.is_root() {
            let node = nodes.entry(above.clone()).or_insert_with(Node::directory);
            assert!(node.content.is_none(), "{above} is a file");
            above = above.parent();
        }
        nodes.insert(path, Node::file(bytes.into()));
        drop(nodes);
        self
    }

    /// The bytes of a file; `None` when there is none of that name.
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        let path = VPath::parse(path.as_bytes()).ok()?;
        let content = self.lock().get(&path)?.content.clone()?;
        let bytes = content.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, path: &VPath, mode: WriteMode) -> FsResult<MemorySink> {
        let mut nodes = self.lock();
        let existing = match find(&nodes, path) {
            Ok(metadata) => Some(content_of(&nodes, path, &metadata)?),
            Err(_) if !matches!(mode, WriteMode::At(_)) => None,
            Err(error) => return Err(error),
        };
        let content = match existing {
            Some(content) => content,
            None => {
                parent_of(&nodes, path)?;
                let node = Node::file(Vec::new());
                let content = node.content.clone().unwrap_or_default();
                nodes.insert(path.clone(), node);
                content
            }
        };
        let bytes = content.lock().unwrap_or_else(PoisonError::into_inner);
        let position = match mode {
            WriteMode::Replace => 0,
            WriteMode::Append => bytes.len(),
            WriteMode::At(offset) => offset_in(&bytes, offset)?,
        };
        drop(bytes);
        let empties = mode == WriteMode::Replace;
        Ok(MemorySink { files: self.clone(), path: path.clone(), content, position, empties })
    }
}

impl FileSystem for MemoryFs {
    async fn metadata(&self, path: &VPath) -> FsResult<Metadata> {
        find(&self.lock(), path)
    }

    async fn list(&self, path: &VPath, detail: Detail) -> FsResult<Entries> {
        let _ = detail; // everything is at hand
        let nodes = self.lock();
        let metadata = find(&nodes, path)?;
        if !metadata.is_dir() {
            return Ok(Entries::single(entry(path, metadata)));
        }
        let children = nodes.iter().filter(|(child, _)| child.parent() == *path);
        let mut entries: Vec<_> = children.map(|(child, node)| entry(child, node.metadata())).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Entries::of(entries))
    }

    async fn read(&self, path: &VPath, from: u64) -> FsResult<Source> {
        let nodes = self.lock();
        let content = content_of(&nodes, path, &find(&nodes, path)?)?;
        let bytes = content.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = bytes.get(offset_in(&bytes, from)?..).unwrap_or_default();
        Ok(Source::stream(Pieces(Bytes::copy_from_slice(rest))))
    }

    async fn write(&self, path: &VPath, mode: WriteMode) -> FsResult<Sink> {
        self.begin(path, mode).map(Sink::stream)
    }

    async fn write_unique(&self, directory: &VPath, prefix: &[u8]) -> FsResult<(VPath, Sink)> {
        let mut number = 1;
        let path = loop {
            let name = [prefix, format!(".{number}").as_bytes()].concat();
            let path = directory.join(&name).map_err(|_| FsErrorKind::InvalidName)?;
            if find(&self.lock(), &path).is_err() {
                break path;
            }
            number += 1;
        };
        let sink = self.begin(&path, WriteMode::Replace)?;
        Ok((path, Sink::stream(sink)))
    }

    async fn create_dir(&self, path: &VPath) -> FsResult<()> {
        let mut nodes = self.lock();
        if find(&nodes, path).is_ok() {
            return Err(FsErrorKind::AlreadyExists.into());
        }
        parent_of(&nodes, path)?;
        nodes.insert(path.clone(), Node::directory());
        Ok(())
    }

    async fn remove_dir(&self, path: &VPath) -> FsResult<()> {
        let mut nodes = self.lock();
        if !find(&nodes, path)?.is_dir() {
            return Err(FsErrorKind::NotADirectory.into());
        }
        if nodes.keys().any(|other| other != path && other.starts_with(path)) {
            return Err(FsErrorKind::DirectoryNotEmpty.into());
        }
        nodes.remove(path).map(drop).ok_or_else(|| FsErrorKind::PermissionDenied.into())
    }

    async fn remove_file(&self, path: &VPath) -> FsResult<()> {
        let mut nodes = self.lock();
        if find(&nodes, path)?.is_dir() {
            return Err(FsErrorKind::IsADirectory.into());
        }
        nodes.remove(path);
        Ok(())
    }

    async fn rename(&self, from: &VPath, to: &VPath) -> FsResult<()> {
        let mut nodes = self.lock();
        let moved = find(&nodes, from)?;
        parent_of(&nodes, to)?;
        if from.is_root() || (from != to && to.starts_with(from)) {
            return Err(FsErrorKind::InvalidName.into());
        }
        if from == to {
            return Ok(());
        }
        if let Ok(replaced) = find(&nodes, to) {
            match (moved.is_dir(), replaced.is_dir()) {
                (false, true) => return Err(FsErrorKind::IsADirectory.into()),
                (true, false) => return Err(FsErrorKind::NotADirectory.into()),
                (true, true) => return Err(FsErrorKind::DirectoryNotEmpty.into()),
                (false, false) => {}
            }
        }
        let paths: Vec<_> = nodes.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in paths {
            let rest = path.as_bytes().get(from.as_bytes().len()..).unwrap_or_default();
            let renamed =
                VPath::parse(&[to.as_bytes(), rest].concat()).map_err(|_| FsErrorKind::NameTooLong)?;
            if let Some(node) = nodes.remove(&path) {
                nodes.insert(renamed, node);
            }
        }
        Ok(())
    }

    async fn set_modified(&self, path: &VPath, time: Timestamp) -> FsResult<()> {
        let mut nodes = self.lock();
        find(&nodes, path)?;
        nodes.get_mut(path).ok_or(FsErrorKind::PermissionDenied)?.modified = time;
        Ok(())
    }

    async fn set_mode(&self, path: &VPath, mode: u32) -> FsResult<()> {
        let mut nodes = self.lock();
        find(&nodes, path)?;
        nodes.get_mut(path).ok_or(FsErrorKind::PermissionDenied)?.mode = mode & 0o7777;
        Ok(())
    }
}

impl Node {
    fn directory() -> Self {
        Self { content: None, modified: now(), mode: 0o755 }
    }

    fn file(bytes: Vec<u8>) -> Self {
        Self { content: Some(Arc::new(Mutex::new(bytes))), modified: now(), mode: 0o644 }
    }

    fn metadata(&self) -> Metadata {
        let metadata = match &self.content {
            None => Metadata::directory(),
            Some(content) => {
                Metadata::file(content.lock().unwrap_or_else(PoisonError::into_inner).len() as u64)
            }
        };
        Metadata { modified: self.modified, mode: self.mode, ..metadata }
    }
}

/// An upload in progress. What comes is there at once, as on a disk.
struct MemorySink {
    files: MemoryFs,
    path: VPath,
    content: Content,
    position: usize,
    /// What the file holds is to go before anything is written.
    empties: bool,
}

impl ByteSink for MemorySink {
    async fn write(&mut self, piece: Bytes) -> FsResult<()> {
        let mut bytes = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut self.empties) {
            bytes.clear();
        }
        let end = self.position + piece.len();
        let replaced = end.min(bytes.len());
        bytes.splice(self.position.min(replaced)..replaced, piece);
        self.position = end;
        Ok(())
    }

    async fn finish(mut self, ending: Ending) -> FsResult<()> {
        if ending == Ending::Aborted && self.empties {
            return Ok(());
        }
        self.write(Bytes::new()).await?;
        if let Some(node) = self.files.lock().get_mut(&self.path) {
            node.modified = now();
        }
        Ok(())
    }
}

/// A download in progress.
struct Pieces(Bytes);

impl Stream for Pieces {
    type Item = FsResult<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let length = self.0.len().min(PIECE);
        let piece = self.0.split_to(length);
        std::task::Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }
}

fn find(nodes: &Nodes, path: &VPath) -> FsResult<Metadata> {
    match nodes.get(path) {
        Some(node) => Ok(node.metadata()),
        None if path.is_root() => Ok(Metadata::directory()),
        None => Err(FsErrorKind::NotFound.into()),
    }
}

/// Succeeds when a new `path` would be in an existing directory.
fn parent_of(nodes: &Nodes, path: &VPath) -> FsResult<()> {
    if find(nodes, &path.parent())?.is_dir() { Ok(()) } else { Err(FsErrorKind::NotADirectory.into()) }
}

fn content_of(nodes: &Nodes, path: &VPath, metadata: &Metadata) -> FsResult<Content> {
    if metadata.is_dir() {
        return Err(FsErrorKind::IsADirectory.into());
    }
    nodes.get(path).and_then(|node| node.content.clone()).ok_or_else(|| FsErrorKind::NotFound.into())
}

fn offset_in(bytes: &[u8], offset: u64) -> FsResult<usize> {
    let size = bytes.len();
    let offset = usize::try_from(offset).ok().filter(|offset| *offset <= size);
    offset.ok_or_else(|| FsErrorKind::OffsetBeyondEnd(size as u64).into())
}

fn entry(path: &VPath, metadata: Metadata) -> Entry {
    let name = path.file_name().unwrap_or_default().into();
    Entry { name, metadata, link_target: None, owner: None, group: None }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: since.subsec_nanos(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_the_contract() {
        let files = MemoryFs::new();
        crate::fs::conformance::check(&files, &VPath::root()).await;
        assert_eq!(files.with_file("/a/b", "deep").clone().file("/a/b").unwrap(), b"deep");
    }

    #[tokio::test]
    async fn an_upload_that_never_begins_leaves_the_old_file() {
        let files = MemoryFs::new().with_file("/a", "old");
        let begin =
            || async { files.write(&VPath::parse(b"/a").unwrap(), WriteMode::Replace).await.unwrap() };
        drop(begin().await);
        begin().await.finish(Ending::Aborted).await.unwrap();
        assert_eq!(files.file("/a").unwrap(), b"old");
        begin().await.finish(Ending::Complete).await.unwrap();
        assert_eq!(files.file("/a").unwrap(), b"");
    }
}
