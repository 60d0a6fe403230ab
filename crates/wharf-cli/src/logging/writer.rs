//! The thread that writes the log, and the queue to it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How many records may wait. At some hundred bytes each this bounds the memory too.
const QUEUE: usize = 16_384;

/// How long records gather after some have been written.
const PAUSE: Duration = Duration::from_millis(10);

/// How long the end of the program waits for a log that does not move.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where records end.
#[derive(Debug)]
pub(super) enum Destination {
    /// Standard error.
    StandardError,
    /// A file, which a log rotator may rename under us.
    File { path: PathBuf, file: File },
}

/// The log's thread. Dropping it writes what is waiting.
#[derive(Debug)]
pub(crate) struct LogWriter {
    queue: Queue,
    finished: Receiver<()>,
}

/// The way to the log's thread. Each write must be one record.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Record(Vec<u8>),
    Reopen,
    Finish,
}

impl Destination {
    /// A file, to which records are appended; it is made when it is not there.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::File { path: path.into(), file: open(path)? })
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        match self {
            Self::StandardError => io::stderr().write_all(record),
            Self::File { file, .. } => file.write_all(record),
        }
    }

    /// Opens the file again by its name. The old one stays when that fails.
    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            *file = open(path)?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl LogWriter {
    /// Starts the thread.
    pub(super) fn start(destination: Destination) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let (at_end, finished) = sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let queue = Queue { sender, lost: Arc::clone(&lost) };
        thread::Builder::new().name("log".into()).spawn(move || {
            write_all(destination, &receiver, &lost);
            let _ = at_end.send(());
        })?;
        Ok(Self { queue, finished })
    }

    /// The way to the thread.
    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Opens the log's file again, for log rotators. Records that are waiting still go to the old one.
    pub(crate) fn reopen(&self) {
        let _ = self.queue.sender.try_send(Message::Reopen);
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let queued = self.queue.sender.try_send(Message::Finish).is_ok();
        if queued && self.finished.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
            let _ = io::stderr().write_all(b"wharf: the log does not move; its last records are lost\n");
        }
    }
}

/// Writes records: the first at once, those that follow it closely together, and how many were lost as soon as there is
/// room to say so.
fn write_all(mut destination: Destination, receiver: &Receiver<Message>, lost: &AtomicU64) {
    let mut batch = Batch::default();
    for first in receiver {
        for message in std::iter::once(first).chain(receiver.try_iter().take(QUEUE)) {
            match message {
                Message::Record(record) => batch.push(&record),
                Message::Reopen => {
                    batch.write(&mut destination, lost);
                    // The old file stays when that fails.
                    let _ = destination.reopen();
                }
                Message::Finish => return batch.write(&mut destination, lost),
            }
        }
        batch.write(&mut destination, lost);
        // Whoever logs meanwhile does not have to wake this thread.
        thread::sleep(PAUSE);
    }
}

/// Records that are written together.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    records: u64,
}

impl Batch {
    fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.records += 1;
    }

    /// Writes the records, or counts them as lost.
    fn write(&mut self, destination: &mut Destination, lost: &AtomicU64) {
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            self.bytes.extend_from_slice(format!("wharf: {missing} log records were lost\n").as_bytes());
        }
        if !self.bytes.is_empty() && destination.write(&self.bytes).is_err() {
            lost.fetch_add(self.records + missing, Ordering::Relaxed);
        }
        *self = Self::default();
    }
}

impl Write for Queue {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if self.sender.try_send(Message::Record(record.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_rotated_file_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, rotated) = (dir.path().join("log"), dir.path().join("log.1"));
        let log = LogWriter::start(Destination::file(&path).unwrap()).unwrap();
        log.queue().write_all(b"one\n").unwrap();
        fs::rename(&path, &rotated).unwrap();
        log.reopen();
        log.queue().write_all(b"two\n").unwrap();
        drop(log);
        assert_eq!(fs::read_to_string(rotated).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "two\n");
    }

    #[test]
    fn a_full_queue_loses_records_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (sender, receiver) = sync_channel(2);
        let lost = Arc::new(AtomicU64::new(0));
        let mut queue = Queue { sender, lost: Arc::clone(&lost) };
        for record in [b"1\n", b"2\n", b"3\n", b"4\n"] {
            queue.write_all(record).unwrap();
        }
        drop(queue);
        write_all(Destination::file(&path).unwrap(), &receiver, &lost);
        assert_eq!(fs::read_to_string(path).unwrap(), "1\n2\nwharf: 2 log records were lost\n");
    }
}
