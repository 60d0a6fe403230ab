//! The command table: every verb once, as a row.
//!
//! The parser, HELP, FEAT and the tests over all verbs read it. An embedder may take rows out and put its own in:
//!
//! ```
//! use wharf_proto::{Argument, CommandTable, Letter, Row, Verb};
//!
//! let mut table = CommandTable::standard();
//! table.remove("DELE")?;
//! let index = table.add(Row::new("SITE MD5", Argument::Required).letter(Letter::Retrieve))?;
//! let (row, argument) = table.recognise(b"site md5 a.iso").map_err(|_| "not understood")?;
//! assert_eq!(row.verb, Verb::Custom(index));
//! assert_eq!(argument, Some(b"a.iso".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::fmt;

use super::rows::{Argument, Row, STANDARD, Verb};
use crate::listing::FactSet;
use crate::reply::{Code, Reply};
use crate::text::Escaped;

/// Why a row cannot be added or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// No row has that name.
    Unknown(String),
    /// A row has that name already; remove it first.
    AlreadyPresent(String),
    /// A name is one word of up to 16 ASCII letters and digits, or `SITE ` and such a word.
    InvalidName(String),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no command {name:?}"),
            Self::AlreadyPresent(name) => {
                write!(f, "there is a command {name:?} already; remove it first")
            }
            Self::InvalidName(name) => write!(
                f,
                "{name:?} is no command name: it must be up to 16 ASCII letters and digits, perhaps after \"SITE \""
            ),
        }
    }
}

impl std::error::Error for TableError {}

/// The commands a server knows.
#[derive(Clone, Debug)]
pub struct CommandTable {
    rows: Vec<Row>,
    /// Names of up to seven letters, packed and sorted, each with the place of its row.
    index: Vec<(u64, usize)>,
    custom: usize,
    tls: bool,
}

/// The longest word in a command's name.
const LONGEST_WORD: usize = 16;

/// How much of an unknown verb is repeated to the client.
const LONGEST_ECHO: usize = 32;

impl Default for CommandTable {
    fn default() -> Self {
        Self::standard()
    }
}

impl CommandTable {
    /// All commands of wharf, without those that need TLS.
    pub fn standard() -> Self {
        let mut table = Self { rows: STANDARD.to_vec(), index: Vec::new(), custom: 0, tls: false };
        table.rebuild_index();
        table
    }

    /// The same table with AUTH, CCC, PBSZ and PROT.
    pub fn with_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Takes the command `name` away, as if the server had never heard of it. Case does not matter.
    ///
    /// # Errors
    /// [`TableError::Unknown`] when no row has that name.
    pub fn remove(&mut self, name: &str) -> Result<(), TableError> {
        let place = self.rows.iter().position(|row| row.name.eq_ignore_ascii_case(name));
        self.rows.remove(place.ok_or_else(|| TableError::Unknown(name.to_owned()))?);
        self.rebuild_index();
        Ok(())
    }

