//! What a user may do, in pyftpdlib's letters, per directory.
//!
//! ```
//! use wharf_proto::{Letter, Permissions, VPath, Verdict};
//!
//! let mut permissions: Permissions = "elr".parse()?;
//! permissions.override_directory(VPath::parse(b"/incoming")?, "elw".parse()?, true);
//! let drop_box = VPath::parse(b"/incoming/scan.pdf")?;
//! assert_eq!(permissions.verdict(Letter::Store, &drop_box), Verdict::Allowed);
//! assert_eq!(permissions.verdict(Letter::Retrieve, &drop_box), Verdict::Denied);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::str::FromStr;

use crate::VPath;

/// One right, spelled as a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Letter {
    /// `e`: change directory (CWD, CDUP).
    Enter,
    /// `l`: list and look (LIST, NLST, STAT, MLSD, MLST, SIZE, MDTM).
    List,
    /// `r`: read files (RETR).
    Retrieve,
    /// `a`: append to files (APPE).
    Append,
    /// `d`: delete files and directories (DELE, RMD).
    Delete,
    /// `f`: rename (RNFR, RNTO).
    Rename,
    /// `m`: make directories (MKD).
    MakeDirectory,
    /// `w`: store files (STOR, STOU).
    Store,
    /// `M`: change modes (SITE CHMOD).
    ChangeMode,
    /// `T`: change times (MFMT, MDTM with a time).
    ChangeTime,
}

impl Letter {
    /// All letters, in the order in which they are written.
    pub const ALL: [Self; 10] = [
        Self::Enter,
        Self::List,
        Self::Retrieve,
        Self::Append,
        Self::Delete,
        Self::Rename,
        Self::MakeDirectory,
        Self::Store,
        Self::ChangeMode,
        Self::ChangeTime,
    ];

    /// The letter as it is written.
    pub fn as_char(self) -> char {
        match self {
            Self::Enter => 'e',
            Self::List => 'l',
            Self::Retrieve => 'r',
            Self::Append => 'a',
            Self::Delete => 'd',
            Self::Rename => 'f',
            Self::MakeDirectory => 'm',
            Self::Store => 'w',
            Self::ChangeMode => 'M',
            Self::ChangeTime => 'T',
        }
    }

    /// Whether the right changes what is on the disk.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Enter | Self::List | Self::Retrieve)
    }
}

/// A set of [`Letter`]s. Parses from and prints as text such as `elradfmwMT`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Letters(u16);

impl Letters {
    /// No right at all.
    pub const NONE: Self = Self(0);
    /// `elr`: look and fetch.
    pub const READ_ONLY: Self = Self(0b111);
    /// `elradfmwMT`: everything.
    pub const ALL: Self = Self(0b11_1111_1111);

    /// Whether the set holds `letter`.
    pub fn contains(self, letter: Letter) -> bool {
        self.0 & (1 << letter as u16) != 0
    }

    /// The letters of the set, in the order of [`Letter::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Letter> {
        Letter::ALL.into_iter().filter(move |&letter| self.contains(letter))
    }

    /// The set without `letter`.
    fn without(self, letter: Letter) -> Self {
        Self(self.0 & !(1 << letter as u16))
    }

    /// Whether the set holds a letter that changes what is on the disk.
    pub fn writes(self) -> bool {
        self.iter().any(Letter::writes)
    }
}

/// A character that is no permission letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLetter(pub char);

impl FromStr for Letters {
    type Err = UnknownLetter;

    fn from_str(text: &str) -> Result<Self, UnknownLetter> {
        text.chars().try_fold(Self::NONE, |set, c| {
            let letter =
                Letter::ALL.into_iter().find(|letter| letter.as_char() == c).ok_or(UnknownLetter(c))?;
            Ok(Self(set.0 | 1 << letter as u16))
        })
    }
}

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|letter| write!(f, "{}", letter.as_char()))
    }
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Letters({self})")
    }
}

impl fmt::Display for UnknownLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such permission {:?}; the letters are {}", self.0, Letters::ALL)
    }
}

impl std::error::Error for UnknownLetter {}

/// The rights of one user: base letters, and letters that replace them in some directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    base: Letters,
    overrides: Vec<Override>,
}

