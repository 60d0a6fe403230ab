//! The rules that every [`FileSystem`] must keep, as a test.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use wharf::VPath;
//! use wharf::fs::{MemoryFs, conformance};
//!
//! conformance::check(&MemoryFs::new(), &VPath::root()).await;
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
#![allow(clippy::panic, reason = "it is a test, and panics are how it reports")]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::poll_fn;
use std::io::{Read, Seek, SeekFrom, Write};

use wharf_sys::Identity;

use super::source::{SinkKind, SourceKind};
use super::{
    Detail, Ending, Entry, FileKind, FileSystem, FsErrorKind, FsResult, Sink, Source, Timestamp, VPath,
    WriteMode, blocking,
};

/// Checks that `fs` keeps the contract, by working in `directory`: an existing, empty one that is left empty.
///
/// # Panics
/// With the rule that is broken.
pub async fn check<F: FileSystem>(fs: &F, directory: &VPath) {
    let suite = Suite { fs, directory };
    suite.directories().await;
    suite.reading().await;
    suite.writing().await;
    suite.failures_change_nothing().await;
    suite.renaming().await;
    suite.listing().await;
    suite.names_are_bytes().await;
    suite.unique_names().await;
    suite.optional_verbs().await;
    suite.the_root_stays().await;
    let left = suite.names(directory, Detail::Names).await;
    assert!(left.is_empty(), "what was removed is still listed: {left:?}");
}

struct Suite<'a, F> {
    fs: &'a F,
    directory: &'a VPath,
}

