//! How a server tells its sessions to stop, and waits until they have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};

/// How far the server has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// No new sessions; transfers may end.
    Draining = 1,
    /// Everything ends now.
    Stopping = 2,
}

/// The server's end: it says when to stop and waits for the sessions.
pub(crate) struct Stopper {
    /// Closed when the last session has dropped its sender.
    sessions: mpsc::Receiver<()>,
    template: Shutdown,
}

/// A session's end. While it exists, the session does.
#[derive(Clone)]
pub(crate) struct Shutdown {
    progress: Arc<Progress>,
    _alive: Arc<mpsc::Sender<()>>,
}

#[derive(Default)]
struct Progress {
    /// A [`Phase`], or none while the server serves.
    phase: AtomicU8,
    moved: Notify,
}

impl Stopper {
    pub(crate) fn new() -> Self {
        let (alive, sessions) = mpsc::channel(1);
        Self { sessions, template: Shutdown { progress: Arc::default(), _alive: Arc::new(alive) } }
    }

    /// The end for a new session.
    pub(crate) fn session(&self) -> Shutdown {
        self.template.clone()
    }

    /// Asks all sessions to stop, gives their transfers `grace`, then waits for the last of them.
    pub(crate) async fn drain(self, grace: Duration) {
        let Self { mut sessions, template } = self;
        let progress = Arc::clone(&template.progress);
        drop(template);
        progress.reach(Phase::Draining);
        if tokio::time::timeout(grace, sessions.recv()).await.is_err() {
            progress.reach(Phase::Stopping);
            sessions.recv().await;
        }
    }
}

impl Progress {
    fn reach(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        self.moved.notify_waiters();
    }
}

impl Shutdown {
    /// Whether the server has come as far as `phase`.
    pub(crate) fn has_reached(&self, phase: Phase) -> bool {
        self.progress.phase.load(Ordering::Acquire) >= phase as u8
    }

    /// Ready when the server has come further than it was at this call.
    pub(crate) fn moved(&self) -> Notified<'_> {
        self.progress.moved.notified()
    }

    /// Returns when the server has come as far as `phase`.
    pub(crate) async fn reached(&self, phase: Phase) {
        loop {
            let moved = self.moved();
            if self.has_reached(phase) {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_sessions_and_then_forces_them() {
        let stopper = Stopper::new();
        let session = stopper.session();
        let task = tokio::spawn(async move {
            session.reached(Phase::Draining).await;
            session.reached(Phase::Stopping).await;
        });
        stopper.drain(Duration::from_secs(30)).await;
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn returns_at_once_when_there_are_no_sessions() {
        let begun = tokio::time::Instant::now();
        Stopper::new().drain(Duration::from_secs(30)).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
