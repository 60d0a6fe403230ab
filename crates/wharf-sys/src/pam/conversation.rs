//! The answers to what PAM's modules ask: the password where nothing may be shown, the user's name elsewhere.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::slice;

use zeroize::{Zeroize, Zeroizing};

use super::ffi::{self, Message, Response};

/// No login needs more questions; a module that goes on asking is given up on.
const MOST_QUESTIONS: u32 = 16;

/// What can be answered in one transaction.
pub(super) struct Conversation {
    pub(super) user: CString,
    /// With a NUL at its end.
    password: Zeroizing<Vec<u8>>,
    questions_left: u32,
}

impl Conversation {
    /// `password` ends with its only NUL.
    pub(super) fn new(user: CString, password: Zeroizing<Vec<u8>>) -> Self {
        Self { user, password, questions_left: MOST_QUESTIONS }
    }

    /// The answer to one message: nothing for a mere notice, an error for a question that cannot be answered.
    fn answer(&mut self, style: c_int) -> Result<Option<&[u8]>, ()> {
        if matches!(style, ffi::ERROR_MSG | ffi::TEXT_INFO) {
            return Ok(None);
        }
        self.questions_left = self.questions_left.checked_sub(1).ok_or(())?;
        match style {
            ffi::PROMPT_ECHO_OFF => Ok(Some(&self.password)),
            ffi::PROMPT_ECHO_ON => Ok(Some(self.user.as_bytes_with_nul())),
            _ => Err(()),
        }
    }
}

/// The conversation function of pam_conv(3).
///
/// # Safety
///
/// To be called by PAM alone: `messages` points to `count` messages, `context` to a [`Conversation`] that nobody else is using.
pub(super) unsafe extern "C" fn converse(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    context: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 || count > ffi::MAX_MESSAGES || messages.is_null() || responses.is_null() {
        return ffi::CONV_ERR;
    }
    // SAFETY: by the contract of this function.
    let Some(conversation) = (unsafe { context.cast::<Conversation>().as_mut() }) else {
        return ffi::CONV_ERR;
    };
    let Some(mut answers) = Answers::allocate(count) else {
        return ffi::BUF_ERR;
    };

    // SAFETY: not null, and an array of `count` pointers (not, as on Solaris, a pointer to an array of messages).
    let messages = unsafe { slice::from_raw_parts(messages, count) };
    for (message, response) in messages.iter().zip(answers.responses()) {
        // SAFETY: each of them is null or points to a message that lives through this call.
        let Some(message) = (unsafe { message.as_ref() }) else {
            return ffi::CONV_ERR;
        };
        match conversation.answer(message.style) {
            Ok(None) => {}
            Ok(Some(text)) => match copy(text) {
                Some(text) => response.text = text,
                None => return ffi::BUF_ERR,
            },
            Err(()) => return ffi::CONV_ERR,
        }
    }
    // SAFETY: not null, checked above; PAM passes the place for the result.
    unsafe { responses.write(answers.hand_over()) };
    ffi::SUCCESS
}

/// Responses in memory that the C library's `free` takes back, as PAM will do. Dropped before that, they are wiped.
struct Answers {
    first: *mut Response,
    count: usize,
}

impl Answers {
    fn allocate(count: usize) -> Option<Self> {
        // SAFETY: any sizes will do. Zeroed memory is an array of responses without text.
        let first = unsafe { libc::calloc(count, size_of::<Response>()) }.cast::<Response>();
        (!first.is_null()).then_some(Self { first, count })
    }

    fn responses(&mut self) -> &mut [Response] {
        // SAFETY: `first` points to `count` responses, initialised by calloc and owned by `self`.
        unsafe { slice::from_raw_parts_mut(self.first, self.count) }
    }

    fn hand_over(self) -> *mut Response {
        std::mem::ManuallyDrop::new(self).first
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for response in self.responses() {
            wipe(response.text);
            // SAFETY: null or a block from malloc, freed once.
            unsafe { libc::free(response.text.cast()) };
        }
        // SAFETY: the block from calloc, freed once.
        unsafe { libc::free(self.first.cast()) };
    }
}

/// Copies a text, its NUL included, to where `free` can take it back; nothing when memory is short.
fn copy(text: &[u8]) -> Option<*mut c_char> {
    // SAFETY: any size will do.
    let copy = unsafe { libc::malloc(text.len()) }.cast::<u8>();
    if copy.is_null() {
        return None;
    }
    // SAFETY: `copy` is new and as long as the text.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), copy, text.len()) };
    Some(copy.cast())
}

fn wipe(text: *mut c_char) {
    if text.is_null() {
        return;
    }
    // SAFETY: `copy` made a string with a NUL at its end.
    let length = unsafe { libc::strlen(text) };
    // SAFETY: as above; the block is initialised for `length` bytes.
    unsafe { slice::from_raw_parts_mut(text, length) }.zeroize();
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    /// Asks questions of these styles and returns the status with the answers.
    fn ask(conversation: &mut Conversation, styles: &[c_int]) -> (c_int, Vec<Option<String>>) {
        let messages: Vec<Message> =
            styles.iter().map(|style| Message { style: *style, text: c"?".as_ptr() }).collect();
        let mut pointers: Vec<*const Message> = messages.iter().map(ptr::from_ref).collect();
        let mut responses = ptr::null_mut();
        let count = c_int::try_from(styles.len()).unwrap();
        // SAFETY: called as PAM does.
        let status = unsafe {
            converse(count, pointers.as_mut_ptr(), &raw mut responses, ptr::from_mut(conversation).cast())
        };
        if status != ffi::SUCCESS {
            assert!(responses.is_null());
            return (status, Vec::new());
        }
        let mut answers = Answers { first: responses, count: styles.len() };
        (status, answers.responses().iter().map(text).collect())
    }

    fn text(response: &Response) -> Option<String> {
        if response.text.is_null() {
            return None;
        }
        // SAFETY: not null, hence a string.
        Some(unsafe { CStr::from_ptr(response.text) }.to_str().unwrap().to_owned())
    }

    fn conversation() -> Conversation {
        Conversation::new(c"ann".into(), Zeroizing::new(b"secret\0".to_vec()))
    }

    #[test]
    fn hidden_questions_get_the_password_and_open_ones_the_name() {
        let styles = [ffi::TEXT_INFO, ffi::PROMPT_ECHO_OFF, ffi::ERROR_MSG, ffi::PROMPT_ECHO_ON];
        let (status, answers) = ask(&mut conversation(), &styles);
        assert_eq!(status, ffi::SUCCESS);
        assert_eq!(answers, [None, Some("secret".into()), None, Some("ann".into())]);
    }

    #[test]
    fn questions_that_cannot_be_answered_end_the_login() {
        for styles in [&[][..], &[7], &[ffi::PROMPT_ECHO_OFF, 7], &[ffi::TEXT_INFO; 33]] {
            assert_eq!(ask(&mut conversation(), styles).0, ffi::CONV_ERR, "{styles:?}");
        }
    }

    #[test]
    fn a_module_cannot_ask_for_ever() {
        let mut conversation = conversation();
        for _ in 0..MOST_QUESTIONS {
            assert_eq!(ask(&mut conversation, &[ffi::PROMPT_ECHO_OFF]).0, ffi::SUCCESS);
        }
        assert_eq!(ask(&mut conversation, &[ffi::PROMPT_ECHO_OFF]).0, ffi::CONV_ERR);
    }
}
