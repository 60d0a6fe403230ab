//! Staged uploads of one name that go on at the same time.

use super::*;

#[tokio::test]
async fn staged_uploads_of_one_name_do_not_meet() {
    let world = World::new();
    let jail = world.staged();
    let write = || async { jail.write(&path("dir/file"), WriteMode::Replace).await };
    let uploads = [write().await.unwrap(), write().await.unwrap(), write().await.unwrap()];
    assert_eq!(kind(jail.write(&path("dir/file"), WriteMode::Append).await), FsErrorKind::Busy);
    for (number, sink) in uploads.into_iter().enumerate() {
        send(sink, format!("{number}").into_bytes(), Ending::Complete).await.unwrap();
        assert_eq!(load(&jail, "dir/file").await.unwrap(), format!("{number}").as_bytes());
    }
    // Two names of one file: it cannot be replaced, only written into.
    fs::hard_link(world.home().join("dir/file"), world.home().join("hard")).unwrap();
    let first = write().await.unwrap();
    assert_eq!(kind(write().await), FsErrorKind::Busy);
    fs::remove_file(world.home().join("dir/file")).unwrap();
    send(first, b"new".to_vec(), Ending::Complete).await.unwrap();
    assert_eq!(load(&jail, "dir/file").await.unwrap(), b"new", "it takes its name, which was free");
    assert_eq!(load(&jail, "hard").await.unwrap(), b"2", "and leaves what has another");
    assert_eq!(world.names(), ["dir", "hard"]);
}

#[tokio::test]
async fn staged_uploads_take_the_place_of_what_is_there_in_the_end() {
    let world = World::new();
    let jail = world.staged();
    let file = path("dir/file");
    let write = |mode| jail.write(&file, mode);
    let [first, second, third] = [
        write(WriteMode::Replace).await.unwrap(),
        write(WriteMode::Replace).await.unwrap(),
        write(WriteMode::Replace).await.unwrap(),
    ];
    send(first, b"first".to_vec(), Ending::Complete).await.unwrap();
    jail.set_mode(&file, 0o600).await.unwrap();
    send(second, b"second".to_vec(), Ending::Complete).await.unwrap();
    assert_eq!(
        jail.metadata(&file).await.unwrap().mode,
        0o600,
        "not what the file had that nobody sees any more"
    );
    let addition = write(WriteMode::Append).await.unwrap();
    let refused = send(third, b"third".to_vec(), Ending::Complete).await.unwrap_err();
    assert_eq!(refused.kind(), FsErrorKind::Busy, "it would be lost as soon as the addition ends");
    send(addition, b" more".to_vec(), Ending::Complete).await.unwrap();
    assert_eq!(load(&jail, "dir/file").await.unwrap(), b"second more");
}

#[tokio::test]
async fn uploads_of_a_new_name_find_out_who_was_first() {
    let world = World::new();
    let jail = world.staged();
    let file = path("dir/new");
    let write = |mode| jail.write(&file, mode);
    let [first, second, third] = [
        write(WriteMode::Replace).await.unwrap(),
        write(WriteMode::Append).await.unwrap(),
        write(WriteMode::Replace).await.unwrap(),
    ];
    send(first, b"first".to_vec(), Ending::Complete).await.unwrap();
    jail.set_mode(&file, 0o600).await.unwrap();
    let refused = send(second, b"second".to_vec(), Ending::Complete).await;
    assert_eq!(kind(refused), FsErrorKind::AlreadyExists, "it would add to nothing, and that is gone");
    send(third, b"third".to_vec(), Ending::Complete).await.unwrap();
    assert_eq!(jail.metadata(&file).await.unwrap().mode, 0o600);
    assert_eq!(load(&jail, "dir/new").await.unwrap(), b"third");
    assert_eq!(fs::read_dir(world.home().join("dir")).unwrap().count(), 3, "nothing is left behind");
}

/// Additions are made to what was there at the start: no other content may go for them.
#[tokio::test]
async fn additions_find_out_what_became_of_their_file() {
    let world = World::new();
    let jail = world.staged();
    let (file, other) = (path("dir/file"), path("other"));
    for links in [1, 2] {
        for mode in [WriteMode::Append, WriteMode::At(3)] {
            fs::write(world.home().join("dir/file"), "inside").unwrap();
            if links > 1 {
                fs::hard_link(world.home().join("dir/file"), world.home().join(format!("{mode:?}"))).unwrap();
            }
            let sink = jail.write(&file, mode).await.unwrap();
            store(&jail, "other", WriteMode::Replace, "other", Ending::Complete).await.unwrap();
            jail.rename(&other, &file).await.unwrap();
            let refused = send(sink, b"+".to_vec(), Ending::Complete).await;
            assert_eq!(kind(refused), FsErrorKind::Busy, "{mode:?} {links}");
            assert_eq!(load(&jail, "dir/file").await.unwrap(), b"other");

            let sink = jail.write(&file, mode).await.unwrap();
            jail.remove_file(&file).await.unwrap();
            let refused = send(sink, b"+".to_vec(), Ending::Complete).await;
            assert_eq!(kind(refused), FsErrorKind::NotFound, "{mode:?} {links}");
            assert!(load(&jail, "dir/file").await.is_err(), "it does not come back");
        }
    }
    assert_eq!(fs::read_dir(world.home().join("dir")).unwrap().count(), 1, "nothing is left behind");
}

/// Whoever may replace a file may not always make another belong to its owner: it is written into, if it is still there.
#[tokio::test]
async fn what_was_replaced_meanwhile_is_not_written_into() {
    let world = World::new();
    let jail = world.staged();
    fs::hard_link(world.home().join("dir/file"), world.home().join("hard")).unwrap();
    let sink = jail.write(&path("dir/file"), WriteMode::Replace).await.unwrap();
    fs::write(world.home().join("other"), "other").unwrap();
    fs::rename(world.home().join("other"), world.home().join("dir/file")).unwrap();
    // With one name more it still could not be replaced.
    fs::hard_link(world.home().join("hard"), world.home().join("third")).unwrap();
    send(sink, b"new".to_vec(), Ending::Complete).await.unwrap();
    assert_eq!(load(&jail, "dir/file").await.unwrap(), b"new");
    assert_eq!(load(&jail, "hard").await.unwrap(), b"inside");
}
