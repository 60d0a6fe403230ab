//! What depends on what the files lie on.

use std::process::Command;

use super::*;

#[tokio::test]
async fn memory_needs_no_hop_unless_it_takes_long() {
    let world = World::at(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());
    let Some(tree) = world.jail().tree.in_memory() else {
        println!("skipped: memory_needs_no_hop_unless_it_takes_long needs tmpfs at /dev/shm");
        return;
    };
    for jail in world.jails() {
        conformance::check(&jail, &path("/dir/deep")).await;
    }
    let large = fs::File::create(world.home().join("large")).unwrap();
    large.set_len(2 << 20).unwrap();
    let replace = |name| tree.write(&path(name), WriteMode::Replace, Uploads::default()).map(drop);
    assert_eq!(kind(tree.remove_file(&path("large"))), FsErrorKind::Unsupported);
    assert_eq!(kind(replace("large")), FsErrorKind::Unsupported);
    assert_eq!(large.metadata().unwrap().len(), 2 << 20);
    // What an absolute link leads to may lie anywhere.
    world.link(world.home().join("dir/file"), "absolute");
    assert_eq!(kind(replace("absolute")), FsErrorKind::Unsupported);
    let jail = world.jail();
    store(&jail, "absolute", WriteMode::Replace, "new", Ending::Complete).await.unwrap();
    assert_eq!(fs::read(world.home().join("dir/file")).unwrap(), b"new");
    replace("dir/file").unwrap();
    tree.remove_file(&path("dir/file")).unwrap();
    jail.remove_file(&path("large")).await.unwrap();
    assert!(world.outside().join("secret").exists() && !world.home().join("large").exists());
}

/// A small file system of its own, unmounted when dropped; mounting takes root.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(super) fn mount_at(directory: PathBuf) -> Option<Self> {
        Self::mount(Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "small"]), directory)
    }

    /// One that the first of `programs` has made that is there, in an image beside `directory`.
    pub(super) fn made_by(programs: &[&str], directory: PathBuf) -> Option<Self> {
        let image = directory.with_extension("image");
        // As small as XFS can be; others need less, and nothing is written of most of it.
        fs::File::create(&image).unwrap().set_len(300 << 20).unwrap();
        let makes = |program| Command::new(program).arg(&image).output().is_ok_and(|it| it.status.success());
        if !programs.iter().any(makes) {
            return None;
        }
        Self::mount(Command::new("mount").args(["-o", "loop"]).arg(&image), directory)
    }

    fn mount(command: &mut Command, directory: PathBuf) -> Option<Self> {
        let mounted = command.arg(&directory).output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_what_the_settings_say() {
    let directory = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount_at(directory.path().to_path_buf()) else {
        println!(
            "skipped: a_full_disk_is_told_and_leaves_what_the_settings_say needs root, to mount a small disk"
        );
        return;
    };
    let jail = JailedFs::new(directory.path(), &Identity::process()).unwrap();
    let delete = Uploads { incomplete: Incomplete::Delete, ..Uploads::default() };
    let staged = Uploads { publish: Publish::Staged, ..Uploads::default() };
    for (uploads, left) in [(staged, false), (delete, false), (Uploads::default(), true)] {
        let jail = jail.clone().with_uploads(uploads);
        let mut sink = jail.write(&path("big"), WriteMode::Replace).await.unwrap();
        let SinkKind::File(open) = &mut sink.kind else { panic!("a local file") };
        let full = std::io::Write::write_all(open.file().unwrap(), &vec![7; 1 << 20]).unwrap_err();
        assert_eq!(FsError::from(full).kind(), FsErrorKind::NoSpace);
        let _ = sink.finish(Ending::Aborted).await;
        assert_eq!(directory.path().join("big").exists(), left, "{uploads:?}");
    }
}
