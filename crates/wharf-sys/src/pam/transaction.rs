//! One PAM transaction, from `pam_start` to `pam_end`.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;

use super::conversation::{Conversation, converse};
use super::ffi::{self, ConversationEntry, FailDelayFunction, Handle, Pam};

/// An open transaction and what it needs to live; errors are PAM's codes.
pub(super) struct Transaction {
    library: &'static Pam,
    handle: *mut Handle,
    /// Made by `Box::into_raw`; PAM holds a copy of the pointer, so no reference is kept between calls.
    conversation: *mut Conversation,
    last_status: c_int,
}

impl Transaction {
    pub(super) fn start(
        library: &'static Pam,
        service: &CStr,
        conversation: Conversation,
    ) -> Result<Self, c_int> {
        let user = conversation.user.clone();
        let mut transaction = Self {
            library,
            handle: ptr::null_mut(),
            conversation: Box::into_raw(Box::new(conversation)),
            last_status: ffi::SUCCESS,
        };
        let entry = ConversationEntry { function: converse, context: transaction.conversation.cast() };
        // SAFETY: the strings end with a NUL and are copied, as is the entry; the conversation lives as long as the handle.
        let status = unsafe {
            (library.start)(service.as_ptr(), user.as_ptr(), &raw const entry, &raw mut transaction.handle)
        };
        transaction.note(status)?;
        Ok(transaction)
    }

    /// Tells the modules where the user comes from.
    pub(super) fn describe(&mut self, peer: &CStr) -> Result<(), c_int> {
        let do_not_wait: FailDelayFunction = do_not_wait;
        self.set_item(ffi::ITEM_RHOST, peer.as_ptr().cast())?;
        self.set_item(ffi::ITEM_TTY, c"ftp".as_ptr().cast())?;
        self.set_item(ffi::ITEM_FAIL_DELAY, do_not_wait as *const c_void)
    }

    pub(super) fn authenticate(&mut self) -> Result<(), c_int> {
        self.call(self.library.authenticate, ffi::SILENT | ffi::DISALLOW_NULL_AUTHTOK)
    }

    pub(super) fn check_account(&mut self) -> Result<(), c_int> {
        self.call(self.library.check_account, ffi::SILENT | ffi::DISALLOW_NULL_AUTHTOK)
    }

    /// The user as PAM sees it now; a module may have changed it.
    pub(super) fn user(&self) -> Option<&[u8]> {
        let mut item = ptr::null();
        // SAFETY: the handle is open; `item` is a place for a pointer.
        let status = unsafe { (self.library.read_item)(self.handle, ffi::ITEM_USER, &raw mut item) };
        if status != ffi::SUCCESS || item.is_null() {
            return None;
        }
        // SAFETY: this item is a string, owned by the handle and unchanged while `self` is borrowed.
        Some(unsafe { CStr::from_ptr(item.cast()) }.to_bytes())
    }

    fn set_item(&mut self, item: c_int, value: *const c_void) -> Result<(), c_int> {
        // SAFETY: the handle is open; callers pass what the item takes: a string, which is copied, or a function.
        let status = unsafe { (self.library.set_item)(self.handle, item, value) };
        self.note(status)
    }

    fn call(
        &mut self,
        function: unsafe extern "C" fn(*mut Handle, c_int) -> c_int,
        flags: c_int,
    ) -> Result<(), c_int> {
        // SAFETY: the handle is open, and its conversation lives as long as it does.
        let status = unsafe { function(self.handle, flags) };
        self.note(status)
    }

    fn note(&mut self, status: c_int) -> Result<(), c_int> {
        self.last_status = status;
        if status == ffi::SUCCESS { Ok(()) } else { Err(status) }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: the handle is open and ended once.
            unsafe { (self.library.end)(self.handle, self.last_status) };
        }
        // SAFETY: the pointer came from a box, and the handle that knew it is gone.
        drop(unsafe { Box::from_raw(self.conversation) });
    }
}

/// Takes the place of PAM's sleep after a failure: the server delays the reply itself, without a thread.
unsafe extern "C" fn do_not_wait(_status: c_int, _microseconds: c_uint, _context: *mut c_void) {}
