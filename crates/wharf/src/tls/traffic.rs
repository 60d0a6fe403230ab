//! A connection after its handshake, without its socket: records come in and data go out, and the other way round.
//!
//! rustls shakes hands and makes the keys; what follows is done here, where it needs no copy, no allocation per record and no
//! other thread. What may follow a handshake is little: data, alerts, new keys (RFC 8446 §4.6.3), and tickets, which this
//! side sends. Whatever else comes is refused.

use std::fmt;
use std::io;
use std::ops::Range;

use rustls::kernel::KernelConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::{AlertDescription, ContentType, Error, HandshakeType, ProtocolVersion, SupportedCipherSuite};

use super::record::{Cipher, PLAIN};
use crate::data::{BUFFER_SIZE, Buffer};

/// How many messages without data may come in a row: new keys, warnings, records that are empty.
const MOST_QUIET: u8 = 32;

/// How many bytes of commands are read at once.
const COMMANDS: usize = 4096;

/// How many bytes of a fast transfer are read at once.
const WIDE: usize = 1024 * 1024;

/// How many records of replies are sealed at once.
const REPLIES: usize = 4;

/// How much room data leave for messages of TLS's own.
const RESERVE: usize = 1024;

/// Levels of alerts (RFC 8446 §6).
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// The message that says which keys follow: its type, its length, and whether the other side is to change its own.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];

/// What a connection is for, which decides about its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Commands and replies: nothing is kept while there are none.
    Control,
    /// Transfers: one large buffer for each direction that is used.
    Data,
}

/// See the [module](self).
pub(crate) struct Traffic {
    sealing: Cipher,
    opening: Cipher,
    /// Makes the keys after these (TLS 1.3).
    keys: Option<Box<KernelConnection<ServerConnectionData>>>,
    /// How many records one key may seal.
    limit: u64,
    purpose: Use,
    /// Opened records whose content is [`plain`](Self::plain), then, from `unopened` on, records.
    incoming: Buffer,
    plain: Range<usize>,
    unopened: usize,
    /// Records, of which so many bytes have been sent.
    outgoing: Buffer,
    sent: usize,
    /// The peer's last word, which comes after what is in [`plain`](Self::plain).
    end: Option<End>,
    /// Nothing more is sent.
    closed: bool,
    /// How many messages without data have come in a row.
    quiet: u8,
    /// A second handshake was asked for, and refused (TLS 1.2).
    renegotiation_refused: bool,
    /// Among what waits to be sent is the message that our keys change.
    update_unsent: bool,
    /// The newest ticket of the handshake, as a message.
    ticket: Option<Box<[u8]>>,
}

/// How the peer's side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    CloseNotify,
    Fault(Fault),
}

/// What the peer did that it must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The alert that it is told with; `None` if it has told us.
    alert: Option<AlertDescription>,
    why: &'static str,
}

impl Traffic {
    /// Takes over from rustls. `early` came behind the handshake, `last_flight` is what the server ended it with.
    ///
    /// # Errors
    /// When the cipher suite is one that only rustls can use.
    pub(super) fn new(
        connection: UnbufferedServerConnection,
        purpose: Use,
        early: &[u8],
        last_flight: Vec<u8>,
    ) -> Result<Self, Error> {
        let limit = match connection.negotiated_cipher_suite() {
            Some(SupportedCipherSuite::Tls13(suite)) => suite.common.confidentiality_limit,
            Some(SupportedCipherSuite::Tls12(suite)) => suite.common.confidentiality_limit,
            None => 0,
        };
        let (secrets, keys) = connection.dangerous_into_kernel_connection()?;
        let version = keys.protocol_version();
        let mut sealing = Cipher::new(version, secrets.tx)?;
        let tls13 = version == ProtocolVersion::TLSv1_3;
        let ticket = if tls13 { sealing.read_back(last_flight).and_then(newest_ticket) } else { None };
        let mut incoming = Buffer::of(early.len());
        incoming.append(early);
        let mut this = Self {
            sealing,
            opening: Cipher::new(version, secrets.rx)?,
            keys: tls13.then(|| Box::new(keys)),
            limit,
            purpose,
            incoming,
            plain: 0..0,
            unopened: 0,
            outgoing: Buffer::of(0),
            sent: 0,
            end: None,
            closed: false,
            quiet: 0,
            renegotiation_refused: false,
            update_unsent: false,
            ticket,
        };
        this.open();
        Ok(this)
    }

