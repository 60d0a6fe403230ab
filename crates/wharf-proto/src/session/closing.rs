//! How a session ends: by QUIT, by the client's or the server's leaving, by a timeout.

use crate::reply::Reply;
use crate::text;

use super::data::Data;
use super::{Cause, DataFailure, EndedBy, Output, Session, Wait};

impl Session {
    /// The client has closed its side: what it sent before is still answered, but nobody will come for a transfer.
    pub(super) fn end_of_input(&mut self) {
        self.end.get_or_insert(EndedBy::Client);
        if matches!(self.wait, Wait::Leaving { .. }) && !self.data.is_running() {
            self.give_up_waiting(Cause::ControlLost);
            return self.transfer_is_over();
        }
        self.hurry();
    }

    /// The server stops: the command under way is still answered, and a transfer may end.
    pub(super) fn stop(&mut self) {
        self.end = Some(EndedBy::Server);
        self.forget_lines();
        self.delay_is_over();
        self.hurry();
    }

    /// Gives up what would be waited for too long when nobody waits at the other end.
    fn hurry(&mut self) {
        match self.wait {
            Wait::Securing => self.close(),
            Wait::Opening if self.data.is_connecting() => self.data_failed(DataFailure::Connect),
            _ => {}
        }
    }

    /// There are no more lines, and there will be none.
    pub(super) fn lines_are_used_up(&mut self, by: EndedBy) {
        match by {
            EndedBy::Server => {
                self.give_up_stranded(Cause::Shutdown);
                self.leave(Some(text::SHUTTING_DOWN));
            }
            EndedBy::Client if self.data.is_running() => {
                self.wait = Wait::Leaving { farewell: None };
                self.outputs.push_back(Output::AbortTransfer(Cause::ControlLost));
            }
            EndedBy::Client => {
                self.give_up_waiting(Cause::ControlLost);
                self.close();
            }
        }
    }

    /// Says `farewell` and closes, now or when the transfer has ended; reads no more lines.
    pub(super) fn leave(&mut self, farewell: Option<Reply>) {
        self.forget_lines();
        self.wait = Wait::Leaving { farewell };
        if !self.data.has_transfer() {
            self.transfer_is_over();
        }
    }

    /// A session that only waited for its transfer goes.
    pub(super) fn transfer_is_over(&mut self) {
        if let Wait::Leaving { farewell } = &mut self.wait {
            let farewell = farewell.take();
            farewell.into_iter().for_each(|farewell| self.say(farewell));
            self.close();
        }
    }

    /// Closes at once. While TLS is being set up there is no way to say anything.
    pub(super) fn say_and_close(&mut self, farewell: Reply) {
        if !matches!(self.wait, Wait::Securing) {
            self.say(farewell);
        }
        self.close();
    }

    pub(super) fn close(&mut self) {
        self.forget_lines();
        self.drop_data(Cause::ControlLost);
        self.wait = Wait::Closed;
        self.outputs.push_back(Output::Close);
    }

    /// A transfer that nothing leads to a data connection for has no hope once no more lines are read.
    pub(super) fn give_up_stranded(&mut self, cause: Cause) {
        if self.data.waits_for_a_way() {
            self.give_up_waiting(cause);
        }
    }

    /// A transfer that waits for its data connection will not take place.
    pub(super) fn give_up_waiting(&mut self, cause: Cause) {
        if self.data.is_waiting() {
            self.drop_data(cause);
            self.say(text::NO_DATA_CONNECTION);
        }
    }

    /// Closes whatever there is of a data connection, and ends its transfer for this reason.
    pub(super) fn drop_data(&mut self, cause: Cause) {
        match std::mem::replace(&mut self.data, Data::Closed) {
            Data::Closed => {}
            Data::Opening(_) | Data::Open { .. } => self.outputs.push_back(Output::CloseData),
            Data::Waiting { way: None, .. } => self.outputs.push_back(Output::DropOpened(cause)),
            Data::Waiting { .. } => self.outputs.extend([Output::CloseData, Output::DropOpened(cause)]),
            Data::Running(_) => self.outputs.push_back(Output::AbortTransfer(cause)),
        }
    }
}
