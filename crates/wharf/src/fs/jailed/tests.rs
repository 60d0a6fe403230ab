//! What holds on a real disk, whichever way paths are resolved.
#![cfg(target_os = "linux")]

mod brief;
mod overwritten;
mod side_by_side;
mod storage;
mod uploads;

use std::fs;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::fs::conformance::{self, receive, send};
use crate::fs::source::{SinkKind, SourceKind};
use crate::fs::{Ending, FileKind, FsError, FsErrorKind};
use crate::{Incomplete, Publish};

/// A home, and beside it what must not be reached.
struct World {
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(directory: TempDir) -> Self {
        fs::create_dir_all(directory.path().join("home/dir/deep")).unwrap();
        fs::create_dir(directory.path().join("outside")).unwrap();
        fs::write(directory.path().join("outside/secret"), "secret").unwrap();
        fs::write(directory.path().join("home/dir/file"), "inside").unwrap();
        Self { directory }
    }

    fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.home().join(name)).unwrap();
    }

    fn jail(&self) -> JailedFs {
        JailedFs::new(&self.home(), &Identity::process()).unwrap()
    }

    /// The home, as each way of resolving serves it.
    fn jails(&self) -> [JailedFs; 2] {
        [self.jail(), self.jail().walking()]
    }

    fn staged(&self) -> JailedFs {
        self.jail().with_uploads(Uploads { publish: Publish::Staged, sync: true, ..Uploads::default() })
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.home())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn path(text: impl AsRef<[u8]>) -> VPath {
    VPath::parse(text.as_ref()).unwrap()
}

fn kind<T: std::fmt::Debug>(result: FsResult<T>) -> FsErrorKind {
    result.unwrap_err().kind()
}

async fn load(jail: &JailedFs, name: &str) -> FsResult<Vec<u8>> {
    receive(jail.read(&path(name), 0).await?).await
}

async fn store(jail: &JailedFs, name: &str, mode: WriteMode, bytes: &str, ending: Ending) -> FsResult<()> {
    send(jail.write(&path(name), mode).await?, bytes.into(), ending).await
}

async fn all(jail: &JailedFs, directory: &str, detail: Detail) -> Vec<crate::fs::Entry> {
    let mut entries = jail.list(&path(directory), detail).await.unwrap();
    let mut all = Vec::new();
    while let Some(batch) = entries.next_batch().await {
        all.extend(batch.unwrap());
    }
    all
}

#[tokio::test]
async fn keeps_the_contract() {
    let world = World::new();
    let directory = path("/dir/deep");
    for jail in world.jails() {
        conformance::check(&jail, &directory).await;
    }
    conformance::check(&world.staged(), &directory).await;
    let delete = Uploads { incomplete: Incomplete::Delete, ..Uploads::default() };
    conformance::check(&world.jail().with_uploads(delete), &directory).await;
    let real = fs::canonicalize(world.home().join("dir/deep")).unwrap();
    let everything = crate::fs::UnixFs::new(&Identity::process()).unwrap();
    conformance::check(&everything, &path(real.to_str().unwrap())).await;
    let walking = JailedFs::new(Path::new("/"), &Identity::process()).unwrap().walking();
    conformance::check(&walking, &path(real.to_str().unwrap())).await;
}

#[tokio::test]
async fn the_server_itself_is_not_shown() {
    let real = JailedFs::new(Path::new("/"), &Identity::process()).unwrap();
    let walking = JailedFs::new(Path::new("/"), &Identity::process()).unwrap().walking();
    let world = World::new();
    world.link("/proc/self/maps", "maps");
    let link = fs::canonicalize(world.home()).unwrap().join("maps");
    for files in [real, walking] {
        for name in ["/proc/self/maps", "/proc/thread-self/status", "/proc/1/status", link.to_str().unwrap()]
        {
            let refused = load(&files, name).await.unwrap_err();
            assert_eq!(refused.kind(), FsErrorKind::PermissionDenied, "{name}");
        }
        for name in ["/proc", "/proc/self/fd", "/proc/self/task"] {
            let refused = files.list(&path(name), Detail::Long).await.unwrap_err();
            assert_eq!(refused.kind(), FsErrorKind::PermissionDenied, "{name}");
            assert!(files.enter(&path(name)).await.is_err(), "{name}");
        }
    }
}

