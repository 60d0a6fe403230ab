//! A raw FTPS client against the test server of `wharf::testing`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it is a test, and panics are how it reports")]

#[path = "support/client.rs"]
#[expect(dead_code, reason = "another test binary looks at the connection itself")]
mod client;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use wharf::testing::{Fault, TestServer, TestServerBuilder};
use wharf::tls::{CloseNotify, SessionReuse, Tls};

type Client = client::Client<TlsStream<TcpStream>>;

/// A server and what its clients trust.
struct World {
    server: TestServer,
    roots: RootCertStore,
}

impl World {
    async fn new(policy: impl FnOnce(Tls) -> Tls, faults: impl IntoIterator<Item = Fault>) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = made.cert.pem() + &made.signing_key.serialize_pem();
        let tls = policy(Tls::from_pem(pem.as_bytes()).unwrap());
        let server = TestServer::builder().user("user", "12345").file("/big", content()).tls(tls);
        let server = faults.into_iter().fold(server, TestServerBuilder::fault).start().await.unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        Self { server, roots }
    }

    /// A client's TLS, which remembers sessions.
    fn config(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
        let builder = ClientConfig::builder_with_protocol_versions(&[version]);
        builder.with_root_certificates(self.roots.clone()).with_no_client_auth()
    }

    /// Two connectors, one for each version of TLS.
    fn connectors(&self) -> [TlsConnector; 2] {
        [&TLS12, &TLS13].map(|version| Arc::new(self.config(version)).into())
    }

    async fn login(&self, tls: &TlsConnector) -> Client {
        explicit(self.server.addr(), tls).await
    }
}

fn content() -> Vec<u8> {
    (0..1_000_000_u32).map(|n| (n % 251) as u8).collect()
}

fn any(tls: Tls) -> Tls {
    tls
}

async fn secure(stream: TcpStream, tls: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    tls.connect("localhost".try_into().unwrap(), stream).await
}

/// AUTH TLS, a login, PROT P.
async fn explicit(address: SocketAddr, tls: &TlsConnector) -> Client {
    let mut clear = client::Client::connect(address).await;
    assert_eq!(clear.ask("AUTH TLS").await, "234");
    let mut client = Client::over(secure(clear.into_inner(), tls).await.unwrap());
    client.log_in().await;
    assert_eq!(client.ask("PBSZ 0").await, "200");
    assert_eq!(client.ask("PROT P").await, "200");
    client
}

/// Begins a transfer over a data connection under TLS.
async fn start(client: &mut Client, command: &str, tls: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    secure(client.start(command).await, tls).await
}

/// What a download brings, and how it ends.
async fn fetch(client: &mut Client, tls: &TlsConnector) -> (Vec<u8>, io::Result<usize>, String) {
    let mut data = start(client, "RETR big", tls).await.unwrap();
    let mut bytes = Vec::new();
    let end = data.read_to_end(&mut bytes).await;
    drop(data);
    (bytes, end, client.reply().await)
}

#[tokio::test]
async fn serves_when_nothing_is_to_fail() {
    let world = World::new(|tls| tls.session_reuse(SessionReuse::Require), []).await;
    for tls in world.connectors() {
        let mut client = world.login(&tls).await;
        // More often than there were tickets to begin with.
        for _ in 0..10 {
            let (bytes, end, reply) = fetch(&mut client, &tls).await;
            assert!(bytes == content());
            assert_eq!((end.unwrap(), &*reply), (content().len(), "226"));
        }
        let mut data = start(&mut client, "STOR new", &tls).await.unwrap();
        data.write_all(&content()).await.unwrap();
        data.shutdown().await.unwrap();
        drop(data);
        assert_eq!(client.reply().await, "226");
        assert!(world.server.files().file("/new").unwrap() == content());
        assert_eq!(world.server.commands().last().unwrap(), "STOR new");
        assert_eq!(client.ask("QUIT").await, "221");
        assert_eq!(client.line().await, "");
    }
}

#[tokio::test]
async fn begins_with_tls_where_that_is_implied() {
    let world = World::new(any, [Fault::on("NOOP").first(1).answer("450 Busy.")]).await;
    let address = world.server.implicit_addr().unwrap();
    let tls = &world.connectors()[1];
    let stream = TcpStream::connect(address).await.unwrap();
    let mut client = Client::over(secure(stream, tls).await.unwrap());
    assert_eq!(client.reply().await, "220");
    client.log_in().await;
    assert_eq!(client.ask("NOOP").await, "450");
    assert_eq!(fetch(&mut client, tls).await.2, "226");
}

