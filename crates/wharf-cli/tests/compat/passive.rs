//! Passive mode: where the server listens, for whom, and for how long.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener},
};

use crate::{
    case::Case,
    client::{Client, Reply, connect, connect_from, expect_closed, read_to_end},
    logs::expect_warning,
    server::{Server, eventually},
};

/// Another address of this machine: a stranger to the session.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub(crate) const CASES: &[Case] = &[
    Case::new("PASV and a download", |server| {
        fs::write(server.home().join("file"), "text").expect("a file");
        let mut client = Client::login(server);
        let reply = client.ask("PASV", "227 Entering passive mode (127,0,0,1,*,*).");
        let data = connect((Ipv4Addr::LOCALHOST, pasv_port(&reply)).into());
        client.ask("RETR file", "1*");
        assert_eq!(read_to_end(data), b"text");
        client.expect("226*");
    }),
    Case::new("the transfer command comes before the data connection", |server| {
        fs::write(server.home().join("file"), "text").expect("a file");
        let mut client = Client::login(server);
        let address = client.passive_address();
        client.ask("RETR file", "150*");
        assert_eq!(read_to_end(connect(address)), b"text");
        client.expect("226*");
    }),
    Case::new("the transfer command comes before any data port", |server| {
        fs::write(server.home().join("file"), "text").expect("a file");
        let mut client = Client::login(server);
        client.ask("RETR file", "150*");
        let data = client.passive();
        assert_eq!(read_to_end(data), b"text");
        client.expect("226*");
    }),
    Case::new("a stranger is turned away and the client still served", |server| {
        fs::write(server.home().join("file"), "text").expect("a file");
        let mut client = Client::login(server);
        let address = client.passive_address();
        let stranger = connect_from(STRANGER, address);
        expect_closed(stranger);
        let data = connect(address);
        client.send("RETR file");
        let reply = client.reply();
        // The reference reports the stranger at once; silence is as good.
        if reply.matches("425 *foreign address*") {
            client.expect("1*");
        } else {
            assert!(reply.matches("1*"), "{reply}");
        }
        assert_eq!(read_to_end(data), b"text");
        client.expect("226*");
    }),
    Case::new("a stranger when permitted", |server| {
        fs::write(server.home().join("file"), "text").expect("a file");
        let mut client = Client::login(server);
        let stranger = connect_from(STRANGER, client.passive_address());
        client.ask("RETR file", "1*");
        assert_eq!(read_to_end(stranger), b"text");
        client.expect("226*");
    })
    .with("active.permit_foreign_addresses = true"),
    Case::new("one port, one connection", |server| {
        let mut client = Client::login(server);
        let address = client.passive_address();
        let _data = connect(address);
        client.ask("NLST", "1*");
        client.expect("226*");
        server.assert_refuses(address);
    }),
    Case::new("a new port replaces the old one", |server| {
        let mut client = Client::login(server);
        let old = client.passive_address();
        let new = client.passive_address();
        server.assert_refuses(old);
        let data = connect(new);
        client.ask("NLST", "1*");
        assert_eq!(read_to_end(data), b"");
        client.expect("226*");
    }),
    Case::new("what arrives before STOR is not lost", |server| {
        let mut client = Client::login(server);
        let mut data = client.passive();
        data.write_all(b"early").expect("the server will read");
        client.ask("NOOP", "200*");
        client.ask("STOR file", "1*");
        drop(data);
        client.expect("226*");
        assert_eq!(fs::read(server.home().join("file")).expect("a file"), b"early");
    }),
    Case::new("ports come from the range", |server| {
        let mut client = Client::login(server);
        for _ in 0..20 {
            let port = client.passive_address().port();
            assert!((21_000..=21_063).contains(&port), "{port}");
        }
    })
    .with("passive.ports = '21000-21063'"),
    Case::new("an exhausted range", |_| exhausted_range()).own(),
    Case::new("the port of a session that ended is closed", |server| {
        let mut client = Client::login(server);
        let address = client.passive_address();
        client.ask("QUIT", "221*");
        client.expect_end();
        server.assert_refuses(address);
    }),
    Case::new("a mapped IPv4 address is an IPv4 address", |server| mapped(server))
        .with("listen = '[::]:0'\npassive.masquerade_map = { '127.0.0.1' = '198.51.100.9' }"),
];

fn pasv_port(reply: &Reply) -> u16 {
    let text = reply.text();
    let mut numbers = text.trim_end_matches(").").rsplit(',').map(|number| number.parse::<u8>());
    let low = numbers.next().and_then(Result::ok).expect("a number");
    let high = numbers.next().and_then(Result::ok).expect("a number");
    u16::from_be_bytes([high, low])
}

/// Another program has the only port. Somebody may take it in the moment when it is free: then there are others.
fn exhausted_range() {
    eventually("a port that was taken is offered again", || {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = taken.local_addr().expect("a bound socket").port();
        let server = Server::start(&format!("passive.ports = '{port}'"), |_| ());
        let mut client = Client::login(&server);
        client.ask("EPSV", "425*");
        client.ask("PASV", "425*");
        expect_warning(&server, "every port of passive.ports is in use");
        drop(taken);
        client.send("EPSV");
        client.reply().matches("229*")
    });
}

/// An IPv4 client of a dual-stack socket must not notice.
fn mapped(server: &Server) {
    let address = (Ipv4Addr::LOCALHOST, server.address().port()).into();
    let mut client = Client::open(address);
    client.expect("220*");
    client.log_in();
    client.ask("PASV", "227 Entering passive mode (198,51,100,9,*,*).");
    client.ask("EPSV 1", "229*");
    client.ask("EPSV 2", "522*");
    client.ask("EPRT |2|::1|5140|", "522*");
    assert_eq!(client.download("NLST"), b"");
    let (listener, command) = client.active();
    client.ask(command, "200*");
    listener.accept().expect("the server connects");
}
