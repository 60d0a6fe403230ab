//! Which listings need no hop to the blocking pool.

use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use super::*;
use crate::fs::{Entries, Entry};

/// How long a listing is remembered, and a little more.
const STALE: Duration = Duration::from_secs(11);

/// Holds the one thread of the blocking pool, so that nothing that hops gets on.
struct Blocker {
    leave: mpsc::Sender<()>,
    thread: tokio::task::JoinHandle<()>,
}

impl Blocker {
    fn start() -> Self {
        let (leave, left) = mpsc::channel();
        Self { leave, thread: tokio::task::spawn_blocking(move || left.recv().unwrap()) }
    }

    async fn end(self) {
        self.leave.send(()).unwrap();
        self.thread.await.unwrap();
    }
}

/// Runs `test` where the blocking pool has one thread, and time stands still.
fn with_one_thread(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test);
}

/// The entries, if listing `directory` takes no hop.
async fn at_once(jail: &JailedFs, directory: &str, detail: Detail) -> Option<Vec<Entry>> {
    let blocker = Blocker::start();
    let directory = path(directory);
    let mut listing = std::pin::pin!(jail.list(&directory, detail));
    let polled = std::future::poll_fn(|context| Poll::Ready(listing.as_mut().poll(context))).await;
    blocker.end().await;
    match polled {
        Poll::Ready(entries) => Some(rest(entries.unwrap()).await),
        Poll::Pending => {
            rest(listing.await.unwrap()).await;
            None
        }
    }
}

/// The entries, if listing `directory` takes no hop. What else happens on the machine may get in the way of that, but not
/// every time.
async fn soon_at_once(jail: &JailedFs, directory: &str, detail: Detail) -> Vec<Entry> {
    for _ in 0..100 {
        if let Some(entries) = at_once(jail, directory, detail).await {
            return entries;
        }
    }
    panic!("{directory} {detail:?} takes a hop each time");
}

async fn rest(mut entries: Entries) -> Vec<Entry> {
    let mut all = Vec::new();
    while let Some(batch) = entries.next_batch().await {
        all.extend(batch.unwrap());
    }
    all
}

/// A world on a disk whose caches tell, with few files in `dir`.
fn world(test: &str) -> Option<World> {
    let world = World::new();
    if !world.jail().tree.has_caches() {
        println!("skipped: {test} needs a local disk and a kernel since 5.12");
        return None;
    }
    for number in 0..20 {
        fs::write(world.home().join(format!("dir/{number}")), "text").unwrap();
    }
    fs::write(world.home().join("dir/.wharf-abcdefghijklmnop.part"), "").unwrap();
    Some(world)
}

#[test]
fn small_directories_are_listed_again_without_a_hop() {
    let Some(world) = world("small_directories_are_listed_again_without_a_hop") else { return };
    with_one_thread(async {
        for detail in [Detail::Names, Detail::Facts, Detail::Long] {
            let jail = world.jail();
            assert_eq!(at_once(&jail, "dir", detail).await, None, "{detail:?}: nothing is known of it");
            let by_hop = all(&jail, "dir", detail).await;
            assert_eq!(by_hop.len(), 22);
            // Each keeps it known for as long as the first did.
            for _ in 0..3 {
                tokio::time::advance(STALE * 2 / 3).await;
                assert_eq!(soon_at_once(&jail, "dir", detail).await, by_hop, "{detail:?}");
            }
            fs::remove_file(world.home().join("dir/7")).unwrap();
            let names = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>();
            let without = names(soon_at_once(&jail, "dir", detail).await);
            fs::write(world.home().join("dir/7"), "text").unwrap();
            assert_eq!(without.len(), 21, "as it is now, not as it was");
            tokio::time::advance(STALE).await;
            assert_eq!(at_once(&jail, "dir", detail).await, None, "{detail:?}: that is long ago");
        }
    });
}

#[test]
fn names_alone_tell_nothing_of_facts() {
    let Some(world) = world("names_alone_tell_nothing_of_facts") else { return };
    with_one_thread(async {
        let jail = world.jail();
        all(&jail, "dir", Detail::Names).await;
        assert_eq!(at_once(&jail, "dir", Detail::Facts).await, None);
        all(&jail, "dir", Detail::Facts).await;
        soon_at_once(&jail, "dir", Detail::Facts).await;
    });
}

