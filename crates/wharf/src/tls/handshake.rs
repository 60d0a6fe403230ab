//! Handshakes: rustls does them; this brings it the client's records and takes its answers to the client.

use std::io;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ContentType, Error, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::record::{HEADER, PLAIN};

/// The most that a client may send for one step of its handshake: rustls takes messages of 64 KiB.
const LONGEST_STEP: usize = 96 * 1024;

/// How much is read at once.
const READ_SIZE: usize = 4096;

/// A handshake that succeeded.
pub(super) struct Shaken {
    pub(super) connection: UnbufferedServerConnection,
    /// What came behind it.
    pub(super) early: Vec<u8>,
    /// What the server ended it with.
    pub(super) last_flight: Vec<u8>,
}

/// Shakes hands. Each step is worked out in a turn of its own; `judge` sees the connection after each.
///
/// # Errors
/// What rustls says of the client, who has been told, or a broken connection.
pub(super) async fn shake_hands<S>(
    stream: &mut S,
    config: Arc<ServerConfig>,
    turns: Option<&Semaphore>,
    judge: impl Fn(&UnbufferedServerConnection),
) -> io::Result<Shaken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = UnbufferedServerConnection::new(config).map_err(refused)?;
    let mut incoming = Vec::new();
    // How much of it rustls has seen: whole records, so that it opens nothing that follows the handshake.
    let mut shown = 0;
    loop {
        read_some(stream, &mut incoming).await?;
        while let Some(record) = incoming.get(shown..).and_then(next_record) {
            shown += record;
            let mut answer = Vec::new();
            let step = {
                let _turn = match turns {
                    Some(turns) => Some(turns.acquire().await.map_err(io::Error::other)?),
                    None => None,
                };
                advance(&mut connection, incoming.get_mut(..shown).unwrap_or_default(), &mut answer)
            };
            judge(&connection);
            // After an error this is an alert, which a client that is gone need not hear.
            let told = stream.write_all(&answer).await;
            let used = step.map_err(refused)?;
            told?;
            stream.flush().await?;
            incoming.drain(..used);
            shown = shown.saturating_sub(used);
            if !connection.is_handshaking() {
                return Ok(Shaken { connection, early: incoming, last_flight: answer });
            }
        }
    }
}

async fn read_some(stream: &mut (impl AsyncRead + Unpin), incoming: &mut Vec<u8>) -> io::Result<()> {
    if incoming.len() > LONGEST_STEP {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client's handshake is too long"));
    }
    incoming.reserve(READ_SIZE);
    if stream.read_buf(incoming).await? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client left during the handshake"));
    }
    Ok(())
}

/// How long the record is that begins here, if it is whole. What cannot be a record is taken as it is: rustls knows what
/// to say of it.
fn next_record(bytes: &[u8]) -> Option<usize> {
    let &[kind, major, _, high, low] = bytes.first_chunk::<HEADER>()?;
    let body = usize::from(u16::from_be_bytes([high, low]));
    let known = !matches!(ContentType::from(kind), ContentType::Unknown(_));
    if !known || major != 3 || body > PLAIN + 2048 {
        return Some(bytes.len());
    }
    (bytes.len() >= HEADER + body).then_some(HEADER + body)
}

/// Has rustls work out what follows from `shown`, and answers how much of that it needs no longer.
fn advance(
    connection: &mut UnbufferedServerConnection,
    shown: &mut [u8],
    answer: &mut Vec<u8>,
) -> Result<usize, Error> {
    let mut used = 0;
    loop {
        let rest = shown.get_mut(used..).unwrap_or_default();
        let UnbufferedStatus { discard, state } = connection.process_tls_records(rest);
        let waiting = match state {
            Ok(ConnectionState::EncodeTlsData(data)) => !encode(data, answer),
            // All of `answer` is sent before anything else is.
            Ok(ConnectionState::TransmitTlsData(sent)) => {
                sent.done();
                false
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => true,
            Ok(_) => return Err(Error::General("data within the handshake".into())),
            Err(error) => {
                take_alert(connection, answer);
                return Err(error);
            }
        };
        used += discard;
        if waiting {
            return Ok(used);
        }
    }
}

/// What rustls has to say after an error. It must not see any bytes again.
fn take_alert(connection: &mut UnbufferedServerConnection, answer: &mut Vec<u8>) {
    while connection.wants_write()
        && let Ok(ConnectionState::EncodeTlsData(data)) = connection.process_tls_records(&mut []).state
        && encode(data, answer)
    {}
}

/// Appends a record that rustls has made; false if it will not have it.
fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, answer: &mut Vec<u8>) -> bool {
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = data.encode(&mut [])
    else {
        return false;
    };
    let start = answer.len();
    answer.resize(start + required_size, 0);
    data.encode(answer.get_mut(start..).unwrap_or_default()).is_ok()
}

fn refused(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