#[tokio::test]
async fn links_that_stay_inside_work() {
    let world = World::new();
    world.link("dir/file", "relative");
    world.link(world.home().join("dir/file"), "absolute");
    world.link("absolute", "chain");
    world.link(world.home().join("dir"), "to-dir");
    world.link("../dir/deep/../file", "dir/dotted");
    world.link(world.home(), "dir/top");
    for jail in world.jails() {
        for name in ["relative", "absolute", "chain", "to-dir/file", "dir/dotted", "dir/top/to-dir/top/chain"]
        {
            assert_eq!(load(&jail, name).await.unwrap(), b"inside", "{name}");
        }
        assert_eq!(jail.link_metadata(&path("chain")).await.unwrap().kind, FileKind::Symlink);
        jail.enter(&path("to-dir/deep")).await.unwrap();
        jail.create_dir(&path("to-dir/new")).await.unwrap();
        jail.remove_dir(&path("/dir/new")).await.unwrap();
        world.link(world.home().join("dir/created"), "broken");
        store(&jail, "broken", WriteMode::Replace, "through", Ending::Complete).await.unwrap();
        assert_eq!(load(&jail, "/dir/created").await.unwrap(), b"through");
        jail.remove_file(&path("/dir/created")).await.unwrap();
        jail.remove_file(&path("broken")).await.unwrap();
    }
}

#[tokio::test]
async fn links_that_leave_are_refused_and_can_be_removed() {
    let world = World::new();
    for jail in world.jails() {
        world.link("../outside/secret", "relative");
        world.link(world.outside().join("secret"), "absolute");
        world.link("absolute", "chain");
        world.link("/etc", "etc");
        world.link("../outside", "dir/one-up");
        world.link("../../outside", "dir/out");
        world.link("../home/dir/file", "out-and-in");
        world.link(world.directory.path().join("home/../outside"), "dotted");
        for name in
            ["relative", "absolute", "chain", "etc/passwd", "dir/out/secret", "out-and-in", "dotted/secret"]
        {
            assert_eq!(kind(load(&jail, name).await), FsErrorKind::OutsideHome, "read {name}");
            assert_eq!(kind(jail.metadata(&path(name)).await), FsErrorKind::OutsideHome, "metadata {name}");
            let written = store(&jail, name, WriteMode::Replace, "x", Ending::Complete).await;
            assert_eq!(kind(written), FsErrorKind::OutsideHome, "write {name}");
            assert_eq!(
                kind(jail.set_mode(&path(name), 0o777).await),
                FsErrorKind::OutsideHome,
                "chmod {name}"
            );
            let time = Timestamp::default();
            assert_eq!(
                kind(jail.set_modified(&path(name), time).await),
                FsErrorKind::OutsideHome,
                "touch {name}"
            );
        }
        for name in ["etc/new", "dir/out/new"] {
            assert_eq!(kind(jail.create_dir(&path(name)).await), FsErrorKind::OutsideHome, "mkdir {name}");
            assert_eq!(kind(jail.remove_file(&path(name)).await), FsErrorKind::OutsideHome, "delete {name}");
            assert_eq!(kind(jail.rename(&path("dir/file"), &path(name)).await), FsErrorKind::OutsideHome);
        }
        assert_eq!(kind(jail.write_unique(&path("dir/out"), b"x").await), FsErrorKind::OutsideHome);
        assert_eq!(kind(jail.enter(&path("etc")).await), FsErrorKind::OutsideHome);
        assert_eq!(kind(jail.list(&path("etc"), Detail::Long).await), FsErrorKind::OutsideHome);
        assert_eq!(kind(jail.read(&path("dir/one-up"), 0).await), FsErrorKind::NotFound);
        jail.rename(&path("relative"), &path("renamed")).await.unwrap();
        for name in ["renamed", "absolute", "chain", "etc", "dir/one-up", "dir/out", "out-and-in", "dotted"] {
            jail.remove_file(&path(name)).await.unwrap();
        }
        assert_eq!(fs::read(world.outside().join("secret")).unwrap(), b"secret");
    }
}

