//! Who resumes, and whom that proves.

use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Resumption};
use rustls::client::{Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::{HandshakeKind, NamedGroup};

use super::super::reuse::CONTROL_TICKETS;
use super::*;

/// A client's memory that forgets which key exchange the server wants, so that each handshake is retried.
#[derive(Debug)]
struct Forgetful(ClientSessionMemoryCache);

impl ClientSessionStore for Forgetful {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(server_name, value);
    }
    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(server_name)
    }
}

#[tokio::test]
async fn tickets_last_for_fifty_transfers() {
    let authority = Authority::new();
    let acceptor = authority.tls().acceptor().unwrap();
    for client in clients(&authority) {
        let session = acceptor.session().unwrap();
        let (mut server, mut control) = control(&session, &client).await;
        for number in 0..50 {
            assert!(data(&session, &client).await, "{number}");
            server.stream.repeat_ticket();
            exchange(&mut server.stream, &mut control).await;
        }
    }
}

#[tokio::test]
async fn data_connections_give_no_ticket() {
    let authority = Authority::new();
    let client = authority.client(&TLS13);
    let session = acceptor_session(&authority.tls());
    let (mut server, mut control) = control(&session, &client).await;
    for _ in 0..CONTROL_TICKETS {
        assert!(data(&session, &client).await);
    }
    // This client uses tickets once.
    assert!(!data(&session, &client).await);
    server.stream.repeat_ticket();
    exchange(&mut server.stream, &mut control).await;
    assert!(data(&session, &client).await);
    assert!(!data(&session, &client).await);
}

#[tokio::test]
async fn another_sessions_ticket_proves_nothing() {
    let authority = Authority::new();
    let tls = authority.tls();
    let (one, other) = (tls.acceptor().unwrap(), tls.acceptor().unwrap());
    for client in clients(&authority) {
        let session = one.session().unwrap();
        control(&session, &client).await;
        for stranger in [one.session().unwrap(), other.session().unwrap()] {
            assert!(!data(&stranger, &client).await);
        }
    }
}

#[tokio::test]
async fn a_stranger_earns_no_ticket_on_a_data_connection() {
    let authority = Authority::new();
    let acceptor = authority.tls().acceptor().unwrap();
    for (client, stranger) in clients(&authority).into_iter().zip(clients(&authority)) {
        let session = acceptor.session().unwrap();
        control(&session, &client).await;
        for _ in 0..3 {
            assert!(!data(&session, &stranger).await);
        }
        assert!(data(&session, &client).await);
    }
}

#[tokio::test]
async fn resumption_survives_a_retry_of_the_key_exchange() {
    let authority = Authority::new();
    let provider =
        CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::SECP256R1], ..aws_lc_rs::default_provider() };
    let (certificate, key) = authority.issue(&["localhost"]);
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let tls = Tls::from_config(Arc::new(config));
    let asking = tls.clone().client_certificates(ClientCertificates::Optional);
    assert!(matches!(asking.acceptor().unwrap_err().problem(), TlsProblem::OwnConfig));
    let session = tls.acceptor().unwrap().session().unwrap();
    let mut client = authority.client(&TLS13);
    client.resumption = Resumption::store(Arc::new(Forgetful(ClientSessionMemoryCache::new(8))));
    let (_server, control) = control(&session, &client).await;
    assert_eq!(control.get_ref().1.handshake_kind(), Some(HandshakeKind::FullWithHelloRetryRequest));
    for _ in 0..CONTROL_TICKETS {
        assert!(data(&session, &client).await);
    }
}
