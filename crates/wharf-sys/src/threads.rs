//! Capabilities and sandboxes belong to a thread on Linux, so a process gives them up while it has only one.

use std::fs;
use std::io;

/// # Errors
///
/// When the process has a second thread, which would keep what this one gives up.
pub(crate) fn require_single() -> io::Result<()> {
    match fs::read_dir("/proc/self/task")?.count() {
        1 => Ok(()),
        count => Err(io::Error::other(format!(
            "{count} threads are running: rights are given up before any is started"
        ))),
    }
}
