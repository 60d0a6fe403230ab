//! Uploads under TLS into local files: a thread of the blocking pool takes what has arrived, opens it and writes it. The bytes
//! stay in the cache of one processor, and a slow disk stops only its own transfer.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use wharf_proto::Cause;

use super::lazy::Lazy;
use super::progress::{Progress, Watch};
use super::send::failed;
use super::stream::{DataStream, PeerEnd, Socket};
use super::upload::{HOP, LocalUpload, OpenFile};
use crate::fs::FsResult;
use crate::tls::TlsStream;

/// A peer that sends so much during one hop is fast, and its bytes get a larger buffer: fewer calls take them.
const FAST: usize = 4 * 1024 * 1024;

/// Why a hop came back.
enum Received {
    /// This many bytes came in; no more have arrived yet, or it is for others to have a turn.
    Bytes(usize),
    /// The peer's last word, as reading tells it.
    End(io::Result<usize>),
}

/// Receives over a connection under TLS, until the peer ends it.
///
/// # Errors
/// Why it was given up before.
pub(super) async fn receive(
    stream: &mut DataStream,
    local: &mut LocalUpload,
    watch: &mut Watch,
) -> Result<PeerEnd, Cause> {
    loop {
        // A hop must own what it works with.
        let socket = Arc::clone(stream.shared_socket().map_err(|_| Cause::Peer)?);
        let socket = DataStream::Plain(Lazy::Watched(socket));
        let DataStream::Tls(mut tls) = std::mem::replace(stream, socket) else { return Err(Cause::Peer) };
        let (progress, most) = (Arc::clone(&watch.progress), watch.piece(usize::MAX));
        let hop = local.work(move |open| Ok((take_all(&mut tls, open, most, &progress)?, tls)));
        let (received, mut tls) = hop.await.map_err(failed)?;
        tls.send_now().await;
        *stream = DataStream::Tls(tls);
        match received {
            Received::Bytes(count) => watch.paced(count).await?,
            Received::End(end) => return Ok(stream.peer_end(&end)),
        }
        let socket = stream.socket().map_err(|_| Cause::Peer)?;
        watch.wait(socket.readable()).await?.map_err(|_| Cause::Peer)?;
    }
}

/// Moves what has arrived and what arrives meanwhile into the file, up to `most` bytes. It may wait for the disk.
///
/// # Errors
/// What the file says.
fn take_all(
    tls: &mut TlsStream<Socket>,
    open: &mut OpenFile,
    most: usize,
    progress: &Progress,
) -> FsResult<Received> {
    let most = most.min(HOP);
    let mut moved = 0;
    let (socket, traffic) = tls.parts();
    loop {
        let plain = traffic.plain();
        let count = plain.len();
        if count > 0 {
            progress.add(count);
            open.write(plain)?;
            traffic.taken(count);
            moved += count;
        }
        if let Some(end) = traffic.end() {
            return Ok(Received::End(end.map(|()| 0)));
        }
        if moved >= most || progress.stop_cause().is_some() {
            return Ok(Received::Bytes(moved));
        }
        if moved >= FAST {
            traffic.widen();
        }
        let room = traffic.room();
        let size = room.len().min(most - moved);
        match take(&socket.0, room.split_at_mut(size).0) {
            Ok(0) => return Ok(Received::End(Err(io::ErrorKind::UnexpectedEof.into()))),
            Ok(count) => traffic.added(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::Bytes(moved)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Received::End(Err(error))),
        }
    }
}

/// Takes bytes off the socket, with a little patience.
#[cfg(target_os = "linux")]
fn take(socket: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    use rustix::net::{RecvFlags, recv};
    super::kernel::patiently(socket, || Ok(recv(socket, &mut *room, RecvFlags::empty())?.0))
}

#[cfg(not(target_os = "linux"))]
fn take(socket: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    socket.try_read(room)
}
