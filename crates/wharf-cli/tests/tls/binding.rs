//! Whose data connection it is.

use std::{fs, io::Read};

use crate::{
    case::Case,
    client::{Client, VERSIONS, config},
    server::{Server, eventually},
};

pub(crate) const CASES: &[Case] = &[
    Case { name: "required", settings: "tls.session_reuse = 'require'", check: required },
    Case { name: "reported", settings: "tls.session_reuse = 'report'", check: reported },
    Case { name: "off", settings: "tls.session_reuse = 'off'", check: off },
];

fn required(server: &Server) {
    fs::write(server.home().join("file"), "text").expect("a file");
    for version in VERSIONS {
        let (own, other) = (config(server, &[version]), config(server, &[version]));
        let mut client = Client::protected(server, &own);
        for number in 0..50 {
            // This client uses tickets of TLS 1.3 once.
            client.upload("STOR other", b"text");
            client.upload("APPE other", b"text");
            assert_eq!(client.download("RETR file"), b"text", "{number}");
            let gone = client.start("STOR other");
            drop(gone);
            client.expect("2");
        }
        // Somebody else logs in and brings the tickets of that session; a stranger brings none.
        let _other = Client::protected(server, &other);
        for thief in [&other, &config(server, &[version])] {
            let mut bytes = Vec::new();
            if let Ok(mut data) = client.start_with("RETR file", thief) {
                let _ = data.read_to_end(&mut bytes);
            }
            assert!(bytes.is_empty(), "the file went to somebody else");
            client.expect("522");
            let _ = client.start_with("STOR file", thief);
            client.expect("522");
        }
        assert_eq!(client.download("RETR file"), b"text");
    }
    let told = "so it is refused (tls.session_reuse)";
    eventually("the refusal is logged", || server.log().contains(told));
}

fn reported(server: &Server) {
    fs::write(server.home().join("file"), "text").expect("a file");
    let mut client = Client::protected(server, &config(server, &VERSIONS));
    let name = format!("Fetcher 1.0 {}", "x".repeat(6000));
    client.ask(&format!("CLNT {name}"), "200");
    for _ in 0..2 {
        let mut data = client.start_with("RETR file", &config(server, &VERSIONS)).expect("a handshake");
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).expect("data");
        assert_eq!(bytes, b"text");
        client.expect("226");
    }
    // Whatever comes of the second one is in the log before the end of the session.
    client.ask("QUIT", "221");
    eventually("the session is over", || server.log().contains("session closed"));
    let log = server.log();
    let told = format!("did not resume the TLS session: client {}…, TLS 1.3", &name[..64]);
    let lines = log.lines().filter(|line| line.contains("[user]@127.0.0.1:") && line.contains(&told));
    assert_eq!(lines.count(), 1, "{log}");
}

fn off(server: &Server) {
    fs::write(server.home().join("file"), "text").expect("a file");
    let mut client = Client::protected(server, &config(server, &VERSIONS));
    assert_eq!(client.download("RETR file"), b"text");
    client.ask("QUIT", "221");
    eventually("the session is over", || server.log().contains("session closed"));
    assert!(!server.log().contains("resume"), "{}", server.log());
}
