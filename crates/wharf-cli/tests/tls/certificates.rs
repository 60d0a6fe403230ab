//! Certificates of both sides.

use std::{fs, path::Path, process::Command, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    case::Case,
    certificate,
    client::{Client, VERSIONS, config, secure},
    handshakes::HANDSHAKE_FAILED,
    server::{Server, USER, eventually},
};

pub(crate) const CASES: &[Case] = &[
    Case { name: "reloaded on SIGHUP, unless broken", settings: "", check: reload },
    Case { name: "chosen by name", settings: "", check: by_name },
    Case { name: "of clients", settings: "", check: of_clients },
];

/// What the server shows to a client that asks for `name`; everybody trusts `roots`.
fn shown(server: &Server, roots: &RootCertStore, name: &str) -> Option<Vec<u8>> {
    let builder = ClientConfig::builder_with_protocol_versions(&VERSIONS);
    let config = Arc::new(builder.with_root_certificates(roots.clone()).with_no_client_auth());
    let mut client = Client::connect(server, &config);
    client.ask("AUTH TLS", "234");
    let tls = secure(client.socket().try_clone().expect("a socket"), &config, name).ok()?;
    tls.conn.peer_certificates().and_then(|chain| Some(chain.first()?.to_vec()))
}

fn reload(server: &Server) {
    let (certificate, key) = (server.outside("cert.pem"), server.outside("key.pem"));
    let old = config(server, &VERSIONS);
    // With tickets of its own.
    let mut session = Client::protected(server, &config(server, &VERSIONS));
    fs::write(&key, "no key").expect("a file of ours");
    hang_up(server);
    eventually("the refusal is logged", || server.log().contains("certificates not reloaded"));
    Client::protected(server, &old).upload("STOR file", b"text");

    fs::remove_file(&certificate).expect("a file of ours");
    fs::remove_file(&key).expect("a file of ours");
    certificate::make(server.home());
    hang_up(server);
    eventually("the reload is logged", || server.log().contains("certificates reloaded"));
    Client::protected(server, &config(server, &VERSIONS)).upload("STOR file", b"text");
    let mut refused = Client::connect(server, &old);
    refused.ask("AUTH TLS", "234");
    let stream = refused.socket().try_clone().expect("a socket");
    assert!(secure(stream, &old, "localhost").is_err(), "the old certificate is still shown");
    session.upload("STOR file", b"text");
}

fn hang_up(server: &Server) {
    let sent = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

/// An authority, and what it issues to servers and people.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// A certificate for these names and its key, both PEM.
fn issue(authority: &CertifiedIssuer<'static, KeyPair>, names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).expect("names");
    params.distinguished_name.push(DnType::CommonName, names[0].clone());
    (params.signed_by(&key, authority).expect("a certificate").pem(), key.serialize_pem())
}

fn roots(authority: &CertifiedIssuer<'static, KeyPair>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("an authority");
    roots
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

/// The same server program again, with more certificates. Both files of each are one.
fn by_name(_: &Server) {
    let authority = authority();
    let first = issue(&authority, &["first.test"]);
    let second = issue(&authority, &["second.test", "*.second.test"]);
    let settings =
        "tls.certificate = '$DIR/first.pem'\n[[tls.certificates]]\ncertificate = '$DIR/second.pem'";
    let server = Server::start(settings, |home| {
        for (name, (certificate, key)) in [("first.pem", &first), ("second.pem", &second)] {
            fs::write(home.with_file_name(name), format!("{certificate}{key}")).expect("a file");
        }
    });
    let roots = roots(&authority);
    for (name, expected) in [
        ("first.test", Some(&first)),
        ("second.test", Some(&second)),
        ("ftp.SECOND.test", Some(&second)),
        ("a.b.second.test", None),
        ("other.test", None),
    ] {
        let expected = expected.map(|(certificate, _)| der(certificate).to_vec());
        assert_eq!(shown(&server, &roots, name), expected, "{name}");
    }
}

fn of_clients(_: &Server) {
    let authority = authority();
    let (ann, stranger) = (issue(&authority, &["ann"]), issue(&self::authority(), &["ann"]));
    for (asked, identity, logs_in) in [
        ("off", None, true),
        ("optional", None, true),
        ("optional", Some(&ann), true),
        ("optional", Some(&stranger), false),
        ("required", None, false),
        ("required", Some(&ann), true),
    ] {
        let authority_setting = if asked == "off" { "" } else { "tls.client_ca = '$DIR/ca.pem'" };
        let settings =
            format!("{}tls.client_certificates = '{asked}'\n{authority_setting}", certificate::TLS);
        let server = Server::start(&settings, |home: &Path| {
            certificate::make(home);
            fs::write(home.with_file_name("ca.pem"), authority.pem()).expect("a file");
        });
        assert_eq!(greets(&server, identity), logs_in, "{asked}");
        let logged = if logs_in { "USER 'user' logged in" } else { HANDSHAKE_FAILED };
        eventually("the outcome is logged", || server.log().contains(logged));
        let named = server.log().contains("logged in, with certificate CN=ann");
        assert_eq!(named, logs_in && identity.is_some(), "{}", server.log());
    }
}

/// Whether a client that shows this certificate can log in.
fn greets(server: &Server, identity: Option<&(String, String)>) -> bool {
    let mut roots = RootCertStore::empty();
    let own = fs::read_to_string(server.outside("cert.pem")).expect("the server's certificate");
    roots.add(der(&own)).expect("a usable certificate");
    let builder = ClientConfig::builder_with_protocol_versions(&VERSIONS).with_root_certificates(roots);
    let config = Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(vec![der(certificate)], key).expect("a key of the certificate's")
        }
    });
    let mut client = Client::connect(server, &config);
    client.ask("AUTH TLS", "234");
    client.secure();
    // In TLS 1.3 the client learns after its own part whether it was let in.
    client.send(&format!("USER {}\r\nPASS {}\r\n", USER.0, USER.1));
    let answered = client.answers();
    if answered {
        client.expect("230");
    }
    answered
}
