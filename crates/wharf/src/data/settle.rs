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

/// The largest segment, in bytes. The last one is acknowledged late, and a reset overtakes that.
const SEGMENT: u32 = 64 * 1024;

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
    watch.wait(stream.shutdown()).await?.map_err(broken)?;
    let mut taken = acknowledged(stream, watch).await?;
    if taken.is_ok() && watch.progress.bytes() > UNREAD {
        taken = watch.wait(not_reset(stream)).await?;
    }
    match taken {
        Ok(()) => Ok(Ending::Complete),
        Err(_) if stream.is_protected() && had_all(stream) => Ok(Ending::Unproven),
        Err(error) => Err(broken(error)),
    }
}

/// Waits until the peer's system has acknowledged everything. Each acknowledgement counts as progress, whose absence the
/// watch bounds.
///
/// # Errors
/// The cause, when the transfer is to end first. What the socket says is in the answer.
async fn acknowledged(stream: &mut DataStream, watch: &Watch) -> Result<io::Result<()>, Cause> {
    let mut left = unacknowledged(stream);
    if left.as_ref().is_ok_and(|&left| left > 1) {
        // Others have a turn, and the client's system with them: where many are served, half of the waits are over by
        // then, and the runtime need not learn of the socket.
        yield_now().await;
        left = unacknowledged(stream);
    }
    let mut open = true;
    loop {
        match left {
            // The last one is our FIN, which may take as long as it likes.
            Ok(0..=1) => break,
            Ok(before) => left = watch.wait(fewer(stream, before, &mut open)).await?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(match stream.descriptor().map(|socket| socket.take_error()) {
        Some(Ok(None)) | None => Ok(()),
        Some(Ok(Some(error)) | Err(error)) => Err(error),
    })
}

/// Waits until fewer than `before` bytes are unacknowledged: how many. `open`: the peer has not closed its side.
async fn fewer(stream: &mut DataStream, before: u32, open: &mut bool) -> io::Result<u32> {
    let since = Instant::now();
    loop {
        let pause = if since.elapsed() < STUCK { LOOK } else { SELDOM };
        let socket = stream.socket()?;
        tokio::select! {
            biased;
            read = closed(socket), if *open => { read?; *open = false; }
            () = sleep(pause) => {}
        }
        let left = unacknowledged(stream)?;
        if left < before {
            return Ok(left);
        }
    }
}

/// Waits for the client to close, for a little. Silence is as good as FIN.
async fn not_reset(stream: &mut DataStream) -> io::Result<()> {
    timeout(FAREWELL, closed(stream.socket()?)).await.unwrap_or(Ok(()))
}

/// Waits for the peer's FIN. What it sends is thrown away: left unread it would turn our close into a reset.
async fn closed(socket: &TcpStream) -> io::Result<()> {
    loop {
        socket.readable().await?;
        // Made anew: what is kept over a wait makes every transfer larger.
        let mut scratch = [0; 1024];
        match socket.try_read(&mut scratch) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the peer's system has acknowledged everything but perhaps the last segment, before it reset the connection.
fn had_all(stream: &DataStream) -> bool {
    cfg!(target_os = "linux") && unacknowledged(stream).is_ok_and(|left| left <= SEGMENT)
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
