//! Where in the configuration file a mistake is that was found after the file was read.

use std::fs::File;
use std::io;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::Failure;

/// Opens the file at `path` to be read once more, if that can be done.
pub(crate) fn open_again(path: &Path) -> Option<File> {
    // A pipe has been read to its end, and would be waited for in vain.
    path.is_file().then(|| File::open(path).ok()).flatten()
}

/// Says in which line of the `file` at `path` the key is that the failure begins with. What begins otherwise, or with a key
/// that flags have brought in, stays as it is.
pub(crate) fn in_its_line(path: &Path, file: Option<File>, failure: Failure) -> Failure {
    let text = file.and_then(|file| io::read_to_string(file).ok());
    match text.and_then(|text| line(&text, &failure)) {
        Some(line) => failure.in_place(&format!("{}:{line}", path.display())),
        None => failure,
    }
}

/// The line of the text that a failure is about.
fn line(text: &str, failure: &Failure) -> Option<usize> {
    let message = failure.to_string();
    let key = message.split([' ', ':']).next().unwrap_or_default();
    let key: Vec<&str> = key.trim_matches(['[', ']']).split('.').collect();
    let document = DeTable::parse(text).ok()?;
    let about = About { message: &message, entry: failure.entry() };
    about.position(document.get_ref(), &key).map(|position| line_of(text, position))
}

/// The number of the line that this position is in.
pub(super) fn line_of(text: &str, position: usize) -> usize {
    text.bytes().take(position).filter(|byte| *byte == b'\n').count() + 1
}

/// What a failure tells of its place besides the key.
struct About<'m> {
    message: &'m str,
    entry: Option<usize>,
}

impl About<'_> {
    /// Where the key begins, or else the innermost table or list of it that is there.
    fn position(&self, table: &DeTable<'_>, key: &[&str]) -> Option<usize> {
        let (first, rest) = key.split_first()?;
        let (name, value) = table.iter().find(|(name, _)| name.get_ref() == first)?;
        let inner = match value.get_ref() {
            DeValue::Table(inner) => self.position(inner, rest),
            DeValue::Array(entries) => self.meant(entries).and_then(|entry| {
                let inner = self.position(entry.get_ref().as_table()?, rest);
                inner.or_else(|| Some(entry.span().start))
            }),
            _ => None,
        };
        inner.or_else(|| Some(name.span().start))
    }

    /// The entry of a list that the failure is about: the only one, the last with a name that the message quotes, or the
    /// one whose number is known.
    fn meant<'a, 'b>(&self, entries: &'a [Spanned<DeValue<'b>>]) -> Option<&'a Spanned<DeValue<'b>>> {
        let is_quoted = |entry: &&Spanned<DeValue<'_>>| {
            let name = entry.get_ref().as_table().and_then(|table| table.get("name"));
            name.and_then(|name| name.get_ref().as_str())
                .is_some_and(|name| self.message.contains(&format!("{name:?}")))
        };
        match entries {
            [only] => Some(only),
            _ => entries.iter().rfind(is_quoted).or_else(|| entries.get(self.entry?)),
        }
    }
}
