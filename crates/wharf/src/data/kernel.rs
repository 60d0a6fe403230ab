//! Local files over connections in clear: the kernel moves the bytes, and none of them passes through this process.
//!
//! Sending is `sendfile` on the worker, for pages that are in memory. Receiving is `splice` from the socket through a
//! pipe into the file on the blocking pool, where a slow disk stops only its own transfer; a hop lasts while bytes keep
//! coming and never waits long for a peer, so that slow peers do not take the pool's threads.

use std::io;
use std::net::TcpStream as StdStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;
use wharf_proto::Cause;

use super::buffer::Buffer;
use super::hop::{Received, Turn};
use super::lazy::Lazy;
use super::progress::{Progress, Watch};
use super::reader::Reader;
use super::send::failed;
use super::stream::{DataStream, PeerEnd, PlainStream, set_low_water};
use super::upload::{LocalUpload, OpenFile};
use crate::fs::FsResult;

/// What one call moves at most, in bytes. Pipes may not be larger without privileges.
const PIECE: usize = 1024 * 1024;

/// How long a hop waits for the peer to go on before it gives the thread back.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000 };

/// How many bytes end that wait early, or fewer if the peer has room for no more. Waking up for each segment is dear.
const BURST: u32 = 128 * 1024;

/// What one attempt to send did.
pub(super) enum Sent {
    /// This many bytes went; none at the end of the file.
    Bytes(usize),
    /// The socket takes no more at the moment.
    Full,
    /// `sendfile` does not work with this file.
    Unsupported,
}

