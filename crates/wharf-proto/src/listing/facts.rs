//! Facts for programs: MLSD, MLST and the MLST line of FEAT (RFC 3659 §7).

use std::fmt;

use super::digits::{push_decimal, push_hexadecimal};
use super::time::{TimeStyle, push_time};
use crate::{FileKind, Letter, Letters, Metadata};

/// One fact about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fact {
    /// `type`: file, directory or something else.
    Type,
    /// `perm`: what this user may do with it.
    Perm,
    /// `size`: bytes.
    Size,
    /// `modify`: when its content last changed.
    Modify,
    /// `unique`: equal for two names of the same thing.
    Unique,
    /// `unix.mode`: permission bits in octal.
    UnixMode,
    /// `unix.uid`: number of its owner.
    UnixUid,
    /// `unix.gid`: number of its group.
    UnixGid,
}

impl Fact {
    /// All facts, in the order in which FEAT names them.
    pub const ALL: [Self; 8] = [
        Self::Type,
        Self::Perm,
        Self::Size,
        Self::Modify,
        Self::Unique,
        Self::UnixMode,
        Self::UnixUid,
        Self::UnixGid,
    ];

    /// The name as it goes over the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Perm => "perm",
            Self::Size => "size",
            Self::Modify => "modify",
            Self::Unique => "unique",
            Self::UnixMode => "unix.mode",
            Self::UnixUid => "unix.uid",
            Self::UnixGid => "unix.gid",
        }
    }
}

/// The facts that a client wants.
///
/// Prints as FEAT shows it, all facts with a star on those in the set: `type*;perm*;size;…`
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FactSet(u8);

impl FactSet {
    /// What a session starts with: type, perm, size, modify and unique.
    pub const DEFAULT: Self = Self(0b1_1111);

    /// The facts that `OPTS MLST` names: `type;size;`. Case does not matter, unknown names are passed over.
    pub fn parse(options: &[u8]) -> Self {
        let named = |fact: &Fact| {
            options.split(|&byte| byte == b';').any(|name| name.eq_ignore_ascii_case(fact.name().as_bytes()))
        };
        Self(Fact::ALL.into_iter().filter(named).fold(0, |bits, fact| bits | 1 << fact as u8))
    }

    /// Whether `fact` is in the set.
    pub fn contains(self, fact: Fact) -> bool {
        self.0 & (1 << fact as u8) != 0
    }

    /// The facts of the set, in the order of [`Fact::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Fact> {
        Fact::ALL.into_iter().filter(move |&fact| self.contains(fact))
    }

    /// The set as the answer to `OPTS MLST` shows it: `type;size;`.
    pub fn selected(self) -> String {
        self.iter().flat_map(|fact| [fact.name(), ";"]).collect()
    }
}

impl Default for FactSet {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for FactSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Fact::ALL.into_iter().try_for_each(|fact| {
            let star = if self.contains(fact) { "*" } else { "" };
            write!(f, "{}{star};", fact.name())
        })
    }
}

impl fmt::Debug for FactSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FactSet({})", self.selected())
    }
}

/// Appends the facts of one file, `name=value;` each, sorted by name.
pub(super) fn push_facts(
    out: &mut Vec<u8>,
    metadata: &Metadata,
    facts: FactSet,
    letters: Letters,
    times: &TimeStyle,
) {
    if facts.contains(Fact::Modify) {
        out.extend_from_slice(b"modify=");
        push_time(out, metadata.modified, times);
        out.push(b';');
    }
    if facts.contains(Fact::Perm) {
        out.extend_from_slice(b"perm=");
        push_perm(out, metadata.kind, letters);
        out.push(b';');
    }
    if facts.contains(Fact::Size) {
        push_number_fact(out, b"size=", metadata.size);
    }
    if facts.contains(Fact::Type) {
        out.extend_from_slice(type_fact(metadata.kind));
    }
    // A file system without numbers has nothing that tells two files apart.
    if facts.contains(Fact::Unique) && metadata.inode != 0 {
        out.extend_from_slice(b"unique=");
        push_hexadecimal(out, metadata.device);
        out.push(b'g');
        push_hexadecimal(out, metadata.inode);
        out.push(b';');
    }
    if facts.contains(Fact::UnixGid) {
        push_number_fact(out, b"unix.gid=", metadata.gid.into());
    }
    if facts.contains(Fact::UnixMode) {
        let digit = |shift: u32| b'0' + (metadata.mode >> shift & 7) as u8;
        out.extend_from_slice(b"unix.mode=0");
        out.extend_from_slice(&[digit(6), digit(3), digit(0), b';']);
    }
    if facts.contains(Fact::UnixUid) {
        push_number_fact(out, b"unix.uid=", metadata.uid.into());
    }
}

