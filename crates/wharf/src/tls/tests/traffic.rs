//! What follows a handshake: data of rustls's clients, and what no client of rustls's would send.

use rustls::{AlertDescription, ContentType};
use tokio::io::{ReadHalf, WriteHalf, split};

use super::super::puppet::Puppet;
use super::*;

/// Sizes around those of records and buffers.
const SIZES: [usize; 6] = [1, 16_383, 16_384, 16_385, 262_144, 1_000_001];

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n / 7 % 251) as u8).collect()
}

/// Both ends of a connection, the server's for data or for commands.
async fn pair(
    session: &TlsSession,
    client: &ClientConfig,
    chunk: usize,
    for_data: bool,
) -> (TlsStream<DuplexStream>, Client) {
    let (ours, theirs) = duplex(chunk);
    let server = async {
        if for_data {
            session.accept_data(ours, DEADLINE).await.unwrap().stream
        } else {
            session.accept_control(ours, DEADLINE).await.unwrap().stream
        }
    };
    let (server, client) = join!(server, connect(client, theirs, "localhost"));
    (server, client.unwrap())
}

/// Sends all there is to send, and then the end; receives up to the end.
async fn talk<S: AsyncRead + AsyncWrite>(stream: S, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let (mut reader, mut writer): (ReadHalf<S>, WriteHalf<S>) = split(stream);
    let writing = async {
        writer.write_all(bytes).await?;
        writer.flush().await?;
        writer.shutdown().await
    };
    let mut all = Vec::new();
    let (read, written) = join!(reader.read_to_end(&mut all), writing);
    read.and(written).map(|()| all)
}

#[tokio::test]
async fn every_cipher_suite_carries_every_size_both_ways() {
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    for suite in aws_lc_rs::default_provider().cipher_suites {
        // The certificate is one for ECDSA; RSA changes nothing that comes after the handshake.
        if format!("{suite:?}").contains("RSA_WITH") && !format!("{suite:?}").contains("ECDSA") {
            continue;
        }
        let version: &'static SupportedProtocolVersion =
            if suite.version() == &TLS13 { &TLS13 } else { &TLS12 };
        let client = authority.client_of(vec![suite], version);
        let ways =
            SIZES.map(|size| [(size, 1 << 16, true), (size, 1 << 16, false), (size.min(20_000), 7, true)]);
        for (size, chunk, for_data) in ways.into_iter().flatten() {
            let (server, client) = pair(&session, &client, chunk, for_data).await;
            let (down, up) = (pattern(size), pattern(size / 2));
            let (got_up, got_down) = join!(talk(server, &down), talk(client, &up));
            assert!(got_up.unwrap() == up && got_down.unwrap() == down, "{suite:?}, {size} bytes");
        }
    }
}

#[tokio::test]
async fn keys_change_when_the_client_says_so_and_when_they_are_used_up() {
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    for limit in [3, 10, u64::MAX] {
        let (mut server, mut client) = pair(&session, &authority.client(&TLS13), 1 << 16, true).await;
        server.traffic().limit_keys(limit);
        for _ in 0..50 {
            // It wants ours to change as well.
            client.get_mut().1.refresh_traffic_keys().unwrap();
            client.write_all(b"?").await.unwrap();
            client.flush().await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'?');
            exchange(&mut server, &mut client).await;
        }
        let bytes = pattern(1_000_000);
        let (got, sent) = join!(talk(client, b""), talk(server, &bytes));
        assert!(got.unwrap() == bytes && sent.unwrap().is_empty(), "{limit}");
    }
}

#[tokio::test]
async fn keys_that_cannot_change_are_not_used_up() {
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    let (mut server, _client) = pair(&session, &authority.client(&TLS12), 1 << 20, true).await;
    server.traffic().limit_keys(5);
    server.write_all(&pattern(100_000)).await.unwrap_err();
}

#[tokio::test]
async fn nothing_follows_the_end() {
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    for client in clients(&authority) {
        let (mut server, mut client) = pair(&session, &client, 1 << 16, false).await;
        server.shutdown().await.unwrap();
        assert_eq!(server.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        server.repeat_ticket();
        assert!(!server.has_pending());
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        // The other direction stays open.
        client.write_all(b"!").await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'!');
    }
}

type Versions = &'static [&'static SupportedProtocolVersion];

/// Something that no client may send: in which versions, what, how often; the alert that the server leaves with (none, when
/// the client itself has said why) and what it logs.
struct Wrong(Versions, ContentType, &'static [u8], usize, Option<AlertDescription>, &'static str);

