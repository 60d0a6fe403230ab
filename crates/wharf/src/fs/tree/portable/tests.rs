use super::*;
use crate::fs::{JailedFs, conformance};

#[tokio::test]
async fn keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let jail = JailedFs::new(directory.path(), &Identity::process()).unwrap();
    for publish in [Publish::Direct, Publish::Staged] {
        let jail = jail.clone().with_uploads(Uploads { publish, ..Uploads::default() });
        conformance::check(&jail, &VPath::root()).await;
    }
}

#[test]
fn a_second_upload_is_told_that_the_file_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Tree::open(directory.path(), Lookup::Disk).unwrap();
    let path = VPath::parse(b"/file").unwrap();
    for (publish, second) in [
        (Publish::Direct, WriteMode::Replace),
        (Publish::Direct, WriteMode::Append),
        (Publish::Staged, WriteMode::Append),
    ] {
        fs::write(directory.path().join("file"), "inside").unwrap();
        let uploads = Uploads { publish, ..Uploads::default() };
        let (file, first) = tree.write(&path, WriteMode::Append, uploads).unwrap();
        let refused = tree.write(&path, second, uploads).unwrap_err();
        assert_eq!(refused.kind(), FsErrorKind::Busy, "{publish:?} {second:?}");
        assert_eq!(fs::read(directory.path().join("file")).unwrap(), b"inside");
        first.finish(file, Ending::Complete).unwrap();
        tree.write(&path, second, uploads).unwrap();
    }
}

/// Where only one spelling is found, there is nothing to tell apart.
#[test]
fn directories_have_the_name_that_the_disk_knows() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("private/below")).unwrap();
    fs::write(directory.path().join("private/file"), "inside").unwrap();
    let tree = Tree::open(directory.path(), Lookup::Disk).unwrap();
    let path = |name: &str| VPath::parse(name.as_bytes()).unwrap();
    tree.metadata(&path("/private/file"), Lookup::Disk).unwrap();
    for name in ["/PRIVATE", "/Private/file", "/private/BELOW"] {
        let refused = tree.metadata(&path(name), Lookup::Disk).unwrap_err();
        assert_eq!(refused.kind(), FsErrorKind::NotFound, "{name}");
    }
    assert!(tree.remove_dir(&path("/private/Below")).is_err());
    assert!(tree.rename(&path("/PRIVATE"), &path("/else")).is_err());
    assert!(tree.write(&path("/PRIVATE/new"), WriteMode::Replace, Uploads::default()).is_err());
    if cfg!(windows) {
        assert_eq!(tree.metadata(&path("/private/FILE"), Lookup::Disk).unwrap().size, 6);
    }
}

#[cfg(windows)]
#[test]
fn names_of_devices_and_streams_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Tree::open(directory.path(), Lookup::Disk).unwrap();
    for name in ["NUL", "con.txt", "a:b", "a.", "a ", "back\\slash"] {
        let path = VPath::root().join(name.as_bytes()).unwrap();
        let refused = tree.write(&path, WriteMode::Replace, Uploads::default()).unwrap_err();
        assert_eq!(refused.kind(), FsErrorKind::InvalidName, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_judged_by_where_they_lead() {
    let directory = tempfile::tempdir().unwrap();
    let (home, outside) = (directory.path().join("home"), directory.path().join("outside"));
    fs::create_dir(&home).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(home.join("file"), "inside").unwrap();
    for (target, name) in [(home.join("file"), "in"), (outside.clone(), "out"), (outside.join("x"), "broken")]
    {
        std::os::unix::fs::symlink(target, home.join(name)).unwrap();
    }
    let tree = Tree::open(&home, Lookup::Disk).unwrap();
    let path = |name: &str| VPath::parse(name.as_bytes()).unwrap();
    assert_eq!(tree.metadata(&path("in"), Lookup::Disk).unwrap().size, 6);
    for name in ["out", "out/x", "broken"] {
        assert!(tree.write(&path(name), WriteMode::Replace, Uploads::default()).is_err(), "{name}");
    }
    assert_eq!(tree.create_dir(&path("out/new")).unwrap_err().kind(), FsErrorKind::OutsideHome);
    tree.remove_file(&path("out")).unwrap();
    assert!(outside.exists());
}
