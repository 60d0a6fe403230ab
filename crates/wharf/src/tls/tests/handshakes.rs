//! Clients that are let in, and clients that are not.

use std::fs;

use super::*;

#[tokio::test]
async fn only_ftp_is_spoken_here() {
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    for (offered, accepted) in
        [(&[][..], true), (&["ftp"], true), (&["x-filezilla-ftp", "ftp"], true), (&["http/1.1", "h2"], false)]
    {
        let mut client = authority.client_with(&[&TLS12, &TLS13], None);
        client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (ours, theirs) = duplex(1 << 16);
        let (server, client) =
            join!(session.accept_control(ours, DEADLINE), connect(&client, theirs, "localhost"));
        assert_eq!(server.is_ok(), accepted, "{offered:?}");
        if let Err(error) = client {
            assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
        }
    }
}

#[tokio::test]
async fn clients_show_certificates_as_required() {
    use ClientCertificates::{Off, Optional, Required};
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    fs::write(&bundle, authority.0.pem()).unwrap();
    let ann = || Some(authority.issue(&["ann"]));
    let stranger = || Some(Authority::new().issue(&["ann"]));

    for (asked, identity, expected) in [
        (Off, ann(), Some(None)),
        (Optional, None, Some(None)),
        (Optional, ann(), Some(Some("CN=ann"))),
        (Optional, stranger(), None),
        (Required, None, None),
        (Required, ann(), Some(Some("CN=ann"))),
    ] {
        let tls = authority.tls().client_ca(&bundle).unwrap().client_certificates(asked);
        let session = tls.acceptor().unwrap().session().unwrap();
        let client = authority.client_with(&[&TLS12, &TLS13], identity);
        let (ours, theirs) = duplex(1 << 16);
        let (server, _client) =
            join!(session.accept_control(ours, DEADLINE), connect(&client, theirs, "localhost"));
        let subject = server.ok().map(|server| server.certificate);
        assert_eq!(subject.as_ref().map(Option::as_deref), expected, "{asked:?}");
    }
    let error = authority.tls().client_certificates(Required).acceptor().unwrap_err();
    assert!(matches!(error.problem(), TlsProblem::NoClientAuthority));
}

#[tokio::test]
async fn silence_and_noise_end_the_handshake() {
    let session = acceptor_session(&Authority::new().tls());
    let (ours, _silent) = duplex(1 << 16);
    let error = session.accept_control(ours, Duration::from_millis(1)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);

    let (ours, mut noisy) = duplex(1 << 16);
    noisy.write_all(b"GET /secret HTTP/1.1\r\n\r\n").await.unwrap();
    session.accept_control(ours, DEADLINE).await.unwrap_err();
    let mut answer = Vec::new();
    noisy.read_to_end(&mut answer).await.unwrap();
    assert!(answer.len() <= 7 && !answer.windows(3).any(|part| part == b"GET"), "{answer:?}");
}

#[tokio::test]
async fn a_cut_is_no_goodbye() {
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    for client in clients(&authority) {
        let (mut server, mut polite) = control(&session, &client).await;
        polite.shutdown().await.unwrap();
        assert_eq!(server.stream.read(&mut [0]).await.unwrap(), 0);

        let (mut server, rude) = control(&session, &client).await;
        drop(rude.into_inner());
        let error = server.stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn floods_of_key_updates_end_the_connection() {
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    let (mut server, mut client) = control(&session, &authority.client(&TLS13)).await;
    for _ in 0..40 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
    }
    client.flush().await.unwrap();
    let error = server.stream.read_u8().await.unwrap_err();
    assert!(error.to_string().contains("TooManyKeyUpdateRequests"), "{error}");
}
