//! The control connection's bytes, in clear or under TLS.

use std::future::poll_fn;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::task::{Context, Poll, ready};
#[cfg(feature = "tls")]
use std::time::Duration;

use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use wharf_proto::{Input, Session};

use super::Parting;
#[cfg(feature = "tls")]
use crate::tls::{TlsSession, TlsStream};

/// How many bytes are taken from the socket at once.
const READ_SIZE: usize = 4096;

/// How much of what a leaving client still sends is read, so that its last reply is not lost to a reset.
const LINGERING_READS: usize = 64;

/// What Telnet commands begin with (RFC 854).
const IAC: u8 = 255;

/// A control connection.
pub(super) enum Control {
    /// In a box, because a session that waits is to be small.
    Plain(Box<TcpStream>),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
    /// After a handshake that failed.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "there are no handshakes"))]
    Gone,
}

/// What has arrived and is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Nothing,
    Bytes,
    /// The client closed or reset the connection, and nothing comes before that.
    End,
}

/// The control connection is of no more use.
#[derive(Debug)]
pub(super) struct Lost;

impl Control {
    /// Hands what the client sent to `session`. `progress` is what the running transfer has moved, which the session
    /// may be asked for.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        session: &mut Session,
        progress: Option<u64>,
    ) -> Poll<io::Result<usize>> {
        // Only when there is something to read is there room for it: to clear that takes longer than to look.
        if let Self::Plain(stream) = self {
            ready!(stream.poll_read_ready(context))?;
        }
        let mut space = [0; READ_SIZE];
        let read = ready!(self.poll_bytes(context, &mut space))?;
        let bytes = space.get(..read).unwrap_or_default();
        if !bytes.is_empty() {
            let now = Instant::now().into_std();
            if let Some(progress) = progress {
                session.handle(Input::Progress(progress), now);
            }
            session.handle(Input::Bytes(bytes), now);
        }
        Poll::Ready(Ok(read))
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => loop {
                match read(stream, space, |mut socket, space| socket.read(space)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(stream.poll_read_ready(context))?;
                    }
                    read => return Poll::Ready(read),
                }
            },
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let mut buffer = ReadBuf::new(space);
                ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
            Self::Gone => Poll::Ready(Ok(0)),
        }
    }

    /// Sends all of `replies` and frees them.
    pub(super) fn poll_write_all(
        &mut self,
        context: &mut Context<'_>,
        replies: &mut Vec<u8>,
    ) -> Poll<io::Result<()>> {
        while !replies.is_empty() {
            let written = match self {
                Self::Plain(stream) => {
                    ready!(stream.poll_write_ready(context))?;
                    match stream.try_write(replies) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                        written => written?,
                    }
                }
                #[cfg(feature = "tls")]
                Self::Tls(stream) => ready!(Pin::new(stream).poll_write(context, replies))?,
                Self::Gone => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            };
            replies.drain(..written);
        }
        #[cfg(feature = "tls")]
        if let Self::Tls(stream) = self {
            ready!(Pin::new(stream).poll_flush(context))?;
        }
        *replies = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// What waits in the socket, whether or not the runtime knows of it.
    pub(super) fn look(&self) -> Waiting {
        let stream = match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.socket(),
            Self::Gone => return Waiting::End,
        };
        match SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]) {
            Ok(1..) => Waiting::Bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Waiting::Nothing,
            Ok(_) | Err(_) => Waiting::End,
        }
    }

    /// Puts the connection under TLS; answers the subject of the client's certificate.
    #[cfg(feature = "tls")]
    pub(super) async fn upgrade(
        &mut self,
        tls: &TlsSession,
        patience: Duration,
    ) -> io::Result<Option<Arc<str>>> {
        let Self::Plain(stream) = std::mem::replace(self, Self::Gone) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let secured = tls.accept_control(*stream, patience).await?;
        *self = Self::Tls(Box::new(secured.stream));
        Ok(secured.certificate)
    }

    /// After a transfer under TLS: the client gets its ticket once more, with the reply that follows. It may have used up
    /// the last one, and gets none on data connections.
    pub(super) fn repeat_ticket(&mut self) {
        #[cfg(feature = "tls")]
        if let Self::Tls(stream) = self {
            stream.repeat_ticket();
        }
    }

    /// Says goodbye: sends what TLS wants sent, then reads on for a little, because closing a socket with unread
    /// bytes resets it and may take the last reply with it. A client that expects to be left, and has said no more, is
    /// left at once.
    pub(super) async fn close(self, parting: Parting) {
        match self {
            Self::Plain(mut stream) => {
                if parting == Parting::Unexpected || !is_silent(&stream) {
                    linger(stream.as_mut()).await;
                }
            }
            #[cfg(feature = "tls")]
            Self::Tls(mut stream) => linger(stream.as_mut()).await,
            Self::Gone => {}
        }
    }
}

