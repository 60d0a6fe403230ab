//! AUTH, PBSZ, PROT and CCC (RFC 4217).

use std::sync::Arc;

use crate::command::{Mechanism, Protection};
use crate::reply::Reply;
use crate::text;

use super::login::Who;
use super::{Cause, Output, Parameters, Session, Wait};

/// How far the session is protected.
#[derive(Debug)]
pub(super) struct Security {
    /// The control connection is under TLS.
    pub(super) secured: bool,
    /// The verified subject of the client's certificate.
    pub(super) certificate: Option<Arc<str>>,
    /// TLS was there from the first byte, and with it protection of data (implicit FTPS).
    implicit: bool,
    /// PBSZ was sent: PROT may follow.
    buffer_size_set: bool,
    /// Data connections are to be under TLS.
    pub(super) private_data: bool,
}

impl Security {
    /// What a session begins with.
    pub(super) fn new(implicit: bool) -> Self {
        Self {
            secured: implicit,
            certificate: None,
            implicit,
            buffer_size_set: implicit,
            private_data: implicit,
        }
    }

    /// Undoes PBSZ and PROT.
    pub(super) fn forget_data_protection(&mut self) {
        self.buffer_size_set = self.implicit;
        self.private_data = self.implicit;
    }
}

impl Session {
    pub(super) fn auth(&mut self, mechanism: Mechanism) {
        if self.security.secured {
            return self.finish(text::TLS_ALREADY);
        }
        if self.data.has_transfer() {
            return self.finish(text::TLS_NOT_NOW);
        }
        self.finish(Reply::new(text::code(234), format!("AUTH {} successful.", mechanism.0)));
        // What came in clear behind AUTH may be an attacker's, and so may be whatever was set before it.
        self.forget_lines();
        if self.who.ready().is_some() {
            self.log_out();
        }
        self.who = Who::default();
        self.drop_data(Cause::Peer);
        self.parameters = Parameters::default();
        self.wait = Wait::Securing;
        self.outputs.push_back(Output::StartTls);
    }

    /// TLS is up; implicit TLS has been from the start, and only the certificate is new.
    pub(super) fn secured(&mut self, certificate: Option<Arc<str>>) {
        if !self.security.secured && !matches!(self.wait, Wait::Securing) {
            return;
        }
        self.security.secured = true;
        self.security.certificate = certificate;
        self.active = self.now;
        if matches!(self.wait, Wait::Securing) {
            self.wait = Wait::Nothing;
        }
    }

    /// CCC: who could read the commands could also forge them (RFC 4217 §12.3).
    pub(super) fn ccc(&mut self) {
        self.finish(if self.security.secured { text::CCC_REFUSED } else { text::CCC_IN_CLEAR });
    }

    pub(super) fn pbsz(&mut self) {
        if !self.security.secured {
            return self.finish(text::PBSZ_IN_CLEAR);
        }
        self.security.buffer_size_set = true;
        self.finish(text::PBSZ_ZERO);
    }

    pub(super) fn prot(&mut self, protection: Protection) {
        let required = self.rules.tls.is_some_and(|policy| policy.require_data);
        let reply = match protection {
            _ if !self.security.secured => text::PROT_IN_CLEAR,
            _ if !self.security.buffer_size_set => text::PBSZ_FIRST,
            Protection::Clear if required => text::TLS_REQUIRED_FOR_PROT,
            Protection::Clear => {
                self.security.private_data = false;
                text::PROT_CLEAR
            }
            Protection::Private => {
                self.security.private_data = true;
                text::PROT_PRIVATE
            }
        };
        self.finish(reply);
    }

    /// Whether USER and PASS may not travel on this connection.
    pub(super) fn control_in_clear_is_refused(&self) -> bool {
        !self.security.secured && self.rules.tls.is_some_and(|policy| policy.require_control)
    }

    /// Whether data may not travel in clear, as they would.
    pub(super) fn data_in_clear_is_refused(&self) -> bool {
        !self.security.private_data && self.rules.tls.is_some_and(|policy| policy.require_data)
    }
}