fn push_number_fact(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    push_decimal(out, value);
    out.push(b';');
}

/// The `type` fact. Kinds that RFC 3659 has no word for take one of the system's (§7.5.1.5).
fn type_fact(kind: FileKind) -> &'static [u8] {
    match kind {
        FileKind::File => b"type=file;",
        FileKind::Directory => b"type=dir;",
        FileKind::Symlink => b"type=OS.unix=symlink;",
        FileKind::Fifo => b"type=OS.unix=fifo;",
        FileKind::Socket => b"type=OS.unix=socket;",
        FileKind::BlockDevice => b"type=OS.unix=blkdev;",
        FileKind::CharDevice => b"type=OS.unix=chrdev;",
    }
}

/// Appends what `letters` allow with a file or directory, in the letters of RFC 3659 §7.5.5.
fn push_perm(out: &mut Vec<u8>, kind: FileKind, letters: Letters) {
    let (kept, creates): (&[Letter], bool) = match kind {
        FileKind::Directory => (
            &[Letter::Enter, Letter::List, Letter::Delete, Letter::Rename, Letter::MakeDirectory],
            [Letter::Store, Letter::Append, Letter::Rename]
                .into_iter()
                .any(|letter| letters.contains(letter)),
        ),
        _ => (&[Letter::Retrieve, Letter::Append, Letter::Delete, Letter::Rename, Letter::Store], false),
    };
    out.extend(kept.iter().filter(|&&letter| letters.contains(letter)).map(|letter| letter.as_char() as u8));
    if creates {
        out.push(b'c');
    }
    if kind == FileKind::Directory && letters.contains(Letter::Delete) {
        out.push(b'p');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use proptest::prelude::*;

    fn facts(metadata: &Metadata, facts: FactSet, letters: Letters) -> String {
        let mut out = Vec::new();
        push_facts(&mut out, metadata, facts, letters, &TimeStyle::Utc);
        String::from_utf8(out).unwrap()
    }

    fn every_fact() -> FactSet {
        FactSet::parse(b"TYPE;perm;size;modify;unique;unix.mode;unix.uid;unix.gid;")
    }

    #[test]
    fn prints_facts_by_name() {
        let file = Metadata {
            modified: Timestamp { seconds: 1_509_408_000, nanoseconds: 5 },
            mode: 0o4755,
            uid: 1000,
            gid: 100,
            device: 0xfe00,
            inode: 0x9a0_4ec,
            ..Metadata::file(12)
        };
        let expected = "modify=20171031000000;perm=radfw;size=12;type=file;unique=fe00g9a04ec;";
        assert_eq!(facts(&file, FactSet::DEFAULT, Letters::ALL), expected);
        let all = facts(&file, every_fact(), Letters::ALL);
        assert_eq!(all, format!("{expected}unix.gid=100;unix.mode=0755;unix.uid=1000;"));
        assert_eq!(facts(&file, FactSet::parse(b""), Letters::ALL), "");
    }

    #[test]
    fn perm_has_the_letters_of_the_rfc() {
        let perm = FactSet::parse(b"perm;");
        for (metadata, letters, expected) in [
            (Metadata::directory(), "elradfmwMT", "perm=eldfmcp;"),
            (Metadata::directory(), "elr", "perm=el;"),
            (Metadata::directory(), "elw", "perm=elc;"),
            (Metadata::file(0), "elradfmwMT", "perm=radfw;"),
            (Metadata::file(0), "elr", "perm=r;"),
            (Metadata::file(0), "", "perm=;"),
        ] {
            assert_eq!(facts(&metadata, perm, letters.parse().unwrap()), expected);
        }
    }

    #[test]
    fn kinds_have_their_types() {
        let kind =
            |kind| facts(&Metadata { kind, ..Metadata::file(0) }, FactSet::parse(b"type;"), Letters::ALL);
        assert_eq!(kind(FileKind::Directory), "type=dir;");
        assert_eq!(kind(FileKind::Fifo), "type=OS.unix=fifo;");
    }

    #[test]
    fn sets_print_for_feat_and_opts() {
        let stars = "type*;perm*;size*;modify*;unique*;unix.mode;unix.uid;unix.gid;";
        assert_eq!(FactSet::default().to_string(), stars);
        let one = FactSet::parse(b"fish;Cakes;tYpe;type;");
        assert!(one.to_string().starts_with("type*;perm;size;modify;"));
        assert_eq!(one.selected(), "type;");
        assert_eq!(FactSet::parse(b"fish;").selected(), "");
    }

    proptest! {
        #[test]
        fn sets_parse_as_they_print(bits: u8) {
            prop_assert_eq!(FactSet::parse(FactSet(bits).selected().as_bytes()), FactSet(bits));
        }
    }
}