impl<F: FileSystem> Suite<'_, F> {
    async fn directories(&self) {
        let (dir, below, file) = (self.path("dir"), self.path("dir/below"), self.path("dir/file"));
        refused(
            self.fs.create_dir(&below).await,
            &[FsErrorKind::NotFound],
            "create_dir in a missing directory",
        );
        ok(self.fs.create_dir(&dir).await, "create_dir");
        refused(self.fs.create_dir(&dir).await, &[FsErrorKind::AlreadyExists], "create_dir of what exists");
        ok(self.fs.create_dir(&below).await, "create_dir below another");
        self.store(&file, b"x").await;
        let metadata = ok(self.fs.metadata(&dir).await, "metadata of a directory");
        assert_eq!(metadata.kind, FileKind::Directory, "a directory is one");
        assert_eq!(ok(self.fs.link_metadata(&dir).await, "link_metadata").kind, FileKind::Directory);
        ok(self.fs.enter(&dir).await, "enter a directory");
        refused(self.fs.enter(&file).await, &[FsErrorKind::NotADirectory], "enter a file");
        refused(
            self.fs.enter(&self.path("absent")).await,
            &[FsErrorKind::NotFound],
            "enter what is not there",
        );
        refused(
            self.fs.remove_dir(&dir).await,
            &[FsErrorKind::DirectoryNotEmpty],
            "remove_dir of a full directory",
        );
        refused(self.fs.remove_dir(&file).await, &[FsErrorKind::NotADirectory], "remove_dir of a file");
        refused(
            self.fs.remove_file(&below).await,
            &[FsErrorKind::IsADirectory, FsErrorKind::PermissionDenied],
            "remove_file of a directory",
        );
        ok(self.fs.remove_file(&file).await, "remove_file");
        refused(self.fs.remove_file(&file).await, &[FsErrorKind::NotFound], "remove_file a second time");
        ok(self.fs.remove_dir(&below).await, "remove_dir");
        ok(self.fs.remove_dir(&dir).await, "remove_dir");
        refused(self.fs.remove_dir(&dir).await, &[FsErrorKind::NotFound], "remove_dir a second time");
        refused(self.fs.metadata(&dir).await, &[FsErrorKind::NotFound], "metadata of what was removed");
    }

    async fn reading(&self) {
        let file = self.path("file");
        self.store(&file, b"0123456789").await;
        let metadata = ok(self.fs.metadata(&file).await, "metadata of a file");
        assert_eq!((metadata.kind, metadata.size), (FileKind::File, 10), "metadata of a file");
        for (from, expected) in [(0, "0123456789"), (4, "456789"), (10, "")] {
            assert_eq!(self.load(&file, from).await, expected.as_bytes(), "read from {from}");
        }
        refused(
            self.fs.read(&file, 11).await,
            &[FsErrorKind::OffsetBeyondEnd(10)],
            "read from behind the end",
        );
        refused(self.fs.read(self.directory, 0).await, &[FsErrorKind::IsADirectory], "read a directory");
        refused(
            self.fs.read(&self.path("absent"), 0).await,
            &[FsErrorKind::NotFound],
            "read what is not there",
        );
        refused(
            self.fs.read(&self.path("file/below"), 0).await,
            &[FsErrorKind::NotADirectory, FsErrorKind::NotFound],
            "read below a file",
        );
        self.remove(&file).await;
    }

    async fn writing(&self) {
        let file = self.path("file");
        refused(
            self.fs.write(&file, WriteMode::At(0)).await,
            &[FsErrorKind::NotFound],
            "resume what is not there",
        );
        for (mode, bytes, expected) in [
            (WriteMode::Append, "abc", "abc"),
            (WriteMode::Append, "def", "abcdef"),
            (WriteMode::At(2), "XY", "abXYef"),
            (WriteMode::At(6), "gh", "abXYefgh"),
            (WriteMode::Replace, "new", "new"),
            (WriteMode::Replace, "", ""),
        ] {
            self.upload(&file, mode, bytes.as_bytes()).await;
            let found = self.load(&file, 0).await;
            assert_eq!(found, expected.as_bytes(), "{mode:?} of {bytes:?}: {}", found.escape_ascii());
        }
        self.store(&file, b"kept").await;
        let sink = ok(self.fs.write(&file, WriteMode::Append).await, "write");
        match send(sink, b"cut".to_vec(), Ending::Aborted).await {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), FsErrorKind::NotPublished, "the end of an aborted upload"),
        }
        assert!(self.load(&file, 0).await.starts_with(b"kept"), "what was there before an append stays");
        self.remove(&file).await;
        refused(
            self.fs.write(self.directory, WriteMode::Replace).await,
            &[FsErrorKind::IsADirectory],
            "write a directory",
        );
        refused(
            self.fs.write(&self.path("absent/file"), WriteMode::Replace).await,
            &[FsErrorKind::NotFound],
            "write in a missing directory",
        );
    }

    async fn failures_change_nothing(&self) {
        let file = self.path("file");
        self.store(&file, b"four").await;
        refused(
            self.fs.write(&file, WriteMode::At(5)).await,
            &[FsErrorKind::OffsetBeyondEnd(4)],
            "resume from behind the end",
        );
        refused(
            self.fs.rename(&self.path("absent"), &file).await,
            &[FsErrorKind::NotFound],
            "rename nothing",
        );
        refused(
            self.fs.rename(&file, &self.path("absent/file")).await,
            &[FsErrorKind::NotFound],
            "rename into a missing directory",
        );
        assert_eq!(self.load(&file, 0).await, b"four", "operations that fail change nothing");
        self.remove(&file).await;
    }

    async fn renaming(&self) {
        let (from, to) = (self.path("from"), self.path("to"));
        self.store(&from, b"moved").await;
        self.store(&to, b"old").await;
        ok(self.fs.rename(&from, &to).await, "rename over a file");
        refused(self.fs.metadata(&from).await, &[FsErrorKind::NotFound], "the old name of what was renamed");
        assert_eq!(self.load(&to, 0).await, b"moved");
        ok(self.fs.create_dir(&from).await, "create_dir");
        self.store(&self.path("from/file"), b"within").await;
        ok(self.fs.rename(&from, &self.path("dir")).await, "rename a directory that holds something");
        assert_eq!(self.load(&self.path("dir/file"), 0).await, b"within");
        self.remove(&self.path("dir/file")).await;
        ok(self.fs.remove_dir(&self.path("dir")).await, "remove_dir");
        self.remove(&to).await;
    }

    async fn listing(&self) {
        let names = ["-rf", "a b", "dir", "z"];
        ok(self.fs.create_dir(&self.path("dir")).await, "create_dir");
        for name in names.into_iter().filter(|name| *name != "dir") {
            self.store(&self.path(name), name.as_bytes()).await;
        }
        for detail in [Detail::Names, Detail::Facts, Detail::Long] {
            let entries = self.entries(self.directory, detail).await;
            let found: Vec<_> = entries.iter().map(|entry| String::from_utf8_lossy(&entry.name)).collect();
            assert_eq!(found, names, "few entries are sorted, {detail:?}");
            for entry in entries.iter().filter(|_| detail != Detail::Names) {
                assert_eq!(entry.metadata.is_dir(), &*entry.name == b"dir", "{detail:?} of {:?}", entry.name);
                assert!(entry.metadata.is_dir() || entry.metadata.size == entry.name.len() as u64);
            }
            assert!(self.entries(&self.path("dir"), detail).await.is_empty(), "an empty directory");
            let mut single = ok(self.fs.list(&self.path("z"), detail).await, "list a file");
            assert!(!single.is_directory(), "a file is no directory");
            let batch =
                ok(single.next_batch().await.unwrap_or_else(|| panic!("a file is listed")), "list a file");
            assert!(
                matches!(batch.as_slice(), [entry] if &*entry.name == b"z"),
                "a file is listed by its name: {batch:?}"
            );
            refused(
                self.fs.list(&self.path("absent"), detail).await,
                &[FsErrorKind::NotFound],
                "list what is not there",
            );
        }
        for name in names.into_iter().filter(|name| *name != "dir") {
            self.remove(&self.path(name)).await;
        }
        ok(self.fs.remove_dir(&self.path("dir")).await, "remove_dir");
    }

    async fn names_are_bytes(&self) {
        for name in [
            "gr\u{fc}n".as_bytes(),
            b"\xff\xfe latin",
            b"\"quoted\"",
            b"back\\slash",
            b"*?[x]",
            b"...",
            b" lead",
        ] {
            let path = self.directory.join(name).unwrap_or_else(|_| panic!("a path"));
            let sink = match self.fs.write(&path, WriteMode::Replace).await {
                Ok(sink) => sink,
                Err(error) if error.kind() == FsErrorKind::InvalidName => continue, // the platform cannot hold it
                Err(error) => panic!("write {path}: {error}"),
            };
            ok(send(sink, name.to_vec(), Ending::Complete).await, "finish");
            assert_eq!(
                self.names(self.directory, Detail::Facts).await,
                BTreeSet::from([name.into()]),
                "names are bytes"
            );
            assert_eq!(self.load(&path, 0).await, name);
            self.remove(&path).await;
        }
    }

    async fn unique_names(&self) {
        let mut paths = BTreeSet::new();
        for _ in 0..3 {
            let (path, sink) = match self.fs.write_unique(self.directory, b"pre").await {
                Err(error) if error.kind() == FsErrorKind::Unsupported => return,
                begun => ok(begun, "write_unique"),
            };
            ok(send(sink, b"unique".to_vec(), Ending::Complete).await, "finish of a unique file");
            assert_eq!(self.load(&path, 0).await, b"unique");
            assert_eq!(path.parent(), *self.directory, "a unique file is where it was asked for");
            assert!(path.file_name().is_some_and(|name| name.starts_with(b"pre")), "{path} has the prefix");
            paths.insert(path);
        }
        assert_eq!(paths.len(), 3, "unique names differ");
        for path in &paths {
            self.remove(path).await;
        }
    }

    async fn optional_verbs(&self) {
        let file = self.path("file");
        self.store(&file, b"x").await;
        let time = Timestamp { seconds: 1_000_000_000, nanoseconds: 0 };
        if supported(self.fs.set_modified(&file, time).await, "set_modified") {
            let metadata = ok(self.fs.metadata(&file).await, "metadata");
            assert_eq!(metadata.modified.seconds, time.seconds, "the time that was set");
        }
        if supported(self.fs.set_mode(&file, 0o640).await, "set_mode") {
            assert_eq!(
                ok(self.fs.metadata(&file).await, "metadata").mode & 0o777,
                0o640,
                "the mode that was set"
            );
        }
        self.remove(&file).await;
    }

    async fn the_root_stays(&self) {
        let root = VPath::root();
        assert!(self.fs.remove_dir(&root).await.is_err(), "the root cannot be removed");
        assert!(self.fs.remove_file(&root).await.is_err(), "the root is no file");
        assert!(self.fs.rename(&root, &self.path("moved")).await.is_err(), "the root cannot be renamed");
        assert!(self.fs.write(&root, WriteMode::Replace).await.is_err(), "the root cannot be written");
        ok(self.fs.enter(&root).await, "enter the root");
    }

    fn path(&self, name: &str) -> VPath {
        self.directory.join(name.as_bytes()).unwrap_or_else(|_| panic!("{name} is no path"))
    }

    async fn store(&self, path: &VPath, bytes: &[u8]) {
        self.upload(path, WriteMode::Replace, bytes).await;
    }

    async fn upload(&self, path: &VPath, mode: WriteMode, bytes: &[u8]) {
        let sink = ok(self.fs.write(path, mode).await, "write");
        ok(send(sink, bytes.to_vec(), Ending::Complete).await, "finish");
    }

    async fn load(&self, path: &VPath, from: u64) -> Vec<u8> {
        let source = ok(self.fs.read(path, from).await, "read");
        ok(receive(source).await, "read to the end")
    }

    async fn remove(&self, path: &VPath) {
        ok(self.fs.remove_file(path).await, "remove_file");
    }

    async fn entries(&self, path: &VPath, detail: Detail) -> Vec<Entry> {
        let mut entries = ok(self.fs.list(path, detail).await, "list");
        assert!(entries.is_directory(), "a directory is listed as one");
        let mut all = Vec::new();
        while let Some(batch) = entries.next_batch().await {
            all.extend(ok(batch, "a batch of entries"));
        }
        all
    }

    async fn names(&self, path: &VPath, detail: Detail) -> BTreeSet<Box<[u8]>> {
        self.entries(path, detail).await.into_iter().map(|entry| entry.name).collect()
    }
}

