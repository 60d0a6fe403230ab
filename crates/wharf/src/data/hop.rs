//! What the ways to receive on the blocking pool have in common: how long a hop lasts, and what its end means.

use std::io;
use std::time::{Duration, Instant};

use wharf_proto::Cause;

use super::progress::{Progress, Watch};
use super::stream::{DataStream, PeerEnd};

/// How long a hop takes bytes that keep coming: others wait for threads, too.
const LONGEST: Duration = Duration::from_millis(50);

/// Why a hop came back.
#[derive(Debug)]
pub(super) enum Received {
    /// This many bytes came in, and more may be there: it is for others to have a turn.
    Enough(usize),
    /// This many bytes came in, and no more have arrived yet.
    Lull(usize),
    /// The peer's last word, as reading tells it.
    End(io::Result<usize>),
}

/// How far a hop is.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    until: Instant,
    most: usize,
    pub(super) moved: usize,
    progress: &'a Progress,
}

impl<'a> Turn<'a> {
    /// A hop that begins now and moves up to `most` bytes.
    pub(super) fn new(most: usize, progress: &'a Progress) -> Self {
        Self { until: Instant::now() + LONGEST, most, moved: 0, progress }
    }

    /// Whether it is for others to have a turn, or the transfer is to end.
    pub(super) fn is_over(&self) -> bool {
        self.moved >= self.most || Instant::now() >= self.until || self.progress.stop_cause().is_some()
    }

    /// How many bytes more it may move.
    pub(super) fn left(&self) -> usize {
        self.most.saturating_sub(self.moved)
    }

    /// Counts bytes that the peer sent.
    pub(super) fn add(&mut self, count: usize) {
        self.progress.add(count);
        self.moved += count;
    }

    /// What becomes of the hop when taking from the socket failed; `None` is to try again.
    pub(super) fn failed(&self, error: io::Error) -> Option<Received> {
        match error.kind() {
            io::ErrorKind::WouldBlock => Some(Received::Lull(self.moved)),
            io::ErrorKind::Interrupted => None,
            _ => Some(Received::End(Err(error))),
        }
    }
}

impl Received {
    /// Waits until there is a reason for the next hop; the peer's end, if this was the last.
    ///
    /// # Errors
    /// The cause, when the transfer is to end first.
    pub(super) async fn until_next(
        self,
        stream: &mut DataStream,
        watch: &mut Watch,
    ) -> Result<Option<PeerEnd>, Cause> {
        match self {
            Self::Enough(count) => watch.paced(count).await?,
            Self::Lull(count) => {
                watch.paced(count).await?;
                let socket = stream.socket().map_err(|_| Cause::Peer)?;
                watch.wait(socket.readable()).await?.map_err(|_| Cause::Peer)?;
            }
            Self::End(end) => return Ok(Some(stream.peer_end(&end))),
        }
        Ok(None)
    }
}
