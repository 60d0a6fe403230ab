//! Uploads under TLS into local files: a thread of the blocking pool takes what has arrived, opens it and writes it. The bytes
//! stay in the cache of one processor, and a slow disk stops only its own transfer.

use std::io;
use std::net::TcpStream as StdStream;
use std::sync::Arc;

use wharf_proto::Cause;

use super::hop::{Received, Turn};
use super::lazy::Lazy;
use super::progress::{Progress, Watch};
use super::send::failed;
use super::stream::{DataStream, PeerEnd};
use super::upload::{LocalUpload, OpenFile};
use crate::fs::FsResult;
use crate::tls::Traffic;

/// A peer that sends so much during one hop is fast, and its bytes get a larger buffer: fewer calls take them.
const FAST: usize = 4 * 1024 * 1024;

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
        // A hop owns what it works with, and takes what comes meanwhile: the worker is not to wake up for it.
        let taken = std::mem::replace(stream, DataStream::Plain(Lazy::Lost));
        let DataStream::Tls(mut tls) = taken else { return Err(Cause::Peer) };
        let socket = tls.socket_mut().unwatched().map_err(|_| Cause::Peer)?;
        let (progress, most) = (Arc::clone(&watch.progress), watch.piece(usize::MAX));
        let hop = local.work(move |open| {
            let received = take_all(&socket, tls.traffic(), open, most, &progress)?;
            *tls.socket_mut() = Lazy::Unwatched(socket);
            Ok((received, tls))
        });
        let (received, mut tls) = hop.await.map_err(failed)?;
        tls.send_now().await;
        *stream = DataStream::Tls(tls);
        if let Some(end) = received.until_next(stream, watch).await? {
            return Ok(end);
        }
    }
}

/// Moves what has arrived and what arrives meanwhile into the file, up to `most` bytes. It may wait for the disk.
///
/// # Errors
/// What the file says.
fn take_all(
    socket: &StdStream,
    traffic: &mut Traffic,
    open: &mut OpenFile,
    most: usize,
    progress: &Progress,
) -> FsResult<Received> {
    let mut turn = Turn::new(most, progress);
    loop {
        let plain = traffic.plain();
        let count = plain.len();
        if count > 0 {
            turn.add(count);
            open.write(plain)?;
            traffic.taken(count);
        }
        if let Some(end) = traffic.end() {
            return Ok(Received::End(end.map(|()| 0)));
        }
        if turn.is_over() {
            return Ok(Received::Enough(turn.moved));
        }
        if turn.moved >= FAST {
            traffic.widen();
        }
        let room = traffic.room();
        let size = room.len().min(turn.left());
        match take(socket, room.split_at_mut(size).0) {
            Ok(0) => return Ok(Received::End(Err(traffic.cut()))),
            Ok(count) => traffic.added(count),
            Err(error) => {
                if let Some(received) = turn.failed(error) {
                    return Ok(received);
                }
            }
        }
    }
}

/// Takes bytes off the socket, with a little patience.
#[cfg(target_os = "linux")]
fn take(socket: &StdStream, room: &mut [u8]) -> io::Result<usize> {
    use rustix::net::{RecvFlags, recv};
    super::kernel::patiently(socket, || Ok(recv(socket, &mut *room, RecvFlags::empty())?.0))
}

#[cfg(not(target_os = "linux"))]
fn take(mut socket: &StdStream, room: &mut [u8]) -> io::Result<usize> {
    io::Read::read(&mut socket, room)
}