/// Letters that hold in one directory instead of the base letters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Override {
    directory: VPath,
    letters: Letters,
    recursive: bool,
}

/// The answer to "may the user do this here?"
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allowed,
    /// No.
    Denied,
    /// Only if the path names a directory, because the override on its parent is not recursive.
    AllowedForDirectory,
    /// Only if the path does not name a directory, for the same reason.
    AllowedForFile,
}

impl Permissions {
    /// The same letters everywhere.
    pub fn new(base: Letters) -> Self {
        Self { base, overrides: Vec::new() }
    }

    /// The letters that hold where nothing overrides them.
    pub fn base(&self) -> Letters {
        self.base
    }

    /// Replaces the letters inside `directory`: for itself and for the files in it, and when `recursive` for
    /// all that lies below. Of several overrides the one nearest to a path decides. Setting one again replaces it.
    pub fn override_directory(&mut self, directory: VPath, letters: Letters, recursive: bool) {
        self.overrides.retain(|existing| existing.directory != directory);
        self.overrides.push(Override { directory, letters, recursive });
    }

    /// Whether `letter` holds for `path`.
    pub fn verdict(&self, letter: Letter, path: &VPath) -> Verdict {
        let file = self.letters_at(path, false).contains(letter);
        let directory = self.letters_at(path, true).contains(letter);
        match (file, directory) {
            (true, true) => Verdict::Allowed,
            (false, false) => Verdict::Denied,
            (false, true) => Verdict::AllowedForDirectory,
            (true, false) => Verdict::AllowedForFile,
        }
    }

    /// Whether what lies below the directory `path` may be moved with it: no override in there takes the right to rename
    /// away. Without this check it would do to rename the directory above to be rid of an override.
    pub fn may_move_below(&self, path: &VPath) -> bool {
        let below = |found: &&Override| found.directory != *path && found.directory.starts_with(path);
        self.overrides.iter().filter(below).all(|found| found.letters.contains(Letter::Rename))
    }

    /// What the user may do with `path`, which names a directory or not.
    pub fn letters_for(&self, path: &VPath, is_directory: bool) -> Letters {
        let letters = self.letters_at(path, is_directory);
        if self.may_move_below(path) { letters } else { letters.without(Letter::Rename) }
    }

    /// What the user may do with the entries of `directory`.
    pub fn inside(&self, directory: &VPath) -> LettersInside {
        let hold = |is_directory: bool| {
            self.nearest(|found| {
                directory.starts_with(&found.directory)
                    && (found.recursive || (!is_directory && found.directory == *directory))
            })
        };
        let mut inside = LettersInside { file: hold(false), directory: hold(true), named: Vec::new() };
        for found in &self.overrides {
            if found.directory.starts_with(directory)
                && let Some(name) = found.directory.components().nth(directory.components().count())
                && inside.named(name).is_none()
                && let Ok(path) = directory.join(name)
            {
                let [file, directory] = [false, true].map(|is_dir| self.letters_for(&path, is_dir));
                inside.named.push(Named { name: name.into(), file, directory });
            }
        }
        inside
    }

    /// The letters that hold for `path`, as far as they are not about what lies below it.
    fn letters_at(&self, path: &VPath, is_directory: bool) -> Letters {
        self.nearest(|candidate| candidate.covers(path, is_directory))
    }

    /// The letters of the nearest override of those that count.
    fn nearest(&self, counts: impl Fn(&Override) -> bool) -> Letters {
        self.overrides
            .iter()
            .filter(|candidate| counts(candidate))
            .max_by_key(|candidate| candidate.directory.components().count())
            .map_or(self.base, |nearest| nearest.letters)
    }
}

/// What a user may do with the entries of one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LettersInside {
    file: Letters,
    directory: Letters,
    /// Those that an override is about, or something below them.
    named: Vec<Named>,
}

/// What a user may do with what has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    name: Box<[u8]>,
    file: Letters,
    directory: Letters,
}

impl LettersInside {
    /// The letters of the entry `name`, which is a directory or not.
    pub fn of(&self, name: &[u8], is_directory: bool) -> Letters {
        let (file, directory) =
            self.named(name).map_or((self.file, self.directory), |named| (named.file, named.directory));
        if is_directory { directory } else { file }
    }

    fn named(&self, name: &[u8]) -> Option<&Named> {
        self.named.iter().find(|named| *named.name == *name)
    }
}