#[tokio::test]
async fn faults_are_about_what_is_within_tls() {
    let cut = Fault::on("RETR").nth(1).cut_data_after(100_000);
    let reset = Fault::on("RETR").nth(2).reset_data_after(100_000);
    let lie = Fault::on("RETR").nth(3).cut_data_after(3);
    let told = Fault::on("RETR").nth(3).replace_reply("226 Transfer complete.");
    let busy = Fault::on("DELE").answer("450 Busy.");
    let world = World::new(any, [cut, reset, lie, told, busy]).await;
    let tls = &world.connectors()[1];
    let mut client = world.login(tls).await;

    let (bytes, end, reply) = fetch(&mut client, tls).await;
    assert!(bytes == content()[..100_000]);
    assert_eq!((end.unwrap_err().kind(), &*reply), (io::ErrorKind::UnexpectedEof, "426"));
    let (bytes, end, reply) = fetch(&mut client, tls).await;
    assert!(content().starts_with(&bytes));
    assert_eq!((end.unwrap_err().kind(), &*reply), (io::ErrorKind::ConnectionReset, "426"));
    let (bytes, _, reply) = fetch(&mut client, tls).await;
    assert_eq!((bytes.len(), &*reply), (3, "226"));
    assert_eq!(client.ask("DELE big").await, "450");
    assert_eq!(fetch(&mut client, tls).await.2, "226");
}

#[tokio::test]
async fn a_stalled_transfer_can_be_aborted() {
    let world = World::new(any, [Fault::on("RETR").stall_data_after(10)]).await;
    let tls = &world.connectors()[1];
    let mut client = world.login(tls).await;
    let mut data = start(&mut client, "RETR big", tls).await.unwrap();
    data.read_exact(&mut [0; 10]).await.unwrap();
    assert_eq!(client.ask("ABOR").await, "426");
    assert_eq!(client.reply().await, "226");

    // A data connection that nobody has used yet ends with ABOR, too.
    let mut unused = client.passive().await;
    assert_eq!(client.ask("ABOR").await, "225");
    assert!(!matches!(unused.read(&mut [0]).await, Ok(1..)));
}

#[tokio::test]
async fn uploads_end_as_the_client_ends_them() {
    for (policy, expected) in [(CloseNotify::Report, "226"), (CloseNotify::Require, "426")] {
        let world = World::new(|tls| tls.close_notify(policy), []).await;
        let tls = &world.connectors()[1];
        let mut client = world.login(tls).await;
        let mut data = start(&mut client, "STOR new", tls).await.unwrap();
        data.write_all(b"text").await.unwrap();
        data.flush().await.unwrap();
        // Without `close_notify`.
        data.into_inner().0.shutdown().await.unwrap();
        assert_eq!(client.reply().await, expected);
    }
}

#[tokio::test]
async fn data_connections_that_resume_nothing_are_refused_where_that_is_asked() {
    let world = World::new(|tls| tls.session_reuse(SessionReuse::Require), []).await;
    for version in [&TLS12, &TLS13] {
        let mut config = world.config(version);
        config.resumption = Resumption::disabled();
        let tls = Arc::new(config).into();
        let mut client = world.login(&tls).await;
        let mut bytes = Vec::new();
        if let Ok(mut data) = start(&mut client, "RETR big", &tls).await {
            let _ = data.read_to_end(&mut bytes).await;
        }
        assert_eq!((bytes.len(), &*client.reply().await), (0, "522"));
    }
}

#[tokio::test]
async fn a_new_login_asks_for_protection_again() {
    let world = World::new(any, []).await;
    let tls = &world.connectors()[1];
    let mut client = world.login(tls).await;
    client.log_in().await;
    let (names, _, reply) = client.fetch("NLST").await;
    assert_eq!((names, &*reply), (b"big\r\n".to_vec(), "226"));
    assert_eq!(client.ask("PBSZ 0").await, "200");
    assert_eq!(client.ask("PROT P").await, "200");
    assert_eq!(fetch(&mut client, tls).await.2, "226");
}

#[tokio::test]
async fn what_came_in_clear_behind_auth_is_dropped() {
    let world = World::new(any, []).await;
    let mut clear = client::Client::login(world.server.addr()).await;
    clear.send("AUTH TLS\r\nDELE big").await;
    assert_eq!(clear.reply().await, "234");
    let tls = &world.connectors()[1];
    let mut client = Client::over(secure(clear.into_inner(), tls).await.unwrap());
    assert_eq!(client.ask("NOOP").await, "200");
    assert_eq!(world.server.commands().last().unwrap(), "NOOP");
    assert!(world.server.files().file("/big").is_some());
}

#[tokio::test]
async fn auth_itself_may_fail() {
    let refused = Fault::on("AUTH").nth(1).answer("534 No.");
    let denied = Fault::on("AUTH").nth(2).replace_reply("431 Try later.");
    let world = World::new(any, [refused, denied]).await;
    let mut client = client::Client::login(world.server.addr()).await;
    assert_eq!(client.ask("AUTH TLS").await, "534");
    assert_eq!(client.ask("NOOP").await, "200");
    // The server has begun TLS, and the client does not know.
    assert_eq!(client.ask("AUTH TLS").await, "431");
    client.log_in().await;
    assert_eq!(client.ask("NOOP").await, "200");
}
