//! Session binding: a resumed handshake on a data connection proves that it comes from the client of the control
//! connection.
//!
//! Each control session has a key of its own. Its handshake, and none but its handshake, starts the chain: it hands out
//! tickets sealed with that key (TLS 1.3, and TLS 1.2 with tickets) and a session id (TLS 1.2 without). A data connection
//! hands out nothing, so a stranger who gets hold of a data port cannot earn a ticket there and come back with it; one that
//! resumes in TLS 1.2 may renew its ticket, within the handshake.
//!
//! In TLS 1.3 a ticket on a data connection could do harm besides. A client that only sends may close with the ticket
//! unread, and its system would answer that with a reset which destroys the end of the file. So whoever has used up
//! its tickets gets one again on the control connection, before the reply that ends the transfer.
//!
//! Tickets may be used more than once, as most clients of FTP do. The key ends with the session, and with it
//! whatever its tickets were worth.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use rustls::server::{ProducesTickets, StoresServerSessions, UnbufferedServerConnection};
use rustls::{HandshakeKind, ServerConfig};
use zeroize::Zeroizing;

/// Tickets handed out by the handshake of a control connection: one for the first transfer, and one to spare. Each costs
/// some microseconds.
pub(super) const CONTROL_TICKETS: usize = 2;

/// The most that a client may ask for on a control connection (RFC 9149).
const MOST_TICKETS: usize = 64;

/// How long clients may use a ticket, in seconds: the longest time that TLS 1.3 allows, a week (RFC 8446 §4.6.1).
const LIFETIME: u32 = 7 * 24 * 60 * 60;

/// What one control session knows of its client: it makes tickets and remembers TLS 1.2 sessions.
pub(super) struct Binding {
    key: Zeroizing<[u8; 32]>,
    session: Mutex<Option<(Vec<u8>, Vec<u8>)>>,
}

/// A [`Binding`] as one data connection sees it.
#[derive(Debug)]
pub(super) struct DataBinding {
    control: Arc<Binding>,
    /// Whether a ticket may be made. During the handshake's first half a ticket can only be the renewal of one that was
    /// resumed (TLS 1.2); after it, [`judge`](Self::judge) knows.
    may_mint: AtomicBool,
}

impl Binding {
    /// A key that has never been used.
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let mut key = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *key).map_err(|_| io::Error::other("the system has no randomness"))?;
        Ok(Arc::new(Self { key, session: Mutex::default() }))
    }

    /// The configuration of the control connection's handshake.
    pub(super) fn control_config(self: &Arc<Self>, shared: &ServerConfig) -> Arc<ServerConfig> {
        let mut config = shared.clone();
        config.ticketer = Arc::clone(self) as _;
        config.session_storage = Arc::clone(self) as _;
        config.send_tls13_tickets = CONTROL_TICKETS;
        config.max_tls13_tickets = MOST_TICKETS;
        Arc::new(config)
    }

    /// The configuration of one data connection's handshake.
    pub(super) fn data_config(
        self: &Arc<Self>,
        shared: &ServerConfig,
    ) -> (Arc<ServerConfig>, Arc<DataBinding>) {
        let binding = Arc::new(DataBinding { control: Arc::clone(self), may_mint: AtomicBool::new(true) });
        let mut config = shared.clone();
        config.ticketer = Arc::clone(&binding) as _;
        config.session_storage = Arc::clone(&binding) as _;
        config.send_tls13_tickets = 0;
        config.max_tls13_tickets = 0;
        (Arc::new(config), binding)
    }

    /// The cipher is set up anew each time: it is cheap, and 20 times larger than the key, which idle sessions keep.
    fn cipher(&self) -> Option<RandomizedNonceKey> {
        RandomizedNonceKey::new(&AES_256_GCM, &*self.key).ok()
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Option<(Vec<u8>, Vec<u8>)>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProducesTickets for Binding {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    /// The nonce, then what it was sealed with.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = self.cipher()?.seal_in_place_append_tag(Aad::empty(), &mut sealed).ok()?;
        sealed.splice(..0, *nonce.as_ref());
        Some(sealed)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain = self.cipher()?.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

/// Remembers the one session of the control connection.
impl StoresServerSessions for Binding {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        *self.remembered() = Some((key, value));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.remembered().as_ref().filter(|(known, _)| known == key).map(|(_, value)| value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl DataBinding {
    /// Decides, once the client's first message is processed, whether this connection may hand out tickets.
    pub(super) fn judge(&self, connection: &UnbufferedServerConnection) {
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        self.may_mint.store(resumed, Ordering::Relaxed);
    }
}

impl ProducesTickets for DataBinding {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.may_mint.load(Ordering::Relaxed).then(|| self.control.encrypt(plain)).flatten()
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.control.decrypt(ticket)
    }
}

/// Knows the control connection's session and takes no other.
impl StoresServerSessions for DataBinding {
    fn put(&self, _key: Vec<u8>, _value: Vec<u8>) -> bool {
        false
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.control.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.control.get(key)
    }

    fn can_cache(&self) -> bool {
        false
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Binding")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_may_be_used_again_and_are_worth_nothing_elsewhere() {
        let (binding, other) = (Binding::new().unwrap(), Binding::new().unwrap());
        let ticket = binding.encrypt(b"secret").unwrap();
        for _ in 0..3 {
            assert_eq!(binding.decrypt(&ticket).unwrap(), b"secret");
        }
        assert_eq!(other.decrypt(&ticket), None);
        for length in 0..ticket.len() {
            assert_eq!(binding.decrypt(&ticket[..length]), None, "{length}");
        }
        assert_ne!(binding.encrypt(b"secret").unwrap(), ticket);
    }
}
