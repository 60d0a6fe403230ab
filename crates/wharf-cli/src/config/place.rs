//! Where in the configuration file a mistake is that was found after the file was read.

use std::fs;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::Failure;

/// Says in which line of the file at `path` the key is that the failure begins with. What begins otherwise, or with a key
/// that flags have brought in, stays as it is.
pub(crate) fn in_its_line(path: &Path, failure: Failure) -> Failure {
    // A pipe has been read to its end, and would be waited for in vain.
    let text = path.is_file().then(|| fs::read_to_string(path).ok()).flatten();
    match text.and_then(|text| line(&text, &failure.to_string())) {
        Some(line) => failure.in_place(&format!("{}:{line}", path.display())),
        None => failure,
    }
}

/// The line of the text that a message is about.
fn line(text: &str, message: &str) -> Option<usize> {
    let key = message.split([' ', ':']).next().unwrap_or_default();
    let key: Vec<&str> = key.trim_matches(['[', ']']).split('.').collect();
    let document = DeTable::parse(text).ok()?;
    position(document.get_ref(), &key, message).map(|position| line_of(text, position))
}

/// The number of the line that this position is in.
pub(super) fn line_of(text: &str, position: usize) -> usize {
    text.bytes().take(position).filter(|byte| *byte == b'\n').count() + 1
}

/// Where the key begins, or else the innermost table of it that is there.
fn position(table: &DeTable<'_>, key: &[&str], message: &str) -> Option<usize> {
    let (first, rest) = key.split_first()?;
    let (name, value) = table.iter().find(|(name, _)| name.get_ref() == first)?;
    let inner = match value.get_ref() {
        DeValue::Table(inner) => position(inner, rest, message),
        DeValue::Array(entries) if entries.iter().any(|entry| entry.get_ref().is_table()) => {
            let entry = meant(entries, message)?;
            let inner = position(entry.get_ref().as_table()?, rest, message);
            inner.or_else(|| Some(entry.span().start))
        }
        _ => None,
    };
    inner.or_else(|| Some(name.span().start))
}

/// The table of a list that a message is about: the last with a name that it quotes, or the only one.
fn meant<'a, 'b>(entries: &'a [Spanned<DeValue<'b>>], message: &str) -> Option<&'a Spanned<DeValue<'b>>> {
    let is_quoted = |entry: &&Spanned<DeValue<'_>>| {
        let name = entry.get_ref().as_table().and_then(|table| table.get("name"));
        name.and_then(|name| name.get_ref().as_str())
            .is_some_and(|name| message.contains(&format!("{name:?}")))
    };
    match entries {
        [only] => Some(only),
        _ => entries.iter().rfind(is_quoted),
    }
}