    /// Adds a command of the embedder's own and returns its number: lines that name it are recognised as
    /// [`Verb::Custom`] with that number.
    ///
    /// # Errors
    /// [`TableError::InvalidName`], or [`TableError::AlreadyPresent`] when the name is taken.
    pub fn add(&mut self, mut row: Row) -> Result<usize, TableError> {
        let name = row.name.to_ascii_uppercase();
        let word = name.strip_prefix("SITE ").unwrap_or(&name);
        if word.is_empty()
            || word.len() > LONGEST_WORD
            || !word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(TableError::InvalidName(name));
        }
        if self.rows.iter().any(|existing| existing.name == name) {
            return Err(TableError::AlreadyPresent(name));
        }
        let number = self.custom;
        self.custom += 1;
        row.name = Cow::Owned(name);
        row.verb = Verb::Custom(number);
        self.rows.push(row);
        self.rebuild_index();
        Ok(number)
    }

    /// All rows, in no particular order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| self.offers(row))
    }

    /// The row that `line` names, and the argument after it: everything behind one space, `None` when that is
    /// nothing.
    ///
    /// A verb that ends in ABOR, STAT or QUIT is that verb, because clients put Telnet signals before them
    /// (RFC 959 §4.1.3).
    ///
    /// # Errors
    /// The reply to send: 500 for an unknown verb, 501 for an argument that is missing or too many.
    pub fn recognise<'t, 'l>(&'t self, line: &'l [u8]) -> Result<(&'t Row, Option<&'l [u8]>), Reply> {
        let (word, argument) = split(line);
        let (row, argument) = match argument {
            Some(argument) if word.eq_ignore_ascii_case(b"SITE") => {
                let (word, argument) = split(argument);
                let row = self.find_site(word).ok_or_else(|| not_understood(&[b"SITE ", word].concat()))?;
                (row, argument)
            }
            _ => {
                (self.find(word).or_else(|| self.rescue(word)).ok_or_else(|| not_understood(word))?, argument)
            }
        };
        match (row.argument, argument) {
            (Argument::Required, None) => Err(Reply::fixed(501, "Syntax error: command needs an argument.")),
            (Argument::None, Some(_)) => {
                Err(Reply::fixed(501, "Syntax error: command does not accept arguments."))
            }
            _ => Ok((row, argument)),
        }
    }

    /// What FEAT lists, sorted; `facts` are those that MLST and MLSD send now (RFC 2389 §3.2).
    pub fn features(&self, facts: &FactSet) -> Vec<String> {
        let of_commands = self.rows().flat_map(|row| row.features).map(|&line| match line {
            "MLST" => format!("MLST {facts}"),
            line => line.to_owned(),
        });
        let mut lines: Vec<String> = of_commands.chain(["TVFS".to_owned(), "UTF8".to_owned()]).collect();
        lines.sort_unstable();
        lines
    }

    /// The names that HELP lists, sorted, eight per line; those after SITE are left to SITE HELP.
    pub fn help_rows(&self) -> Vec<String> {
        self.lines_of_names(|row| row.site_word().is_none().then_some(&*row.name))
    }

    /// The words that SITE HELP lists, sorted, eight per line.
    pub fn site_help_rows(&self) -> Vec<String> {
        self.lines_of_names(Row::site_word)
    }

    /// What HELP says about the command `name`. Case does not matter.
    pub fn help_for(&self, name: &str) -> Option<&str> {
        let mut implemented = self.rows().filter(|row| row.verb != Verb::Unimplemented);
        let row = implemented.find(|row| row.name.eq_ignore_ascii_case(name))?;
        Some(if row.help.is_empty() { "There is no help on this command." } else { &*row.help })
    }

    fn lines_of_names<'t>(&'t self, name: impl Fn(&'t Row) -> Option<&'t str>) -> Vec<String> {
        let implemented = self.rows().filter(|row| row.verb != Verb::Unimplemented);
        let mut names: Vec<&str> = implemented.filter_map(name).collect();
        names.sort_unstable();
        let line = |names: &[&str]| names.iter().map(|name| format!("{name:<7}")).collect::<String>();
        names.chunks(8).map(|names| line(names).trim_end().to_owned()).collect()
    }

    fn offers(&self, row: &Row) -> bool {
        self.tls || !row.needs_tls()
    }

    fn find(&self, word: &[u8]) -> Option<&Row> {
        let row = match pack(word) {
            Some(packed) => {
                let entry = self.index.binary_search_by_key(&packed, |&(packed, _)| packed).ok()?;
                self.rows.get(self.index.get(entry)?.1)
            }
            None => self.rows.iter().find(|row| row.name.as_bytes().eq_ignore_ascii_case(word)),
        };
        row.filter(|row| self.offers(row))
    }

    fn find_site(&self, word: &[u8]) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.site_word().is_some_and(|site| site.as_bytes().eq_ignore_ascii_case(word)))
    }

    fn rescue(&self, word: &[u8]) -> Option<&Row> {
        let last_four = word.last_chunk::<4>()?;
        let urgent = [b"ABOR", b"STAT", b"QUIT"].into_iter().any(|verb| verb.eq_ignore_ascii_case(last_four));
        if urgent { self.find(last_four) } else { None }
    }

    fn rebuild_index(&mut self) {
        let names = self.rows.iter().enumerate();
        self.index = names.filter_map(|(place, row)| Some((pack(row.name.as_bytes())?, place))).collect();
        self.index.sort_unstable();
    }
}

