//! The end of a download: what 226 may claim.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use wharf_proto::{Cause, Ending};

use super::progress::Watch;
use super::send::{broken, send_pending};
use super::stream::DataStream;

/// How long to wait, when all was acknowledged, for the client to close or reset. Nearly all close at once; one that
/// waits for the 226 first pays this much, so it is asked only after transfers that take longer than that anyway.
const FAREWELL: Duration = Duration::from_millis(100);

/// The largest transfer that a client's system acknowledges whole whether or not the client reads it.
const UNREAD: u64 = 64 * 1024;

/// How much the client may send while it is to receive: whoever sends more means no download.
const JUNK: usize = 64 * 1024;

/// How often to look whether more was acknowledged: nothing wakes us for that.
const LOOK: Duration = Duration::from_millis(5);

/// After how long without an acknowledgement to look less often: many a client that stopped reading never goes on.
const STUCK: Duration = Duration::from_secs(1);

/// How often to look then.
const SELDOM: Duration = Duration::from_millis(250);

/// Says that nothing follows and finds out whether the client took everything: its system acknowledged all bytes, and
/// it did not reset the connection over bytes that it never read. Under TLS that proves nothing, because `close_notify`
/// may be all that it did not read: clients that know the size of a file leave without.
///
/// # Errors
/// [`Cause::Peer`] when it did not; the cause, when the transfer is to end first or nothing is acknowledged any more.
pub(super) async fn settle(stream: &mut DataStream, watch: &Watch) -> Result<Ending, Cause> {
    send_pending(stream, watch).await?;
    let taken = match watch.wait(stream.shutdown()).await? {
        Ok(()) => taken(stream, watch).await?,
        failed => failed,
    };
    match taken {
        Ok(()) => Ok(Ending::Complete),
        Err(_) if stream.is_protected() && had_all(stream) => Ok(Ending::Unproven),
        Err(error) => Err(broken(error)),
    }
}

/// Waits for what shows that the client took everything.
///
/// # Errors
/// The cause, when the transfer is to end first. What the socket says is in the answer.
async fn taken(stream: &mut DataStream, watch: &Watch) -> Result<io::Result<()>, Cause> {
    let mut peer = Peer { is_open: true, junk: 0 };
    match acknowledged(stream, &mut peer, watch).await? {
        Ok(()) if watch.progress.bytes() > UNREAD => watch.wait(not_reset(stream, &mut peer)).await,
        acknowledged => Ok(acknowledged),
    }
}

/// The client while it is waited for.
struct Peer {
    /// Whether it may still send something.
    is_open: bool,
    /// How many bytes it has sent.
    junk: usize,
}

/// Waits until the peer's system has acknowledged everything. Each acknowledgement counts as progress, whose absence the
/// watch bounds.
///
/// # Errors
/// The cause, when the transfer is to end first. What the socket says is in the answer.
async fn acknowledged(
    stream: &mut DataStream,
    peer: &mut Peer,
    watch: &Watch,
) -> Result<io::Result<()>, Cause> {
    let mut left = unacknowledged(stream);
    if left.as_ref().is_ok_and(|&left| left > 1) {
        // Others have a turn, and the client's system with them: where many are served, half of the waits are over by
        // then, and the runtime need not learn of the socket.
        yield_now().await;
        left = unacknowledged(stream);
    }
    loop {
        match left {
            // The last one is our FIN, which may take as long as it likes.
            Ok(0..=1) => return Ok(check(stream)),
            Ok(before) => left = watch.wait(fewer(stream, before, peer)).await?,
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Waits until fewer than `before` bytes are unacknowledged: how many.
async fn fewer(stream: &mut DataStream, before: u32, peer: &mut Peer) -> io::Result<u32> {
    let since = Instant::now();
    loop {
        let pause = if since.elapsed() < STUCK { LOOK } else { SELDOM };
        let socket = stream.socket()?;
        tokio::select! {
            biased;
            closed = peer.closed(socket), if peer.is_open => closed?,
            () = sleep(pause) => {}
        }
        // A reset behind a FIN: nothing is acknowledged any more.
        check(stream)?;
        let left = unacknowledged(stream)?;
        if left < before {
            return Ok(left);
        }
    }
}

/// Waits for the client to close, for a little. Silence is as good as FIN.
async fn not_reset(stream: &mut DataStream, peer: &mut Peer) -> io::Result<()> {
    timeout(FAREWELL, peer.closed(stream.socket()?)).await.unwrap_or(Ok(()))
}

impl Peer {
    /// Waits for its FIN. What it sends is thrown away: left unread it would turn our close into a reset.
    async fn closed(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.junk <= JUNK {
            socket.readable().await?;
            // Made anew: what is kept over a wait makes every transfer larger.
            let mut scratch = [0; 1024];
            match socket.try_read(&mut scratch) {
                Ok(0) => {
                    self.is_open = false;
                    return Ok(());
                }
                Ok(count) => self.junk += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the client sends where it is to receive"))
    }
}

/// Makes sure that the connection is still there. That a packet found no way is told as an error, too, but TCP goes on trying.
fn check(stream: &DataStream) -> io::Result<()> {
    let Some(socket) = stream.descriptor() else { return Ok(()) };
    match socket.take_error()? {
        Some(error) if is_end(&error) || socket.peer_addr().is_err() => Err(error),
        _ => Ok(()),
    }
}

/// Whether a connection with this error is one no more.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::TimedOut)
}

/// Whether all was on its way before the peer reset the connection, and acknowledged but for the last segments: systems
/// acknowledge every other one at once, and their reset overtakes what they owe for the last.
#[cfg(target_os = "linux")]
fn had_all(stream: &DataStream) -> bool {
    let Some(socket) = stream.descriptor() else { return false };
    let (unsent, left) = (wharf_sys::unsent(&*socket), wharf_sys::unacknowledged(&*socket));
    matches!((unsent, left, socket.tcp_mss()), (Ok(0), Ok(left), Ok(segment)) if left <= segment.saturating_mul(2))
}

/// Other systems do not say.
#[cfg(not(target_os = "linux"))]
fn had_all(_: &DataStream) -> bool {
    false
}

/// How many bytes the peer's system has not acknowledged yet, our FIN counting as one.
#[cfg(target_os = "linux")]
fn unacknowledged(stream: &DataStream) -> io::Result<u32> {
    stream.descriptor().map_or(Ok(0), |socket| wharf_sys::unacknowledged(&*socket))
}

/// Other systems do not say.
#[cfg(not(target_os = "linux"))]
fn unacknowledged(_: &DataStream) -> io::Result<u32> {
    Ok(0)
}