#[tokio::test]
async fn links_in_circles_end() {
    let world = World::new();
    world.link("b", "a");
    world.link("a", "b");
    world.link(world.home().join("self"), "self");
    for jail in world.jails() {
        for name in ["a", "self", "a/below"] {
            assert_eq!(kind(jail.metadata(&path(name)).await), FsErrorKind::TooManyLinks, "{name}");
        }
        assert_eq!(all(&jail, "/", Detail::Facts).await.len(), 1);
    }
}

#[tokio::test]
async fn nothing_swapped_in_meanwhile_leads_out() {
    let world = World::new();
    fs::create_dir(world.home().join("swap")).unwrap();
    fs::write(world.home().join("swap/secret"), "inside").unwrap();
    let (home, outside) = (world.home(), world.outside());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            symlink(&outside, home.join("link")).unwrap();
            while !stop.load(Ordering::Relaxed) {
                fs::rename(home.join("swap"), home.join("real")).unwrap();
                fs::rename(home.join("link"), home.join("swap")).unwrap();
                fs::rename(home.join("swap"), home.join("link")).unwrap();
                fs::rename(home.join("real"), home.join("swap")).unwrap();
            }
        });
        let root = path("/swap/secret");
        for jail in world.jails() {
            for _ in 0..10_000 {
                for lookup in [Lookup::Disk, Lookup::Cache] {
                    if let Ok(file) = jail.tree.read(&root, 0, lookup) {
                        assert_eq!(text(file), "inside");
                    }
                }
                if let Ok((file, upload)) =
                    jail.tree.write(&path("/swap/new"), WriteMode::Append, Uploads::default())
                {
                    upload.finish(file, Ending::Complete).unwrap();
                }
                let _ = jail.tree.remove_file(&path("/swap/new"));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read_dir(world.outside()).unwrap().count(), 1, "nothing was created outside");
}

#[tokio::test]
async fn only_regular_files_are_opened() {
    let world = World::new();
    let pipe = world.home().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(world.home().join("socket")).unwrap();
    for uploads in [Uploads::default(), Uploads { publish: Publish::Staged, ..Uploads::default() }] {
        for jail in world.jails().map(|jail| jail.with_uploads(uploads)) {
            for name in ["pipe", "socket"] {
                assert_eq!(kind(jail.read(&path(name), 0).await), FsErrorKind::NotAFile, "{name}");
                assert_eq!(
                    kind(jail.write(&path(name), WriteMode::Replace).await),
                    FsErrorKind::NotAFile,
                    "{name}"
                );
            }
        }
    }
}

/// What there is to read of a local file.
fn text(source: Source) -> String {
    let SourceKind::File(mut file, Some(span)) = source.0 else { panic!("{source:?} is no span of a file") };
    file.seek(SeekFrom::Start(span.offset)).unwrap();
    std::io::read_to_string(file).unwrap()
}

