//! What the standard library hides about files.

use std::fs::File;
use std::io;

/// Closes `file` and says whether that worked: on network file systems and under quotas the last of what was
/// written may be refused only now, which dropping a [`File`] would not tell.
///
/// # Errors
/// What the system says; the file is closed all the same.
#[cfg(unix)]
pub fn close(file: File) -> io::Result<()> {
    use std::os::fd::IntoRawFd;
    // SAFETY: the descriptor was just taken out of its owner, so nobody else closes or uses it.
    match unsafe { libc::close(file.into_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Closes `file`. Windows tells of failed writes when they are made.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn close(file: File) -> io::Result<()> {
    drop(file);
    Ok(())
}
