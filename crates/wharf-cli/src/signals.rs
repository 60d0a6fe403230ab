//! Signals, and what the program makes of them.

use std::future::{Future, pending};
use std::io;

use tokio::sync::oneshot;

use crate::failure::Failure;

/// What somebody wants from the running program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Stop: gently at first, at once the second time (SIGTERM, SIGINT, Ctrl-C).
    Stop,
    /// Read certificates again and reopen logs (SIGHUP).
    #[cfg_attr(all(not(unix), not(test)), expect(dead_code, reason = "other systems have no such signal"))]
    Reload,
}

/// A source of signals.
pub(crate) trait Signals: Send {
    /// The next signal.
    fn next(&mut self) -> impl Future<Output = Signal> + Send;
}

/// The signals of the operating system.
#[derive(Debug)]
pub(crate) struct SystemSignals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl SystemSignals {
    /// Takes the signals over from their default meaning.
    ///
    /// # Errors
    /// When the system refuses.
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Takes the signals over from their default meaning.
    ///
    /// # Errors
    /// Never on this system.
    #[cfg(not(unix))]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }
}

impl Signals for SystemSignals {
    #[cfg(unix)]
    async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.terminate.recv() => Signal::Stop,
            Some(()) = self.interrupt.recv() => Signal::Stop,
            Some(()) = self.hangup.recv() => Signal::Reload,
            else => pending().await,
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Stop,
            Err(_) => pending().await,
        }
    }
}

/// Runs `serve` to its end. The first signal to stop completes the receiver that it is given; a second one drops it where it is.
///
/// # Errors
/// Those of `serve`.
pub(crate) async fn supervise<S, F>(
    mut signals: impl Signals,
    reload: impl Fn(),
    on_stop: impl Fn(),
    serve: S,
) -> Result<(), Failure>
where
    S: FnOnce(oneshot::Receiver<()>) -> F,
    F: Future<Output = Result<(), Failure>>,
{
    let (stop, stopped) = oneshot::channel();
    let mut stop = Some(stop);
    let serving = serve(stopped);
    tokio::pin!(serving);
    loop {
        tokio::select! {
            outcome = &mut serving => return outcome,
            signal = signals.next() => match (signal, stop.take()) {
                (Signal::Reload, waiting) => {
                    stop = waiting;
                    reload();
                }
                (Signal::Stop, Some(first)) => {
                    on_stop();
                    let _ = first.send(());
                }
                (Signal::Stop, None) => return Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::VecDeque;

    use super::*;

    struct Script(VecDeque<Signal>);

    impl Signals for Script {
        async fn next(&mut self) -> Signal {
            match self.0.pop_front() {
                Some(signal) => signal,
                None => pending().await,
            }
        }
    }

    fn run<F: Future<Output = Result<(), Failure>>>(
        signals: &[Signal],
        serve: impl FnOnce(oneshot::Receiver<()>) -> F,
    ) -> (Result<(), Failure>, usize) {
        let reloads = Cell::new(0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let script = Script(signals.iter().copied().collect());
        let outcome = runtime.block_on(supervise(script, || reloads.set(reloads.get() + 1), || {}, serve));
        (outcome, reloads.get())
    }

    #[test]
    fn the_first_stop_lets_sessions_end() {
        let (outcome, reloads) = run(&[Signal::Reload, Signal::Reload, Signal::Stop], |stopped| async {
            stopped.await.unwrap();
            Ok(())
        });
        assert!(outcome.is_ok());
        assert_eq!(reloads, 2);
    }

    #[test]
    fn the_second_stop_waits_for_nobody() {
        let (outcome, _) = run(&[Signal::Stop, Signal::Stop], |_| pending());
        assert!(outcome.is_ok());
    }

    #[test]
    fn a_server_that_fails_ends_the_program() {
        let (outcome, _) = run(&[], |_| async { Err(Failure::runtime("broken")) });
        assert_eq!(outcome.unwrap_err().to_string(), "broken");
    }
}
