//! A data connection, in clear or under TLS.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream as StdStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::lazy::Lazy;
#[cfg(feature = "tls")]
use crate::tls::TlsStream;

/// An open data connection.
#[derive(Debug)]
pub(crate) enum DataStream {
    /// In clear.
    Plain(PlainStream),
    /// Under TLS, its handshake done.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<Socket>>),
}

/// How the peer ended what it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only TLS tells these endings apart"))]
pub(super) enum PeerEnd {
    /// FIN on a connection in clear, which is all that it can say.
    Fin,
    /// TLS `close_notify`: nobody cut the stream.
    CloseNotify,
    /// FIN under TLS without `close_notify`.
    BareFin,
    /// A reset, or a TLS alert.
    Reset,
}

/// A connection in clear. What moves bytes outside of the runtime shares it.
pub(crate) type PlainStream = Lazy<StdStream, Arc<TcpStream>>;

impl From<TcpStream> for DataStream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(Lazy::Watched(Arc::new(stream)))
    }
}

impl From<StdStream> for DataStream {
    /// The stream must never block.
    fn from(stream: StdStream) -> Self {
        Self::Plain(Lazy::Unwatched(stream))
    }
}

impl PlainStream {
    /// The socket to wait for.
    ///
    /// # Errors
    /// What the operating system says when it cannot be waited for.
    pub(super) fn socket(&mut self) -> io::Result<&Arc<TcpStream>> {
        self.watch(|stream| TcpStream::from_std(stream).map(Arc::new)).map(|socket| &*socket)
    }
}

impl DataStream {
    /// The socket below, to wait for.
    ///
    /// # Errors
    /// What the operating system says when it cannot be waited for.
    pub(super) fn socket(&mut self) -> io::Result<&TcpStream> {
        match self {
            Self::Plain(stream) => stream.socket().map(|socket| &**socket),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Ok(&stream.socket().0),
        }
    }

    /// The same, to be shared.
    ///
    /// # Errors
    /// See [`socket`](Self::socket).
    #[cfg(feature = "tls")]
    pub(super) fn shared_socket(&mut self) -> io::Result<&Arc<TcpStream>> {
        match self {
            Self::Plain(stream) => stream.socket(),
            Self::Tls(stream) => Ok(&stream.socket().0),
        }
    }

    /// Whether sealed bytes wait to be sent.
    pub(super) fn has_pending(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.has_pending(),
        }
    }

    /// Sends some of the sealed bytes that wait.
    pub(super) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(not(feature = "tls"))]
        let _ = context;
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.poll_send(context),
        }
    }

    /// The socket below, to be asked something; `None` when it was lost.
    pub(super) fn descriptor(&self) -> Option<SockRef<'_>> {
        match self {
            Self::Plain(Lazy::Unwatched(stream)) => Some(stream.into()),
            Self::Plain(Lazy::Watched(stream)) => Some((&**stream).into()),
            Self::Plain(Lazy::Lost) => None,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Some((&*stream.socket().0).into()),
        }
    }

    /// The socket itself, in clear.
    ///
    /// # Errors
    /// What the operating system says when it cannot be waited for; that there is none which nobody shares.
    #[cfg(any(test, feature = "tls"))]
    pub(crate) fn into_socket(mut self) -> io::Result<TcpStream> {
        if let Self::Plain(stream) = &mut self {
            stream.socket()?;
        }
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        match self {
            Self::Plain(Lazy::Watched(stream)) => Arc::into_inner(stream).ok_or_else(gone),
            _ => Err(gone()),
        }
    }

    /// Waits until there is something to read and leaves it there: how many bytes, or that nothing will follow.
    pub(crate) fn poll_peek(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.socket()?.poll_peek(context, &mut ReadBuf::new(&mut [0]))
    }

    /// What a read that brought no bytes says of the peer.
    pub(super) fn peer_end(&self, read: &io::Result<usize>) -> PeerEnd {
        match (self, read) {
            (Self::Plain(_), Ok(_)) => PeerEnd::Fin,
            #[cfg(feature = "tls")]
            (Self::Tls(_), Ok(_)) => PeerEnd::CloseNotify,
            #[cfg(feature = "tls")]
            (Self::Tls(_), Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => PeerEnd::BareFin,
            (_, Err(_)) => PeerEnd::Reset,
        }
    }
}

impl AsyncRead for DataStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // What a client sends comes after the reply that it waits for.
            Self::Plain(stream) => poll_read(stream.socket()?, context, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for DataStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => {
                if let Lazy::Unwatched(socket) = &*stream
                    && let Some(written) = at_once((&*socket).write(bytes))
                {
                    return Poll::Ready(written);
                }
                poll_write(stream.socket()?, context, bytes)
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(not(feature = "tls"))]
        let _ = context;
        match self.get_mut() {
            Self::Plain(_) => Poll::Ready(Ok(())),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    /// Says that nothing follows: `close_notify` where there is TLS, and FIN.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(not(feature = "tls"))]
        let _ = context;
        match self.get_mut() {
            Self::Plain(Lazy::Unwatched(socket)) => Poll::Ready(socket.shutdown(Shutdown::Write)),
            Self::Plain(Lazy::Watched(socket)) => Poll::Ready(shutdown(socket)),
            Self::Plain(Lazy::Lost) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// A socket that a thread of the blocking pool may use as well.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub(crate) struct Socket(pub(super) Arc<TcpStream>);

#[cfg(feature = "tls")]
impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self(Arc::new(stream))
    }
}

#[cfg(feature = "tls")]
impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll_read(&self.0, context, buffer)
    }
}

#[cfg(feature = "tls")]
impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        poll_write(&self.0, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown(&self.0))
    }
}

fn poll_read(
    socket: &TcpStream,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        ready!(socket.poll_read_ready(context))?;
        if let Some(read) = at_once(socket.try_read(buffer.initialize_unfilled())) {
            return Poll::Ready(read.map(|count| buffer.advance(count)));
        }
    }
}

fn poll_write(socket: &TcpStream, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(context))?;
        if let Some(written) = at_once(socket.try_write(bytes)) {
            return Poll::Ready(written);
        }
    }
}

/// What a call came to that did not have to wait.
fn at_once(done: io::Result<usize>) -> Option<io::Result<usize>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        done => Some(done),
    }
}

/// Says that nothing follows.
fn shutdown(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).shutdown(Shutdown::Write)
}
