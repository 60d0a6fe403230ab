//! Password and account checks by the rules of the system: PAM, the Pluggable Authentication Modules.
//!
//! The library `libpam.so.0` is loaded when it is first needed. So wharf builds without its headers, and starts on systems
//! without PAM, where every check ends in [`PamErrorKind::Unavailable`].
//!
//! ```no_run
//! use wharf_sys::pam::Service;
//!
//! let service = Service::new("wharf");
//! match service.authenticate("ann", b"secret", [192, 0, 2, 7].into()) {
//!     Ok(()) => { /* the password is right, and the account may log in from there */ }
//!     Err(error) => eprintln!("{error}"),
//! }
//! ```
//!
//! What the modules do is up to `/etc/pam.d/SERVICE`. They may block for seconds, so call from a thread that may. They run inside
//! this process: enter no [identity](crate::identity) around them. `pam_unix` reads the shadow database itself when the
//! process is root; otherwise it runs the set-group-id helper `unix_chkpwd`, which is powerless once the
//! process has given up [new privileges](crate::capabilities::no_new_privileges).

use std::ffi::{CString, c_int};
use std::net::IpAddr;

use self::conversation::Conversation;
use self::error::Stage;
use self::transaction::Transaction;
use crate::secret;

mod conversation;
mod error;
mod ffi;
mod transaction;

pub use error::{PamError, PamErrorKind};

/// A service name: which file of `/etc/pam.d` decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    name: String,
}

impl Service {
    /// The service of this name. Whether the system knows it shows when it is used: PAM falls back to the rules of `other`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// The service's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks a password, and then whether the account may log in at all: expired, locked out, wrong hour, wrong place.
    ///
    /// The modules are told the peer's address (`PAM_RHOST`) and `ftp` as the terminal. A delay that they
    /// ask for after a failure is left to the caller, who need not block a thread for it.
    ///
    /// # Errors
    ///
    /// A [`PamError`], whose [kind](PamError::kind) tells a wrong password from an account that may not log in.
    pub fn authenticate(&self, user: &str, password: &[u8], peer: IpAddr) -> Result<(), PamError> {
        let mut transaction = self.start(user, password, peer)?;
        transaction.authenticate().map_err(|code| self.error(Stage::Authenticate, code))?;
        transaction.check_account().map_err(|code| self.error(Stage::Account, code))?;
        if transaction.user() != Some(user.as_bytes()) {
            return Err(PamError::renamed(&self.name));
        }
        Ok(())
    }

    /// Checks whether the account may log in, for a user who has proven the identity in another way than to PAM.
    ///
    /// # Errors
    ///
    /// As for [`authenticate`](Self::authenticate); a password that is too old is an error here too.
    pub fn check_account(&self, user: &str, peer: IpAddr) -> Result<(), PamError> {
        let mut transaction = self.start(user, b"", peer)?;
        transaction.check_account().map_err(|code| self.error(Stage::Account, code))
    }

    fn start(&self, user: &str, password: &[u8], peer: IpAddr) -> Result<Transaction, PamError> {
        let library =
            ffi::Pam::loaded().ok_or_else(|| PamError::new(&self.name, Stage::Load, ffi::OPEN_ERR, None))?;
        let service = self.text(&self.name)?;
        let user = self.text(user)?;
        let peer = self.text(&peer.to_string())?;
        let password = secret::c_string(password)
            .filter(|password| password.len() <= ffi::MAX_RESPONSE_SIZE)
            .ok_or_else(|| self.denied())?;
        let failed = |code| PamError::new(&self.name, Stage::Start, code, Some(library.message(code)));
        let mut transaction =
            Transaction::start(library, &service, Conversation::new(user, password)).map_err(failed)?;
        transaction.describe(&peer).map_err(failed)?;
        Ok(transaction)
    }

    fn error(&self, stage: Stage, code: c_int) -> PamError {
        PamError::new(&self.name, stage, code, ffi::Pam::loaded().map(|library| library.message(code)))
    }

    fn text(&self, text: &str) -> Result<CString, PamError> {
        CString::new(text).map_err(|_| self.denied())
    }

    /// What no module could have accepted: a NUL inside, or more than PAM passes on.
    fn denied(&self) -> PamError {
        let message = "the name or the password is not one that PAM can check";
        PamError::new(&self.name, Stage::Authenticate, ffi::AUTH_ERR, Some(message.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_pam_cannot_carry_are_denied() {
        let service = Service::new("wharf");
        for password in [&b"nul\0inside"[..], &[b'x'; 512]] {
            let error = service.authenticate("root", password, [127, 0, 0, 1].into()).unwrap_err();
            let expected =
                if ffi::Pam::loaded().is_some() { PamErrorKind::Denied } else { PamErrorKind::Unavailable };
            assert_eq!(error.kind(), expected);
        }
    }
}