impl From<Letters> for LettersInside {
    fn from(letters: Letters) -> Self {
        Self { file: letters, directory: letters, named: Vec::new() }
    }
}

impl Override {
    fn covers(&self, path: &VPath, is_directory: bool) -> bool {
        path.starts_with(&self.directory)
            && (self.recursive
                || path == &self.directory
                || (!is_directory && path.parent() == self.directory))
    }
}

impl From<Letters> for Permissions {
    fn from(base: Letters) -> Self {
        Self::new(base)
    }
}

impl FromStr for Permissions {
    type Err = UnknownLetter;

    fn from_str(text: &str) -> Result<Self, UnknownLetter> {
        text.parse().map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> VPath {
        VPath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn letters_print_as_they_parse() {
        for text in ["", "elr", "elradfmwMT", "w"] {
            assert_eq!(text.parse::<Letters>().unwrap().to_string(), text);
        }
        assert_eq!("elrx".parse::<Letters>(), Err(UnknownLetter('x')));
        assert_eq!(Letters::ALL.to_string(), "elradfmwMT");
        assert_eq!(Letters::READ_ONLY.to_string(), "elr");
        assert!(!Letters::READ_ONLY.writes());
    }

    /// The table of behaviour.md §5.3, with the nearest override deciding.
    #[test]
    fn overrides_replace_as_the_table_says() {
        use Verdict::{Allowed, AllowedForFile, Denied};
        for (recursive, asked, expected) in [
            (false, "/dir", Allowed),
            (false, "/dir/new", AllowedForFile),
            (false, "/dir/sub/deep", Denied),
            (false, "/dirX", Denied),
            (true, "/dir", Allowed),
            (true, "/dir/sub/deep", Allowed),
            (true, "/dirX", Denied),
        ] {
            let mut permissions: Permissions = "elr".parse().unwrap();
            permissions.override_directory(path("/dir"), "w".parse().unwrap(), recursive);
            assert_eq!(permissions.verdict(Letter::Store, &path(asked)), expected, "{asked} {recursive}");
        }
    }

    #[test]
    fn what_is_inside_a_directory_has_the_letters_that_hold_there() {
        let mut permissions: Permissions = "elradfmw".parse().unwrap();
        for (directory, letters, recursive) in [
            ("/incoming", "el", true),
            ("/dir", "elw", false),
            ("/a/b/c", "elf", true),
            ("/a/b/d", "el", true),
        ] {
            permissions.override_directory(path(directory), letters.parse().unwrap(), recursive);
        }
        let base = "elradfmw";
        for (directory, name, file, sub) in [
            ("/", "other", base, base),
            ("/", "incoming", "el", "el"),
            ("/", "dir", "elw", "elw"),
            ("/", "a", "elradmw", "elradmw"),
            ("/incoming", "x", "el", "el"),
            ("/incoming/deep", "x", "el", "el"),
            ("/dir", "x", "elw", base),
            ("/dir/sub", "x", base, base),
            ("/a", "b", "elradmw", "elradmw"),
            ("/a", "c", base, base),
            ("/a/b", "c", "elf", "elf"),
            ("/a/b", "d", "el", "el"),
            ("/ab", "b", base, base),
        ] {
            let inside = permissions.inside(&path(directory));
            let shown = [false, true].map(|is_dir| inside.of(name.as_bytes(), is_dir).to_string());
            assert_eq!(shown, [file, sub], "{name} in {directory}");
            let named = path(directory).join(name.as_bytes()).unwrap();
            let single = [false, true].map(|is_dir| permissions.letters_for(&named, is_dir).to_string());
            assert_eq!(single, shown, "MLST says what MLSD says of {name} in {directory}");
        }
    }

    #[test]
    fn the_nearest_override_decides_whatever_the_order() {
        let mut permissions: Permissions = "elr".parse().unwrap();
        permissions.override_directory(path("/a"), Letters::ALL, true);
        permissions.override_directory(path("/a/b"), Letters::NONE, true);
        assert_eq!(permissions.verdict(Letter::List, &path("/a/b/c")), Verdict::Denied);
        assert_eq!(permissions.verdict(Letter::Store, &path("/a/c")), Verdict::Allowed);
    }
}