    /// Where the next bytes from the socket go; [`added`](Self::added) says how many came. What was opened must have been
    /// taken.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.incoming.drop_front(self.unopened);
        (self.plain, self.unopened) = (0..0, 0);
        let record = self.opening.length(self.incoming.as_ref()).ok().flatten().unwrap_or_default();
        let wanted = record.max(self.incoming.len() + 1);
        if self.incoming.capacity() < wanted {
            let larger = match self.purpose {
                Use::Control => Buffer::of(wanted.max(COMMANDS)),
                Use::Data => Buffer::take(),
            };
            self.incoming.move_to(larger);
        }
        self.incoming.spare(usize::MAX)
    }

    /// Changes keys after so many records.
    #[cfg(test)]
    pub(super) fn limit_keys(&mut self, records: u64) {
        self.limit = records;
    }

    /// Takes in more at once from now on.
    pub(crate) fn widen(&mut self) {
        if self.incoming.capacity() < WIDE {
            self.incoming.move_to(Buffer::of(WIDE));
        }
    }

    /// Says how many bytes are new, and opens all records that are whole now, up to the peer's last.
    pub(crate) fn added(&mut self, count: usize) {
        self.incoming.advance(count);
        self.open();
    }

    /// What has been opened and not been taken.
    pub(crate) fn plain(&self) -> &[u8] {
        self.incoming.as_ref().get(self.plain.clone()).unwrap_or_default()
    }

    /// Says how many bytes of [`plain`](Self::plain) were taken.
    pub(crate) fn taken(&mut self, count: usize) {
        self.plain.start = (self.plain.start + count).min(self.plain.end);
    }

    /// What the peer's last word was, after all that is [`plain`](Self::plain); `None` if it has not been said.
    pub(crate) fn end(&self) -> Option<io::Result<()>> {
        Some(match self.end? {
            End::CloseNotify => Ok(()),
            End::Fault(fault) => Err(io::Error::new(io::ErrorKind::InvalidData, fault)),
        })
    }

    /// What it means that the socket has ended before the peer's last word: [`io::ErrorKind::UnexpectedEof`], or worse within
    /// a record, which is no client's way to end.
    pub(crate) fn cut(&self) -> io::Error {
        if self.unopened < self.incoming.len() {
            io::Error::new(io::ErrorKind::InvalidData, "the connection ended within a record")
        } else {
            io::ErrorKind::UnexpectedEof.into()
        }
    }

    /// Gives up buffers that are empty.
    pub(super) fn release(&mut self) {
        if self.purpose == Use::Control && self.plain.is_empty() && self.unopened == self.incoming.len() {
            (self.incoming, self.plain, self.unopened) = (Buffer::of(0), 0..0, 0);
        }
    }

    /// Opens what is whole. It stays in one piece, the first of it where it lies.
    fn open(&mut self) {
        while self.end.is_none() {
            match self.open_one() {
                Ok(true) => {}
                Ok(false) => return,
                Err(fault) => self.fail(fault),
            }
        }
    }

    /// Opens the next record; false when it is not whole yet.
    fn open_one(&mut self) -> Result<bool, Fault> {
        let (_, records) = self.incoming.as_mut().split_at_mut(self.unopened);
        let Some(length) = self.opening.length(records)? else { return Ok(false) };
        let Some(record) = records.get_mut(..length) else { return Ok(false) };
        let (kind, content) = self.opening.open(record)?;
        let (start, end) = (self.unopened + content.start, self.unopened + content.end);
        self.unopened += length;
        if kind == ContentType::ApplicationData && start < end {
            self.quiet = 0;
            if self.plain.is_empty() {
                self.plain = start..end;
            } else {
                self.incoming.as_mut().copy_within(start..end, self.plain.end);
                self.plain.end += end - start;
            }
            return Ok(true);
        }
        self.quiet += 1;
        if self.quiet > MOST_QUIET {
            return Err(unexpected("too many messages without data"));
        }
        let content = self.incoming.as_ref().get(start..end).unwrap_or_default();
        match (kind, content) {
            (ContentType::ApplicationData, _) => {}
            (ContentType::Alert, &[level, description]) => self.alerted(level, description.into())?,
            (ContentType::Handshake, &[message, ..]) => {
                let update = content.strip_prefix(&KEY_UPDATE).and_then(|rest| rest.try_into().ok());
                self.asked(message.into(), update)?;
            }
            _ => return Err(unexpected("a record is of a type that has no place here")),
        }
        Ok(true)
    }

    /// A message of the handshake, after it; `update` is the argument of one that changes keys.
    fn asked(&mut self, message: HandshakeType, update: Option<[u8; 1]>) -> Result<(), Fault> {
        match (&self.keys, update, message) {
            (Some(_), Some([request @ (0 | 1)]), _) => self.change_keys(request == 1),
            (Some(_), Some(_), _) => {
                Err(Fault::ours(AlertDescription::IllegalParameter, "a wrong key update"))
            }
            (None, _, HandshakeType::ClientHello) => self.refuse_renegotiation(),
            _ => Err(unexpected("a message of the handshake comes after it")),
        }
    }

    /// An alert. In TLS 1.3 all but two end the connection.
    fn alerted(&mut self, level: u8, description: AlertDescription) -> Result<(), Fault> {
        let harmless = match self.keys {
            Some(_) => description == AlertDescription::UserCanceled,
            None => level == WARNING,
        };
        if description == AlertDescription::CloseNotify {
            self.end = Some(End::CloseNotify);
        } else if !harmless {
            return Err(Fault { alert: None, why: name(description) });
        }
        Ok(())
    }

    /// The peer has changed its keys, and may want us to change ours. One answer is enough for many requests.
    fn change_keys(&mut self, request: bool) -> Result<(), Fault> {
        let failed = |_| Fault::ours(AlertDescription::InternalError, "no new keys can be made");
        let keys = self.keys.as_mut().ok_or_else(|| unexpected("a key update"))?;
        self.opening = keys
            .update_rx_secret()
            .and_then(|keys| Cipher::new(ProtocolVersion::TLSv1_3, keys))
            .map_err(failed)?;
        if request && !self.update_unsent { self.renew_keys().map_err(failed) } else { Ok(()) }
    }

    /// Says that our keys change, and changes them.
    ///
    /// # Errors
    /// In TLS 1.2, which cannot.
    fn renew_keys(&mut self) -> Result<(), Error> {
        let keys = self.keys.as_mut().ok_or(Error::EncryptError)?;
        let next = Cipher::new(ProtocolVersion::TLSv1_3, keys.update_tx_secret()?)?;
        let [kind, a, b, c] = KEY_UPDATE;
        self.tell(ContentType::Handshake, &[kind, a, b, c, 0])?;
        self.sealing = next;
        self.update_unsent = true;
        Ok(())
    }

    /// A second handshake (TLS 1.2) does not take place: whose session it is could change under way.
    fn refuse_renegotiation(&mut self) -> Result<(), Fault> {
        let again = std::mem::replace(&mut self.renegotiation_refused, true);
        let told = self.tell(ContentType::Alert, &[WARNING, AlertDescription::NoRenegotiation.into()]);
        if again || told.is_err() { Err(unexpected("a second handshake")) } else { Ok(()) }
    }

    /// Ends both sides.
    fn fail(&mut self, fault: Fault) {
        self.end = Some(End::Fault(fault));
        if let Some(alert) = fault.alert {
            // Where it cannot be told, the end of the connection tells enough.
            let _ = self.tell(ContentType::Alert, &[FATAL, alert.into()]);
        }
        self.closed = true;
    }

    /// Says that nothing follows.
    pub(super) fn close(&mut self) {
        let _ = self.tell(ContentType::Alert, &[WARNING, AlertDescription::CloseNotify.into()]);
        self.closed = true;
    }

    /// Hands out the newest ticket of the handshake once more, for clients that use a ticket once. Here it may be used again:
    /// it proves whose session it belongs to, and nothing else hangs on it.
    pub(super) fn repeat_ticket(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // Without it the client does what it does without tickets.
            let _ = self.tell(ContentType::Handshake, &ticket);
            self.ticket = Some(ticket);
        }
    }

    /// Seals as many of `bytes` as there is room for, once all that came before has been sent; says how many.
    ///
    /// # Errors
    /// When nothing may be sent any more.
    pub(super) fn seal(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let exhausted = |error: Error| io::Error::other(error);
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.outgoing.is_empty() {
            self.make_room_for(bytes.len());
        }
        let mut sealed = 0;
        for piece in bytes.chunks(PLAIN) {
            let length = self.sealing.sealed_length(piece.len());
            if self.outgoing.capacity() - self.outgoing.len() < length + RESERVE {
                break;
            }
            // The message about the new keys is sealed with the old ones.
            if self.sealing.count().saturating_add(2) >= self.limit {
                self.renew_keys().map_err(exhausted)?;
            }
            self.sealing
                .seal(ContentType::ApplicationData, piece, self.outgoing.spare(length))
                .map_err(exhausted)?;
            self.outgoing.advance(length);
            sealed += piece.len();
        }
        Ok(sealed)
    }

    /// Has a buffer for data, of which there are so many.
    fn make_room_for(&mut self, data: usize) {
        match self.purpose {
            Use::Control => {
                let most = data.min(REPLIES * PLAIN);
                let records = most.div_ceil(PLAIN);
                self.outgoing = Buffer::of(most + records * self.sealing.sealed_length(0) + RESERVE);
            }
            Use::Data if self.outgoing.capacity() < BUFFER_SIZE => self.outgoing = Buffer::take(),
            Use::Data => {}
        }
    }

    /// Seals a message of TLS's own, behind what waits to be sent; nothing, once that is the last.
    fn tell(&mut self, kind: ContentType, message: &[u8]) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        if message.len() > PLAIN {
            return Err(Error::EncryptError);
        }
        let length = self.sealing.sealed_length(message.len());
        if self.outgoing.capacity() - self.outgoing.len() < length {
            self.outgoing.move_to(Buffer::of(self.outgoing.len() + length));
        }
        self.sealing.seal(kind, message, self.outgoing.spare(length))?;
        self.outgoing.advance(length);
        Ok(())
    }

    /// What is to be sent.
    pub(super) fn unsent(&self) -> &[u8] {
        self.outgoing.as_ref().get(self.sent..).unwrap_or_default()
    }

    /// Says how many bytes of [`unsent`](Self::unsent) were sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent >= self.outgoing.len() {
            self.sent = 0;
            self.update_unsent = false;
            self.outgoing.clear();
            if self.purpose == Use::Control {
                self.outgoing = Buffer::of(0);
            }
        }
    }
}

impl Fault {
    /// One that the peer is to be told of.
    pub(super) fn ours(alert: AlertDescription, why: &'static str) -> Self {
        Self { alert: Some(alert), why }
    }
}

fn unexpected(why: &'static str) -> Fault {
    Fault::ours(AlertDescription::UnexpectedMessage, why)
}

/// An alert, for the log.
fn name(alert: AlertDescription) -> &'static str {
    alert.as_str().unwrap_or("the peer sent an alert that is not known")
}

/// The last ticket among messages of the handshake.
fn newest_ticket(mut messages: Vec<u8>) -> Option<Box<[u8]>> {
    let mut newest = None;
    let mut start = 0;
    while let Some(&[kind, a, b, c]) = messages.get(start..).and_then(|rest| rest.first_chunk()) {
        let end = start + 4 + usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        if HandshakeType::from(kind) == HandshakeType::NewSessionTicket && end <= messages.len() {
            newest = Some(start..end);
        }
        start = end;
    }
    let Range { start, end } = newest?;
    messages.truncate(end);
    Some(messages.split_off(start).into_boxed_slice())
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why)
    }
}

impl std::error::Error for Fault {}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traffic")
            .field("end", &self.end)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
