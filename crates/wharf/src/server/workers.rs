//! Which runtime a session runs on.

use std::io;
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// The runtimes that sessions run on: the one that accepts them, and others.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    own: Load,
    others: Vec<(Handle, Load)>,
}

/// How many sessions there are on a runtime.
#[derive(Clone, Debug, Default)]
struct Load(Arc<AtomicUsize>);

/// One session more on a runtime, as long as this exists.
#[derive(Debug)]
pub(crate) struct Seat(Load);

/// The socket of a client that has just been accepted, on its way to the runtime that it is served on.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// It runs on the runtime that has accepted it.
    Here(TcpStream),
    /// It was taken away from there.
    Moved(StdStream),
}

impl Workers {
    pub(crate) fn new(others: impl IntoIterator<Item = Handle>) -> Self {
        let others = others.into_iter().map(|runtime| (runtime, Load::default()));
        // On Windows a socket cannot be taken from one runtime to another.
        let others = others.filter(|_| cfg!(unix)).collect();
        Self { own: Load::default(), others }
    }

    /// Finds the runtime with the fewest sessions for `stream`; `None` is the one that has accepted it, which is
    /// preferred because nothing has to move.
    ///
    /// # Errors
    /// What the operating system says when the stream cannot be taken away; it is lost then.
    pub(crate) fn seat(&self, stream: TcpStream) -> io::Result<(Option<&Handle>, Arrival, Seat)> {
        let least = self.others.iter().min_by_key(|(_, load)| load.sessions());
        match least.filter(|(_, load)| load.sessions() < self.own.sessions()) {
            Some((runtime, load)) => Ok((Some(runtime), Arrival::Moved(stream.into_std()?), load.seat())),
            None => Ok((None, Arrival::Here(stream), self.own.seat())),
        }
    }
}

impl Load {
    fn sessions(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn seat(&self) -> Seat {
        self.0.fetch_add(1, Ordering::Relaxed);
        Seat(self.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Arrival {
    /// The stream as the runtime knows it that this is called on.
    ///
    /// # Errors
    /// What the operating system says when it cannot be waited for.
    pub(crate) fn stream(self) -> io::Result<TcpStream> {
        match self {
            Self::Here(stream) => Ok(stream),
            Self::Moved(stream) => TcpStream::from_std(stream),
        }
    }
}
