//! A client whose records are made by hand, for what no client would send.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::unbuffered::{ConnectionState as State, UnbufferedStatus};
use rustls::{ClientConfig, ContentType, ExtractedSecrets, ProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::join;

use super::TlsStream;
use super::record::{Cipher, HEADER};
use super::upgrade::TlsSession;

/// Far more than a handshake takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// See the [module](self).
pub(super) struct Puppet {
    pub(super) stream: DuplexStream,
    sealing: Cipher,
    opening: Cipher,
    keys: KernelConnection<ClientConnectionData>,
}

impl Puppet {
    /// Shakes hands over a data connection, in which a mebibyte has room each way; the server's end, and this.
    pub(super) async fn connect(
        session: &TlsSession,
        mut client: ClientConfig,
    ) -> (TlsStream<DuplexStream>, Self) {
        client.enable_secret_extraction = true;
        let (ours, mut stream) = duplex(1 << 20);
        let shaking = async {
            let name = ServerName::try_from("localhost").unwrap();
            let mut connection = UnbufferedClientConnection::new(Arc::new(client), name).unwrap();
            shake(&mut connection, &mut stream).await;
            connection.dangerous_into_kernel_connection().unwrap()
        };
        let (server, (secrets, keys)) = join!(session.accept_data(ours, DEADLINE), shaking);
        let ExtractedSecrets { tx, rx } = secrets;
        let cipher = |secrets| Cipher::new(keys.protocol_version(), secrets).unwrap();
        let (sealing, opening) = (cipher(tx), cipher(rx));
        (server.unwrap().stream, Self { stream, sealing, opening, keys })
    }

    /// A record with this content.
    pub(super) fn record(&mut self, kind: ContentType, content: &[u8]) -> Vec<u8> {
        let mut record = vec![0; self.sealing.sealed_length(content.len())];
        self.sealing.seal(kind, content, &mut record).unwrap();
        record
    }

    /// Sends such a record, if the server is still there.
    pub(super) async fn send(&mut self, kind: ContentType, content: &[u8]) {
        let record = self.record(kind, content);
        let _ = self.stream.write_all(&record).await;
    }

    /// Changes the keys of what is sent; in TLS 1.2 nothing happens, and it ought to be refused.
    pub(super) fn change_keys(&mut self) {
        if let Ok(secrets) = self.keys.update_tx_secret() {
            self.sealing = Cipher::new(ProtocolVersion::TLSv1_3, secrets).unwrap();
        }
    }

    /// The same for what is received.
    pub(super) fn follow_keys(&mut self) {
        let secrets = self.keys.update_rx_secret().unwrap();
        self.opening = Cipher::new(ProtocolVersion::TLSv1_3, secrets).unwrap();
    }

    /// The next record of the server's; none at its end.
    pub(super) async fn next(&mut self) -> Option<(ContentType, Vec<u8>)> {
        let mut record = vec![self.stream.read_u8().await.ok()?];
        record.resize(HEADER, 0);
        self.stream.read_exact(&mut record[1..]).await.unwrap();
        let length = self.opening.length(&record).unwrap().unwrap();
        record.resize(length, 0);
        self.stream.read_exact(&mut record[HEADER..]).await.unwrap();
        let (kind, content) = self.opening.open(&mut record).unwrap();
        Some((kind, record[content].to_vec()))
    }
}

/// The client's half of a handshake, record by record, so that nothing is read that follows it.
async fn shake(connection: &mut UnbufferedClientConnection, stream: &mut DuplexStream) {
    let mut incoming = Vec::new();
    loop {
        let UnbufferedStatus { discard, state } = connection.process_tls_records(&mut incoming);
        let mut wants_more = false;
        match state.unwrap() {
            State::EncodeTlsData(mut data) => {
                let mut record = vec![0; 1 << 15];
                let length = data.encode(&mut record).unwrap();
                stream.write_all(&record[..length]).await.unwrap();
            }
            State::TransmitTlsData(sent) => sent.done(),
            State::WriteTraffic(_) => return,
            State::BlockedHandshake => wants_more = true,
            other => panic!("{other:?}"),
        }
        incoming.drain(..discard);
        if wants_more {
            let mut header = [0; HEADER];
            stream.read_exact(&mut header).await.unwrap();
            let start = incoming.len() + HEADER;
            incoming.extend(header);
            incoming.resize(start + usize::from(u16::from_be_bytes([header[3], header[4]])), 0);
            stream.read_exact(&mut incoming[start..]).await.unwrap();
        }
    }
}
