//! Libraries that are found when they are first needed, so that wharf builds and starts on systems without them.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// A shared library, open as long as this lives.
#[derive(Debug)]
pub(crate) struct Library(NonNull<c_void>);

// SAFETY: the handle is only a key for dlsym and dlclose, and both may be called from any thread.
unsafe impl Send for Library {}
// SAFETY: as above; dlsym takes its own lock.
unsafe impl Sync for Library {}

impl Library {
    /// Opens the first of these libraries that exists.
    pub(crate) fn open(names: &[&CStr]) -> Option<Self> {
        names.iter().find_map(|name| {
            // SAFETY: the name ends with a NUL. Initialisers of a system library run, as they would had it been linked.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
            NonNull::new(handle).map(Self)
        })
    }

    /// The address of a function, or nothing where the library has none of that name.
    pub(crate) fn symbol(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the handle is open, the name ends with a NUL.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the handle came from dlopen and is closed once.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}
