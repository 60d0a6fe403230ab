//! One end of a relayed connection, in clear or under TLS.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::client::TlsStream as ClientTls;

#[cfg(feature = "tls")]
use crate::tls::TlsStream;

/// A connection with the client or with the server.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(TcpStream),
    /// With the client.
    #[cfg(feature = "tls")]
    Served(Box<TlsStream<TcpStream>>),
    /// With the server.
    #[cfg(feature = "tls")]
    Asked(Box<ClientTls<TcpStream>>),
}

impl Wire {
    /// The socket below.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Served(stream) => stream.socket(),
            #[cfg(feature = "tls")]
            Self::Asked(stream) => stream.get_ref().0,
        }
    }

    /// Gives the client a ticket for its next data connection, with what it is sent next.
    pub(super) fn repeat_ticket(&mut self) {
        #[cfg(feature = "tls")]
        if let Self::Served(stream) = self {
            stream.repeat_ticket();
        }
    }

    /// Sends FIN, without the `close_notify` that belongs before it under TLS.
    pub(super) fn cut(&self) -> io::Result<()> {
        SockRef::from(self.socket()).shutdown(Shutdown::Write)
    }
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(feature = "tls")]
            Self::Served(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(feature = "tls")]
            Self::Asked(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "tls")]
            Self::Served(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "tls")]
            Self::Asked(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "tls")]
            Self::Served(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "tls")]
            Self::Asked(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    /// Says that nothing follows: `close_notify` where there is TLS, and FIN.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "tls")]
            Self::Served(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "tls")]
            Self::Asked(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