/// Sends up to `count` bytes from where `reader` is, without waiting for anything.
///
/// # Errors
/// What the socket or the file says.
pub(super) fn send(socket: &TcpStream, reader: &mut Reader, count: usize) -> io::Result<Sent> {
    let (file, offset) = reader.position();
    let sent = socket.try_io(Interest::WRITABLE, || {
        rustix::fs::sendfile(socket, file, Some(offset), count).map_err(io::Error::from)
    });
    match sent {
        Ok(count) => Ok(Sent::Bytes(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Sent::Full),
        Err(error) if matches!(errno(&error), Some(Errno::INVAL | Errno::NOSYS)) => Ok(Sent::Unsupported),
        Err(error) => Err(error),
    }
}

/// From how many bytes on the end travels with the last of them. A receiver acknowledges a segment smaller than 536 bytes
/// late if a FIN is in it, and settling waits for that.
const SEGMENT: usize = 1024;

/// Sends what the socket takes of `bytes` now, which more follows, FIN at the least: it travels with them if that pays.
///
/// # Errors
/// What the socket says; [`WouldBlock`](io::ErrorKind::WouldBlock) when it takes nothing.
pub(super) fn send_more(stream: &PlainStream, bytes: &[u8]) -> io::Result<usize> {
    let more = if bytes.len() < SEGMENT { SendFlags::empty() } else { SendFlags::MORE };
    let flags = more | SendFlags::NOSIGNAL;
    match stream {
        Lazy::Unwatched(socket) => Ok(rustix::net::send(socket, bytes, flags)?),
        Lazy::Watched(socket) => {
            socket.try_io(Interest::WRITABLE, || Ok(rustix::net::send(socket, bytes, flags)?))
        }
        Lazy::Lost => Err(io::ErrorKind::NotConnected.into()),
    }
}

/// Receives over a connection in clear, until the peer ends it.
///
/// # Errors
/// Why it was given up before.
pub(super) async fn receive(
    stream: &mut DataStream,
    local: &mut LocalUpload,
    watch: &mut Watch,
) -> Result<PeerEnd, Cause> {
    let mut mover = Mover::new();
    loop {
        // A hop takes what comes meanwhile, which is not for the worker to wake up for.
        let socket = stream.plain().ok_or(Cause::Peer)?.unwatched().map_err(|_| Cause::Peer)?;
        let (progress, most) = (Arc::clone(&watch.progress), watch.piece(usize::MAX));
        let hop = local.work(move |open| {
            let received = mover.receive(&socket, open, most, &progress)?;
            Ok((received, socket, mover))
        });
        let (received, socket);
        (received, socket, mover) = hop.await.map_err(failed)?;
        *stream = socket.into();
        if let Some(end) = received.until_next(stream, watch).await? {
            return Ok(end);
        }
    }
}

/// How the bytes of one upload get from the socket into the file.
enum Mover {
    /// The kernel moves them through this pipe, which holds so many bytes.
    Pipe { out: OwnedFd, into: OwnedFd, size: usize },
    /// They are read and written: for files that `splice` refuses (opened for appending), and where pipes have run out.
    Buffer(Buffer),
}

impl Mover {
    /// A pipe where there is one to be had.
    fn new() -> Self {
        match pipe_with(PipeFlags::CLOEXEC) {
            Ok((out, into)) => {
                let size = fcntl_setpipe_size(&into, PIECE).unwrap_or(4096);
                if size < 64 * 1024 { Self::Buffer(Buffer::take()) } else { Self::Pipe { out, into, size } }
            }
            Err(_) => Self::Buffer(Buffer::take()),
        }
    }

    /// Moves what has arrived and what arrives meanwhile into the file, up to `most` bytes. It may wait for the disk.
    ///
    /// # Errors
    /// What the file says.
    fn receive(
        &mut self,
        socket: &StdStream,
        open: &mut OpenFile,
        most: usize,
        progress: &Progress,
    ) -> FsResult<Received> {
        let mut turn = Turn::new(most, progress);
        set_low_water(&socket.into(), BURST);
        while !turn.is_over() {
            match self.take(socket, turn.left()) {
                Ok(0) => return Ok(Received::End(Ok(0))),
                Ok(count) => {
                    turn.add(count);
                    self.put(open, count)?;
                }
                Err(error) => {
                    if let Some(received) = turn.failed(error) {
                        // Whoever waits for the next hop waits for the next byte.
                        set_low_water(&socket.into(), 1);
                        return Ok(received);
                    }
                }
            }
        }
        Ok(Received::Enough(turn.moved))
    }

    /// Takes bytes off the socket, with a little patience.
    fn take(&mut self, socket: &StdStream, most: usize) -> io::Result<usize> {
        patiently(socket, || self.take_now(socket, most))
    }

    fn take_now(&mut self, socket: &StdStream, most: usize) -> io::Result<usize> {
        match self {
            Self::Pipe { into, size, .. } => {
                let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
                Ok(splice(socket, None, into, None, most.min(*size), flags)?)
            }
            Self::Buffer(buffer) => {
                buffer.clear();
                let count = rustix::net::recv(socket, buffer.spare(most), rustix::net::RecvFlags::empty())?.0;
                buffer.advance(count);
                Ok(count)
            }
        }
    }

    /// Puts `count` bytes that were taken into the file.
    fn put(&mut self, open: &mut OpenFile, mut count: usize) -> FsResult<()> {
        while count > 0 {
            match self {
                Self::Buffer(buffer) => return open.write(buffer.as_ref()),
                Self::Pipe { out, .. } => {
                    match splice(&*out, None, &*open.file()?, None, count, SpliceFlags::MOVE) {
                        Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                        Ok(put) => {
                            open.count(put);
                            count -= put;
                        }
                        Err(Errno::INTR) => {}
                        Err(Errno::INVAL) => *self = Self::Buffer(copy_rest(out, open, &mut count)?),
                        Err(error) => return Err(io::Error::from(error).into()),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Has `take` read from the socket; where nothing has arrived it gets a second chance after a little wait.
///
/// # Errors
/// What `take` says.
pub(super) fn patiently(
    socket: &StdStream,
    mut take: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    match take() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&PATIENCE))?;
            take()
        }
        done => done,
    }
}

/// Copies what is in the pipe, which `splice` would not move.
fn copy_rest(pipe: &OwnedFd, open: &mut OpenFile, count: &mut usize) -> FsResult<Buffer> {
    let mut buffer = Buffer::take();
    while *count > 0 {
        buffer.clear();
        let read = rustix::io::read(pipe, buffer.spare(*count)).map_err(io::Error::from)?;
        buffer.advance(read);
        open.write(buffer.as_ref())?;
        *count -= read;
    }
    Ok(buffer)
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}
