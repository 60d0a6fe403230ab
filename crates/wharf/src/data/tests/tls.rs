//! Transfers under TLS: what `close_notify` proves.

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::tls::Tls;

/// Puts the data connection of `fixture` under TLS; answers the client's end.
async fn protect(fixture: Fixture) -> (Job, TlsStream<TcpStream>) {
    let Fixture { mut job, client, .. } = fixture;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    let session = Tls::from_pem(pem.as_bytes()).unwrap().acceptor().unwrap().session().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let trusting = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let socket = job.stream.into_plain().unwrap();
    let (server, client) = tokio::join!(
        session.accept_data(socket, Duration::from_secs(60)),
        TlsConnector::from(Arc::new(trusting)).connect(ServerName::try_from("localhost").unwrap(), client),
    );
    job.plan.protected = true;
    job.stream = DataStream::Tls(Box::new(server.unwrap().stream));
    (job, client.unwrap())
}

#[tokio::test]
async fn a_download_ends_with_close_notify() {
    for size in SIZES {
        let bytes = pattern(size);
        let (job, mut client) = protect(Fixture::new(source(&bytes)).await).await;
        let reading = async {
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.unwrap(); // fails on a bare FIN
            drop(client);
            all
        };
        let (end, got) = tokio::join!(run(job), reading);
        complete(&end, size);
        assert!(got == bytes, "{size} bytes");
    }
}

#[tokio::test]
async fn an_upload_without_close_notify_is_not_complete() {
    for size in SIZES {
        for (notify, required, alive) in [
            (true, false, true),
            (true, true, true),
            (false, false, true),
            (false, true, true),
            (false, false, false),
        ] {
            let bytes = pattern(size);
            let (opened, file, endings) = sink();
            let (mut job, mut client) = protect(Fixture::new(opened).await).await;
            job.proof.close_notify = required;
            job.progress = Arc::default();
            job.progress.answer(alive);
            let writing = async {
                client.write_all(&bytes).await.unwrap();
                client.flush().await.unwrap();
                if notify {
                    client.shutdown().await.unwrap();
                    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the server says goodbye as well");
                }
                drop(client);
            };
            let (end, ()) = tokio::join!(run(job), writing);
            let (ending, cause, fate) = match (notify, required) {
                (true, _) => (Ending::Complete, None, Ending::Complete),
                (false, true) => (Ending::Aborted, Some(Cause::NoCloseNotify), Ending::Aborted),
                (false, false) if alive => (Ending::Unproven, Some(Cause::NoCloseNotify), Ending::Unproven),
                (false, false) => (Ending::Unproven, Some(Cause::ControlLost), Ending::Aborted),
            };
            assert_eq!((end.ending, end.cause, end.bytes), (ending, cause, size as u64));
            assert!(content(file) == bytes, "{size} bytes");
            assert_eq!(endings.into_iter().collect::<Vec<_>>(), [fate]);
        }
    }
}

/// What has not even been sent it cannot have taken, however little that is.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_leaves_before_its_system_has_everything_did_not_take_it() {
    let fixture = Fixture::reluctant(&pattern(60_000)).await;
    let progress = Arc::clone(&fixture.progress);
    let (job, client) = protect(fixture).await;
    let leaving = async {
        while progress.bytes() < 60_000 {
            tokio::task::yield_now().await;
        }
        let (socket, _) = client.into_inner();
        SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
        drop(socket);
    };
    let (end, ()) = tokio::join!(run(job), leaving);
    aborted(&end, Cause::Peer);
}

/// A client that knows the size closes when it has that, and its system resets the connection over the `close_notify` that
/// nobody read. One that leaves earlier looks the same but for what it acknowledged.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_leaves_without_reading_the_goodbye_took_everything() {
    const MEBIBYTE: usize = 1 << 20;
    for (size, reads, expected) in
        [(MEBIBYTE, MEBIBYTE, Ending::Unproven), (64 * MEBIBYTE, MEBIBYTE, Ending::Aborted)]
    {
        let (job, client) = protect(Fixture::new(source(&pattern(size))).await).await;
        let (mut socket, mut connection) = client.into_inner();
        let reading = async move {
            let mut got = Vec::new();
            while got.len() < reads {
                let mut record = vec![0; 5];
                socket.read_exact(&mut record).await.unwrap();
                record.resize(5 + usize::from(u16::from_be_bytes([record[3], record[4]])), 0);
                socket.read_exact(&mut record[5..]).await.unwrap();
                let mut record = record.as_slice();
                while !record.is_empty() {
                    connection.read_tls(&mut record).unwrap();
                    connection.process_new_packets().unwrap();
                }
                // It reads what there is, and says that there is no more.
                let _ = connection.reader().read_to_end(&mut got);
            }
            assert!(socket.peek(&mut [0]).await.unwrap() > 0, "more is there");
        };
        let (end, ()) = tokio::join!(run(job), reading);
        assert_eq!((end.ending, end.cause), (expected, Some(Cause::Peer)));
        assert_eq!(end.is_told_complete(), expected == Ending::Unproven);
    }
}
