//! Handshakes with a client, in memory.

mod binding;
mod certificates;
mod handshakes;
mod traffic;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, DistinguishedName, DnType, KeyPair};
use rustls::client::Tls12Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::join;
use tokio_rustls::{TlsConnector, client};

use super::upgrade::SecuredControl;
use super::*;

/// Far more than any of this takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for `names`, whose subject is `CN=` the first of them, and its key, both PEM.
    fn issue(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|&name| name.into()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn tls(&self) -> Tls {
        let (certificate, key) = self.issue(&["localhost"]);
        Tls::from_pem((certificate + &key).as_bytes()).unwrap()
    }

    fn client(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
        self.client_with(&[version], None)
    }

    /// A client that knows these cipher suites alone.
    fn client_of(
        &self,
        cipher_suites: Vec<SupportedCipherSuite>,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConfig {
        let provider = CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[version]).unwrap();
        builder.with_root_certificates(self.roots()).with_no_client_auth()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<(String, String)>,
    ) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots());
        let Some((certificate, key)) = identity else {
            return builder.with_no_client_auth();
        };
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
    }
}

type Client = client::TlsStream<DuplexStream>;

fn name(name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).unwrap()
}

async fn connect(client: &ClientConfig, stream: DuplexStream, to: &str) -> io::Result<Client> {
    TlsConnector::from(Arc::new(client.clone())).connect(name(to), stream).await
}

/// Sends a byte to the client, so that it has read what came before: tickets too.
async fn exchange<S: AsyncWriteExt + Unpin>(server: &mut S, client: &mut Client) {
    server.write_all(b"!").await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'!');
}

async fn control(session: &TlsSession, client: &ClientConfig) -> (SecuredControl<DuplexStream>, Client) {
    let (ours, theirs) = duplex(1 << 16);
    let (server, client) =
        join!(session.accept_control(ours, DEADLINE), connect(client, theirs, "localhost"));
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    exchange(&mut server.stream, &mut client).await;
    (server, client)
}

/// A data connection; whether it proved its client.
async fn data(session: &TlsSession, client: &ClientConfig) -> bool {
    let (ours, theirs) = duplex(1 << 16);
    let (server, client) = join!(session.accept_data(ours, DEADLINE), connect(client, theirs, "localhost"));
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    exchange(&mut server.stream, &mut client).await;
    server.resumed
}

/// Numbers below the one that is asked for, the same ones each time.
fn random() -> impl FnMut(usize) -> usize {
    let mut state = 1_u64;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

/// Clients of each kind: TLS 1.2 with and without tickets, TLS 1.3.
fn clients(authority: &Authority) -> [ClientConfig; 3] {
    let tickets = authority.client(&TLS12);
    let mut session_id = authority.client(&TLS12);
    session_id.resumption = session_id.resumption.tls12_resumption(Tls12Resumption::SessionIdOnly);
    [tickets, session_id, authority.client(&TLS13)]
}

/// The TLS part of a fresh session.
fn acceptor_session(tls: &Tls) -> TlsSession {
    tls.acceptor().unwrap().session().unwrap()
}
