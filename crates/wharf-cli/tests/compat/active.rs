//! Active mode: the server connects to the client.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
};

use socket2::{Domain, Socket, Type};

use crate::{
    case::Case,
    client::{Client, connect, expect_closed, read_to_end},
    server::Server,
};

pub(crate) const CASES: &[Case] = &[
    Case::new("EPRT and a download", |server| {
        fs::write(server.home().join("file"), "text").expect("a file");
        let mut client = Client::login(server);
        let data = open(&mut client);
        client.ask("RETR file", "1*");
        assert_eq!(read_to_end(data), b"text");
        client.expect("226*");
    }),
    Case::new("PORT and an upload", |server| {
        let mut client = Client::login(server);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        client.ask(port_command(&listener), "200 Active data connection established.");
        let (mut data, _) = listener.accept().expect("the server connects");
        client.ask("STOR file", "1*");
        data.write_all(b"text").expect("the server reads");
        drop(data);
        client.expect("226*");
        assert_eq!(fs::read(server.home().join("file")).expect("a file"), b"text");
    }),
    Case::new("over IPv6", |server| download_over_ipv6(server)).with("listen = '[::1]:0'"),
    Case::new("PORT and its transfer in one packet are answered in order", |server| {
        fs::write(server.home().join("file"), "text").expect("a file");
        let mut client = Client::login(server);
        let (listener, command) = client.active();
        client.send_raw(format!("{command}\r\nNLST\r\nNOOP\r\n").as_bytes());
        client.expect("200 Active*");
        client.expect("1*");
        let (data, _) = listener.accept().expect("the server connects");
        assert_eq!(read_to_end(data), b"file\r\n");
        let mut last = [client.reply(), client.reply()].map(|reply| reply.text()[..3].to_owned());
        last.sort();
        assert_eq!(last, ["200", "226"]);
    }),
    Case::new("a port where nobody listens", |server| {
        // It is held, so that nobody can begin to listen there.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        let mut client = Client::login(server);
        client.ask(eprt(&socket), "425*");
        client.ask("NOOP", "200*");
    }),
    Case::new("PORT after PORT closes the first connection", |server| {
        let mut client = Client::login(server);
        let first = open(&mut client);
        let second = open(&mut client);
        expect_closed(first);
        client.ask("NLST", "1*");
        assert_eq!(read_to_end(second), b"");
        client.expect("226*");
    }),
    Case::new("leaves from the address that the client reached", |server| {
        let address = SocketAddr::from(([127, 0, 0, 2], server.address().port()));
        let mut client = Client::open(address);
        client.expect("220*");
        client.log_in();
        let (listener, command) = client.active();
        client.ask(command, "200*");
        let (_, peer) = listener.accept().expect("the server connects");
        assert_eq!(peer.ip(), address.ip());
    })
    .with("listen = '0.0.0.0:0'"),
    Case::new("a foreign address when permitted", |server| {
        let mut client = Client::login(server);
        let listener = TcpListener::bind("127.0.0.2:0").expect("a free port");
        client.ask(port_command(&listener), "200*");
        listener.accept().expect("the server connects");
    })
    .with("active.permit_foreign_addresses = true"),
    Case::new("a privileged port when permitted", |server| {
        Client::login(server).ask("EPRT |1|127.0.0.1|1|", "425*");
    })
    .with("active.permit_privileged_ports = true"),
    Case::new("a client that never answers is given up", |server| {
        let silent = SilentPeer::new();
        let mut client = Client::login(server);
        client.send(eprt(&silent.listener));
        client.expect("42?*");
        client.ask("NOOP", "200*");
    })
    .with("limits.passive_timeout = '200ms'"),
    Case::new("a client that gives up being connected to", |server| {
        let silent = SilentPeer::new();
        let mut client = Client::login(server);
        client.send(eprt(&silent.listener));
        client.send("ABOR");
        client.expect("425*");
        client.expect("225*");
    }),
];

fn open(client: &mut Client) -> TcpStream {
    let (listener, command) = client.active();
    client.ask(command, "200*");
    listener.accept().expect("the server connects").0
}

fn port_command(listener: &TcpListener) -> String {
    let address = listener.local_addr().expect("a bound socket");
    let [high, low] = address.port().to_be_bytes();
    format!("PORT {},{high},{low}", address.ip().to_string().replace('.', ","))
}

fn download_over_ipv6(server: &Server) {
    fs::write(server.home().join("file"), "text").expect("a file");
    let mut client = Client::login(server);
    let data = open(&mut client);
    client.ask("RETR file", "1*");
    assert_eq!(read_to_end(data), b"text");
    client.expect("226*");
}

/// The command that names a bound IPv4 socket.
fn eprt(socket: &Socket) -> String {
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("a bound socket");
    format!("EPRT |1|{}|{}|", address.ip(), address.port())
}

/// A port whose queue is full: the kernel drops further connection requests.
struct SilentPeer {
    listener: Socket,
    _queued: TcpStream,
}

impl SilentPeer {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        // Such a queue has room for one.
        listener.listen(0).expect("a listener");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket());
        let queued = connect(address.expect("a bound socket"));
        Self { listener, _queued: queued }
    }
}
