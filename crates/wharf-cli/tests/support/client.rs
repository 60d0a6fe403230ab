//! A raw FTP client: it says exactly what it is told to and hides nothing of the answer.

use std::{
    fmt,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, Type};

use crate::{
    glob,
    server::{PATIENCE, Server, USER, eventually},
    transcript,
};

/// How much of a line or reply the transcript shows.
const SHOWN: usize = 300;

/// What [`Client::begin_upload`] sends.
pub(crate) const PARTIAL: usize = 1 << 20;

/// A control connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// One reply, its lines without CRLF.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The lines, joined by CRLF.
    pub(crate) bytes: Vec<u8>,
}

impl Client {
    /// Connects and reads the greeting.
    pub(crate) fn connect(server: &Server) -> Self {
        let mut client = Self::open(server.address());
        client.expect("220*");
        client
    }

    /// Connects and logs in with every right, in binary type.
    pub(crate) fn login(server: &Server) -> Self {
        let mut client = Self::connect(server);
        client.log_in();
        client
    }

    /// Connects without reading anything.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::over(connect(address))
    }

    /// Speaks over a connection that is already there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        Self { stream, buffer: Vec::new() }
    }

    /// USER, PASS and TYPE I.
    pub(crate) fn log_in(&mut self) {
        self.ask(format!("USER {}", USER.0), "331*");
        self.ask(format!("PASS {}", USER.1), "230*");
        self.ask("TYPE I", "200*");
    }

    /// Sends one command line.
    pub(crate) fn send(&mut self, line: impl AsRef<[u8]>) {
        let mut bytes = line.as_ref().to_vec();
        note("C", &bytes);
        bytes.extend(b"\r\n");
        self.stream.write_all(&bytes).expect("the server reads");
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        note("C raw", bytes);
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Sends one byte as TCP urgent data.
    pub(crate) fn send_urgent(&mut self, byte: u8) {
        note("C urgent", &[byte]);
        SockRef::from(&self.stream).send_out_of_band(&[byte]).expect("urgent data");
    }

    /// Reads one line, without its CRLF.
    pub(crate) fn line(&mut self) -> Vec<u8> {
        let line = self.try_line().expect("a reply, not the end of the connection");
        note("S", &line);
        line
    }

    /// Reads one whole reply.
    pub(crate) fn reply(&mut self) -> Reply {
        let mut bytes = self.line();
        if bytes.get(3) == Some(&b'-') {
            let last = [&bytes[..3], b" "].concat();
            loop {
                let line = self.line();
                bytes.extend(b"\r\n");
                bytes.extend(&line);
                if line.starts_with(&last) {
                    break;
                }
            }
        }
        Reply { bytes }
    }

    /// Reads one whole reply, which must match the pattern.
    pub(crate) fn expect(&mut self, pattern: &str) -> Reply {
        let reply = self.reply();
        assert!(reply.matches(pattern), "expected {pattern:?}, got {reply}");
        reply
    }

    /// Sends a command; its reply must match the pattern.
    pub(crate) fn ask(&mut self, line: impl AsRef<[u8]>, pattern: &str) -> Reply {
        self.send(line);
        self.expect(pattern)
    }

    /// The server must have nothing more to say and close the connection.
    pub(crate) fn expect_end(&mut self) {
        let line = self.try_line();
        assert!(line.is_none(), "expected the end, got {:?}", line.map(|line| lossy(&line)));
    }

    /// Asks for a passive port by EPSV.
    pub(crate) fn passive_address(&mut self) -> SocketAddr {
        let reply = self.ask("EPSV", "229 *(|||*|)*");
        let text = reply.text();
        let port = text.split('|').nth(3).and_then(|port| port.parse().ok()).expect("a port");
        let peer = self.stream.peer_addr().expect("a connected socket");
        SocketAddr::new(peer.ip(), port)
    }

    /// Opens a data connection by EPSV.
    pub(crate) fn passive(&mut self) -> TcpStream {
        connect(self.passive_address())
    }

    /// Opens a data connection and starts a transfer over it.
    pub(crate) fn start(&mut self, command: impl AsRef<[u8]>) -> TcpStream {
        let data = self.passive();
        self.ask(command, "1*");
        data
    }

    /// Everything that the command sends over a data connection.
    pub(crate) fn download(&mut self, command: impl AsRef<[u8]>) -> Vec<u8> {
        let bytes = read_to_end(self.start(command));
        self.expect("226*");
        bytes
    }

    /// Sends the bytes over a data connection.
    pub(crate) fn upload(&mut self, command: impl AsRef<[u8]>, bytes: &[u8]) {
        let mut data = self.start(command);
        data.write_all(bytes).expect("the server reads");
        drop(data);
        self.expect("226*");
    }

    /// Starts an upload and sends the first bytes, enough for the server to act on some of them.
    pub(crate) fn begin_upload(&mut self, name: &str) -> TcpStream {
        let mut data = self.start(format!("STOR {name}"));
        data.write_all(&[b'x'; PARTIAL]).expect("the server reads");
        eventually("some bytes are received", || {
            let reply = self.ask("STAT", "211*").text().to_lowercase();
            !reply.contains("received: 0") && reply.contains("received: ")
        });
        data
    }

    /// A listener and the EPRT command that names it.
    pub(crate) fn active(&self) -> (TcpListener, String) {
        let own = self.stream.local_addr().expect("a connected socket");
        let listener = TcpListener::bind((own.ip(), 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let family = if own.is_ipv4() { 1 } else { 2 };
        (listener, format!("EPRT |{family}|{}|{port}|", own.ip()))
    }

    /// The control connection itself.
    pub(crate) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The next line; `None` when the connection ended, which may be by reset.
    fn try_line(&mut self) -> Option<Vec<u8>> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let mut line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                line.truncate(end);
                return Some(line);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => self.buffer.extend(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                // The process was stopped and went on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no reply within {PATIENCE:?}: {error}"),
            }
        }
        assert!(self.buffer.is_empty(), "ends within a line: {}", lossy(&self.buffer));
        None
    }
}

impl Reply {
    /// Whether the whole reply matches the pattern.
    pub(crate) fn matches(&self, pattern: &str) -> bool {
        glob::matches(pattern.as_bytes(), &self.bytes)
    }

    /// The reply for people and for replies known to be text.
    pub(crate) fn text(&self) -> String {
        lossy(&self.bytes)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

/// Connects with a deadline on everything that follows.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .unwrap_or_else(|error| panic!("connecting to {address}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
    stream
}

/// Connects from another loopback address, as a stranger would.
pub(crate) fn connect_from(source: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("a loopback address");
    socket.connect(&address.into()).expect("the server listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream
}

/// Reads until the peer closes.
pub(crate) fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("data until the end");
    note("data from server", &bytes);
    bytes
}

/// The peer must have closed without sending anything, in an orderly way or by a reset.
pub(crate) fn expect_closed(mut stream: TcpStream) {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset && bytes.is_empty() => {}
        other => panic!("expected the end, got {other:?} and {}", bytes.escape_ascii()),
    }
}

/// Ends a connection by a reset instead of an orderly close.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
    drop(stream);
}

/// Bytes as text for messages.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn note(who: &str, bytes: &[u8]) {
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let rest = if bytes.len() > SHOWN { format!("… {} bytes", bytes.len()) } else { String::new() };
    transcript::note(&format!("{who}: {}{rest}", shown.escape_ascii()));
}