/// The text before the first space and the text after it, if there is any.
fn split(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match line.iter().position(|&byte| byte == b' ').and_then(|space| line.split_at_checked(space)) {
        None => (line, None),
        Some((word, rest)) => (word, rest.get(1..).filter(|argument| !argument.is_empty())),
    }
}

/// A word of up to seven bytes as a number, capitals and small letters alike; the leading 1 keeps words of
/// different length apart.
fn pack(word: &[u8]) -> Option<u64> {
    let packed = || word.iter().fold(1, |packed, byte| packed << 8 | u64::from(byte.to_ascii_uppercase()));
    (word.len() <= 7).then(packed)
}

fn not_understood(verb: &[u8]) -> Reply {
    let verb = verb.get(..LONGEST_ECHO).unwrap_or(verb).to_ascii_uppercase();
    Reply::new(Code::new(500), format!("Command \"{}\" not understood.", Escaped(&verb)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.encode_into(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn recognises_lines() {
        let table = CommandTable::standard();
        for (line, verb, argument) in [
            ("NOOP", Verb::Noop, None),
            ("noop ", Verb::Noop, None),
            ("CWD  lead ", Verb::Cwd, Some(" lead ")),
            ("xCuP", Verb::Cdup, None),
            ("PASS", Verb::Pass, None),
            ("site help HELP", Verb::SiteHelp, Some("HELP")),
            ("SITE chmod 644 a b", Verb::SiteChmod, Some("644 a b")),
            ("XYZABOR", Verb::Abor, None),
            ("HELPQUIT", Verb::Quit, None),
            ("\u{f4}stat", Verb::Stat, None),
            ("SMNT x", Verb::Unimplemented, Some("x")),
        ] {
            let (row, found) = table.recognise(line.as_bytes()).unwrap();
            assert_eq!((row.verb, found), (verb, argument.map(str::as_bytes)), "{line}");
        }
    }

    #[test]
    fn refuses_lines() {
        let table = CommandTable::standard();
        for (line, expected) in [
            (b"".as_slice(), "500 Command \"\" not understood.\r\n"),
            (b" NOOP", "500 Command \"\" not understood.\r\n"),
            (b"bogus x", "500 Command \"BOGUS\" not understood.\r\n"),
            (b"NOOP\nPWD", "500 Command \"NOOP\\x0aPWD\" not understood.\r\n"),
            (b"\0PWD", "500 Command \"\\x00PWD\" not understood.\r\n"),
            (b"SITE  HELP", "500 Command \"SITE \" not understood.\r\n"),
            (b"SITE fly", "500 Command \"SITE FLY\" not understood.\r\n"),
            (b"AUTH TLS", "500 Command \"AUTH\" not understood.\r\n"),
            (b"SITE", "501 Syntax error: command needs an argument.\r\n"),
            (b"RETR ", "501 Syntax error: command needs an argument.\r\n"),
            (b"PWD x", "501 Syntax error: command does not accept arguments.\r\n"),
        ] {
            assert_eq!(wire(&table.recognise(line).unwrap_err()), expected, "{}", Escaped(line));
        }
        assert!(wire(&table.recognise(&[b'A'; 5000]).unwrap_err()).len() < 80);
        assert!(table.with_tls().recognise(b"AUTH TLS").is_ok());
    }

    #[test]
    fn names_are_unique_and_find_themselves() {
        let table = CommandTable::standard().with_tls();
        for row in table.rows() {
            let name = row.name.to_ascii_lowercase();
            let found = match name.strip_prefix("site ") {
                Some(word) => table.find_site(word.as_bytes()),
                None => table.find(name.as_bytes()),
            };
            assert_eq!(found, Some(row));
            assert_eq!(row.help.is_empty(), row.verb == Verb::Unimplemented, "{}", row.name);
        }
    }

    #[test]
    fn rows_come_and_go() {
        let mut table = CommandTable::standard();
        assert_eq!(
            table.add(Row::new("RETR", Argument::None)),
            Err(TableError::AlreadyPresent("RETR".into()))
        );
        for name in ["", "SITE ", "SITE A B", "A B", "MD\u{e9}", "ABCDEFGHIJKLMNOPQ"] {
            let refused = table.add(Row::new(name.to_owned(), Argument::None));
            assert!(matches!(refused, Err(TableError::InvalidName(_))), "{name}");
        }
        table.remove("retr").unwrap();
        assert_eq!(table.remove("RETR"), Err(TableError::Unknown("RETR".into())));
        assert_eq!(table.add(Row::new("retr", Argument::None)), Ok(0));
        assert_eq!(table.add(Row::new("XLONGNAME", Argument::None).help("Syntax: XLONGNAME.")), Ok(1));
        assert_eq!(table.recognise(b"RETR").unwrap().0.verb, Verb::Custom(0));
        assert_eq!(table.recognise(b"xlongname").unwrap().0.verb, Verb::Custom(1));
        assert_eq!(table.help_for("xLongName"), Some("Syntax: XLONGNAME."));
        assert_eq!(table.help_for("RETR"), Some("There is no help on this command."));
        assert_eq!(table.help_for("SMNT"), None);
    }

    #[test]
    fn announces_what_it_has() {
        let mut table = CommandTable::standard();
        let mlst = format!("MLST {}", FactSet::DEFAULT);
        let plain = ["EPRT", "EPSV", "MDTM", "MFMT", &mlst, "REST STREAM", "SIZE", "TVFS", "UTF8"];
        assert_eq!(table.features(&FactSet::DEFAULT), plain);
        table.remove("MFMT").unwrap();
        let features = table.with_tls().features(&FactSet::DEFAULT);
        assert!(!features.iter().any(|line| line == "MFMT"));
        assert_eq!(features.first().unwrap(), "AUTH SSL");
        assert!(features.is_sorted());
    }

    #[test]
    fn help_lists_eight_per_line() {
        let table = CommandTable::standard();
        let rows = table.help_rows();
        assert_eq!(rows.first().unwrap(), "ABOR   ACCT   ALLO   APPE   CDUP   CLNT   CWD    DELE");
        assert!(!rows.concat().contains("CHMOD"));
        assert!(!rows.concat().contains("AUTH"));
        assert_eq!(table.site_help_rows(), ["CHMOD  HELP"]);
        assert!(table.help_for("site chmod").unwrap().starts_with("Syntax: SITE CHMOD"));
        assert_eq!(table.help_for("NOPE"), None);
        assert_eq!(table.help_for("SMNT"), None);
    }

    proptest! {
        #[test]
        fn any_line_has_an_answer(line: Vec<u8>) {
            match CommandTable::standard().recognise(&line) {
                Ok((_, argument)) => prop_assert_ne!(argument, Some(b"".as_slice())),
                Err(reply) => prop_assert!(wire(&reply).ends_with("\r\n")),
            }
        }

        #[test]
        fn case_does_not_matter(word in "[A-Za-z]{1,8}") {
            let table = CommandTable::standard();
            let find = |word: &str| table.find(word.as_bytes()).map(|row| row.verb);
            prop_assert_eq!(find(&word.to_uppercase()), find(&word.to_lowercase()));
        }
    }
}
