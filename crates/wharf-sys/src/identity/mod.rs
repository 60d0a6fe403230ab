//! Whose rights a thread works with.
//!
//! An [`Identity`] is a value: the process's own rights, or those of one user. [`Identity::enter`] puts them on the
//! calling thread, and on no other, until the guard that it returns is dropped.
//!
//! ```
//! use wharf_sys::identity::Identity;
//!
//! let identity = Identity::process();
//! let entered = identity.enter()?;
//! let names = std::fs::read_dir(".")?; // opened with the rights of `identity`
//! drop(entered);
//! # drop(names);
//! # std::io::Result::Ok(())
//! ```
//!
//! Open files while entered, read their bytes afterwards: the kernel checks rights when a file is opened. It asks once more
//! whose room is taken when bytes are written, so enter for that too. Two things must not happen in between. An `.await` could
//! resume on another thread, so the guard is not [`Send`]. A new thread would keep the user's ids for good, so start none.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(not(any(target_os = "linux", windows)))]
#[path = "process.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

#[cfg(windows)]
pub use platform::Token;

/// The rights that an operation is carried out with. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Nothing stands for the process's own rights.
    rights: Option<Arc<platform::Rights>>,
}

impl Identity {
    /// The rights that the process has anyway. Entering this identity does nothing and costs nothing.
    pub const fn process() -> Self {
        Self { rights: None }
    }

    /// A user of a Unix system: effective user id, effective group id and supplementary groups.
    ///
    /// Entering it needs `CAP_SETUID` and `CAP_SETGID`, and works on Linux only: elsewhere ids belong to the whole process.
    #[cfg(unix)]
    pub fn user(uid: u32, gid: u32, groups: Vec<u32>) -> Self {
        Self { rights: Some(Arc::new(platform::Rights::new(uid, gid, groups))) }
    }

    /// A user of Windows, as the token of a logon.
    #[cfg(windows)]
    pub fn token(token: Token) -> Self {
        Self { rights: Some(Arc::new(platform::Rights::new(token))) }
    }

    /// True when entering changes nothing.
    pub const fn is_process(&self) -> bool {
        self.rights.is_none()
    }

    /// Gives the calling thread these rights until the guard is dropped.
    ///
    /// On Linux the thread also loses every effective capability meanwhile, so that a server which holds
    /// `CAP_DAC_READ_SEARCH` does not lend it to its users. The guard restores what it found on the thread.
    /// **When restoring fails the process aborts**: the thread would go on with rights nobody asked for.
    ///
    /// The guard cannot leave its thread, so a spawned future cannot hold it over an `.await`:
    ///
    /// ```compile_fail,E0277
    /// fn spawn<F: Future + Send + 'static>(_: F) {}
    ///
    /// spawn(async {
    ///     let _entered = wharf_sys::identity::Identity::process().enter();
    ///     std::future::ready(()).await;
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::PermissionDenied`] when the process may not change its ids; on Windows, what the system says of the token;
    /// [`io::ErrorKind::Unsupported`] where ids cannot be changed for one thread. The thread is then as it was before.
    pub fn enter(&self) -> io::Result<Entered> {
        let switched = self.rights.as_deref().map(platform::Rights::enter).transpose()?;
        Ok(Entered { _switched: switched, _this_thread_only: PhantomData })
    }
}

/// The effective user id of the calling thread.
#[cfg(unix)]
pub fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The calling thread has the rights of an [`Identity`]; dropping this restores what was there before.
#[must_use = "the rights are given back when this is dropped"]
pub struct Entered {
    _switched: Option<platform::Switched>,
    _this_thread_only: PhantomData<*const ()>,
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}

/// Ends the process because a thread could not be given its own rights back.
#[cfg(any(target_os = "linux", windows))]
fn abort_after(error: &io::Error) -> ! {
    use std::io::Write;

    // A failing write changes nothing: the process ends on the next line.
    let _ = writeln!(io::stderr(), "cannot leave the identity of a user, ending the process: {error}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_identity_needs_no_rights() {
        let identity = Identity::process();
        assert!(identity.is_process());
        drop(identity.clone().enter().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn an_id_that_means_unchanged_to_the_kernel_is_refused() {
        for (uid, gid, groups) in [(u32::MAX, 1, vec![1]), (1, u32::MAX, vec![1]), (1, 1, vec![u32::MAX])] {
            let error = Identity::user(uid, gid, groups).enter().unwrap_err();
            if cfg!(target_os = "linux") {
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            }
        }
    }
}
