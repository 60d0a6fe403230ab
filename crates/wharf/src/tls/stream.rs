//! A connection under TLS: [`Traffic`] with a socket.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::traffic::Traffic;

/// A connection under TLS, its handshake done.
///
/// Reading tells the peer's ends apart: nothing is `close_notify`, [`io::ErrorKind::UnexpectedEof`] an end without it, and one
/// within a record [`io::ErrorKind::InvalidData`].
#[derive(Debug)]
pub(crate) struct TlsStream<S> {
    stream: S,
    traffic: Traffic,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    pub(super) fn new(stream: S, traffic: Traffic) -> Self {
        Self { stream, traffic }
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &S {
        &self.stream
    }

    /// The same, for whoever reads by other means.
    pub(crate) fn socket_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The state of TLS, for whoever reads by other means.
    pub(crate) fn traffic(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    /// Whether sealed bytes wait to be sent.
    pub(crate) fn has_pending(&self) -> bool {
        !self.traffic.unsent().is_empty()
    }

    /// Sends some of the sealed bytes that wait, if any do.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, traffic } = self;
        if !traffic.unsent().is_empty() {
            match ready!(Pin::new(stream).poll_write(context, traffic.unsent()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => traffic.sent(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what TLS itself has to say, as far as the peer takes it at once.
    pub(crate) async fn send_now(&mut self) {
        if self.has_pending() {
            poll_fn(|context| {
                // A connection that is broken tells whoever reads or writes next.
                let _ = self.poll_send_all(context);
                Poll::Ready(())
            })
            .await;
        }
    }

    /// Gives the client its ticket once more, with whatever is sent next.
    pub(crate) fn repeat_ticket(&mut self) {
        self.traffic.repeat_ticket();
    }

    fn poll_send_all(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.has_pending() {
            ready!(self.poll_send(context))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads until there is something to take, or an end; with an answer of TLS's own it tries to send that.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, traffic } = self;
        while traffic.plain().is_empty() && traffic.end().is_none() {
            let mut room = ReadBuf::new(traffic.room());
            let read = Pin::new(&mut *stream).poll_read(context, &mut room);
            let count = room.filled().len();
            traffic.added(count);
            match read {
                Poll::Ready(Ok(())) if count == 0 => {
                    return Poll::Ready(Err(traffic.cut()));
                }
                Poll::Ready(Ok(())) => {}
                other => {
                    traffic.release();
                    return other;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let filled = this.poll_fill(context);
        if this.has_pending() {
            // TLS's own answer to what was read. Whether it can be sent, writing tells.
            let _ = this.poll_send_all(context);
        }
        ready!(filled)?;
        let plain = this.traffic.plain();
        if let (true, Some(end)) = (plain.is_empty(), this.traffic.end()) {
            return Poll::Ready(end);
        }
        let count = plain.len().min(buffer.remaining());
        buffer.put_slice(plain.split_at(count).0);
        this.traffic.taken(count);
        this.traffic.release();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    /// Seals what there is room for, when all before it has been sent.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send_all(context))?;
        let sealed = this.traffic.seal(bytes)?;
        if let Poll::Ready(Err(error)) = this.poll_send_all(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(sealed))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send_all(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    /// Says that nothing follows: `close_notify`, and the end of the stream below.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.traffic.close();
        ready!(this.poll_send_all(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
