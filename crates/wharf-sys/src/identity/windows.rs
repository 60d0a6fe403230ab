//! Windows gives each thread a token of its own when it impersonates a user.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_NO_TOKEN, HANDLE};
use windows_sys::Win32::Security::{
    DuplicateTokenEx, ImpersonateLoggedOnUser, RevertToSelf, SecurityImpersonation, TOKEN_DUPLICATE,
    TOKEN_IMPERSONATE, TOKEN_QUERY, TokenImpersonation,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, OpenProcessToken, OpenThreadToken, SetThreadToken,
};

use crate::windows::check;

/// The rights of a logged-on user, proven to be fit for impersonation.
#[derive(Debug)]
pub struct Token(OwnedHandle);

impl Token {
    /// Takes over the token of a logon. It is tried at once: a logon that cannot be impersonated is worth nothing.
    ///
    /// # Errors
    ///
    /// What the system says when it refuses to duplicate or impersonate it.
    pub fn new(logon: &OwnedHandle) -> io::Result<Self> {
        let token = Self::duplicate(logon)?;
        drop(Switched::switch(&token)?);
        Ok(token)
    }

    /// The rights of this process as a token, as if its user had logged on again.
    ///
    /// # Errors
    ///
    /// What the system says when it refuses.
    pub fn of_process() -> io::Result<Self> {
        let mut handle: HANDLE = ptr::null_mut();
        // SAFETY: takes no arguments and cannot fail; the result needs no closing.
        let process = unsafe { GetCurrentProcess() };
        // SAFETY: the process handle is valid, `handle` is a place for another.
        check(unsafe { OpenProcessToken(process, TOKEN_DUPLICATE | TOKEN_QUERY, &raw mut handle) })?;
        // SAFETY: the call succeeded, so the handle is open and ours.
        Self::new(&unsafe { OwnedHandle::from_raw_handle(handle) })
    }

    fn duplicate(logon: &OwnedHandle) -> io::Result<Self> {
        let mut handle: HANDLE = ptr::null_mut();
        // SAFETY: the logon's handle is open, no attributes are passed, `handle` is a place for another.
        check(unsafe {
            DuplicateTokenEx(
                logon.as_raw_handle(),
                TOKEN_QUERY | TOKEN_IMPERSONATE | TOKEN_DUPLICATE,
                ptr::null(),
                SecurityImpersonation,
                TokenImpersonation,
                &raw mut handle,
            )
        })?;
        // SAFETY: the call succeeded, so the handle is open and ours.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(handle) }))
    }
}

/// The token of one user.
#[derive(Debug)]
pub(super) struct Rights(Token);

impl Rights {
    pub(super) fn new(token: Token) -> Self {
        Self(token)
    }

    pub(super) fn enter(&self) -> io::Result<Switched> {
        Switched::switch(&self.0)
    }
}

/// The thread impersonates; this is the token it had before, if any.
pub(super) struct Switched {
    found: Option<OwnedHandle>,
}

impl Switched {
    fn switch(token: &Token) -> io::Result<Self> {
        let found = thread_token()?;
        // SAFETY: the token is open.
        check(unsafe { ImpersonateLoggedOnUser(token.0.as_raw_handle()) })?;
        Ok(Self { found })
    }

    fn restore(&self) -> io::Result<()> {
        match &self.found {
            // SAFETY: takes no arguments; it changes this thread only.
            None => check(unsafe { RevertToSelf() }),
            // SAFETY: no thread stands for the calling one; the token is open.
            Some(token) => check(unsafe { SetThreadToken(ptr::null(), token.as_raw_handle()) }),
        }
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            super::abort_after(&error);
        }
    }
}

/// The token that the calling thread impersonates with already.
fn thread_token() -> io::Result<Option<OwnedHandle>> {
    const WITH_RIGHTS_OF_PROCESS: i32 = 1;

    let mut handle: HANDLE = ptr::null_mut();
    // SAFETY: takes no arguments and cannot fail; the result needs no closing.
    let thread = unsafe { GetCurrentThread() };
    // SAFETY: the thread handle is valid, `handle` is a place for another.
    let opened =
        check(unsafe { OpenThreadToken(thread, TOKEN_IMPERSONATE, WITH_RIGHTS_OF_PROCESS, &raw mut handle) });
    match opened {
        // SAFETY: the call succeeded, so the handle is open and ours.
        Ok(()) => Ok(Some(unsafe { OwnedHandle::from_raw_handle(handle) })),
        Err(error) if error.raw_os_error() == Some(ERROR_NO_TOKEN.cast_signed()) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    #[test]
    fn a_token_is_on_the_thread_until_the_guard_is_dropped() {
        let identity = Identity::token(Token::of_process().unwrap());
        assert!(thread_token().unwrap().is_none());
        let entered = identity.enter().unwrap();
        assert!(thread_token().unwrap().is_some());
        assert!(
            std::thread::spawn(|| thread_token().unwrap().is_none()).join().unwrap(),
            "other threads have none"
        );
        drop(entered);
        assert!(thread_token().unwrap().is_none());
    }

    #[test]
    fn an_identity_inside_another_returns_to_the_outer_one() {
        let identity = Identity::token(Token::of_process().unwrap());
        let outer = identity.enter().unwrap();
        drop(identity.enter().unwrap());
        assert!(thread_token().unwrap().is_some());
        drop(outer);
        assert!(thread_token().unwrap().is_none());
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        assert!(Token::new(&file.into()).is_err());
    }
}