/// Has `receive` read once. If that takes all that there is, the runtime is told so as if the call had found nothing, which
/// saves the call that would. What arrives after the read does not get lost by that: the runtime goes by what it knew
/// before, and other threads may have told it of more since.
fn read(
    stream: &TcpStream,
    space: &mut [u8],
    receive: impl FnOnce(&Socket, &mut [u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut all = None;
    let some = stream.try_io(Interest::READABLE, || {
        let count = receive(&SockRef::from(stream), space)?;
        if count < space.len() && space.get(..count).is_some_and(is_all) {
            all = Some(count);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(count)
    });
    all.map_or(some, Ok)
}

/// Whether a read that did not fill its space took all that there was. The system also ends a read where urgent data
/// begin, which is in the middle of Telnet's command or of the line that it marks.
fn is_all(read: &[u8]) -> bool {
    read.ends_with(b"\n") && !read.contains(&IAC)
}

/// Whether nothing that the client has sent waits to be read.
fn is_silent(stream: &TcpStream) -> bool {
    stream.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Closes our side, then reads until the client has closed its own or has said too much.
pub(crate) async fn linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    if stream.shutdown().await.is_err() {
        return;
    }
    for _ in 0..LINGERING_READS {
        let read = poll_fn(|context| {
            // Made anew: what is kept over a wait makes the end of every session larger.
            let mut space = [MaybeUninit::uninit(); 1024];
            let mut buffer = ReadBuf::uninit(&mut space);
            Pin::new(&mut *stream).poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
        });
        if !matches!(read.await, Ok(1..)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream as StdStream};
    use std::{io::Write, sync::mpsc};

    use tokio::net::TcpListener;
    use tokio::task::spawn;
    use tokio::time::{Duration, timeout};

    use super::*;

    async fn pair() -> (StdStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nodelay(true).unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// The worker is another thread here, and hears of the second line while the first is being read.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_arrives_behind_a_read_is_not_lost() {
        let ((mut client, stream), (mut marker, marked)) = (pair().await, pair().await);
        let (told, seen) = mpsc::channel();
        for socket in [&stream, &marked] {
            // The runtime takes it for granted that a socket which was accepted has bytes.
            socket.try_read(&mut [0]).unwrap_err();
        }
        spawn(async move {
            marked.readable().await.unwrap();
            told.send(()).unwrap();
        });
        client.write_all(b"NOOP\r\n").unwrap();
        stream.readable().await.unwrap();
        let first = read(&stream, &mut [0; 100], |mut socket, space| {
            let count = socket.read(space);
            client.write_all(b"QUIT\r\n").unwrap();
            // Events come in turn: once the worker has heard of the mark, it has heard of the line.
            marker.write_all(b"x").unwrap();
            seen.recv().unwrap();
            count
        });
        assert_eq!(first.unwrap(), 6);
        timeout(Duration::from_secs(60), stream.readable()).await.expect("the line is there").unwrap();
        assert_eq!(stream.try_read(&mut [0; 100]).unwrap(), 6);
    }
}
