//! Listings: a directory entry as a line of text, for people (LIST), for programs (MLSD, MLST) or as a bare name
//! (NLST).
//!
//! A line costs no allocation once the output has its size:
//!
//! ```
//! use wharf_proto::listing::{Entry, Format, TimeStyle};
//! use wharf_proto::{Metadata, Timestamp};
//!
//! let entry = Entry::new("a.txt", Metadata::file(12));
//! let mut out = Vec::new();
//! Format::Long(TimeStyle::Utc).push_line(&entry, Timestamp::default(), &mut out);
//! assert_eq!(out, b"-rw-r--r--   1 0        0              12 Jan 01 00:00 a.txt\r\n");
//! ```

mod digits;
mod facts;
mod time;
mod unix;

use std::sync::Arc;

use crate::{Letters, LettersInside, Metadata, Timestamp, VPath};

pub use facts::{Fact, FactSet};
pub use time::{TimeStyle, parse_time, push_time};

/// A name in a directory and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last component of its path.
    pub name: Box<[u8]>,
    /// Facts about it.
    pub metadata: Metadata,
    /// Where it leads, when it is a symbolic link and the client may know.
    pub link_target: Option<Box<[u8]>>,
    /// Name of the owner; without it the number is shown.
    pub owner: Option<Arc<str>>,
    /// Name of the group; without it the number is shown.
    pub group: Option<Arc<str>>,
}

impl Entry {
    /// An entry of which only these facts are known.
    pub fn new(name: impl AsRef<[u8]>, metadata: Metadata) -> Self {
        Self { name: name.as_ref().into(), metadata, link_target: None, owner: None, group: None }
    }
}

/// How the entries of a listing are shown.
#[doc(alias = "format_list")]
#[doc(alias = "format_mlsx")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// LIST: as `ls -l` does.
    Long(TimeStyle),
    /// NLST: the names.
    Names,
    /// MLSD: facts, a space and the name (RFC 3659 §7).
    Facts {
        /// The facts to show.
        facts: FactSet,
        /// What the user may do with the entries, for the `perm` fact.
        letters: LettersInside,
        /// In which zone times are shown.
        times: TimeStyle,
    },
}

impl Format {
    /// Appends the line of `entry`, with its CRLF. `now` decides whether a date shows the hour or the year.
    ///
    /// CR, LF and NUL in names are shown as `?`, since they would forge other lines.
    pub fn push_line(&self, entry: &Entry, now: Timestamp, out: &mut Vec<u8>) {
        match self {
            Self::Long(times) => unix::push_long(out, entry, times, now),
            Self::Names => push_name(out, &entry.name),
            Self::Facts { facts, letters, times } => {
                let letters = letters.of(&entry.name, entry.metadata.is_dir());
                facts::push_facts(out, &entry.metadata, *facts, letters, times);
                out.push(b' ');
                push_name(out, &entry.name);
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The middle line of the answer to MLST: facts, a space and the whole path. The space that starts it on the wire
/// comes from [`Reply::multi`](crate::Reply::multi).
pub fn mlst_line(
    metadata: &Metadata,
    path: &VPath,
    facts: FactSet,
    letters: Letters,
    times: &TimeStyle,
) -> Vec<u8> {
    let mut line = Vec::new();
    facts::push_facts(&mut line, metadata, facts, letters, times);
    line.push(b' ');
    push_name(&mut line, path.as_bytes());
    line
}

/// Appends a name, with `?` for the bytes that would end the line.
fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    let forges = |byte: u8| matches!(byte, b'\r' | b'\n' | 0);
    if name.iter().any(|&byte| forges(byte)) {
        out.extend(name.iter().map(|&byte| if forges(byte) { b'?' } else { byte }));
    } else {
        out.extend_from_slice(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(format: &Format, entry: &Entry) -> Vec<u8> {
        let mut out = Vec::new();
        format.push_line(entry, Timestamp::default(), &mut out);
        out
    }

    fn facts(facts: &[u8]) -> Format {
        Format::Facts { facts: FactSet::parse(facts), letters: Letters::ALL.into(), times: TimeStyle::Utc }
    }

    #[test]
    fn shows_names_and_facts() {
        let entry = Entry::new("a b", Metadata::directory());
        assert_eq!(line(&Format::Names, &entry), b"a b\r\n");
        assert_eq!(line(&facts(b"type;"), &entry), b"type=dir; a b\r\n");
        assert_eq!(line(&facts(b""), &entry), b" a b\r\n");
    }

    #[test]
    fn mlst_shows_the_whole_path() {
        let show = |facts: &[u8]| {
            let facts = FactSet::parse(facts);
            mlst_line(&Metadata::directory(), &VPath::root(), facts, Letters::ALL, &TimeStyle::Utc)
        };
        assert_eq!(show(b"type;"), b"type=dir; /");
        assert_eq!(show(b""), b" /");
    }

    proptest! {
        #[test]
        fn a_name_is_always_one_line(name: Vec<u8>, target: Option<Vec<u8>>) {
            let entry = Entry { link_target: target.map(Into::into), ..Entry::new(name, Metadata::file(1)) };
            for format in [Format::Long(TimeStyle::Utc), Format::Names, facts(b"type;size;")] {
                let line = line(&format, &entry);
                let text = line.strip_suffix(b"\r\n").unwrap();
                prop_assert!(!text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
            }
        }
    }
}