#[test]
fn what_may_have_to_be_waited_for_hops() {
    let Some(world) = world("what_may_have_to_be_waited_for_hops") else { return };
    fs::create_dir(world.home().join("large")).unwrap();
    for number in 0..129 {
        fs::write(world.home().join(format!("large/{number}")), "").unwrap();
    }
    fs::create_dir(world.home().join("links")).unwrap();
    symlink("../dir/file", world.home().join("links/link")).unwrap();
    with_one_thread(async {
        let jail = world.jail();
        for (directory, detail, is_brief) in [
            ("large", Detail::Facts, false),
            ("links", Detail::Facts, false),
            ("links", Detail::Long, false),
            ("links", Detail::Names, true),
            ("dir/file", Detail::Facts, false),
            ("dir/deep", Detail::Facts, true),
        ] {
            all(&jail, directory, detail).await;
            if is_brief {
                soon_at_once(&jail, directory, detail).await;
            } else {
                assert_eq!(at_once(&jail, directory, detail).await, None, "{directory} {detail:?}");
            }
        }
        // A directory that was small is not what it was.
        fs::remove_file(world.home().join("large/128")).unwrap();
        all(&jail, "large", Detail::Facts).await;
        assert_eq!(soon_at_once(&jail, "large", Detail::Facts).await.len(), 128);
        fs::write(world.home().join("large/128"), "").unwrap();
        assert_eq!(at_once(&jail, "large", Detail::Facts).await, None);
        assert_eq!(all(&jail, "large", Detail::Facts).await.len(), 129);
        all(&jail, "dir", Detail::Long).await;
        symlink("../dir/file", world.home().join("dir/link")).unwrap();
        assert_eq!(at_once(&jail, "dir", Detail::Long).await, None);
        let link = all(&jail, "dir", Detail::Long).await.pop().unwrap();
        assert_eq!(link.link_target.as_deref(), Some(b"../dir/file".as_slice()));
    });
}

#[test]
fn links_on_the_way_and_the_way_out_are_judged_as_ever() {
    let Some(world) = world("links_on_the_way_and_the_way_out_are_judged_as_ever") else { return };
    world.link("dir", "way");
    world.link(world.home().join("dir"), "absolute");
    world.link(world.outside(), "outside");
    with_one_thread(async {
        let jail = world.jail();
        let by_hop = all(&jail, "way", Detail::Facts).await;
        assert_eq!(soon_at_once(&jail, "way", Detail::Facts).await, by_hop);
        assert_eq!(all(&jail, "absolute", Detail::Facts).await, by_hop);
        assert_eq!(at_once(&jail, "absolute", Detail::Facts).await, None, "the kernel cannot follow it");
        assert_eq!(kind(jail.list(&path("outside"), Detail::Facts).await), FsErrorKind::OutsideHome);
        fs::remove_dir_all(world.home().join("dir")).unwrap();
        assert_eq!(kind(jail.list(&path("dir"), Detail::Facts).await), FsErrorKind::NotFound);
        symlink(world.outside(), world.home().join("dir")).unwrap();
        assert_eq!(kind(jail.list(&path("dir"), Detail::Facts).await), FsErrorKind::OutsideHome);
    });
}

#[test]
fn what_is_mounted_in_a_directory_hops() {
    let test = "what_is_mounted_in_a_directory_hops";
    let Some(world) = world(test) else { return };
    let Some(disk) = storage::SmallDisk::mount_at(world.home().join("dir/deep")) else {
        println!("skipped: {test} needs root, to mount a small disk");
        return;
    };
    with_one_thread(async {
        let jail = world.jail();
        all(&jail, "dir", Detail::Facts).await;
        assert_eq!(at_once(&jail, "dir", Detail::Facts).await, None);
        all(&jail, "dir/deep", Detail::Facts).await;
        assert_eq!(at_once(&jail, "dir/deep", Detail::Facts).await, None);
        drop(disk);
        all(&jail, "dir", Detail::Facts).await;
        soon_at_once(&jail, "dir", Detail::Facts).await;
    });
}

#[test]
fn the_rights_of_another_user_need_a_hop() {
    if !rustix::process::getuid().is_root() {
        println!("skipped: the_rights_of_another_user_need_a_hop needs root, to work as another user");
        return;
    }
    with_one_thread(async {
        let (_world, jail) = of_nobody();
        all(&jail, "dir", Detail::Facts).await;
        assert_eq!(at_once(&jail, "dir", Detail::Facts).await, None);
    });
}

#[test]
fn a_session_gains_from_those_that_have_left() {
    let Some(world) = world("a_session_gains_from_those_that_have_left") else { return };
    with_one_thread(async {
        let homes = crate::fs::homes::Homes::default();
        let user = User::new("ann", world.home());
        let by_hop = all(&homes.open(&user).await.unwrap(), "dir", Detail::Facts).await;
        assert_eq!(soon_at_once(&homes.open(&user).await.unwrap(), "dir", Detail::Facts).await, by_hop);
    });
}