#[tokio::test]
async fn what_the_caches_know_needs_no_hop() {
    let world = World::new();
    let jail = world.jail();
    let file = path("dir/file");
    jail.metadata(&file).await.unwrap();
    let cached = jail.tree.metadata(&file, Lookup::Cache);
    if matches!(&cached, Err(error) if error.kind() == FsErrorKind::Unsupported) {
        println!("skipped: what_the_caches_know_needs_no_hop needs a local disk and a kernel since 5.12");
        return;
    }
    assert_eq!(cached.unwrap(), jail.tree.metadata(&file, Lookup::Disk).unwrap());
    jail.tree.enter(&path("dir"), Lookup::Cache).unwrap();
    let file = jail.tree.read(&file, 2, Lookup::Cache).unwrap();
    assert_eq!(text(file), "side");
}

#[tokio::test]
async fn small_directories_are_sorted_and_large_ones_stream() {
    let world = World::new();
    for number in 0..300 {
        fs::write(world.home().join(format!("dir/deep/{:03}", (number * 7) % 300)), "").unwrap();
    }
    fs::create_dir(world.home().join("large")).unwrap();
    for number in 0..100_000 {
        fs::write(world.home().join(format!("large/{number}")), "").unwrap();
    }
    let jail = world.jail();
    for detail in [Detail::Names, Detail::Facts, Detail::Long] {
        let entries = all(&jail, "/dir/deep", detail).await;
        assert!(entries.len() == 300 && entries.is_sorted_by_key(|entry| &entry.name), "{detail:?}");
        let mut listing = jail.list(&path("large"), detail).await.unwrap();
        let mut names = std::collections::HashSet::new();
        let mut first = true;
        while let Some(batch) = listing.next_batch().await {
            let batch = batch.unwrap();
            assert!(batch.len() <= if first { 256 } else { 1_365 }, "{}", batch.len());
            first = false;
            names.extend(batch.into_iter().map(|entry| entry.name));
        }
        assert_eq!(names.len(), 100_000, "{detail:?}");
    }
}

#[tokio::test]
async fn listings_show_no_more_than_the_home() {
    let world = World::new();
    world.link("dir/file", "inside");
    world.link(world.home().join("dir"), "inside-absolute");
    world.link("absent", "broken");
    world.link(world.outside(), "outside");
    world.link("../outside", "outside-relative");
    for jail in world.jails() {
        let targets: Vec<_> =
            all(&jail, "/", Detail::Long).await.into_iter().map(|entry| entry.link_target).collect();
        let text = |text: &str| Some(text.as_bytes().into());
        // broken, dir, inside, inside-absolute, outside, outside-relative
        assert_eq!(targets, [text("absent"), None, text("dir/file"), text("/dir"), None, None]);
        let facts: Vec<_> =
            all(&jail, "/", Detail::Facts).await.into_iter().map(|e| (e.name, e.metadata.kind)).collect();
        let expected = [
            ("dir", FileKind::Directory),
            ("inside", FileKind::File),
            ("inside-absolute", FileKind::Directory),
        ];
        assert_eq!(facts, expected.map(|(name, kind)| (name.as_bytes().into(), kind)));
        assert_eq!(all(&jail, "/", Detail::Names).await.len(), 6);
        let mut single = jail.list(&path("broken"), Detail::Long).await.unwrap();
        let batch = single.next_batch().await.unwrap().unwrap();
        assert_eq!((single.is_directory(), batch[0].link_target.clone()), (false, text("absent")));
        assert_eq!(kind(jail.list(&path("broken"), Detail::Facts).await), FsErrorKind::NotFound);
        assert_eq!(batch[0].owner.is_some(), rustix::process::getuid().is_root());
    }
}

#[tokio::test]
async fn names_need_not_be_text() {
    let world = World::new();
    let jail = world.jail();
    let name = path(b"/\xff\xfe\x01");
    send(jail.write(&name, WriteMode::Replace).await.unwrap(), b"bytes".to_vec(), Ending::Complete)
        .await
        .unwrap();
    assert_eq!(&*all(&jail, "/", Detail::Facts).await[1].name, b"\xff\xfe\x01");
    jail.rename(&name, &path(b"/\xfd")).await.unwrap();
    jail.remove_file(&path(b"/\xfd")).await.unwrap();
    assert_eq!(world.names(), ["dir"]);
}

