//! Which certificate is shown, and how it is replaced.

use std::fs;
use std::path::{Path, PathBuf};

use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::*;

/// The subject's name in the certificate that a client is shown when it asks for `host`.
async fn shown(session: &TlsSession, client: &ClientConfig, host: &str) -> Option<String> {
    let (ours, theirs) = duplex(1 << 16);
    let (_server, client) = join!(session.accept_control(ours, DEADLINE), connect(client, theirs, host));
    let client = client.ok()?;
    let certificate = Certificate::from_der(&client.get_ref().1.peer_certificates()?[0]).unwrap();
    Some(certificate.tbs_certificate().subject().to_string())
}

fn write(directory: &Path, (certificate, key): (String, String)) {
    fs::write(directory.join("cert.pem"), certificate).unwrap();
    fs::write(directory.join("key.pem"), key).unwrap();
}

fn files(directory: &Path) -> (PathBuf, PathBuf) {
    (directory.join("cert.pem"), directory.join("key.pem"))
}

#[tokio::test]
async fn certificates_are_chosen_by_name() {
    let authority = Authority::new();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(first.path(), authority.issue(&["first.test", "127.0.0.1"]));
    write(second.path(), authority.issue(&["second.test", "*.Second.test"]));
    let (certificate, key) = files(first.path());
    let tls = Tls::from_pem_files(certificate, key).unwrap();
    let (certificate, key) = files(second.path());
    let tls = tls.add_certificate(certificate, key).unwrap();
    let session = tls.acceptor().unwrap().session().unwrap();
    let client = authority.client_with(&[&TLS12, &TLS13], None);
    for (host, expected) in [
        ("first.test", Some("CN=first.test")),
        ("127.0.0.1", Some("CN=first.test")),
        ("second.test", Some("CN=second.test")),
        ("ftp.SECOND.test", Some("CN=second.test")),
        ("a.b.second.test", None),
        ("other.test", None),
    ] {
        assert_eq!(shown(&session, &client, host).await.as_deref(), expected, "{host}");
    }
}

#[tokio::test]
async fn new_certificates_are_taken_and_broken_ones_are_not() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), authority.issue(&["old", "localhost"]));
    let (certificate, key) = files(directory.path());
    let tls = Tls::from_pem_files(&certificate, &key).unwrap();
    let session = tls.acceptor().unwrap().session().unwrap();
    let client = authority.client(&TLS13);
    let (mut server, mut running) = control(&session, &client).await;

    let (_, foreign) = authority.issue(&["new", "localhost"]);
    fs::write(&key, foreign).unwrap();
    let error = tls.certificates().unwrap().reload().unwrap_err();
    assert!(matches!(error.problem(), TlsProblem::KeyMismatch), "{error}");
    assert_eq!(error.file(), Some(&*certificate));
    assert_eq!(
        shown(&acceptor_session(&tls), &authority.client(&TLS13), "localhost").await.unwrap(),
        "CN=old"
    );

    write(directory.path(), authority.issue(&["new", "localhost"]));
    tls.certificates().unwrap().reload().unwrap();
    assert_eq!(shown(&session, &authority.client(&TLS13), "localhost").await.unwrap(), "CN=new");
    exchange(&mut server.stream, &mut running).await;
    assert!(data(&session, &client).await);
}

#[tokio::test]
async fn files_that_change_are_noticed() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), authority.issue(&["old", "localhost"]));
    let (certificate, key) = files(directory.path());
    let tls = Tls::from_pem_files(certificate, key).unwrap();
    let watcher = tokio::spawn(tls.certificates().unwrap().clone().watch(Duration::from_millis(5)));
    write(directory.path(), authority.issue(&["a-longer-name", "localhost"]));
    let session = acceptor_session(&tls);
    let changed = async {
        while shown(&session, &authority.client(&TLS13), "localhost").await.unwrap() != "CN=a-longer-name" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, changed).await.unwrap();
    watcher.abort();
}

#[test]
fn errors_name_the_file_and_what_is_wrong_with_it() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = files(directory.path());
    let (good_certificate, good_key) = authority.issue(&["localhost"]);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let damaged = &good_key.replace("-----END", "?-----END");
    for (certificate_text, key_text, expected) in [
        (&*good_certificate, &*good_key, "ok"),
        ("", &good_key, "cert.pem: holds no certificate"),
        (&good_key, &good_key, "cert.pem: holds no certificate"),
        (&good_certificate, "", "key.pem: holds no private key"),
        (&good_certificate, &good_certificate, "key.pem: holds no private key"),
        (&good_certificate, encrypted, "key.pem: the private key is protected by a passphrase"),
        (&good_certificate, damaged, "key.pem: is no PEM file, or a damaged one"),
        (
            &good_certificate,
            &authority.0.key().serialize_pem(),
            "cert.pem: the certificate does not belong to this private key",
        ),
    ] {
        write(directory.path(), (certificate_text.into(), key_text.into()));
        let result = Tls::from_pem_files(&certificate, &key);
        let said = result
            .map_or_else(|error| error.to_string(), |_| directory.path().join("ok").display().to_string());
        assert_eq!(said, directory.path().join(expected).display().to_string());
    }
    fs::remove_file(&key).unwrap();
    let error = Tls::from_pem_files(&certificate, &key).unwrap_err();
    assert!(matches!(error.problem(), TlsProblem::Unreadable(_)), "{error}");
    assert_eq!(error.file(), Some(&*key));
}
