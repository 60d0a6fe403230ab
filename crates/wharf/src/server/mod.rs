//! The server: what is shared by all sessions, and the loops that accept clients.

mod builder;
mod handle;
mod shared;
mod workers;

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use wharf_proto::Peer;

pub use self::builder::ServerBuilder;
pub use self::handle::Handle;
pub(crate) use self::shared::{Shared, UserPermit};
pub(crate) use self::workers::{Arrival, Seat};
use crate::auth::Authorizer;
use crate::connection::{self, Accepted};
use crate::error::Result;
use crate::net::{Acceptor, LimitHit, canonical};
use crate::shutdown::{Phase, Shutdown, Stopper};

/// An FTP server that listens and is ready to serve.
///
/// ```no_run
/// use wharf::{Server, auth::VirtualUsers};
///
/// # async fn run() -> wharf::Result<()> {
/// let users = VirtualUsers::new().user("user", "12345", "/srv/user", "elradfmwMT")?;
/// Server::builder(users).bind("127.0.0.1:2121").await?.serve().await
/// # }
/// ```
#[doc(alias = "FTPServer")]
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
}

/// A socket that clients connect to.
#[derive(Debug)]
pub(crate) struct Listener {
    acceptor: Acceptor,
    address: SocketAddr,
    /// TLS begins with the first byte.
    implicit_tls: bool,
}

impl Server {
    /// Begins to set up a server whose users `authorizer` knows.
    #[doc(alias = "authorizer")]
    pub fn builder(authorizer: impl Authorizer) -> ServerBuilder {
        ServerBuilder::new(authorizer)
    }

    /// Opens a socket as [`bind`](ServerBuilder::bind) does, for [`listen_on`](ServerBuilder::listen_on): where no runtime
    /// is at work yet, because the process gives up rights before it starts threads, say.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open_socket(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
        crate::net::open(address)
    }

    /// The address of the first listener, with the port that the system chose where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.listeners
            .first()
            .map_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)), |listener| listener.address)
    }

    /// The addresses of all listeners, in the order in which they were bound.
    pub fn local_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|listener| listener.address)
    }

    /// What can be done with the server while it serves.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared))
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// None at present: what a client or the system does wrong is logged, and serving goes on.
    #[doc(alias = "serve_forever")]
    pub async fn serve(self) -> Result<()> {
        self.serve_until(pending()).await
    }

    /// Serves until `stop` is ready. Then no client is accepted any more, idle sessions are told 421, transfers may
    /// go on for as long as [`Settings::shutdown_grace`](crate::Settings::shutdown_grace), and when the last session has
    /// ended this returns. Dropping the future stops everything at once.
    ///
    /// # Errors
    /// See [`serve`](Self::serve).
    #[doc(alias = "close_all")]
    pub async fn serve_until(self, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { shared, listeners } = self;
        let stopper = Stopper::new();
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(accept_all(Arc::clone(&shared), listener, stopper.session()));
        }
        shared.spawn_background(&mut tasks);
        stop.await;
        // The acceptors drain with the sessions: they hold a `Shutdown` as sessions do.
        stopper.drain(shared.settings.shutdown_grace).await;
        tasks.shutdown().await;
        Ok(())
    }
}

/// How often sessions that have ended are cleared away, where no client comes meanwhile.
const CLEARING: Duration = Duration::from_secs(1);

/// Accepts clients until the server stops, then waits for those it accepted.
async fn accept_all(shared: Arc<Shared>, mut listener: Listener, shutdown: Shutdown) {
    let mut sessions = JoinSet::new();
    let mut stop = std::pin::pin!(shutdown.reached(Phase::Draining));
    // What is left of sessions that have ended is cleared away now and then: to be told of each would wake this task,
    // from another thread perhaps, for every client that leaves.
    let mut clearing = tokio::time::interval(CLEARING);
    clearing.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            (stream, remote) = listener.acceptor.accept() => {
                // One that listens on one address need not ask which the client reached.
                let known = Some(listener.address).filter(|address| !address.ip().is_unspecified());
                let Some(local) = known.or_else(|| stream.local_addr().ok()) else { continue };
                let client = Client { stream, remote, local, implicit_tls: listener.implicit_tls };
                welcome(&shared, client, &shutdown, &mut sessions);
            }
            _ = clearing.tick(), if !sessions.is_empty() => {}
        }
        while let Some(ended) = sessions.try_join_next() {
            note_panic(ended);
        }
    }
    drop(listener);
    let all_ended = async { while sessions.join_next().await.map(note_panic).is_some() {} };
    let cut = async {
        shutdown.reached(Phase::Stopping).await;
        // Transfers are told why they end, and callbacks that they did; that does not take long.
        tokio::time::sleep(connection::LAST_REPLY).await;
    };
    tokio::select! {
        () = all_ended => return,
        () = cut => {}
    }
    sessions.shutdown().await;
}

/// A panic ends its session and nobody else's, but it does not go unnoticed.
fn note_panic(ended: std::result::Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(target: "wharf::session", %error, "a session ended by a defect of the server; please report it");
    }
}

/// What a client reads for whom the process has no descriptor left.
const NO_DESCRIPTORS: &[u8] = b"421 Too many open files. Service temporarily unavailable.\r\n";

/// Somebody who has just connected.
struct Client {
    stream: TcpStream,
    /// Canonical.
    remote: SocketAddr,
    local: SocketAddr,
    implicit_tls: bool,
}

/// Starts a session, or says why there is none.
fn welcome(shared: &Arc<Shared>, client: Client, shutdown: &Shutdown, sessions: &mut JoinSet<()>) {
    let Client { stream, remote, local, implicit_tls } = client;
    let peer = Peer { remote, local: canonical(local) };
    match shared.connection_limits.admit(peer.remote.ip()) {
        Ok(permit) => {
            // One that is lost here was gone.
            let Ok((runtime, arrival, seat)) = shared.workers.seat(stream) else { return };
            let accepted = Accepted { arrival, peer, id: shared.next_session_id(), implicit_tls, seat };
            let session = connection::serve(Arc::clone(shared), accepted, permit, shutdown.clone());
            match runtime {
                Some(runtime) => sessions.spawn_on(session, runtime),
                None => sessions.spawn(session),
            };
        }
        Err(refused) => turn_away(shared, stream, peer, refused, shutdown, sessions),
    }
}

/// Tells a client why it is not served.
fn turn_away(
    shared: &Shared,
    mut stream: TcpStream,
    peer: Peer,
    refused: LimitHit,
    shutdown: &Shutdown,
    sessions: &mut JoinSet<()>,
) {
    use tokio::io::AsyncWriteExt;
    shared.log.turned_away(peer, refused);
    let why = match refused {
        LimitHit::Total => b"421 Too many connections. Service temporarily unavailable.\r\n".as_slice(),
        LimitHit::PerAddress => b"421 Too many connections from the same IP address.\r\n".as_slice(),
    };
    // The farewell fits into any socket buffer, so it leaves at once; the task only sees to it that closing the
    // socket does not take it back.
    let Some(permit) = shared.connection_limits.turn_away(peer.remote.ip()) else {
        let _ = stream.try_write(why);
        return;
    };
    let shutdown = shutdown.clone();
    sessions.spawn(async move {
        let farewell = async {
            if stream.write_all(why).await.is_ok() {
                connection::linger(&mut stream).await;
            }
        };
        connection::take_leave(farewell, &shutdown).await;
        drop((stream, permit));
    });
}
