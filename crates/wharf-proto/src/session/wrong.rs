//! Clients that speak something else than FTP.
//!
//! They are left without a word: what we say could mean something in their protocol, to them or to somebody whom they
//! show it to.

use crate::event::{Event, WrongProtocol};

use super::Session;

/// The first byte of every TLS connection: a record that holds a handshake message (RFC 8446 §5.1). No command begins
/// with it.
const TLS_HANDSHAKE: u8 = 0x16;

impl Session {
    /// Bytes of the client came.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let first = !std::mem::replace(&mut self.heard, true);
        if first && !self.security.secured && bytes.first() == Some(&TLS_HANDSHAKE) {
            return self.close_on(WrongProtocol::Tls);
        }
        self.lines.push(bytes);
    }

    /// Whether an unknown command is the first line of an HTTP request (RFC 9112 §3). Nobody who has logged in is
    /// suspected.
    pub(super) fn is_http(&self, line: &[u8]) -> bool {
        self.who.ready().is_none() && line.windows(6).any(|part| part == b" HTTP/")
    }

    pub(super) fn close_on(&mut self, protocol: WrongProtocol) {
        self.emit(Event::WrongProtocol(protocol));
        self.close();
    }
}
