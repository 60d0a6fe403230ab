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

/// How long the peer's system may go without acknowledging anything before we stop waiting: it has the rest in hand
/// or is gone, and the kernel goes on delivering either way.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(1);

/// How long to wait, when all was acknowledged, for the client to close or reset. Nearly all close at once; one that
/// waits for the 226 first pays this much, so it is asked only after transfers that take longer than that anyway.
const FAREWELL: Duration = Duration::from_millis(100);

/// The largest transfer that a client's system acknowledges whole whether or not the client reads it.
const UNREAD: u64 = 64 * 1024;

/// The largest segment, in bytes. The last one is acknowledged late, and a reset overtakes that.
const SEGMENT: u32 = 64 * 1024;

/// How often to look whether more was acknowledged: nothing wakes us for that.
const LOOK: Duration = Duration::from_millis(5);

/// Says that nothing follows and finds out whether the client took everything: its system acknowledged all bytes, and
/// it did not reset the connection over bytes that it never read. Under TLS that proves nothing, because `close_notify`
/// may be all that it did not read: clients that know the size of a file leave without.
///
/// # Errors
/// [`Cause::Peer`] when it did not; the cause, when the transfer is to end first.
pub(super) async fn settle(stream: &mut DataStream, watch: &Watch) -> Result<Ending, Cause> {
    send_pending(stream, watch).await?;
    watch.wait(stream.shutdown()).await?.map_err(broken)?;
    match watch.wait(taken(stream, watch.progress.bytes())).await? {
        Ok(()) => Ok(Ending::Complete),
        Err(_) if stream.is_protected() && had_all(stream) => Ok(Ending::Unproven),
        Err(error) => Err(broken(error)),
    }
}

/// Waits for what shows that the client took so many bytes.
async fn taken(stream: &mut DataStream, bytes: u64) -> io::Result<()> {
    acknowledged(stream).await?;
    if bytes > UNREAD {
        // Silence is as good as FIN.
        timeout(FAREWELL, closed(stream.socket()?)).await.unwrap_or(Ok(()))?;
    }
    Ok(())
}

/// Waits until the peer's system has acknowledged everything, or has acknowledged nothing for too long.
async fn acknowledged(stream: &mut DataStream) -> io::Result<()> {
    let mut left = unacknowledged(stream)?;
    if left > 1 {
        // Others have a turn, and the client's system with them: where many are served, half of the waits are over by
        // then, and the runtime need not learn of the socket.
        yield_now().await;
        left = unacknowledged(stream)?;
    }
    // The last one is our FIN, which may take as long as it likes.
    if left > 1 {
        let mut since = Instant::now();
        let mut open = true;
        while left > 1 && since.elapsed() < ACKNOWLEDGEMENT {
            let socket = stream.socket()?;
            tokio::select! {
                biased;
                read = closed(socket), if open => { read?; open = false; }
                () = sleep(LOOK) => {}
            }
            let now_left = unacknowledged(stream)?;
            if now_left < left {
                (left, since) = (now_left, Instant::now());
            }
        }
    }
    match stream.descriptor().map(|socket| socket.take_error()) {
        Some(Ok(None)) | None => Ok(()),
        Some(Ok(Some(error)) | Err(error)) => Err(error),
    }
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