#[tokio::test]
async fn a_time_changes_alone_and_only_if_it_can() {
    let world = World::new();
    let jail = world.jail();
    let before = fs::metadata(world.home().join("dir/file")).unwrap();
    world.link("dir/file", "link");
    jail.set_modified(&path("link"), Timestamp { seconds: -5, nanoseconds: 0 }).await.unwrap();
    let after = fs::metadata(world.home().join("dir/file")).unwrap();
    assert_eq!((after.mtime(), after.atime()), (-5, before.atime()));
    jail.set_modified(&VPath::root(), Timestamp { seconds: 77, nanoseconds: 0 }).await.unwrap();
    assert_eq!(jail.metadata(&VPath::root()).await.unwrap().modified.seconds, 77);
    // Far beyond what most file systems can express: it is kept exactly, or refused without a trace.
    let far = Timestamp { seconds: 1 << 40, nanoseconds: 0 };
    let set = jail.set_modified(&path("link"), far).await;
    let expected = if set.is_ok() { 1 << 40 } else { -5 };
    assert_eq!(fs::metadata(world.home().join("dir/file")).unwrap().mtime(), expected, "{set:?}");
}

/// A world whose home belongs to the user `nobody`, and the home as that user is served it.
fn of_nobody() -> (World, JailedFs) {
    let world = World::new();
    fs::set_permissions(world.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["home", "home/dir", "home/dir/deep", "home/dir/file"] {
        std::os::unix::fs::chown(world.directory.path().join(name), Some(65_534), Some(65_534)).unwrap();
    }
    let jail = JailedFs::new(&world.home(), &Identity::user(65_534, 65_534, vec![65_534])).unwrap();
    (world, jail)
}

#[tokio::test]
async fn the_rights_are_those_of_the_user() {
    if !rustix::process::getuid().is_root() {
        println!("skipped: the_rights_are_those_of_the_user needs root, to work as another user");
        return;
    }
    let (world, jail) = of_nobody();
    let staged = Uploads { publish: Publish::Staged, sync: true, ..Uploads::default() };
    let (foreign, closed) = (world.home().join("foreign"), world.home().join("closed"));
    fs::write(&foreign, "of root").unwrap();
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("file"), "").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o744)).unwrap();
    for jail in [jail.clone(), jail.clone().with_uploads(staged)] {
        conformance::check(&jail, &path("/dir/deep")).await;
        fs::set_permissions(&foreign, fs::Permissions::from_mode(0o600)).unwrap();
        for refused in [
            kind(jail.read(&path("foreign"), 0).await),
            kind(jail.write(&path("foreign"), WriteMode::Replace).await),
            kind(jail.set_mode(&path("foreign"), 0o777).await),
            kind(jail.enter(&path("closed")).await),
            kind(jail.create_dir(&path("closed/new")).await),
        ] {
            assert_eq!(refused, FsErrorKind::PermissionDenied);
        }
        assert_eq!(all(&jail, "closed", Detail::Names).await.len(), 1);
        assert!(all(&jail, "closed", Detail::Facts).await.is_empty(), "names that cannot be looked up");
        store(&jail, "mine", WriteMode::Replace, "x", Ending::Complete).await.unwrap();
        assert_eq!(fs::metadata(world.home().join("mine")).unwrap().uid(), 65_534);
        // It stays root's, so a staged upload is copied into it.
        fs::set_permissions(&foreign, fs::Permissions::from_mode(0o666)).unwrap();
        let before = fs::metadata(&foreign).unwrap();
        store(&jail, "foreign", WriteMode::Replace, "new", Ending::Complete).await.unwrap();
        let after = fs::metadata(&foreign).unwrap();
        assert_eq!((after.uid(), after.ino(), after.len()), (0, before.ino(), 3));
    }
}