/// All that is left of a source.
pub(super) async fn receive(source: Source) -> FsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    match source.0 {
        SourceKind::File(mut file, span) => {
            let read = move || {
                if let Some(span) = span {
                    file.seek(SeekFrom::Start(span.offset))?;
                }
                file.read_to_end(&mut bytes)?;
                Ok(bytes)
            };
            return blocking(&Identity::process(), read).await;
        }
        SourceKind::Stream(mut stream) => {
            while let Some(piece) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
                bytes.extend_from_slice(&piece?);
            }
        }
    }
    Ok(bytes)
}

/// Writes `bytes` to a sink and ends it.
pub(super) async fn send(mut sink: Sink, bytes: Vec<u8>, ending: Ending) -> FsResult<()> {
    match &mut sink.kind {
        SinkKind::File(open) => {
            let mut file = open.file()?.try_clone()?;
            blocking(&Identity::process(), move || Ok(file.write_all(&bytes)?)).await?;
        }
        SinkKind::Stream(stream) => stream.write(bytes.into()).await?,
    }
    sink.finish(ending).await
}

fn ok<T>(result: FsResult<T>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn refused<T: Debug>(result: FsResult<T>, kinds: &[FsErrorKind], what: &str) {
    match result {
        Ok(value) => panic!("{what} succeeds with {value:?}"),
        Err(error) => {
            assert!(kinds.contains(&error.kind()), "{what}: {:?} rather than {kinds:?}", error.kind())
        }
    }
}

fn supported(result: FsResult<()>, what: &str) -> bool {
    match result {
        Err(error) if error.kind() == FsErrorKind::Unsupported => false,
        result => {
            ok(result, what);
            true
        }
    }
}
