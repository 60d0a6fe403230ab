//! Standard output and standard error, for the few lines that are not log records.

use std::fmt::{Display, Write as _};
use std::io::{self, ErrorKind, Write};

use crate::failure::{Failure, OneLine};

/// Writes `text` and a line end to standard output, at once.
///
/// # Errors
/// When it cannot be written. A reader who has gone is no error.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::runtime(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes one line to standard error. Where that fails there is nobody to tell.
pub(crate) fn complain(line: &impl Display) {
    let mut text = String::from("wharf: ");
    // A String takes everything.
    let _ = write!(OneLine(&mut text), "{line}");
    let _ = writeln!(io::stderr(), "{text}");
}
