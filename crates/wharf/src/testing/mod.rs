//! A server inside a test, for those who write FTP clients.
//!
//! [`TestServer`] serves a [`MemoryFs`] on a port of the loopback interface that the system chooses, and is gone when
//! it is dropped. It can be told to fail: a [`Fault`] cuts or stalls a data connection, changes, delays or swallows a
//! reply, or drops the control connection, the first times, the nth time or always.
//!
//! ```
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::TcpStream;
//! use wharf::testing::{Fault, TestServer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::builder()
//!     .user("user", "12345")
//!     .file("/pub/hello.txt", "hello")
//!     .fault(Fault::on("DELE").first(1).answer("450 Busy, try again."))
//!     .start()
//!     .await?;
//!
//! // What is under test would be a client; this one is as simple as can be.
//! let mut client = TcpStream::connect(server.addr()).await?;
//! client.write_all(b"USER user\r\nPASS 12345\r\nDELE /pub/hello.txt\r\nDELE /pub/hello.txt\r\nQUIT\r\n").await?;
//! let mut replies = String::new();
//! client.read_to_string(&mut replies).await?;
//!
//! let codes: Vec<_> = replies.lines().map(|line| &line[..3]).collect();
//! assert_eq!(codes, ["220", "331", "230", "450", "250", "221"]);
//! assert_eq!(server.files().file("/pub/hello.txt"), None);
//! assert_eq!(server.commands()[2], "DELE /pub/hello.txt");
//! # Ok(()) }
//! ```
//!
//! FTPS is tested the same way, with a certificate for the occasion, which the crate `rcgen` makes:
//!
//! ```
//! use wharf::testing::{Fault, TestServer};
//! # #[cfg(feature = "tls")] {
//! use wharf::tls::{SessionReuse, Tls};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
//! let pem = made.cert.pem() + &made.signing_key.serialize_pem();
//!
//! let server = TestServer::builder()
//!     .tls(Tls::from_pem(pem.as_bytes())?.session_reuse(SessionReuse::Require))
//!     .file("/pub/hello.txt", "hello")
//!     .fault(Fault::on("RETR").first(1).cut_data_after(3))
//!     .start()
//!     .await?;
//!
//! // The client is to trust `made.cert`, and to connect to one of these.
//! let (explicit, implicit) = (server.addr(), server.implicit_addr());
//! # assert!(implicit.is_some_and(|implicit| implicit != explicit));
//! # Ok(()) }
//! # main().unwrap(); }
//! ```
//!
//! The server is the real one. Faults are made by a relay in front of it that reads along. Data connections work both
//! ways, passive and active; the client has to be on the same machine.

mod data;
mod fault;
mod relay;
mod script;
#[cfg(feature = "tls")]
mod secure;
#[cfg(not(feature = "tls"))]
#[path = "insecure.rs"]
mod secure;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use self::fault::{Fault, GREETING, Occasion};
use self::relay::Relays;
use self::script::Script;
use self::secure::Security;
use crate::auth::{AuthError, Authorizer, Login, User};
pub use crate::fs::MemoryFs;
use crate::{Letters, Limits, Result, Secret, Server, Settings};

/// A port that the system chooses.
const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A server for a test; dropping it ends it and all its connections.
#[derive(Debug)]
pub struct TestServer {
    address: SocketAddr,
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "there is none without TLS"))]
    implicit: Option<SocketAddr>,
    files: MemoryFs,
    script: Arc<Script>,
    _tasks: JoinSet<()>,
}

/// A [`TestServer`] that is being set up.
#[derive(Debug)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct TestServerBuilder {
    settings: Settings,
    users: Vec<(String, Secret)>,
    files: MemoryFs,
    script: Script,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::Tls>,
}

