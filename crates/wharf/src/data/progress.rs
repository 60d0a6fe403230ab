//! A running transfer as seen from outside: how far it is, how fast it may go, and when it must end.

use std::future::{Future, pending, poll_fn};
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use wharf_proto::{Cause, TokenBucket};

/// What the session and its transfer share: STAT reads it, ABOR writes it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    bytes: AtomicU64,
    /// How many bytes of an upload its file has taken.
    stored: AtomicU64,
    stop: OnceLock<Cause>,
    stopping: Notify,
    /// An upload has come to its end and asks for the client's last word.
    asks: AtomicBool,
    /// Whether the client still holds its end of the control connection open, all that it said being heard.
    last_word: OnceLock<bool>,
    /// How long it took, once it is over.
    took: OnceLock<Duration>,
}

impl Progress {
    /// Bytes that have moved over the data connection so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Ends the transfer, which then reports `cause`. The first call counts; after the end it means nothing.
    pub(crate) fn stop(&self, cause: Cause) {
        if self.stop.set(cause).is_ok() {
            self.stopping.notify_one();
        }
    }

    /// Says that the transfer is over; how long it took, from `begun` to the first such call.
    pub(crate) fn end(&self, begun: Instant) -> Duration {
        *self.took.get_or_init(|| begun.elapsed())
    }

    /// How long the transfer took, once it is over.
    pub(crate) fn took(&self) -> Option<Duration> {
        self.took.get().copied()
    }

    /// Why the transfer is to end, if it is.
    pub(super) fn stop_cause(&self) -> Option<Cause> {
        self.stop.get().copied()
    }

    /// Waits until all is heard that the client said before its upload came to an end, ABOR perhaps, and answers whether
    /// it still holds its end of the control connection open. Who answers polls the transfer, and need not wake it.
    pub(super) async fn last_word(&self) -> bool {
        self.asks.store(true, Ordering::Relaxed);
        poll_fn(|_| self.last_word.get().map_or(Poll::Pending, |there| Poll::Ready(*there))).await
    }

    /// Whether the transfer waits for the client's last word.
    pub(crate) fn asks(&self) -> bool {
        self.asks.load(Ordering::Relaxed) && self.last_word.get().is_none()
    }

    /// Says that the client's last word is heard, and whether the client is still there.
    pub(crate) fn answer(&self, there: bool) {
        // It is asked once.
        let _ = self.last_word.set(there);
    }

    /// Counts bytes that moved.
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that an upload's file has taken.
    pub(super) fn add_stored(&self, bytes: usize) {
        self.stored.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// From now on an upload is as long as what its file has taken: it did not take all.
    pub(super) fn count_what_is_stored(&self) {
        self.bytes.store(self.stored.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Waits until the transfer is to end. One waits at a time.
    pub(crate) async fn stopped(&self) -> Cause {
        loop {
            if let Some(cause) = self.stop_cause() {
                return cause;
            }
            self.stopping.notified().await;
        }
    }
}

/// A limit on the speed of a transfer.
#[derive(Debug)]
pub(crate) struct Pace {
    bucket: TokenBucket,
    piece: usize,
}

impl Pace {
    /// At most `rate` bytes per second. Pieces are an eighth of a second long, so that bytes flow rather than gush.
    pub(crate) fn new(rate: NonZeroU64) -> Self {
        let piece = usize::try_from(rate.get() / 8).unwrap_or(usize::MAX).max(1);
        Self { bucket: TokenBucket::new(rate), piece }
    }
}

/// How many bytes may move before other tasks, and the commands of this session, get a turn: a fraction of a
/// millisecond's worth where nothing else holds the bytes up.
const TURN: usize = 1024 * 1024;

/// Stands over every wait of a transfer: the one place that knows of ABOR, of stalls and of pacing.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) progress: Arc<Progress>,
    pace: Option<Pace>,
    /// No byte moved for this long ends the transfer; zero is for ever.
    timeout: Duration,
    since_turn: usize,
}

impl Watch {
    pub(super) fn new(progress: Arc<Progress>, pace: Option<Pace>, timeout: Duration) -> Self {
        Self { progress, pace, timeout, since_turn: 0 }
    }

    /// Waits for something that moves a byte.
    ///
    /// # Errors
    /// The cause, when the transfer is to end first or when it takes too long; `what` is dropped then.
    pub(super) async fn wait<T>(&self, what: impl Future<Output = T>) -> Result<T, Cause> {
        let stall =
            async { if self.timeout.is_zero() { pending().await } else { sleep(self.timeout).await } };
        tokio::select! {
            biased;
            cause = self.progress.stopped() => Err(cause),
            done = what => Ok(done),
            () = stall => Err(Cause::Timeout),
        }
    }

    /// Whether it takes longer than `time` without a byte to end the transfer.
    pub(super) fn outlasts(&self, time: Duration) -> bool {
        self.timeout.is_zero() || self.timeout > time
    }

    /// How many bytes to move at once, where there is room for `most`.
    pub(super) fn piece(&self, most: usize) -> usize {
        self.pace.as_ref().map_or(most, |pace| pace.piece.min(most))
    }

    /// Counts bytes that moved, waits as long as the pace demands, and gives others their turn.
    ///
    /// # Errors
    /// The cause, when the transfer is to end.
    pub(super) async fn moved(&mut self, bytes: usize) -> Result<(), Cause> {
        self.progress.add(bytes);
        self.paced(bytes).await
    }

    /// What [`moved`](Self::moved) does after counting.
    ///
    /// # Errors
    /// The cause, when the transfer is to end.
    pub(super) async fn paced(&mut self, bytes: usize) -> Result<(), Cause> {
        if let Some(pace) = &mut self.pace {
            let delay = pace.bucket.take(bytes as u64, Instant::now().into_std());
            if !delay.is_zero() {
                tokio::select! {
                    biased;
                    cause = self.progress.stopped() => return Err(cause),
                    () = sleep(delay) => {}
                }
            }
        }
        self.since_turn += bytes;
        if self.since_turn >= TURN {
            self.since_turn = 0;
            tokio::task::yield_now().await;
        }
        self.progress.stop_cause().map_or(Ok(()), Err)
    }
}

/// What comes of `future` without a wait.
pub(super) async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(timeout: u64, rate: Option<u64>) -> Watch {
        let pace = rate.and_then(NonZeroU64::new).map(Pace::new);
        Watch::new(Arc::default(), pace, Duration::from_secs(timeout))
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_ends_the_wait_on_time() {
        let before = Instant::now();
        assert_eq!(watch(300, None).wait(pending::<()>()).await, Err(Cause::Timeout));
        assert_eq!(before.elapsed().as_secs(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn no_timeout_waits_for_ever() {
        let watch = watch(0, None);
        assert_eq!(watch.wait(sleep(Duration::from_secs(1_000_000))).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_waits_and_pauses_and_its_first_cause_counts() {
        let mut watch = watch(0, Some(8));
        watch.progress.stop(Cause::Abort);
        watch.progress.stop(Cause::Shutdown);
        assert_eq!(watch.wait(pending::<()>()).await, Err(Cause::Abort));
        assert_eq!(watch.moved(1_000_000).await, Err(Cause::Abort));
        assert_eq!(watch.progress.bytes(), 1_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn pacing_waits_out_what_the_bucket_says() {
        let mut watch = watch(1, Some(1_000));
        let before = Instant::now();
        for _ in 0..100 {
            let piece = watch.piece(usize::MAX);
            watch.moved(piece).await.unwrap();
        }
        let seconds = before.elapsed().as_secs_f64();
        assert!((10.0..14.0).contains(&seconds), "{seconds}");
    }
}
