//! An FTP client that does with TLS whatever it is told.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};

use crate::{
    server::{PATIENCE, Server, USER},
    transcript,
};

/// Both versions that wharf speaks.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A connection under TLS.
pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A control connection.
pub(crate) struct Client {
    wire: Option<Wire>,
    config: Arc<ClientConfig>,
    buffer: Vec<u8>,
}

enum Wire {
    Clear(TcpStream),
    Tls(Box<Tls>),
}

/// What a client trusts and speaks: the server's certificate, and these versions. It remembers sessions.
pub(crate) fn config(server: &Server, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let pem = fs::read(server.outside("cert.pem")).expect("the server's certificate");
    roots.add(CertificateDer::from_pem_slice(&pem).expect("a certificate")).expect("a usable certificate");
    let builder = ClientConfig::builder_with_protocol_versions(versions);
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Connects with a deadline on everything that follows.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
    stream
}

/// Shakes hands.
pub(crate) fn secure(stream: TcpStream, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<Tls> {
    let name = ServerName::try_from(name.to_owned()).expect("a host name");
    let connection = ClientConnection::new(Arc::clone(config), name).expect("a client");
    let mut tls = StreamOwned::new(connection, stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

impl Client {
    /// Connects and reads the greeting.
    pub(crate) fn connect(server: &Server, config: &Arc<ClientConfig>) -> Self {
        let wire = Some(Wire::Clear(connect(server.address())));
        let mut client = Self { wire, config: Arc::clone(config), buffer: Vec::new() };
        client.expect("220");
        client
    }

    /// Connects where TLS comes first.
    pub(crate) fn connect_implicit(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let tls = secure(connect(address), config, "localhost").expect("a handshake");
        let wire = Some(Wire::Tls(Box::new(tls)));
        let mut client = Self { wire, config: Arc::clone(config), buffer: Vec::new() };
        client.expect("220");
        client
    }

    /// Connects, begins TLS, logs in and asks for protected data connections.
    pub(crate) fn protected(server: &Server, config: &Arc<ClientConfig>) -> Self {
        let mut client = Self::connect(server, config);
        client.ask("AUTH TLS", "234");
        client.secure();
        client.log_in();
        client.ask("PBSZ 0", "200");
        client.ask("PROT P", "200");
        client
    }

    /// The handshake behind AUTH.
    pub(crate) fn secure(&mut self) {
        let Some(Wire::Clear(stream)) = self.wire.take() else { panic!("TLS within TLS") };
        assert!(self.buffer.is_empty(), "clear text behind the 234");
        let tls = secure(stream, &self.config, "localhost").expect("a handshake");
        self.wire = Some(Wire::Tls(Box::new(tls)));
    }

    /// USER, PASS and TYPE I.
    pub(crate) fn log_in(&mut self) {
        self.ask(&format!("USER {}", USER.0), "331");
        self.ask(&format!("PASS {}", USER.1), "230");
        self.ask("TYPE I", "200");
    }

    /// Sends a command; its reply must begin so.
    pub(crate) fn ask(&mut self, line: &str, reply: &str) -> String {
        self.send(&format!("{line}\r\n"));
        self.expect(reply)
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, text: &str) {
        transcript::note(&format!("C: {}", text.escape_debug()));
        let written = match self.wire.as_mut().expect("an open connection") {
            Wire::Clear(stream) => stream.write_all(text.as_bytes()),
            Wire::Tls(stream) => stream.write_all(text.as_bytes()),
        };
        written.expect("the server reads");
    }

    /// Reads a reply, which must begin so.
    pub(crate) fn expect(&mut self, beginning: &str) -> String {
        let mut reply = self.line();
        while reply.as_bytes().get(3) == Some(&b'-') {
            let last = self.line();
            let end = last.starts_with(&format!("{} ", &reply[..3]));
            reply += &format!("\n{last}");
            if end {
                break;
            }
        }
        assert!(reply.starts_with(beginning), "expected {beginning:?}, got {reply:?}");
        reply
    }

    /// Whether the server still answers what was sent.
    pub(crate) fn answers(&mut self) -> bool {
        self.try_line().is_some()
    }

    /// The server must have nothing more to say and close the connection.
    pub(crate) fn expect_end(&mut self) {
        let line = self.try_line();
        assert!(line.is_none(), "expected the end, got {line:?}");
    }

    fn line(&mut self) -> String {
        let line = self.try_line().expect("a reply, not the end of the connection");
        transcript::note(&format!("S: {line}"));
        line
    }

    fn try_line(&mut self) -> Option<String> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            let read = match self.wire.as_mut().expect("an open connection") {
                Wire::Clear(stream) => stream.read(&mut chunk),
                Wire::Tls(stream) => stream.read(&mut chunk),
            };
            match read {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend(&chunk[..count]),
                // The process was stopped and went on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("no reply within {PATIENCE:?}")
                }
                Err(error) => {
                    transcript::note(&format!("the connection broke: {error}"));
                    return None;
                }
            }
        }
    }

    /// Asks for a passive port.
    pub(crate) fn passive_address(&mut self) -> SocketAddr {
        let reply = self.ask("EPSV", "229");
        let port = reply.split('|').nth(3).and_then(|port| port.parse().ok()).expect("a port");
        SocketAddr::new(self.socket().peer_addr().expect("a connected socket").ip(), port)
    }

    /// Connects to a passive port.
    pub(crate) fn passive(&mut self) -> TcpStream {
        connect(self.passive_address())
    }

    /// Starts a transfer whose data connection resumes what this client remembers.
    pub(crate) fn start(&mut self, command: &str) -> Tls {
        let config = Arc::clone(&self.config);
        self.start_with(command, &config).expect("a handshake")
    }

    /// Starts a transfer whose data connection is somebody else's.
    pub(crate) fn start_with(&mut self, command: &str, config: &Arc<ClientConfig>) -> std::io::Result<Tls> {
        let data = self.passive();
        self.ask(command, "1");
        secure(data, config, "localhost")
    }

    /// What the command sends.
    pub(crate) fn download(&mut self, command: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.start(command).read_to_end(&mut bytes).expect("data up to close_notify");
        self.expect("226");
        bytes
    }

    /// Stores the bytes and ends with `close_notify`.
    pub(crate) fn upload(&mut self, command: &str, bytes: &[u8]) {
        let mut data = self.start(command);
        data.write_all(bytes).expect("the server reads");
        goodbye(&mut data);
        drop(data);
        self.expect("226");
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self.wire.as_ref().expect("an open connection") {
            Wire::Clear(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    /// The TLS connection.
    pub(crate) fn tls(&mut self) -> &mut Tls {
        match self.wire.as_mut() {
            Some(Wire::Tls(stream)) => stream,
            _ => panic!("not under TLS"),
        }
    }
}

/// Sends `close_notify`.
pub(crate) fn goodbye(stream: &mut Tls) {
    stream.conn.send_close_notify();
    stream.flush().expect("the server reads");
}
