//! Paths as clients see them.
//!
//! A [`VPath`] is absolute, normal and made of bytes. It is the only kind of path that crosses from the
//! protocol to a file system, so a file system never meets `..`, a doubled slash or a NUL.
//!
//! ```
//! use wharf_proto::VPath;
//!
//! let cwd = VPath::parse(b"/photos")?;
//! assert_eq!(cwd.join(b"../music//a.mp3")?.as_bytes(), b"/music/a.mp3");
//! assert_eq!(cwd.join(b"../../..")?, VPath::root());
//! # Ok::<(), wharf_proto::BadPath>(())
//! ```

use std::fmt;
use std::sync::Arc;

/// The longest path a client may name, in bytes: `PATH_MAX` of Linux.
const MAX_PATH: usize = 4096;

/// An absolute, normalised virtual path: it starts with `/`, has no empty, `.` or `..` component, no trailing
/// slash (but for the root itself) and none of the bytes NUL, CR and LF.
///
/// Names are bytes: they need not be UTF-8. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VPath(Arc<[u8]>);

/// Why bytes are not a path: they hold NUL, CR or LF, or are longer than 4,096 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath;

impl VPath {
    /// The path `/`.
    pub fn root() -> Self {
        Self(Arc::from(b"/".as_slice()))
    }

    /// The path that `bytes` name, seen from the root.
    ///
    /// # Errors
    /// [`BadPath`] when the bytes hold NUL, CR or LF, or are too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadPath> {
        Self::root().join(bytes)
    }

    /// The path that `argument` names, seen from this one: absolute when it starts with `/`, relative otherwise.
    /// `..` is resolved lexically and stops at the root; an empty argument is this path.
    ///
    /// # Errors
    /// [`BadPath`] when the bytes hold NUL, CR or LF, or the result is too long.
    #[doc(alias = "ftpnorm")]
    pub fn join(&self, argument: &[u8]) -> Result<Self, BadPath> {
        if argument.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            return Err(BadPath);
        }
        let stem = if argument.first() == Some(&b'/') { &[] } else { self.stem() };
        let mut bytes = Vec::with_capacity(stem.len() + 1 + argument.len());
        bytes.extend_from_slice(stem);
        for component in argument.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    let parent = bytes.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                    bytes.truncate(parent);
                }
                name => {
                    bytes.push(b'/');
                    bytes.extend_from_slice(name);
                }
            }
        }
        if bytes.len() > MAX_PATH {
            return Err(BadPath);
        }
        if bytes.is_empty() {
            bytes.push(b'/');
        }
        Ok(Self(Arc::from(bytes)))
    }

    /// The directory that holds this path; the root holds itself.
    pub fn parent(&self) -> Self {
        match self.0.iter().rposition(|&byte| byte == b'/') {
            None | Some(0) => Self::root(),
            Some(end) => Self(Arc::from(self.0.get(..end).unwrap_or_default())),
        }
    }

    /// The last component; `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().last()
    }

    /// The components from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|component| !component.is_empty())
    }

    /// The whole path, starting with `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path without its leading slash: empty for the root, else relative to it.
    pub fn relative(&self) -> &[u8] {
        self.0.get(1..).unwrap_or_default()
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether `ancestor` is this path or one of the directories above it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        self.0.strip_prefix(ancestor.stem()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// The bytes that a component is appended to: the path, or nothing for the root.
    fn stem(&self) -> &[u8] {
        if self.is_root() { b"" } else { &self.0 }
    }
}

/// The path for people and logs: bytes that are not printable UTF-8 appear as `\xNN`.
impl fmt::Display for VPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::text::Escaped(&self.0).fmt(f)
    }
}

impl fmt::Debug for VPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VPath({self})")
    }
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("path is too long or holds NUL, CR or LF")
    }
}

impl std::error::Error for BadPath {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn joins_as_the_table_says() {
        let sub = VPath::parse(b"/sub").unwrap();
        for (argument, expected) in [
            ("", "/sub"),
            ("/", "/"),
            ("..", "/"),
            ("a/../../..", "/"),
            ("//a", "/a"),
            ("/a/", "/a"),
            (" lead", "/sub/ lead"),
            ("a/./b//c", "/sub/a/b/c"),
            ("...", "/sub/..."),
        ] {
            assert_eq!(sub.join(argument.as_bytes()).unwrap().as_bytes(), expected.as_bytes(), "{argument}");
        }
    }

    #[test]
    fn refuses_bytes_that_would_forge_replies() {
        for bytes in [b"a\0b".as_slice(), b"a\rb", b"a\nb"] {
            assert_eq!(VPath::parse(bytes), Err(BadPath));
        }
        assert_eq!(VPath::parse(&[b'a'; MAX_PATH + 1]), Err(BadPath));
    }

    #[test]
    fn knows_its_family() {
        let path = VPath::parse(b"/a/b").unwrap();
        assert_eq!(path.parent().as_bytes(), b"/a");
        assert_eq!(path.parent().parent(), VPath::root());
        assert_eq!(path.file_name(), Some(b"b".as_slice()));
        assert_eq!(VPath::root().file_name(), None);
        assert!(path.starts_with(&VPath::root()));
        assert!(path.starts_with(&path));
        assert!(!path.starts_with(&VPath::parse(b"/a/bb").unwrap()));
        assert!(!VPath::parse(b"/a/bb").unwrap().starts_with(&path));
    }

    proptest! {
        #[test]
        fn every_join_is_normal(base: Vec<u8>, argument: Vec<u8>) {
            let Ok(base) = VPath::parse(&base) else { return Ok(()) };
            let Ok(path) = base.join(&argument) else { return Ok(()) };
            prop_assert!(path.as_bytes().starts_with(b"/"));
            prop_assert!(path.components().all(|c| !matches!(c, b"." | b"..")));
            prop_assert_eq!(VPath::parse(path.as_bytes()).unwrap(), path.clone());
            prop_assert!(path.starts_with(&path.parent()));
        }
    }
}
