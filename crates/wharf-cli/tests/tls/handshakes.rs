//! Handshakes that fail, that never end, and what comes after them.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::{ClientConfig, version::TLS13};

use crate::{
    case::Case,
    client::{Client, VERSIONS, config, connect, goodbye, secure},
    server::{Server, eventually},
};

pub(crate) const CASES: &[Case] = &[
    Case { name: "ALPN", settings: "", check: alpn },
    Case {
        name: "two thousand stalled ones disturb nobody",
        // Were one of them waited for, it would be for an hour.
        settings: "limits.max_connections = 5000",
        check: stalled,
    },
    Case { name: "a deadline", settings: "limits.login_timeout = '200ms'", check: deadline },
    Case { name: "no deadline", settings: "limits.login_timeout = '0s'", check: no_deadline },
    Case { name: "ABOR during that of a data connection", settings: "", check: abort },
    Case {
        name: "a deadline for data connections",
        settings: "limits.data_timeout = '200ms'",
        check: data_deadline,
    },
    Case { name: "noise on a data connection", settings: "", check: noise },
    Case { name: "new keys within transfers", settings: "", check: new_keys },
    Case { name: "floods of key updates", settings: "", check: key_updates },
];

/// What the log says of it.
pub(crate) const HANDSHAKE_FAILED: &str = "TLS handshake failed on the control connection";

fn alpn(server: &Server) {
    for (offered, accepted) in [
        (&["ftp"][..], true),
        (&["x-filezilla-ftp", "ftp"], true),
        (&["http/1.1"], false),
        (&["h2", "imap"], false),
    ] {
        let mut offering = ClientConfig::clone(&config(server, &VERSIONS));
        offering.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut client = Client::connect(server, &Arc::new(offering.clone()));
        client.ask("AUTH TLS", "234");
        let stream = client.socket().try_clone().expect("a socket");
        match secure(stream, &Arc::new(offering), "localhost") {
            Ok(tls) => assert!(accepted && tls.conn.alpn_protocol() == Some(b"ftp"), "{offered:?}"),
            Err(error) => {
                assert!(!accepted && error.to_string().contains("NoApplicationProtocol"), "{error}")
            }
        }
    }
}

fn stalled(server: &Server) {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, ..limits };
    setrlimit(Resource::Nofile, raised).expect("a limit up to the hard one");
    let mut client = Client::protected(server, &config(server, &VERSIONS));
    let mut crowd = Vec::new();
    for _ in 0..2000 {
        let mut stream = connect(server.address());
        stream.write_all(b"AUTH TLS\r\n").expect("the server reads");
        crowd.push(stream);
    }
    for (number, stream) in crowd.iter_mut().enumerate() {
        read_reply(stream);
        read_reply(stream);
        // Half of them stop before the first byte of TLS, half within it.
        if number % 2 == 0 {
            stream.write_all(b"\x16\x03\x01\x02\x00\x01").expect("the server reads");
        }
    }
    for _ in 0..50 {
        client.ask("NOOP", "200");
    }
    client.upload("STOR file", b"text");
}

fn read_reply(stream: &mut TcpStream) {
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).expect("a reply");
    }
}

fn deadline(server: &Server) {
    eventually("AUTH comes before the deadline", || {
        let mut stream = connect(server.address());
        stream.write_all(b"AUTH TLS\r\n").expect("the server reads");
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let all = String::from_utf8_lossy(&all);
        let missed = all.starts_with("220 wharf ready.\r\n421 ");
        assert!(missed || all == "220 wharf ready.\r\n234 AUTH TLS successful.\r\n", "{all}");
        !missed
    });
    eventually("the failure is logged", || server.log().contains(HANDSHAKE_FAILED));
}

fn no_deadline(server: &Server) {
    Client::protected(server, &config(server, &VERSIONS)).upload("STOR file", b"text");
}

fn abort(server: &Server) {
    let mut client = Client::protected(server, &config(server, &VERSIONS));
    let _data = client.passive();
    client.ask("STOR file", "1");
    client.ask("NOOP", "200");
    client.ask("ABOR", "426");
    client.expect("226");
    client.upload("STOR file", b"text");
}

fn data_deadline(server: &Server) {
    let mut client = Client::protected(server, &config(server, &VERSIONS));
    let address = client.passive_address();
    client.ask("LIST", "1");
    // Not before, or it might be found unused.
    let _data = connect(address);
    client.expect("426");
    client.ask("NOOP", "200");
}

fn noise(server: &Server) {
    let mut client = Client::protected(server, &config(server, &VERSIONS));
    for noise in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b""] {
        let mut data = client.passive();
        client.ask("LIST", "1");
        data.write_all(noise).expect("the server reads");
        drop(data);
        client.expect("522");
    }
    client.upload("STOR file", b"text");
}

fn new_keys(server: &Server) {
    let mut client = Client::protected(server, &config(server, &[&TLS13]));
    let bytes: Vec<u8> = (0..6_000_000_u32).map(|number| (number / 3) as u8).collect();
    let mut data = client.start("STOR file");
    for piece in bytes.chunks(100_000) {
        // The server is to change its own as well.
        data.conn.refresh_traffic_keys().expect("TLS 1.3");
        data.write_all(piece).expect("the server reads");
    }
    goodbye(&mut data);
    let mut rest = Vec::new();
    data.read_to_end(&mut rest).expect("new keys and close_notify");
    assert!(rest.is_empty());
    client.expect("226");
    assert!(fs::read(server.home().join("file")).expect("a file") == bytes);
    let mut data = client.start("RETR file");
    let mut all = vec![0; 1_000_000];
    data.read_exact(&mut all).expect("data");
    data.conn.refresh_traffic_keys().expect("TLS 1.3");
    data.flush().expect("the server is there");
    data.read_to_end(&mut all).expect("data up to close_notify");
    client.expect("226");
    assert!(all == bytes);
}

fn key_updates(server: &Server) {
    let mut client = Client::protected(server, &config(server, &[&TLS13]));
    for _ in 0..40 {
        client.tls().conn.refresh_traffic_keys().expect("TLS 1.3");
    }
    client.tls().flush().expect("the server reads");
    client.expect_end();
    Client::protected(server, &config(server, &VERSIONS)).upload("STOR file", b"text");
}
