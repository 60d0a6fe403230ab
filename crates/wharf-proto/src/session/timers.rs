//! What happens when nothing does.

use std::time::Instant;

use crate::text;

use super::login::Who;
use super::{Session, Wait, rules};

impl Session {
    /// When [`handle_timeout`](Self::handle_timeout) is due, unless something else happens before. It may come too
    /// early, never too late.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [self.delay_end(), self.login_deadline(), self.data_deadline(), self.idle_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Lets what is due at `now` happen; nothing, if nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if due(self.delay_end()) {
            self.delay_is_over();
        } else if due(self.login_deadline()) {
            self.say_and_close(text::LOGIN_TIMED_OUT);
        } else if due(self.data_deadline()) {
            self.data_timed_out();
        } else if due(self.idle_deadline()) {
            self.say_and_close(text::IDLE_TIMED_OUT);
        }
    }

    /// When the 530 of a wrong password is due.
    fn delay_end(&self) -> Option<Instant> {
        match self.wait {
            Wait::Delay { until, .. } => Some(until),
            _ => None,
        }
    }

    /// A client must log in by then, whatever it sends meanwhile. The 530 of a wrong password is still waited for, and
    /// so is a transfer that REIN left running.
    fn login_deadline(&self) -> Option<Instant> {
        let waits = matches!(self.wait, Wait::Delay { .. } | Wait::Closed) || self.data.has_transfer();
        match self.who {
            Who::Guest { .. } if !waits => rules::deadline(self.guest_since, self.rules.login_timeout),
            _ => None,
        }
    }

    /// Whatever is waited for is not given up while an operation is under way: most likely it opens what the connection is
    /// for, and a 421 would come before its reply.
    fn data_deadline(&self) -> Option<Instant> {
        if matches!(self.wait, Wait::Operation(_)) { None } else { self.data.deadline() }
    }

    /// The idle timer stands still while a data connection or an operation is under way.
    fn idle_deadline(&self) -> Option<Instant> {
        let idle = matches!(self.wait, Wait::Nothing | Wait::Securing | Wait::Leaving { .. });
        if idle && !self.data.suspends_idle_timer() {
            rules::deadline(self.active, self.rules.idle_timeout)
        } else {
            None
        }
    }
}
