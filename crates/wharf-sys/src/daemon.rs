//! What a daemon asks of its system before it serves: enough open files, no more memory than it uses, a umask.
//!
//! ```
//! use wharf_sys::daemon;
//!
//! assert!(daemon::raise_open_files_limit()? > 0);
//! # std::io::Result::Ok(())
//! ```

use std::io;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// Allows as many open files as the hard limit does, and returns that number; each session takes two or three.
///
/// # Errors
///
/// When the system refuses; the old limit stays.
pub fn raise_open_files_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Gives large blocks of memory back to the system when they are freed: what a password hash works in, say.
///
/// glibc takes such a block from the system directly, but only until it sees the first one freed: from then on it keeps
/// the next ones of that size, in each of its arenas, of which there are eight for every processor.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, 2 * LARGE)] {
        // SAFETY: both only say when memory is asked for and given back. A value that is refused changes nothing.
        unsafe { libc::mallopt(parameter, bytes) };
    }
}

/// What is a large block of memory, in bytes: a buffer of a transfer, of which some are kept for the next one.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 18;

/// Sets the permission bits that new files of this process do not get, and returns those of before.
pub fn set_umask(mask: u32) -> u32 {
    let before = umask(Mode::from_raw_mode((mask & 0o777) as _));
    #[allow(clippy::useless_conversion, reason = "modes have 16 bits on some systems")]
    before.as_raw_mode().into()
}
