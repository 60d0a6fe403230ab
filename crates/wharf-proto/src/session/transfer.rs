//! Transfers: from the file that was opened to the 226 (RFC 959 §3.2, §4.1.3).

use crate::VPath;
use crate::reply::Reply;
use crate::text;

use super::data::{Data, Transfer};
use super::{Cause, Output, Session, TransferEnd, Wait, rules};

impl Session {
    /// Why there may be no transfer now.
    pub(super) fn transfer_refusal(&self) -> Option<Reply> {
        if self.data.has_transfer() {
            Some(text::TRANSFER_IN_PROGRESS)
        } else if self.data_in_clear_is_refused() {
            Some(text::TLS_REQUIRED_ON_DATA)
        } else {
            None
        }
    }

    /// The file or directory of a transfer command has been opened at `path`.
    pub(super) fn opened(&mut self, transfer: Transfer, path: VPath) {
        let mut transfer = Box::new(transfer);
        transfer.begun = Some(self.now);
        let unique = transfer.verb == "STOU";
        let name = path.file_name().filter(|_| unique);
        if let Some(current) = &mut self.current {
            current.path = Some(path.clone());
        }
        match std::mem::replace(&mut self.data, Data::Closed) {
            Data::Open { .. } => {
                self.finish(text::already_open(name));
                self.start(transfer);
            }
            other => {
                let until = rules::deadline(self.now, self.rules.passive_timeout);
                let mut way = if let Data::Opening(way) = other { Some(way) } else { None };
                if let Some(way) = &mut way
                    && way.until.is_some_and(|until| until <= self.now)
                {
                    // Opening took all the time that the client had, which may have waited for the reply.
                    way.until = until;
                }
                self.data = Data::Waiting { way, until, transfer };
                self.finish(text::about_to_open(name));
            }
        }
    }

    pub(super) fn start(&mut self, transfer: Box<Transfer>) {
        self.outputs.push_back(Output::Transfer(transfer.plan));
        self.data = Data::Running(transfer);
    }

    pub(super) fn transfer_ended(&mut self, end: TransferEnd) {
        if !self.data.is_running() {
            return;
        }
        self.data = Data::Closed;
        self.active = self.now;
        self.guest_since = self.now;
        self.say(final_reply(&end));
        if matches!(self.wait, Wait::Aborting) {
            self.wait = Wait::Nothing;
            self.finish(text::ABORTED);
        }
        self.transfer_is_over();
    }

    /// ABOR (RFC 959 §4.1.3).
    pub(super) fn abor(&mut self) {
        match &self.data {
            Data::Closed => self.finish(text::NOTHING_TO_ABORT),
            Data::Opening(_) | Data::Open { .. } => {
                self.drop_data(Cause::Abort);
                self.finish(text::DATA_CLOSED);
            }
            Data::Waiting { .. } => {
                self.drop_data(Cause::Abort);
                self.say(text::TRANSFER_ABORTED);
                self.finish(text::ABORTED);
            }
            Data::Running(_) => {
                self.wait = Wait::Aborting;
                self.outputs.push_back(Output::AbortTransfer(Cause::Abort));
            }
        }
    }
}

/// The 226, or why there is none.
fn final_reply(end: &TransferEnd) -> Reply {
    if end.is_told_complete() {
        return text::TRANSFER_COMPLETE;
    }
    match end.cause {
        Some(Cause::Abort) => text::TRANSFER_ABORTED,
        Some(Cause::File(kind)) => text::transfer_failed(kind),
        Some(Cause::TlsHandshake) => text::TLS_HANDSHAKE_FAILED,
        Some(Cause::TlsNotResumed) => text::TLS_NOT_RESUMED,
        Some(Cause::NoCloseNotify) => text::NO_CLOSE_NOTIFY,
        Some(Cause::Shutdown) => text::TRANSFER_CUT_BY_SHUTDOWN,
        Some(Cause::Timeout) => text::TRANSFER_TIMED_OUT,
        Some(Cause::Peer | Cause::ControlLost) | None => text::connection_closed(end.bytes),
    }
}
