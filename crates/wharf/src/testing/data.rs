//! The relay of one data connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fault::{Break, How};
use super::secure::Securing;
use super::wire::Wire;

/// What the running or next transfer is, said by the control connection's relay when the command comes. No byte moves
/// before it has, so whoever moves one knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    /// How it is to fail.
    pub(super) failure: Option<Break>,
}

/// What a data connection's relay needs to know of its control connection's.
pub(super) struct Terms {
    /// A change is a transfer command.
    pub(super) orders: watch::Receiver<Order>,
    /// Whether the command has come already.
    pub(super) is_ordered: bool,
    /// What puts the connection under TLS, if that is agreed upon.
    pub(super) securing: Option<Securing>,
}

/// A data connection that is relayed, or waited for. Dropping it resets both ends.
#[derive(Debug)]
pub(super) struct DataRelay {
    /// Closed once the client has all that the server sent.
    delivered: watch::Receiver<()>,
    _task: JoinSet<()>,
}

/// How the other end of a data connection is found.
#[derive(Debug)]
pub(super) enum Ends {
    /// The client will come to us, and we go to the server.
    Passive { server: SocketAddr },
    /// The server will come to us; we have been to the client.
    Active { client: TcpStream },
}

/// The two ends of a data connection while bytes move.
struct Ways {
    client: Wire,
    server: Wire,
    moved: u64,
    orders: watch::Receiver<Order>,
    delivered: Option<watch::Sender<()>>,
}

/// Who sends the content.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Client,
    Server,
}

impl DataRelay {
    /// Waits on `listener` for whoever comes, and relays.
    pub(super) fn start(listener: TcpListener, ends: Ends, terms: Terms) -> Self {
        let (sender, delivered) = watch::channel(());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // A data connection that fails is what this is for.
            let _ = relay(listener, ends, terms, sender).await;
        });
        Self { delivered, _task: tasks }
    }

    /// Returns once the client has all that the server sent, or never will.
    pub(super) async fn delivered(&mut self) {
        while self.delivered.changed().await.is_ok() {}
    }
}

impl Ends {
    async fn join(self, listener: TcpListener) -> io::Result<(Wire, Wire)> {
        let (came, _) = listener.accept().await?;
        let (client, server) = match self {
            Self::Passive { server } => (came, TcpStream::connect(server).await?),
            Self::Active { client } => (client, came),
        };
        // Whatever ends a relay early is a reset; `relay` closes in order what ends in order.
        reset_on_drop(&client)?;
        reset_on_drop(&server)?;
        Ok((client.into(), server.into()))
    }
}

async fn relay(
    listener: TcpListener,
    ends: Ends,
    terms: Terms,
    delivered: watch::Sender<()>,
) -> io::Result<()> {
    let Terms { mut orders, is_ordered, securing } = terms;
    let (mut client, mut server) = ends.join(listener).await?;
    if let Some(securing) = securing {
        if !is_ordered {
            tokio::select! {
                ordered = orders.changed() => ordered.map_err(io::Error::other)?,
                // The server waits for the client to speak first: it has closed.
                _ = async { server.socket().peek(&mut [0]).await } => return Ok(()),
            }
        }
        // One after the other: of a client that is refused the server never hears.
        client = securing.accept_data(client).await?;
        server = securing.connect(server).await?;
    }
    Ways { client, server, moved: 0, orders, delivered: Some(delivered) }.relay().await
}

impl Ways {
    async fn relay(mut self) -> io::Result<()> {
        let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
        let (mut client_open, mut server_open) = (true, true);
        while client_open || server_open {
            let (from, read) = tokio::select! {
                read = self.server.read(&mut down), if server_open => (Origin::Server, read),
                read = self.client.read(&mut up), if client_open => (Origin::Client, read),
            };
            let was_cut = matches!(&read, Err(error) if error.kind() == io::ErrorKind::UnexpectedEof);
            let length = if was_cut { 0 } else { read? };
            let buffer = if from == Origin::Server { &down } else { &up };
            let piece = buffer.get(..length).unwrap_or_default();
            let failure = self.orders.borrow().failure;
            if let Some(failure) = failure
                && self.moved + piece.len() as u64 >= failure.after
            {
                let rest = usize::try_from(failure.after.saturating_sub(self.moved)).unwrap_or(piece.len());
                self.send(from, piece.get(..rest).unwrap_or_default()).await?;
                return self.fail(failure.how, from).await;
            }
            self.moved += piece.len() as u64;
            if !piece.is_empty() {
                self.send(from, piece).await?;
                continue;
            }
            // What ended without `close_notify` ends so on the other side.
            if was_cut {
                self.to(from).cut()?
            } else {
                self.to(from).shutdown().await?
            }
            close_on_drop(self.to(from).socket())?;
            match from {
                Origin::Client => client_open = false,
                Origin::Server => {
                    server_open = false;
                    self.delivered = None;
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, from: Origin, bytes: &[u8]) -> io::Result<()> {
        let to = self.to(from);
        to.write_all(bytes).await?;
        to.flush().await
    }

    /// Where what came `from` goes.
    fn to(&mut self, from: Origin) -> &mut Wire {
        match from {
            Origin::Client => &mut self.server,
            Origin::Server => &mut self.client,
        }
    }

    async fn fail(mut self, how: How, from: Origin) -> io::Result<()> {
        match how {
            How::Close => close_on_drop(self.client.socket()),
            How::Reset => Ok(()),
            How::Stall => {
                // The receiver is silent, so its end shows when it gives up.
                let mut nothing = [0; 64];
                while self.to(from).read(&mut nothing).await? > 0 {}
                Ok(())
            }
        }
    }
}

fn reset_on_drop(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

fn close_on_drop(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(None)
}
