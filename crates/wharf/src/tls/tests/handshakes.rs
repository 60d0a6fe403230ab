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
async fn messages_may_come_in_pieces() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    fs::write(&bundle, authority.0.pem()).unwrap();
    let tls = authority.tls().client_ca(&bundle).unwrap();
    let tls = tls.client_certificates(ClientCertificates::Required);
    let session = acceptor_session(&tls);
    for version in [&TLS12, &TLS13] {
        for (fragment, pipe) in [(32, 1 << 16), (100, 50), (1000, 3000)] {
            for (issuer, known) in [(&authority, true), (&Authority::new(), false)] {
                let mut client = authority.client_with(&[version], Some(issuer.issue(&["ann"])));
                client.max_fragment_size = Some(fragment);
                let (ours, theirs) = duplex(pipe);
                let connecting = async {
                    let mut client = connect(&client, theirs, "localhost").await?;
                    client.read_u8().await
                };
                let accepting = async {
                    let mut server = session.accept_control(ours, DEADLINE).await?;
                    server.stream.write_u8(b'!').await?;
                    server.stream.flush().await?;
                    io::Result::Ok(server)
                };
                let (server, client) = join!(accepting, connecting);
                assert_eq!((server.is_ok(), client.is_ok()), (known, known), "{version:?}, {fragment}");
            }
        }
    }
}

/// Time stands still unless everybody waits, and then the deadline is there.
#[tokio::test(start_paused = true)]
async fn damage_on_the_way_breaks_a_handshake_at_worst() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    fs::write(&bundle, authority.0.pem()).unwrap();
    let tls = authority.tls().client_ca(&bundle).unwrap();
    let session = acceptor_session(&tls.client_certificates(ClientCertificates::Optional));
    let mut next = random();
    let (mut succeeded, mut failed) = (0, 0);
    for round in 0..600 {
        let version = if round % 2 == 0 { &TLS13 } else { &TLS12 };
        let mut client = authority.client_with(&[version], Some(authority.issue(&["ann"])));
        client.max_fragment_size = [None, Some(64), Some(512)][next(3)];
        let (ours, between) = duplex(1 << 16);
        let (outside, theirs) = duplex(1 << 16);
        let (mut from_client, mut to_client) = tokio::io::split(outside);
        let (mut from_server, mut to_server) = tokio::io::split(between);
        let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let connecting = tokio::spawn(async move {
            let client = connect(&client, theirs, "localhost").await;
            std::future::pending::<()>().await;
            drop(client);
        });
        let (damaged, kind, value) = (next(1500), next(4), next(256) as u8);
        let forth = tokio::spawn(async move {
            let mut at = 0;
            while let Ok(byte) = from_client.read_u8().await {
                let bytes: &[u8] = match (at == damaged, kind) {
                    (false, _) => &[byte],
                    (true, 0) => &[byte ^ value],
                    (true, 1) => &[],
                    (true, 2) => &[byte, value],
                    (true, _) => &[value, 3, 3, value],
                };
                at += 1;
                if to_server.write_all(bytes).await.is_err() {
                    break;
                }
            }
        });
        match session.accept_control(ours, DEADLINE).await {
            Ok(_) => succeeded += 1,
            Err(_) => failed += 1,
        }
        back.abort();
        connecting.abort();
        forth.abort();
    }
    assert!(succeeded > 0 && failed > 0, "{succeeded} handshakes succeeded, {failed} failed");
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
