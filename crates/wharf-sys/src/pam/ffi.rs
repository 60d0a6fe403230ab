//! The part of Linux-PAM's binary interface that wharf uses: see `security/_pam_types.h` and pam(3).

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem;
use std::sync::OnceLock;

use crate::dynamic::Library;

pub(super) const SUCCESS: c_int = 0;
pub(super) const OPEN_ERR: c_int = 1;
pub(super) const SYMBOL_ERR: c_int = 2;
pub(super) const SERVICE_ERR: c_int = 3;
pub(super) const SYSTEM_ERR: c_int = 4;
pub(super) const BUF_ERR: c_int = 5;
pub(super) const PERM_DENIED: c_int = 6;
pub(super) const AUTH_ERR: c_int = 7;
pub(super) const CRED_INSUFFICIENT: c_int = 8;
pub(super) const AUTHINFO_UNAVAIL: c_int = 9;
pub(super) const USER_UNKNOWN: c_int = 10;
pub(super) const MAXTRIES: c_int = 11;
pub(super) const NEW_AUTHTOK_REQD: c_int = 12;
pub(super) const ACCT_EXPIRED: c_int = 13;
pub(super) const CRED_EXPIRED: c_int = 16;
pub(super) const CONV_ERR: c_int = 19;
pub(super) const AUTHTOK_EXPIRED: c_int = 27;
pub(super) const MODULE_UNKNOWN: c_int = 28;

pub(super) const ITEM_USER: c_int = 2;
pub(super) const ITEM_TTY: c_int = 3;
pub(super) const ITEM_RHOST: c_int = 4;
pub(super) const ITEM_FAIL_DELAY: c_int = 10;

pub(super) const SILENT: c_int = 0x8000;
pub(super) const DISALLOW_NULL_AUTHTOK: c_int = 0x1;

pub(super) const PROMPT_ECHO_OFF: c_int = 1;
pub(super) const PROMPT_ECHO_ON: c_int = 2;
pub(super) const ERROR_MSG: c_int = 3;
pub(super) const TEXT_INFO: c_int = 4;

/// The most messages of one call to the conversation function.
pub(super) const MAX_MESSAGES: usize = 32;
/// The longest answer, with the NUL at its end.
pub(super) const MAX_RESPONSE_SIZE: usize = 512;

/// A transaction, of which only PAM knows the inside.
#[repr(C)]
pub(super) struct Handle {
    _opaque: [u8; 0],
}

/// `struct pam_message`
#[repr(C)]
pub(super) struct Message {
    pub(super) style: c_int,
    pub(super) text: *const c_char,
}

/// `struct pam_response`
#[repr(C)]
pub(super) struct Response {
    pub(super) text: *mut c_char,
    pub(super) code: c_int,
}

/// `struct pam_conv`
#[repr(C)]
pub(super) struct ConversationEntry {
    pub(super) function: ConversationFunction,
    pub(super) context: *mut c_void,
}

pub(super) type ConversationFunction =
    unsafe extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int;
pub(super) type FailDelayFunction = unsafe extern "C" fn(c_int, c_uint, *mut c_void);

type Start =
    unsafe extern "C" fn(*const c_char, *const c_char, *const ConversationEntry, *mut *mut Handle) -> c_int;
type WithNumber = unsafe extern "C" fn(*mut Handle, c_int) -> c_int;
type SetItem = unsafe extern "C" fn(*mut Handle, c_int, *const c_void) -> c_int;
type ReadItem = unsafe extern "C" fn(*const Handle, c_int, *mut *const c_void) -> c_int;
type ErrorText = unsafe extern "C" fn(*mut Handle, c_int) -> *const c_char;

/// The functions of libpam, found by name.
pub(super) struct Pam {
    pub(super) start: Start,
    pub(super) end: WithNumber,
    pub(super) set_item: SetItem,
    pub(super) read_item: ReadItem,
    pub(super) authenticate: WithNumber,
    pub(super) check_account: WithNumber,
    error_text: ErrorText,
    _library: Library,
}

impl Pam {
    /// The library, loaded by the first call; `None` where the system has none.
    pub(super) fn loaded() -> Option<&'static Self> {
        static PAM: OnceLock<Option<Pam>> = OnceLock::new();
        PAM.get_or_init(Self::load).as_ref()
    }

    fn load() -> Option<Self> {
        let library = Library::open(&[c"libpam.so.0"])?;
        let with_number = |name: &CStr| {
            let symbol = library.symbol(name)?.as_ptr();
            // SAFETY: it is only used below, for functions of Linux-PAM that take a handle and a number and return a number.
            Some(unsafe { mem::transmute::<*mut c_void, WithNumber>(symbol) })
        };
        Some(Self {
            // SAFETY: here and below: the function of this name has this signature in every version of Linux-PAM, and stays in
            // memory as long as the library, which is kept beside it.
            start: unsafe { mem::transmute::<*mut c_void, Start>(library.symbol(c"pam_start")?.as_ptr()) },
            end: with_number(c"pam_end")?,
            // SAFETY: as above.
            set_item: unsafe {
                mem::transmute::<*mut c_void, SetItem>(library.symbol(c"pam_set_item")?.as_ptr())
            },
            // SAFETY: as above.
            read_item: unsafe {
                mem::transmute::<*mut c_void, ReadItem>(library.symbol(c"pam_get_item")?.as_ptr())
            },
            authenticate: with_number(c"pam_authenticate")?,
            check_account: with_number(c"pam_acct_mgmt")?,
            // SAFETY: as above.
            error_text: unsafe {
                mem::transmute::<*mut c_void, ErrorText>(library.symbol(c"pam_strerror")?.as_ptr())
            },
            _library: library,
        })
    }

    /// PAM's own words for a code.
    pub(super) fn message(&self, code: c_int) -> String {
        // SAFETY: pam_strerror ignores its handle and takes any code.
        let text = unsafe { (self.error_text)(std::ptr::null_mut(), code) };
        if text.is_null() {
            return format!("error {code}");
        }
        // SAFETY: not null, hence one of the library's own strings, which are never freed.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}
