//! A data connection, in clear or under TLS.

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream as StdStream};
use std::pin::Pin;
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
    Tls(Box<TlsStream<PlainStream>>),
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

/// A connection in clear, or what lies below TLS. What the runtime knows is large, and in a box: a session that transfers
/// nothing has room for neither.
pub(crate) type PlainStream = Lazy<StdStream, Box<TcpStream>>;

impl From<TcpStream> for DataStream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(Lazy::Watched(Box::new(stream)))
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
    pub(super) fn socket(&mut self) -> io::Result<&TcpStream> {
        self.watch(|stream| TcpStream::from_std(stream).map(Box::new)).map(|socket| &**socket)
    }

    /// The socket for work outside of the runtime, which is not woken by it meanwhile. Nothing is left here.
    ///
    /// # Errors
    /// What the operating system says; that there is no socket.
    #[cfg(any(target_os = "linux", feature = "tls"))]
    pub(super) fn unwatched(&mut self) -> io::Result<StdStream> {
        self.take(|socket| socket.into_std())
    }

    /// The socket, to be asked something; `None` when it was lost.
    fn descriptor(&self) -> Option<SockRef<'_>> {
        match self {
            Self::Unwatched(stream) => Some(stream.into()),
            Self::Watched(stream) => Some((&**stream).into()),
            Self::Lost => None,
        }
    }
}

impl DataStream {
    /// The socket below, to wait for.
    ///
    /// # Errors
    /// What the operating system says when it cannot be waited for.
    pub(super) fn socket(&mut self) -> io::Result<&TcpStream> {
        match self {
            Self::Plain(stream) => stream.socket(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.socket_mut().socket(),
        }
    }

    /// Whether it is under TLS.
    pub(super) fn is_protected(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
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
            Self::Plain(stream) => stream.descriptor(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.socket().descriptor(),
        }
    }

    /// Has the socket below wake who waits to read only for `bytes`, for the end, or for as much as the client has room
    /// to send; false where it wakes for whatever comes, as it does under TLS: there the end is in a record, which may
    /// be small and need not have a FIN behind it.
    pub(super) fn wake_for(&self, bytes: u32) -> bool {
        match self {
            Self::Plain(stream) => stream.descriptor().is_some_and(|socket| set_low_water(&socket, bytes)),
            #[cfg(feature = "tls")]
            Self::Tls(_) => false,
        }
    }

    /// The connection in clear that this is; `None` if it is under TLS.
    #[cfg(any(test, target_os = "linux"))]
    pub(super) fn plain(&mut self) -> Option<&mut PlainStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            #[cfg(feature = "tls")]
            Self::Tls(_) => None,
        }
    }

    /// The same, to be kept.
    #[cfg(feature = "tls")]
    pub(crate) fn into_plain(self) -> Option<PlainStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            #[cfg(feature = "tls")]
            Self::Tls(_) => None,
        }
    }

    /// Waits until there is something to read and leaves it there: how many bytes, or that nothing will follow.
    pub(crate) fn poll_peek(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.socket()?.poll_peek(context, &mut ReadBuf::new(&mut [0]))
    }

    /// Whether the socket below has something to read, or an end; the runtime knows of it then.
    ///
    /// # Errors
    /// What the socket says.
    pub(super) async fn has_arrived(&mut self) -> io::Result<bool> {
        let socket = self.socket()?;
        match SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]) {
            Ok(_) => socket.readable().await.map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
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
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for DataStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    /// Says that nothing follows: `close_notify` where there is TLS, and FIN.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl AsyncRead for PlainStream {
    /// What a client sends comes after the reply that it waits for, so the first read waits.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut().socket()?;
        loop {
            ready!(socket.poll_read_ready(context))?;
            if let Some(read) = at_once(socket.try_read(buffer.initialize_unfilled())) {
                return Poll::Ready(read.map(|count| buffer.advance(count)));
            }
        }
    }
}

impl AsyncWrite for PlainStream {
    /// There is room for what is sent first, so nothing is waited for before it.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Self::Unwatched(socket) = &*this
            && let Some(written) = at_once((&*socket).write(bytes))
        {
            return Poll::Ready(written);
        }
        let socket = this.socket()?;
        loop {
            ready!(socket.poll_write_ready(context))?;
            if let Some(written) = at_once(socket.try_write(bytes)) {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lost = || Err(io::ErrorKind::NotConnected.into());
        Poll::Ready(self.descriptor().map_or_else(lost, |socket| socket.shutdown(Shutdown::Write)))
    }
}

/// Has a wait for `socket` end only with so many bytes, with the end, or when the client has no room for more; whether that
/// could be done.
#[cfg(target_os = "linux")]
pub(super) fn set_low_water(socket: &SockRef<'_>, bytes: u32) -> bool {
    wharf_sys::set_receive_low_water(&**socket, bytes).is_ok()
}

/// Elsewhere a poll does not heed it.
#[cfg(not(target_os = "linux"))]
fn set_low_water(_: &SockRef<'_>, _: u32) -> bool {
    false
}

/// What a call came to that did not have to wait.
fn at_once(done: io::Result<usize>) -> Option<io::Result<usize>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        done => Some(done),
    }
}
