//! The threads that sessions run on: one for each processor, the main thread being the first.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The threads besides the main thread, each with a runtime of its own.
pub(crate) struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Workers {
    /// Starts as many as there are processors for.
    ///
    /// # Errors
    /// When the system has no more threads or descriptors to give.
    pub(crate) fn start() -> io::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        (1..processors).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    pub(crate) fn handles(&self) -> impl Iterator<Item = Handle> {
        self.0.iter().map(|worker| worker.runtime.clone())
    }

    /// Ends the threads, which have nothing left to do, and waits for them.
    pub(crate) fn stop(self) {
        for Worker { stop, thread, .. } in self.0 {
            drop(stop);
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let _ = runtime.block_on(stopped);
            // A file operation that hangs on a dead disk must not keep the program.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, stop, thread })
    }
}
