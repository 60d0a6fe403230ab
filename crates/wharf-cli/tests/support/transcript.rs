//! What happened in the row that runs on this thread, shown when the row fails.

use std::{cell::RefCell, panic};

/// Lines kept; a storm of ten thousand commands must not bury its own end.
const KEPT: usize = 200;

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Makes a panic part of the transcript instead of noise between the rows.
pub(crate) fn capture_panics() {
    panic::set_hook(Box::new(|panic| note(&panic.to_string())));
}

/// Adds one entry.
pub(crate) fn note(entry: &str) {
    LINES.with_borrow_mut(|lines| {
        if lines.len() >= 2 * KEPT {
            lines.drain(..KEPT);
        }
        lines.push(entry.to_owned());
    });
}

/// Takes everything noted since the last call.
pub(crate) fn take() -> String {
    let lines = LINES.take();
    let start = lines.len().saturating_sub(KEPT);
    lines[start..].join("\n")
}
