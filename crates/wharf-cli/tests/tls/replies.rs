//! AUTH, PBSZ, PROT and what is required, as a client sees them.

use std::{
    fs,
    io::{Read, Write},
};

use crate::{
    case::Case,
    client::{Client, VERSIONS, config, connect},
    handshakes::HANDSHAKE_FAILED,
    server::{Server, eventually},
};

pub(crate) const CASES: &[Case] = &[
    Case { name: "codes", settings: "", check: codes },
    Case { name: "FEAT", settings: "", check: features },
    Case { name: "required for control", settings: "tls.require_control = true", check: control_required },
    Case { name: "required for data", settings: "tls.require_data = true", check: data_required },
    Case { name: "what came in clear behind AUTH is dropped", settings: "", check: injection },
    Case { name: "REIN keeps TLS", settings: "", check: reinitialise },
    Case { name: "implicit", settings: "tls.implicit_listen = '127.0.0.1:0'", check: implicit },
    Case { name: "other protocols", settings: "", check: other_protocols },
];

fn codes(server: &Server) {
    let config = config(server, &VERSIONS);
    let mut client = Client::connect(server, &config);
    client.ask("PBSZ 0", "503");
    client.ask("PROT P", "503");
    client.ask("AUTH GSSAPI", "504");
    client.ask("AUTH SSL", "234 AUTH SSL successful.");
    client.secure();
    client.ask("AUTH TLS", "503");
    client.ask("PROT P", "503");
    client.ask("PBSZ 0", "200 PBSZ=0 successful.");
    for (level, code) in [("S", "536"), ("E", "536"), ("X", "504"), ("C", "200"), ("P", "200")] {
        client.ask(&format!("PROT {level}"), code);
    }
    client.ask("CCC", "533");
    client.log_in();
    client.ask("LIST", "150");
    client.ask("ABOR", "426");
    client.expect("226");
    client.ask("QUIT", "221");
    client.expect_end();
}

fn features(server: &Server) {
    let config = config(server, &VERSIONS);
    let mut client = Client::connect(server, &config);
    let with = client.ask("FEAT", "211");
    let plain = Server::start("", |_| ());
    let without = Client::connect(&plain, &config).ask("FEAT", "211");
    for feature in [" AUTH ", " PBSZ", " PROT"] {
        assert!(with.contains(feature) && !without.contains(feature), "{feature}");
    }
}

fn control_required(server: &Server) {
    let config = config(server, &VERSIONS);
    let mut client = Client::connect(server, &config);
    client.ask("USER user", "550 SSL/TLS required on the control channel.");
    client.ask("PASS 12345", "550");
    client.ask("NOOP", "200");
    client.ask("AUTH TLS", "234");
    client.secure();
    client.log_in();
}

fn data_required(server: &Server) {
    fs::write(server.home().join("file"), "text").expect("a file");
    let config = config(server, &VERSIONS);
    let mut client = Client::connect(server, &config);
    client.log_in();
    for command in ["EPSV", "PASV", "EPRT |1|127.0.0.1|5000|", "RETR file", "LIST"] {
        client.ask(command, "550 SSL/TLS required on the data channel.");
    }
    let mut client = Client::protected(server, &config);
    client.ask("PROT C", "534");
    let mut data = client.passive();
    client.ask("RETR file", "1");
    client.ask("ABOR", "426");
    client.expect("226");
    let mut sent = Vec::new();
    // However it ends.
    let _ = data.read_to_end(&mut sent);
    assert!(sent.is_empty(), "in clear: {sent:?}");
    assert_eq!(client.download("RETR file"), b"text");
}

fn injection(server: &Server) {
    let file = server.home().join("file");
    fs::write(&file, "text").expect("a file");
    for version in VERSIONS {
        let config = config(server, &[version]);
        let mut client = Client::connect(server, &config);
        client.log_in();
        client.send("AUTH TLS\r\nUSER user\r\nPASS 12345\r\nDELE file\r\n");
        client.expect("234");
        client.secure();
        client.ask("NOOP", "200");
        client.ask("DELE file", "530");
        client.ask("PASS 12345", "503");
        client.log_in();
    }
    assert!(file.exists());
}

fn reinitialise(server: &Server) {
    let config = config(server, &VERSIONS);
    let mut client = Client::protected(server, &config);
    client.ask("REIN", "230");
    client.ask("PWD", "530");
    client.ask("PROT P", "503");
    client.ask("AUTH TLS", "503");
    client.log_in();
}

fn implicit(server: &Server) {
    fs::write(server.home().join("file"), "text").expect("a file");
    let address = server.implicit_address();
    for version in VERSIONS {
        let config = config(server, &[version]);
        let mut client = Client::connect_implicit(address, &config);
        client.log_in();
        assert_eq!(client.download("RETR file"), b"text");
        client.ask("REIN", "230");
        client.log_in();
        client.upload("STOR file", b"text");
    }
    let mut clear = connect(address);
    clear.write_all(b"USER user\r\n").expect("the server reads");
    let mut answer = Vec::new();
    let _ = clear.read_to_end(&mut answer);
    assert!(!answer.windows(3).any(|part| part == b"331"), "{answer:?}");
    eventually("the failure is logged", || server.log().contains(HANDSHAKE_FAILED));
}

fn other_protocols(server: &Server) {
    for (bytes, logged) in [
        (b"\x16\x03\x01\x02\x00\x01\x00".as_slice(), "TLS where the session begins in clear"),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\nUSER user\r\n", "an HTTP request"),
    ] {
        let mut stream = connect(server.address());
        stream.write_all(bytes).expect("the server reads");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(String::from_utf8_lossy(&answer), "220 wharf ready.\r\n");
        eventually("the reason is logged", || server.log().contains(logged));
    }
}
