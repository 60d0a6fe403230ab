//! How uploads begin, end, and keep out of each other's way.

use super::*;

#[tokio::test]
async fn a_second_upload_is_told_that_the_file_is_in_use() {
    let world = World::new();
    for jail in [world.jail(), world.staged()] {
        let first = jail.write(&path("dir/file"), WriteMode::Append).await.unwrap();
        for mode in [WriteMode::Replace, WriteMode::Append, WriteMode::At(0)] {
            assert_eq!(kind(jail.write(&path("dir/file"), mode).await), FsErrorKind::Busy);
        }
        assert_eq!(load(&jail, "dir/file").await.unwrap(), b"inside");
        let _ = send(first, Vec::new(), Ending::Aborted).await;
        jail.write(&path("dir/file"), WriteMode::Append).await.unwrap();
    }
}

#[tokio::test]
async fn aborted_uploads_are_kept_or_deleted() {
    let world = World::new();
    let delete = world.jail().with_uploads(Uploads { incomplete: Incomplete::Delete, ..Uploads::default() });
    for (jail, mode, ending, expected) in [
        (world.jail(), WriteMode::Replace, Ending::Aborted, Some("cut")),
        (delete.clone(), WriteMode::Append, Ending::Aborted, Some("cutcut")),
        (delete.clone(), WriteMode::At(3), Ending::Aborted, Some("cutcut")),
        (delete.clone(), WriteMode::Replace, Ending::Unproven, Some("cut")),
        (delete.clone(), WriteMode::Replace, Ending::Aborted, None),
        (delete.clone(), WriteMode::Append, Ending::Aborted, None),
    ] {
        store(&jail, "new", mode, "cut", ending).await.unwrap();
        let found = load(&jail, "new").await.ok();
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{mode:?} {ending:?}");
    }
    let sink = delete.write(&path("new"), WriteMode::Replace).await.unwrap();
    fs::rename(world.home().join("dir/file"), world.home().join("new")).unwrap();
    send(sink, b"cut".to_vec(), Ending::Aborted).await.unwrap();
    assert_eq!(load(&delete, "new").await.unwrap(), b"inside", "another file of that name stays");
}

#[tokio::test]
async fn staged_uploads_appear_whole_or_not_at_all() {
    let world = World::new();
    let jail = world.staged();
    for (mode, ending, expected) in [
        (WriteMode::Replace, Ending::Aborted, None),
        (WriteMode::Append, Ending::Unproven, None),
        (WriteMode::Replace, Ending::Complete, Some("abc")),
        (WriteMode::Replace, Ending::Unproven, Some("abc")),
        (WriteMode::Append, Ending::Aborted, Some("abc")),
        (WriteMode::Append, Ending::Complete, Some("abcabc")),
        (WriteMode::At(1), Ending::Aborted, Some("abcabc")),
        (WriteMode::At(4), Ending::Complete, Some("abcaabc")),
    ] {
        let before = world.names();
        let sink = jail.write(&path("new"), mode).await.unwrap();
        assert_eq!(world.names(), before, "nothing appears while it is written");
        let finished = send(sink, b"abc".to_vec(), ending).await;
        match ending {
            Ending::Complete => finished.unwrap(),
            _ => assert_eq!(kind(finished), FsErrorKind::NotPublished),
        }
        assert_eq!(
            load(&jail, "new").await.ok().as_deref(),
            expected.map(str::as_bytes),
            "{mode:?} {ending:?}"
        );
    }
    assert_eq!(world.names(), ["dir", "new"]);
}

#[tokio::test]
async fn what_is_replaced_keeps_its_nature() {
    let world = World::new();
    let jail = world.staged();
    let (file, hard) = (world.home().join("dir/file"), world.home().join("hard"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
    world.link("dir/file", "link");
    store(&jail, "link", WriteMode::Replace, "one", Ending::Complete).await.unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o604);
    assert!(world.home().join("link").is_symlink(), "the link stays, and what it leads to is replaced");
    assert_eq!(fs::read(&file).unwrap(), b"one");
    fs::hard_link(&file, &hard).unwrap();
    store(&jail, "hard", WriteMode::Replace, "two", Ending::Complete).await.unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"two", "both names show the new content");
    assert_eq!(fs::metadata(&hard).unwrap().nlink(), 2);
    if rustix::process::getuid().is_root() {
        fs::remove_file(&hard).unwrap();
        std::os::unix::fs::chown(&file, Some(12_345), Some(54_321)).unwrap();
        store(&jail, "dir/file", WriteMode::Append, "+", Ending::Complete).await.unwrap();
        let found = fs::metadata(&file).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (12_345, 54_321, 0o604));
        assert_eq!(fs::read(&file).unwrap(), b"two+");
    }
}

/// What the kernel has for `user::rw-,user:12345:rw-,group::---,mask::rw-,other::---`.
fn access_list() -> Vec<u8> {
    let entry = |tag: u16, rights: u16, id: u32| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes()[..], &id.to_le_bytes()[..]].concat()
    };
    let nobody = u32::MAX;
    let entries = [(1, 6, nobody), (2, 6, 12_345), (4, 0, nobody), (16, 6, nobody), (32, 0, nobody)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    list.extend(entries.into_iter().flat_map(|(tag, rights, id)| entry(tag, rights, id)));
    list
}

