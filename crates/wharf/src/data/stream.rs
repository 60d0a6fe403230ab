//! A data connection, in clear or under TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// An open data connection.
#[derive(Debug)]
pub(crate) enum DataStream {
    /// In clear.
    Plain(Arc<TcpStream>),
    /// Under TLS, its handshake done.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
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

impl From<TcpStream> for DataStream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(Arc::new(stream))
    }
}

impl DataStream {
    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0,
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
            Self::Plain(socket) => loop {
                std::task::ready!(socket.poll_read_ready(context))?;
                match socket.try_read(buffer.initialize_unfilled()) {
                    Ok(count) => {
                        buffer.advance(count);
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            },
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for DataStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => loop {
                std::task::ready!(socket.poll_write_ready(context))?;
                match socket.try_write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => return Poll::Ready(done),
                }
            },
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
            Self::Plain(socket) => {
                Poll::Ready(socket2::SockRef::from(&**socket).shutdown(std::net::Shutdown::Write))
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
