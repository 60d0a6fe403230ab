//! A raw FTP client, whose user is `user` with the password `12345`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A control connection.
pub(crate) struct Client<S = TcpStream>(BufReader<S>);

impl Client {
    /// Connects and reads the greeting.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut client = Self::open(address).await;
        assert_eq!(client.reply().await, "220");
        client
    }

    /// Connects without reading anything.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    /// Connects and logs in, for binary transfers.
    pub(crate) async fn login(address: SocketAddr) -> Self {
        let mut client = Self::connect(address).await;
        client.log_in().await;
        client
    }

    /// Whether nothing has come that was not read.
    pub(crate) fn is_silent(&self) -> bool {
        let waiting = self.0.get_ref().try_read(&mut [0]);
        self.0.buffer().is_empty() && waiting.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Speaks over a connection that is already there.
    pub(crate) fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    /// The connection, all replies having been read.
    pub(crate) fn into_inner(self) -> S {
        assert_eq!(self.0.buffer(), b"");
        self.0.into_inner()
    }

    /// USER, PASS and TYPE I.
    pub(crate) async fn log_in(&mut self) {
        assert_eq!(self.ask("USER user").await, "331");
        assert_eq!(self.ask("PASS 12345").await, "230");
        assert_eq!(self.ask("TYPE I").await, "200");
    }

    /// Sends one command line.
    pub(crate) async fn send(&mut self, line: &str) {
        self.send_raw(format!("{line}\r\n").as_bytes()).await;
    }

    /// Sends bytes as they are.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The last line of the next reply; empty when the connection ends.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap_or_default();
            if line.get(3..4) != Some("-") && !line.starts_with(' ') {
                return line;
            }
        }
    }

    /// The code of the next reply.
    pub(crate) async fn reply(&mut self) -> String {
        self.line().await.chars().take(3).collect()
    }

    /// Sends a command; the code of its reply.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(line).await;
        self.reply().await
    }

    /// Where PASV asks to connect to.
    pub(crate) async fn passive_address(&mut self) -> SocketAddr {
        self.send("PASV").await;
        let reply = self.line().await;
        let numbers: Vec<u16> =
            reply.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        let [227, 127, 0, 0, 1, high, low] = numbers[..] else { panic!("{reply}") };
        (Ipv4Addr::LOCALHOST, high << 8 | low).into()
    }

    /// Opens a data connection.
    pub(crate) async fn passive(&mut self) -> TcpStream {
        TcpStream::connect(self.passive_address().await).await.unwrap()
    }

    /// Opens a data connection and begins a transfer over it.
    pub(crate) async fn start(&mut self, command: &str) -> TcpStream {
        let data = self.passive().await;
        assert_eq!(self.ask(command).await.get(..1), Some("1"));
        data
    }

    /// What a download brings, and how it ends.
    pub(crate) async fn fetch(&mut self, command: &str) -> (Vec<u8>, io::Result<usize>, String) {
        let mut data = self.start(command).await;
        let mut bytes = Vec::new();
        let end = data.read_to_end(&mut bytes).await;
        drop(data);
        (bytes, end, self.reply().await)
    }
}