#[tokio::test]
async fn what_is_replaced_keeps_its_access_list_or_none() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};

    let world = World::new();
    let (jail, directory) = (world.staged(), world.home().join("dir"));
    // After the file, which has none.
    let set = setxattr(&directory, "system.posix_acl_default", &access_list(), XattrFlags::empty());
    if set.is_err() {
        println!(
            "skipped: what_is_replaced_keeps_its_access_list_or_none needs a file system with access lists"
        );
        return;
    }
    let list_of = |name: &str| {
        let mut list = vec![0; 1_024];
        let length = getxattr(directory.join(name), "system.posix_acl_access", &mut list);
        length.map(|length| list[..length].to_vec())
    };
    fs::set_permissions(directory.join("file"), fs::Permissions::from_mode(0o640)).unwrap();
    for name in ["dir/file", "dir/new", "dir/new"] {
        store(&jail, name, WriteMode::Replace, "new", Ending::Complete).await.unwrap();
    }
    assert_eq!(list_of("file"), Err(rustix::io::Errno::NODATA));
    assert_eq!(fs::metadata(directory.join("file")).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(list_of("new"), Ok(access_list()), "what the directory gives to new files");
}

#[tokio::test]
async fn hidden_uploads_do_not_exist_for_clients() {
    let world = World::new();
    let hidden = ".wharf-abcdefghijklmnop.part";
    fs::write(world.home().join("dir/deep").join(hidden), "left").unwrap();
    let jail = world.jail();
    let name = path(format!("/dir/deep/{hidden}"));
    assert_eq!(kind(jail.metadata(&name).await), FsErrorKind::NotFound);
    assert_eq!(kind(jail.read(&name, 0).await), FsErrorKind::NotFound);
    assert_eq!(kind(jail.remove_file(&name).await), FsErrorKind::NotFound);
    assert_eq!(kind(jail.write(&name, WriteMode::Replace).await), FsErrorKind::InvalidName);
    assert_eq!(kind(jail.rename(&path("dir/file"), &name).await), FsErrorKind::InvalidName);
    assert!(all(&jail, "/dir/deep", Detail::Names).await.is_empty());
    jail.remove_dir(&path("/dir/deep")).await.unwrap();
}

#[tokio::test]
async fn the_sweep_removes_what_nobody_writes() {
    let world = World::new();
    let (dead, alive) = (".wharf-aaaaaaaaaaaaaaaa.part", ".wharf-bbbbbbbbbbbbbbbb.part");
    fs::write(world.home().join("dir/deep").join(dead), "").unwrap();
    fs::write(world.outside().join(dead), "").unwrap();
    world.link("../outside", "link");
    let file = fs::File::create(world.home().join(alive)).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(JailedFs::sweep(&world.home(), Duration::from_secs(3_600)).unwrap(), 0);
    let old = Timestamp { seconds: 1, nanoseconds: 0 };
    let outer = JailedFs::new(&world.home(), &Identity::process()).unwrap();
    drop(outer.set_modified(&path("dir/file"), old).await);
    assert_eq!(JailedFs::sweep(&world.home(), Duration::ZERO).unwrap(), 1);
    assert!(world.home().join(alive).exists() && world.outside().join(dead).exists());
    assert!(!world.home().join("dir/deep").join(dead).exists());
}

/// Where nothing renames only to a name that is free, an upload has two for a moment, and a server that dies then leaves both.
#[tokio::test]
async fn the_sweep_leaves_a_file_its_other_name() {
    let world = World::new();
    let hidden = world.home().join(".wharf-aaaaaaaaaaaaaaaa.part");
    fs::write(world.home().join("new"), "complete").unwrap();
    fs::hard_link(world.home().join("new"), &hidden).unwrap();
    let uploading = world.jail().write(&path("new"), WriteMode::Append).await.unwrap();
    assert_eq!(JailedFs::sweep(&world.home(), Duration::ZERO).unwrap(), 0, "somebody writes it");
    send(uploading, b"".to_vec(), Ending::Complete).await.unwrap();
    assert_eq!(JailedFs::sweep(&world.home(), Duration::ZERO).unwrap(), 1);
    assert!(!hidden.exists());
    assert_eq!(fs::read(world.home().join("new")).unwrap(), b"complete");
}

/// Root may keep such bits when it writes, and the bytes are written by a server that may still be all of root.
#[tokio::test]
async fn what_a_user_writes_to_loses_the_rights_of_its_owner() {
    if !rustix::process::getuid().is_root() {
        println!(
            "skipped: what_a_user_writes_to_loses_the_rights_of_its_owner needs root, to work as another user"
        );
        return;
    }
    let (world, jail) = of_nobody();
    let staged = Uploads { publish: Publish::Staged, ..Uploads::default() };
    let program = world.home().join("program");
    for jail in [jail.clone(), jail.with_uploads(staged)] {
        for (mode, before) in [
            (WriteMode::At(1), "old"),
            (WriteMode::Append, "old"),
            (WriteMode::Append, ""),
            (WriteMode::Replace, "old"),
            (WriteMode::Replace, ""),
        ] {
            fs::write(&program, before).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o6777)).unwrap();
            store(&jail, "program", mode, "new", Ending::Complete).await.unwrap();
            let after = fs::metadata(&program).unwrap();
            assert_eq!((after.uid(), after.mode() & 0o7777), (0, 0o777), "{mode:?} {before:?}");
        }
    }
}
