//! USER, PASS, REIN and QUIT (RFC 959 §4.1.1).

use crate::event::Event;
use crate::reply::Reply;
use crate::text;
use crate::{Secret, VPath};

use super::files::Then;
use super::{Account, Cause, Denied, LoginInfo, Op, Parameters, Session, Wait, rules};

/// Whose session it is.
#[derive(Debug)]
pub(super) enum Who {
    /// Nobody's yet; the name of USER, once sent.
    Guest { user: Option<Box<[u8]>> },
    /// A user's.
    Ready(Box<Ready>),
}

/// A login that is refused, perhaps later.
#[derive(Debug)]
pub(super) struct Refusal {
    user: Box<[u8]>,
    denied: Denied,
}

/// What exists only after a login. Paths are resolved here, so no command without one touches a file.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) account: Account,
    pub(super) directory: VPath,
}

impl Default for Who {
    fn default() -> Self {
        Self::Guest { user: None }
    }
}

impl Who {
    /// The login, if there is one.
    pub(super) fn ready(&self) -> Option<&Ready> {
        match self {
            Self::Ready(ready) => Some(ready),
            Self::Guest { .. } => None,
        }
    }

    /// The same, to change the working directory.
    pub(super) fn ready_mut(&mut self) -> Option<&mut Ready> {
        match self {
            Self::Ready(ready) => Some(ready),
            Self::Guest { .. } => None,
        }
    }
}

impl Session {
    pub(super) fn user(&mut self, name: Box<[u8]>) {
        if self.control_in_clear_is_refused() {
            return self.finish(text::TLS_REQUIRED_ON_CONTROL);
        }
        let reply = if self.who.ready().is_some() {
            self.log_out();
            text::USER_FLUSHED
        } else {
            text::USER_OK
        };
        self.who = Who::Guest { user: Some(name) };
        self.finish(reply);
    }

    pub(super) fn pass(&mut self, password: Secret) {
        if self.control_in_clear_is_refused() {
            return self.finish(text::TLS_REQUIRED_ON_CONTROL);
        }
        let user = match &mut self.who {
            Who::Ready(_) => return self.finish(text::ALREADY_LOGGED_IN),
            Who::Guest { user } => user.take(),
        };
        let Some(user) = user else {
            return self.finish(text::USER_FIRST);
        };
        let security = &self.security;
        let certificate = security.certificate.clone();
        let login = LoginInfo { user, password, secured: security.secured, certificate };
        let name = login.user.clone();
        self.perform(Op::Authenticate(login), Then::LogIn { name });
    }

    pub(super) fn login_done(&mut self, name: Box<[u8]>, outcome: Result<Account, Denied>) {
        match outcome {
            Ok(account) => {
                self.failed_logins = 0;
                let greeting = Reply::message(text::code(230), &account.login_message);
                let directory = account.start.clone();
                self.who = Who::Ready(Box::new(Ready { account, directory }));
                self.finish(greeting);
                self.emit(Event::LoggedIn);
            }
            Err(denied) => {
                let refusal = Refusal { user: name, denied };
                match rules::deadline(self.now, self.rules.failed_login_delay) {
                    Some(until) => self.wait = Wait::Delay { until, refusal },
                    None => self.refuse_login(refusal),
                }
            }
        }
    }

    /// A wrong password has been left unanswered long enough.
    pub(super) fn delay_is_over(&mut self) {
        match std::mem::replace(&mut self.wait, Wait::Nothing) {
            Wait::Delay { refusal, .. } => self.refuse_login(refusal),
            other => self.wait = other,
        }
    }

    /// Says 530, and goodbye after too many of them.
    fn refuse_login(&mut self, refusal: Refusal) {
        if refusal.denied == Denied::Unavailable {
            // Nobody's password was wrong: the server could not find out.
            self.finish(text::LOGIN_UNAVAILABLE);
            self.emit(Event::LoginFailed { user: refusal.user });
            return self.close();
        }
        self.failed_logins += 1;
        let last = self.failed_logins >= self.rules.max_login_attempts;
        self.finish(match (refusal.denied, last) {
            (_, true) => text::LOGIN_FAILED_LAST,
            (Denied::Credentials | Denied::Unavailable, false) => text::LOGIN_FAILED,
            (Denied::Anonymous, false) => text::NO_ANONYMOUS,
            (Denied::TooManySessions, false) => text::TOO_MANY_SESSIONS,
        });
        self.emit(Event::LoginFailed { user: refusal.user });
        if last {
            self.close();
        }
    }

    pub(super) fn rein(&mut self) {
        // Told as long as it is known whose command it is.
        self.report(&text::REINITIALISED);
        self.log_out();
        self.say(text::REINITIALISED);
    }

    pub(super) fn quit(&mut self) {
        let farewell = match self.who.ready() {
            Some(ready) => Reply::message(text::code(221), &ready.account.quit_message),
            None => text::GOODBYE,
        };
        self.give_up_stranded(Cause::Peer);
        self.finish(farewell);
        if self.who.ready().is_some() {
            self.emit(Event::LoggedOut);
        }
        self.leave(None);
    }

    /// Back to the state before USER, for a client that has logged in. A running transfer goes on, everything else that
    /// the user left behind does not.
    pub(super) fn log_out(&mut self) {
        self.emit(Event::LoggedOut);
        self.who = Who::default();
        self.guest_since = self.now;
        self.failed_logins = 0;
        let Parameters { facts, epsv_only, .. } = self.parameters;
        self.parameters = Parameters { facts, epsv_only, ..Parameters::default() };
        self.security.forget_data_protection();
        self.give_up_waiting(Cause::Peer);
        if !self.data.is_running() {
            self.drop_data(Cause::Peer);
        }
    }
}
