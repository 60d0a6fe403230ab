//! How the program ends when it cannot do what it was asked: one line, and an exit code.

use std::fmt::{self, Write};
use std::process::ExitCode;

/// Why the program ends. Displayed as one line, whatever the text holds.
#[derive(Debug)]
pub(crate) struct Failure {
    cause: Cause,
    message: String,
    entry: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// What was typed or configured cannot be done: exit code 2.
    Usage,
    /// Something went wrong while running: exit code 1.
    Runtime,
}

impl Failure {
    /// A flag, key or value is wrong, or names something that is not there.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { cause: Cause::Usage, message: message.into(), entry: None }
    }

    /// Something went wrong while running.
    pub(crate) fn runtime(message: impl Into<String>) -> Self {
        Self { cause: Cause::Runtime, message: message.into(), entry: None }
    }

    /// The same failure, once it is known where its cause is.
    pub(crate) fn in_place(self, place: &str) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }

    /// The same failure, of this entry of the list that its key names. Entries with a name are known by that.
    pub(crate) fn in_entry(self, index: usize) -> Self {
        Self { entry: Some(index), ..self }
    }

    /// The entry of a list that it is about, if it is known.
    pub(crate) fn entry(&self) -> Option<usize> {
        self.entry
    }

    /// What the caller of the program sees.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.cause {
            Cause::Usage => ExitCode::from(2),
            Cause::Runtime => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OneLine(f).write_str(&self.message)
    }
}

/// Writes on what comes, as one line: control characters, which names of files and keys may hold, are escaped.
pub(crate) struct OneLine<W>(pub(crate) W);

impl<W: Write> Write for OneLine<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly all texts are such, and need not be looked at character by character.
        if text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|character| match character.is_control() {
            true => write!(self.0, "{}", character.escape_default()),
            false => self.0.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(Failure::usage("no\nsuch \x1b[1mfile").to_string(), r"no\nsuch \u{1b}[1mfile");
    }
}
