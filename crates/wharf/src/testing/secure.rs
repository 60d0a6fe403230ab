//! TLS of a relay that reads along: it is the server to the client, and a client to the server.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::wire::Wire;
use crate::tls::{
    Acceptor, ClientCertificates, LONGEST_HANDSHAKE, SessionReuse, Tls, TlsError, TlsProblem, TlsSession,
};

/// TLS of a test server.
#[derive(Clone)]
pub(super) struct Security {
    acceptor: Acceptor,
    connector: TlsConnector,
}

/// TLS of one control connection and its data connections.
#[derive(Clone)]
pub(super) struct Securing {
    session: TlsSession,
    connector: TlsConnector,
}

impl Security {
    /// What clients are shown is `tls`.
    ///
    /// # Errors
    /// When `tls` cannot be had.
    pub(super) fn new(tls: &Tls) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(Ours(provider.signature_verification_algorithms));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsProblem::Unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { acceptor: tls.acceptor()?, connector: Arc::new(config).into() })
    }

    /// What the server behind the relay does with `tls`: all but what is between the client and the relay.
    pub(super) fn behind(tls: Tls) -> Tls {
        tls.client_certificates(ClientCertificates::Off).session_reuse(SessionReuse::Off)
    }

    /// Begins the TLS part of a control connection.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(super) fn session(&self) -> io::Result<Securing> {
        Ok(Securing { session: self.acceptor.session()?, connector: self.connector.clone() })
    }
}

impl Securing {
    /// Shakes hands with the client of a control connection.
    ///
    /// # Errors
    /// What came of it instead.
    pub(super) async fn accept(&self, client: Wire) -> io::Result<Wire> {
        let secured = self.session.accept_control(in_clear(client)?, LONGEST_HANDSHAKE).await?;
        Ok(Wire::Served(Box::new(secured.stream)))
    }

    /// Shakes hands with the server.
    ///
    /// # Errors
    /// What came of it instead.
    pub(super) async fn connect(&self, server: Wire) -> io::Result<Wire> {
        // An address has no certificate of its own, so this asks for the first one.
        let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
        Ok(Wire::Asked(Box::new(self.connector.connect(name, in_clear(server)?).await?)))
    }

    /// Shakes hands with the client of a data connection, whose session reuse is required or not.
    ///
    /// # Errors
    /// What came of it instead; that it did not resume the session though it had to.
    pub(super) async fn accept_data(&self, client: Wire) -> io::Result<Wire> {
        let secured = self.session.accept_data(in_clear(client)?, LONGEST_HANDSHAKE).await?;
        if self.session.policy().session_reuse == SessionReuse::Require && !secured.resumed {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Wire::Served(Box::new(secured.stream)))
    }
}

/// TLS begins once.
fn in_clear(wire: Wire) -> io::Result<TcpStream> {
    match wire {
        Wire::Plain(stream) => Ok(stream),
        Wire::Served(_) | Wire::Asked(_) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Trusts the server behind the relay, which is our own, whatever its certificate says.
#[derive(Debug)]
struct Ours(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Ours {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
