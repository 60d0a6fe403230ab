//! A transfer that is still under way, as callbacks may keep it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wharf_proto::{Direction, TransferPlan, VPath};

use crate::data::Progress;

/// A file that is being sent or received: how much of it has moved, and for how long.
///
/// Clones share what they count, without locks, and may be asked from any thread as often as one likes: by a progress
/// bar, by a page for administrators. They stay valid when the transfer is over and then say how it stood at its end.
/// What became of it is told by the callback that ends it, with a [`Transfer`](super::Transfer).
#[doc(alias = "DTPHandler")]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunningTransfer {
    /// The command: RETR, STOR, APPE or STOU.
    pub verb: &'static str,
    /// The path as the client sees it.
    pub path: VPath,
    /// Which way.
    pub direction: Direction,
    /// Whether the data connection is, or is about to be, under TLS.
    pub protected: bool,
    begun: Instant,
    progress: Arc<Progress>,
}

impl RunningTransfer {
    /// `begun` is when the client was told 125 or 150.
    pub(crate) fn new(
        verb: &'static str,
        path: VPath,
        plan: &TransferPlan,
        begun: Instant,
        progress: Arc<Progress>,
    ) -> Self {
        let TransferPlan { direction, protected, .. } = *plan;
        Self { verb, path, direction, protected, begun, progress }
    }

    /// Bytes that have moved over the data connection so far. Under TLS they are counted in clear. An upload whose
    /// file failed ends with those that the file took.
    #[doc(alias = "get_transmitted_bytes")]
    #[doc(alias = "tot_bytes_received")]
    #[doc(alias = "tot_bytes_sent")]
    pub fn bytes(&self) -> u64 {
        self.progress.bytes()
    }

    /// From the 125 or 150 until now, or to the end.
    #[doc(alias = "get_elapsed_time")]
    pub fn elapsed(&self) -> Duration {
        self.progress.took().unwrap_or_else(|| self.begun.elapsed())
    }

    /// Whether the transfer is over, well or not.
    #[doc(alias = "transfer_finished")]
    pub fn has_ended(&self) -> bool {
        self.progress.took().is_some()
    }

    /// Stops the clock, unless it was stopped before; how long the transfer took.
    pub(crate) fn end(&self) -> Duration {
        self.progress.end(self.begun)
    }

    /// What the session shares with its transfer.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}
