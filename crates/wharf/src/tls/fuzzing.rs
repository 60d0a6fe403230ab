//! What fuzzing drives: a connection whose client sends what a script says. It is no part of the API.
//!
//! A script is a list of steps: a byte that says what is sent, two for how many bytes of the script belong to it, and
//! those. With its bit of 64 the server does not read yet.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ContentType, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::puppet::Puppet;
use super::{Tls, TlsSession, TlsStream};

/// As much as a script may send, so that no buffer between both ends is full.
const MOST: usize = 1 << 17;

/// How many tickets are repeated at most, for the same reason.
const TICKETS: usize = 100;

/// The message that says that keys change, without its argument.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];

/// A server, and what its clients trust.
pub struct Records {
    session: TlsSession,
    roots: Arc<RootCertStore>,
}

impl Records {
    /// A server with this certificate, for `localhost`, and its key.
    pub fn new(pem: &[u8], certificate: &[u8]) -> Self {
        let session = Tls::from_pem(pem).unwrap().acceptor().unwrap().session().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificate.to_vec())).unwrap();
        Self { session, roots: Arc::new(roots) }
    }

    /// Plays `script`: whatever is sent, what the server reads was sealed for it, in that order, and what it seals can be
    /// opened.
    pub async fn play(&self, script: &[u8]) {
        let Some((&first, script)) = script.split_first() else { return };
        let version = if first & 1 == 0 { &TLS13 } else { &TLS12 };
        let (server, puppet) = Puppet::connect(&self.session, self.client(version)).await;
        let mut play = Play {
            server,
            puppet,
            tls13: version == &TLS13,
            expected: Vec::new(),
            read: 0,
            ours: Vec::new(),
            tickets: 0,
        };
        let mut rest = script.get(..MOST).unwrap_or(script);
        while let Some((&[step, high, low], more)) = rest.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes([high, low])).min(more.len());
            let (content, more) = more.split_at(length);
            play.step(step, content).await;
            rest = more;
        }
        play.end().await;
    }

    fn client(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth()
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

/// A script that is being played.
struct Play {
    server: TlsStream<DuplexStream>,
    puppet: Puppet,
    tls13: bool,
    /// All data that were sealed for the server, and how much of it the server has read.
    expected: Vec<u8>,
    read: usize,
    /// All data that the server has sealed.
    ours: Vec<u8>,
    tickets: usize,
}

impl Play {
    async fn step(&mut self, step: u8, content: &[u8]) {
        match step % 8 {
            0 => self.send(ContentType::ApplicationData, content).await,
            1 => self.send(ContentType::Alert, content).await,
            2 => self.send(ContentType::Handshake, content).await,
            3 => {
                let (kind, content) =
                    content.split_first().map_or((0, content), |(&kind, rest)| (kind, rest));
                self.send(ContentType::from(kind), content).await;
            }
            4 => self.put(content).await,
            5 => {
                let mut record = self.puppet.record(ContentType::ApplicationData, content);
                let at = usize::from(step / 8) * 7 % record.len();
                record[at] ^= 1 << (step % 7);
                self.put(&record).await;
            }
            6 => self.answer(content).await,
            _ if self.tickets < TICKETS => {
                self.tickets += 1;
                self.server.repeat_ticket();
            }
            _ => {}
        }
        if step & 64 == 0 {
            self.read_what_is_there().await;
        }
    }

    /// Sends a record that is sealed well, whatever it holds.
    async fn send(&mut self, kind: ContentType, content: &[u8]) {
        self.puppet.send(kind, content).await;
        // In TLS 1.3 the type is what stands before the zeros.
        let mut inner = [content, &[kind.into()]].concat();
        while self.tls13 && inner.last() == Some(&0) {
            inner.pop();
        }
        if inner.pop() == Some(ContentType::ApplicationData.into()) {
            self.expected.extend(&inner);
        } else if inner.starts_with(&KEY_UPDATE) && matches!(inner.get(4..), Some([0 | 1])) {
            self.puppet.change_keys();
        }
    }

    async fn put(&mut self, bytes: &[u8]) {
        // The server may have left.
        let _ = self.puppet.stream.write_all(bytes).await;
    }

    async fn answer(&mut self, content: &[u8]) {
        if let Ok(count) = self.server.write(content).await {
            self.ours.extend(&content[..count]);
        }
        let _ = self.server.flush().await;
    }

    /// Has the server read until there is nothing more, or an end.
    async fn read_what_is_there(&mut self) {
        loop {
            let mut buffer = [0; 4096];
            let read = tokio::select! {
                biased;
                read = self.server.read(&mut buffer) => read,
                () = std::future::ready(()) => return,
            };
            match read {
                Ok(count) if count > 0 => {
                    assert_eq!(self.expected.get(self.read..self.read + count), Some(&buffer[..count]));
                    self.read += count;
                }
                _ => return,
            }
        }
    }

    /// Ends both sides: what the server has said is whole.
    async fn end(mut self) {
        let _ = self.puppet.stream.shutdown().await;
        self.read_what_is_there().await;
        let _ = self.server.shutdown().await;
        drop(self.server);
        let mut heard = Vec::new();
        while let Some((kind, content)) = self.puppet.next().await {
            match kind {
                ContentType::ApplicationData => heard.extend(content),
                ContentType::Handshake if content.starts_with(&KEY_UPDATE) => self.puppet.follow_keys(),
                ContentType::Handshake | ContentType::Alert => {}
                other => panic!("the server sends {other:?}"),
            }
        }
        assert!(self.ours.starts_with(&heard));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step of a script.
    fn step(sign: u8, content: &[u8]) -> Vec<u8> {
        [&[sign], &u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
    }

    #[tokio::test]
    async fn scripts_are_played() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = made.cert.pem() + &made.signing_key.serialize_pem();
        let records = Records::new(pem.as_bytes(), made.cert.der());
        let data = step(0, b"data");
        for steps in [
            vec![],
            vec![data.clone(), step(6, b"answer"), data.clone()],
            // Three that the server reads at once.
            vec![step(64, b"one"), step(64, b"two"), data.clone()],
            // Keys change, ours at the client's request.
            vec![
                step(2, &[24, 0, 0, 1, 1]),
                data.clone(),
                step(6, b"answer"),
                step(2, &[24, 0, 0, 1, 0]),
                data.clone(),
            ],
            // Zeros behind the type; an alert; a second handshake; a ticket.
            vec![
                step(3, b"\0data\x17\0\0"),
                step(1, &[1, 90]),
                step(2, &[1, 0, 0, 0]),
                step(7, b""),
                data.clone(),
            ],
            vec![data.clone(), step(1, &[1, 0]), data.clone()],
            vec![data.clone(), step(5, b"damaged"), data.clone()],
            vec![data.clone(), step(4, b"\x17\x03\x03\0\x05hello"), data],
        ] {
            for version in [0, 1] {
                let script = [vec![version], steps.concat()].concat();
                records.play(&script).await;
            }
        }
    }
}
