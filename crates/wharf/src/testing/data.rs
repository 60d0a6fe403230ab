//! The relay of one data connection.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fault::{Break, How};

/// How the running or next transfer is to fail, said by the control connection's relay when the command comes. No
/// byte moves before it has, so whoever moves one knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders(Arc<Mutex<Option<Break>>>);

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
    client: TcpStream,
    server: TcpStream,
    moved: u64,
    orders: Orders,
    delivered: Option<watch::Sender<()>>,
}

/// Who sends the content.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Client,
    Server,
}

impl Orders {
    pub(super) fn give(&self, order: Option<Break>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = order;
    }

    fn get(&self) -> Option<Break> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DataRelay {
    /// Waits on `listener` for whoever comes, and relays.
    pub(super) fn start(listener: TcpListener, ends: Ends, orders: Orders) -> Self {
        let (sender, delivered) = watch::channel(());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            if let Ok((client, server)) = ends.join(listener).await {
                let ways = Ways { client, server, moved: 0, orders, delivered: Some(sender) };
                // A data connection that fails is what this is for.
                let _ = ways.relay().await;
            }
        });
        Self { delivered, _task: tasks }
    }

    /// Returns once the client has all that the server sent, or never will.
    pub(super) async fn delivered(&mut self) {
        while self.delivered.changed().await.is_ok() {}
    }
}

impl Ends {
    async fn join(self, listener: TcpListener) -> io::Result<(TcpStream, TcpStream)> {
        let (came, _) = listener.accept().await?;
        let (client, server) = match self {
            Self::Passive { server } => (came, TcpStream::connect(server).await?),
            Self::Active { client } => (client, came),
        };
        // Whatever ends a relay early is a reset; `relay` closes in order what ends in order.
        reset_on_drop(&client)?;
        reset_on_drop(&server)?;
        Ok((client, server))
    }
}

impl Ways {
    async fn relay(mut self) -> io::Result<()> {
        let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
        let (mut client_open, mut server_open) = (true, true);
        while client_open || server_open {
            let (from, length) = tokio::select! {
                length = self.server.read(&mut down), if server_open => (Origin::Server, length?),
                length = self.client.read(&mut up), if client_open => (Origin::Client, length?),
            };
            let buffer = if from == Origin::Server { &down } else { &up };
            let piece = buffer.get(..length).unwrap_or_default();
            if let Some(order) = self.orders.get()
                && self.moved + piece.len() as u64 >= order.after
            {
                let rest = usize::try_from(order.after.saturating_sub(self.moved)).unwrap_or(piece.len());
                self.to(from).write_all(piece.get(..rest).unwrap_or_default()).await?;
                return self.fail(order.how, from).await;
            }
            self.moved += piece.len() as u64;
            if !piece.is_empty() {
                self.to(from).write_all(piece).await?;
                continue;
            }
            self.to(from).shutdown().await?;
            close_on_drop(self.to(from))?;
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

    /// Where what came `from` goes.
    fn to(&mut self, from: Origin) -> &mut TcpStream {
        match from {
            Origin::Client => &mut self.server,
            Origin::Server => &mut self.client,
        }
    }

    async fn fail(mut self, how: How, from: Origin) -> io::Result<()> {
        match how {
            How::Close => close_on_drop(&self.client),
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