#[tokio::test]
async fn what_does_not_belong_there_ends_the_connection() {
    use AlertDescription as Alert;
    use ContentType as Kind;
    const BOTH: Versions = &[&TLS12, &TLS13];
    const OLD: Versions = &[&TLS12];
    const NEW: Versions = &[&TLS13];
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    let unexpected = Some(Alert::UnexpectedMessage);
    for Wrong(versions, kind, content, times, alert, why) in [
        Wrong(BOTH, Kind::ApplicationData, b"", 33, unexpected, "too many messages"),
        Wrong(
            NEW,
            Kind::Handshake,
            &[24, 0, 0, 1, 2],
            1,
            Some(Alert::IllegalParameter),
            "a wrong key update",
        ),
        Wrong(NEW, Kind::Handshake, &[24, 0, 0, 2, 0, 0], 1, unexpected, "comes after it"),
        Wrong(NEW, Kind::Handshake, &[4, 0, 0, 0], 1, unexpected, "comes after it"),
        Wrong(NEW, Kind::Handshake, &[1, 0, 0, 0], 1, unexpected, "comes after it"),
        Wrong(OLD, Kind::Handshake, &[24, 0, 0, 1, 0], 1, unexpected, "comes after it"),
        Wrong(BOTH, Kind::Handshake, &[], 1, unexpected, "no place here"),
        Wrong(BOTH, Kind::ChangeCipherSpec, &[1], 1, unexpected, "no place here"),
        Wrong(BOTH, Kind::Unknown(99), b"?", 1, unexpected, "no place here"),
        Wrong(BOTH, Kind::Alert, &[1], 1, unexpected, "no place here"),
        Wrong(BOTH, Kind::Alert, &[2, 80], 1, None, "InternalError"),
        Wrong(NEW, Kind::Alert, &[1, 100], 1, None, "NoRenegotiation"),
        Wrong(OLD, Kind::Alert, &[1, 100], 33, unexpected, "too many messages"),
        Wrong(BOTH, Kind::ApplicationData, &[7; 16_385], 1, Some(Alert::RecordOverflow), "holds too much"),
        Wrong(NEW, Kind::Unknown(0), &[0; 100], 1, unexpected, "has no type"),
    ] {
        for version in versions {
            let (mut server, mut puppet) = Puppet::connect(&session, authority.client(version)).await;
            puppet.send(Kind::ApplicationData, b"before").await;
            for _ in 0..times {
                puppet.send(kind, content).await;
            }
            puppet.send(Kind::ApplicationData, b"after").await;
            let mut read = Vec::new();
            let error = server.read_to_end(&mut read).await.unwrap_err();
            assert_eq!((&*read, error.kind()), (&b"before"[..], io::ErrorKind::InvalidData), "{why}");
            assert!(error.to_string().contains(why), "{error} instead of {why}");
            if let Some(alert) = alert {
                assert_eq!(puppet.next().await, Some((Kind::Alert, vec![2, alert.into()])), "{why}");
            }
            drop(server);
            assert_eq!(puppet.stream.read(&mut [0]).await.unwrap(), 0, "more than an alert");
        }
    }
}

#[tokio::test]
async fn what_may_come_between_data_does_no_harm() {
    use ContentType as Kind;
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    let padded = [b"padded".as_slice(), &[23], &[0; 500]].concat();
    let rows: &[(&'static SupportedProtocolVersion, Kind, &[u8], &[u8])] = &[
        (&TLS13, Kind::ApplicationData, b"", b""),
        (&TLS12, Kind::ApplicationData, b"", b""),
        (&TLS13, Kind::Alert, &[1, 90], b""),
        (&TLS12, Kind::Alert, &[1, 90], b""),
        (&TLS13, Kind::Unknown(0), &padded, b"padded"),
    ];
    for &(version, kind, content, read) in rows {
        let (mut server, mut puppet) = Puppet::connect(&session, authority.client(version)).await;
        for _ in 0..100 {
            puppet.send(kind, content).await;
            puppet.send(Kind::ApplicationData, b"data").await;
        }
        puppet.send(Kind::Alert, &[1, 0]).await;
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, [read, b"data"].concat().repeat(100), "{kind:?}");
        assert!(!server.has_pending());
    }
}

#[tokio::test]
async fn a_second_handshake_is_refused_once() {
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    let (mut server, mut puppet) = Puppet::connect(&session, authority.client(&TLS12)).await;
    let refusal = Some((ContentType::Alert, vec![1, AlertDescription::NoRenegotiation.into()]));
    puppet.send(ContentType::Handshake, &[1, 0, 0, 0]).await;
    puppet.send(ContentType::ApplicationData, b"!").await;
    assert_eq!(server.read_u8().await.unwrap(), b'!');
    assert_eq!(puppet.next().await, refusal);
    puppet.send(ContentType::Handshake, &[1, 0, 0, 0]).await;
    server.read_u8().await.unwrap_err();
    assert_eq!(puppet.next().await, refusal);
    let fatal = Some((ContentType::Alert, vec![2, AlertDescription::UnexpectedMessage.into()]));
    assert_eq!(puppet.next().await, fatal);
}

#[tokio::test]
async fn what_is_read_was_sent_whatever_happens_on_the_way() {
    let authority = Authority::new();
    let session = acceptor_session(&authority.tls());
    let mut next = random();
    for round in 0..300 {
        let version = if round % 2 == 0 { &TLS13 } else { &TLS12 };
        let (mut server, mut puppet) = Puppet::connect(&session, authority.client(version)).await;
        let sent = pattern(4_000);
        let mut wire: Vec<u8> = sent
            .chunks(1 + next(900))
            .flat_map(|piece| puppet.record(ContentType::ApplicationData, piece))
            .collect();
        match round % 5 {
            0 => {
                let at = next(wire.len());
                wire[at] ^= 1 << next(8);
            }
            1 => drop(wire.drain(..next(wire.len()))),
            2 => wire.truncate(next(wire.len())),
            3 => {
                let (at, byte) = (next(wire.len()), next(256) as u8);
                wire.insert(at, byte);
            }
            _ => {
                let (from, length) = (next(wire.len() / 2), next(wire.len() / 2));
                wire.extend_from_within(from..from + length);
            }
        }
        puppet.stream.write_all(&wire).await.unwrap();
        puppet.stream.shutdown().await.unwrap();
        let mut read = Vec::new();
        let error = server.read_to_end(&mut read).await.unwrap_err();
        assert!(sent.starts_with(&read), "round {round}");
        let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
        assert!(kinds.contains(&error.kind()), "round {round}: {error}");
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
    assert!(error.to_string().contains("too many messages without data"), "{error}");
}