impl TestServer {
    /// A server without files or faults that lets everybody in.
    ///
    /// # Errors
    /// When the system has no port left.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Begins to set up a server.
    pub fn builder() -> TestServerBuilder {
        let limits = Limits { failed_login_delay: Duration::ZERO, ..Limits::default() };
        TestServerBuilder {
            settings: Settings { limits, ..Settings::default() },
            users: Vec::new(),
            files: MemoryFs::new(),
            script: Script::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where clients connect that begin with TLS (implicit FTPS); `None` without [`tls`](TestServerBuilder::tls).
    #[cfg(feature = "tls")]
    pub fn implicit_addr(&self) -> Option<SocketAddr> {
        self.implicit
    }

    /// The files, as they are now and as they will be: a test may look at them and add to them at any time.
    pub fn files(&self) -> &MemoryFs {
        &self.files
    }

    /// Adds a fault, counted from now on.
    pub fn fault(&self, fault: Fault) {
        self.script.add(fault);
    }

    /// Forgets all faults: the server works from now on.
    pub fn heal(&self) {
        self.script.clear();
    }

    /// The lines that clients have sent, in the order in which they came, without line ends.
    pub fn commands(&self) -> Vec<String> {
        self.script.commands()
    }
}

impl TestServerBuilder {
    /// Lets in a user, who may do everything. Without any, everybody is let in with any password.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.to_owned(), Secret::new(password)));
        self
    }

    /// Adds a file, and the directories that lead to it.
    ///
    /// # Panics
    /// When `path` is none, names the root, or leads through a file.
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files = self.files.with_file(path, bytes);
        self
    }

    /// Adds a fault.
    pub fn fault(self, fault: Fault) -> Self {
        self.script.add(fault);
        self
    }

    /// Other limits, timers or banner. Unless this is called, a wrong password is answered without the usual delay.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Offers FTPS, explicit (AUTH TLS) and, at an address of its own, implicit. Faults are about what is said and sent
    /// within TLS: a data connection that is cut ends after so many bytes of content, and without `close_notify`.
    ///
    /// The relay that makes them is the other end of the client's TLS, so it is what checks client certificates and
    /// whether data connections resume the session. No [`Authorizer`] hears of the former.
    #[cfg(feature = "tls")]
    pub fn tls(self, tls: crate::tls::Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When the system has no port left, or TLS cannot be had.
    pub async fn start(self) -> Result<TestServer> {
        let Self { settings, users, files, script, .. } = self;
        let (script, served) = (Arc::new(script), files.clone());
        let builder = Server::builder(TestUsers(users))
            .settings(settings)
            .filesystem(move |_| Ok(served.clone()))
            .listen(LOOPBACK)
            .await?;
        #[cfg(feature = "tls")]
        let (builder, security) = match self.tls {
            None => (builder, None),
            Some(tls) => {
                let security = Security::new(&tls)?;
                (builder.tls(Security::behind(tls)).listen_implicit_tls(LOOPBACK).await?, Some(security))
            }
        };
        #[cfg(not(feature = "tls"))]
        let security: Option<Security> = None;
        let server = builder.start()?;

        let mut tasks = JoinSet::new();
        let relays = |behind, implicit| Relays {
            behind,
            implicit,
            script: Arc::clone(&script),
            security: security.clone(),
        };
        let address = spawn_relays(&mut tasks, relays(server.local_addr(), false)).await?;
        let implicit = match server.local_addrs().nth(1) {
            None => None,
            Some(behind) => Some(spawn_relays(&mut tasks, relays(behind, true)).await?),
        };
        tasks.spawn(async move {
            // It ends by being dropped.
            let _ = server.serve().await;
        });
        Ok(TestServer { address, implicit, files, script, _tasks: tasks })
    }
}

/// Starts what clients connect to, and answers with its address.
async fn spawn_relays(tasks: &mut JoinSet<()>, relays: Relays) -> Result<SocketAddr> {
    let listener = TcpListener::bind(LOOPBACK).await?;
    let address = listener.local_addr()?;
    tasks.spawn(relay::accept_all(listener, relays));
    Ok(address)
}

/// The users of a test; if there are none, everybody is one.
struct TestUsers(Vec<(String, Secret)>);

impl Authorizer for TestUsers {
    async fn authenticate(&self, login: Login<'_>) -> std::result::Result<User, AuthError> {
        let known = |(name, password): &(String, Secret)| name == login.user && password == login.password;
        if self.0.is_empty() || self.0.iter().any(known) {
            Ok(User::new(login.user, "/").with_permissions(Letters::ALL))
        } else {
            Err(AuthError::Refused)
        }
    }
}
