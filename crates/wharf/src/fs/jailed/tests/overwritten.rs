//! Staged uploads that cannot take the place of a file, and are written into it when they are complete.

use super::storage::SmallDisk;
use super::*;

/// A file of two names, in a home as staged uploads serve it.
fn home_with_two_names(home: &Path, content: &[u8]) -> JailedFs {
    fs::write(home.join("file"), content).unwrap();
    let _ = fs::remove_file(home.join("second-name"));
    fs::hard_link(home.join("file"), home.join("second-name")).unwrap();
    let uploads = Uploads { publish: Publish::Staged, ..Uploads::default() };
    JailedFs::new(home, &Identity::process()).unwrap().with_uploads(uploads)
}

#[tokio::test]
async fn nothing_is_left_of_what_was_longer() {
    let directory = tempfile::tempdir().unwrap();
    let (plain, sharing) = (directory.path().join("plain"), directory.path().join("sharing"));
    fs::create_dir(&plain).unwrap();
    fs::create_dir(&sharing).unwrap();
    let disk = SmallDisk::made_by(&["mkfs.btrfs", "mkfs.xfs"], sharing.clone());
    if disk.is_none() {
        println!(
            "skipped: nothing_is_left_of_what_was_longer, where blocks are shared, needs root, and mkfs.btrfs or mkfs.xfs"
        );
    }
    for home in [Some(plain), disk.is_some().then_some(sharing)].into_iter().flatten() {
        // Whole blocks are what can be shared with a longer file.
        for length in [8_192, 5, 0] {
            let jail = home_with_two_names(&home, &[b'-'; 20_000]);
            store(&jail, "file", WriteMode::Replace, &"x".repeat(length), Ending::Complete).await.unwrap();
            assert_eq!(load(&jail, "second-name").await.unwrap(), vec![b'x'; length]);
        }
    }
}

#[tokio::test]
async fn a_disk_that_is_too_full_for_it_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount_at(directory.path().to_path_buf()) else {
        println!("skipped: a_disk_that_is_too_full_for_it_loses_nothing needs root, to mount a small disk");
        return;
    };
    let old = [b'-'; 10_000];
    let jail = home_with_two_names(directory.path(), &old);
    // There is room for it, but not for it twice.
    let refused = store(&jail, "file", WriteMode::Replace, &"x".repeat(40_000), Ending::Complete).await;
    assert_eq!(kind(refused), FsErrorKind::NoSpace);
    assert_eq!(load(&jail, "file").await.unwrap(), old);
    store(&jail, "file", WriteMode::Replace, &"x".repeat(20_000), Ending::Complete).await.unwrap();
    assert_eq!(load(&jail, "file").await.unwrap(), [b'x'; 20_000]);
}

#[tokio::test]
async fn what_is_to_be_synced_is_on_the_disk_in_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    let Some(_disk) = SmallDisk::made_by(&["mkfs.ext4"], home.clone()) else {
        println!("skipped: what_is_to_be_synced_is_on_the_disk_in_the_end needs root and mkfs.ext4");
        return;
    };
    let synced = Uploads { publish: Publish::Staged, sync: true, ..Uploads::default() };
    let jail = home_with_two_names(&home, b"old").with_uploads(synced);
    // As small as a block of any such disk.
    let block = "wharf-01".repeat(128);
    store(&jail, "file", WriteMode::Replace, &block, Ending::Complete).await.unwrap();
    let image = fs::read(home.with_extension("image")).unwrap();
    let copies = image.chunks(block.len()).filter(|chunk| *chunk == block.as_bytes()).count();
    assert_eq!(copies, 2, "the upload, and what it was copied into");
}
