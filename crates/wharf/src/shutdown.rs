//! How a server tells its sessions to stop, and waits until they have.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// How far the server has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No new sessions; transfers may end.
    Draining,
    /// Everything ends now.
    Stopping,
}

/// The server's end: it says when to stop and waits for the sessions.
pub(crate) struct Stopper {
    phase: watch::Sender<Phase>,
    /// Closed when the last session has dropped its sender.
    sessions: mpsc::Receiver<()>,
    template: Shutdown,
}

/// A session's end. While it exists, the session does.
#[derive(Clone)]
pub(crate) struct Shutdown {
    phase: watch::Receiver<Phase>,
    _alive: Arc<mpsc::Sender<()>>,
}

impl Stopper {
    pub(crate) fn new() -> Self {
        let (phase, receiver) = watch::channel(Phase::Serving);
        let (alive, sessions) = mpsc::channel(1);
        Self { phase, sessions, template: Shutdown { phase: receiver, _alive: Arc::new(alive) } }
    }

    /// The end for a new session.
    pub(crate) fn session(&self) -> Shutdown {
        self.template.clone()
    }

    /// Asks all sessions to stop, gives their transfers `grace`, then waits for the last of them.
    pub(crate) async fn drain(self, grace: Duration) {
        let Self { phase, mut sessions, template } = self;
        drop(template);
        phase.send_replace(Phase::Draining);
        if tokio::time::timeout(grace, sessions.recv()).await.is_err() {
            phase.send_replace(Phase::Stopping);
            sessions.recv().await;
        }
    }
}

impl Shutdown {
    /// Returns when the server has come as far as `phase`.
    pub(crate) fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + use<> {
        let mut watched = self.phase.clone();
        async move {
            // The sender outlives every session; should it be gone all the same, then to stop is right.
            let _ = watched.wait_for(|now| *now >= phase).await;
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
