//! Directories full of awkward names, and what two of them differ in.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// Names that have troubled some client or server.
pub(crate) const NAMES: &[&[u8]] = &[
    b"two words",
    b"it's",
    b"\"quoted\"",
    b"[brackets]",
    b"{braces}",
    b"star*",
    b"question?",
    b"semi;colon&more",
    b"100%",
    b"#hash",
    b"dollar$HOME",
    b"~tilde",
    b"-dash",
    b".hidden",
    b"back\\slash",
    "gr\u{fc}\u{df}e \u{65e5}\u{672c}".as_bytes(),
    b"caf\xe9",
    b" lead",
    b"trail ",
];

/// One of [`NAMES`] as a file name.
pub(crate) fn os(name: &[u8]) -> OsString {
    OsString::from_vec(name.to_vec())
}

/// Bytes without a short period and with every line end in them.
pub(crate) fn content(size: usize, seed: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(31) + at / 253 + seed) as u8).collect()
}

/// A tree of files with the given names, some of them in directories with such names.
pub(crate) fn plant(root: &Path, names: &[&[u8]]) {
    fs::create_dir_all(root.join("deep/er/still")).expect("a directory");
    for (seed, name) in names.iter().enumerate() {
        let directory = root.join("directories").join(os(name));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("inner"), content(100, seed)).expect("a file");
        fs::write(root.join(os(name)), content(1000 + seed, seed)).expect("a file");
    }
    fs::write(root.join("deep/er/still/nothing"), "").expect("a file");
    fs::write(root.join("text"), "one\r\ntwo\nthree\r").expect("a file");
}

/// Every file below the root with its content; directories show through their files.
pub(crate) fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(root).expect("below the root").to_owned();
                found.insert(name, fs::read(path).expect("a file"));
            }
        }
    }
    found
}

/// Fails with the names of all files that differ.
pub(crate) fn assert_same(expected: &Path, found: &Path) {
    let (expected, found) = (files(expected), files(found));
    let names = expected.keys().chain(found.keys());
    let mut different: Vec<_> = names.filter(|name| expected.get(*name) != found.get(*name)).collect();
    different.dedup();
    assert!(different.is_empty(), "missing, surplus or different: {different:?}");
}
