//! The thread that writes the log, and the queue to it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogFormat, reason};
use crate::output;

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
    /// A file.
    File(File),
}

/// The log's thread. Dropping it writes what is waiting.
#[derive(Debug)]
pub(crate) struct LogWriter {
    queue: Queue,
    /// The file, which a log rotator may rename under us.
    path: Option<PathBuf>,
    /// Whether the thread is writing to standard error what is wrong with the file.
    complains: Arc<AtomicBool>,
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
    /// What follows goes here.
    Reopened(File),
    Finish,
}

impl Destination {
    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        match self {
            Self::StandardError => io::stderr().write_all(record),
            Self::File(file) => file.write_all(record),
        }
    }
}

/// Opens the log's file, to which records are appended; it is made when it is not there.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl LogWriter {
    /// Starts the thread. Without a file the log goes to standard error.
    pub(super) fn start(path: Option<&Path>, format: LogFormat) -> io::Result<Self> {
        let destination = path.map(open).transpose()?.map_or(Destination::StandardError, Destination::File);
        let complains = Arc::new(AtomicBool::new(false));
        let output = Output { destination, fails: false, complains: Arc::clone(&complains) };
        let (sender, receiver) = sync_channel(QUEUE);
        let (at_end, finished) = sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let queue = Queue { sender, lost: Arc::clone(&lost) };
        thread::Builder::new().name("log".into()).spawn(move || {
            write_all(output, format, &receiver, &lost);
            let _ = at_end.send(());
        })?;
        Ok(Self { queue, path: path.map(Into::into), complains, finished })
    }

    /// The way to the thread.
    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Opens the log's file again, for log rotators, and says whether there is one. Records that are waiting still go to
    /// the old one.
    ///
    /// # Errors
    /// When it cannot be opened, or the log does not move: the old one stays.
    pub(crate) fn reopen(&self) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        let reopened = Message::Reopened(open(path)?);
        self.queue.sender.try_send(reopened).map_err(|_| io::ErrorKind::WouldBlock)?;
        Ok(true)
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let queued = self.queue.sender.try_send(Message::Finish).is_ok();
        let stuck = queued && self.finished.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout);
        // If it is standard error that does not move, a word there would wait as long as the log does.
        if stuck && self.path.is_some() && !self.complains.load(Ordering::Relaxed) {
            let _ = io::stderr().write_all(b"wharf: the log does not move; its last records are lost\n");
        }
    }
}

/// Writes records: the first at once, those that follow it closely together, and how many were lost as soon as there is
/// room to say so.
fn write_all(mut output: Output, format: LogFormat, receiver: &Receiver<Message>, lost: &AtomicU64) {
    let mut batch = Batch { format, bytes: Vec::new(), records: 0 };
    for first in receiver {
        for message in std::iter::once(first).chain(receiver.try_iter().take(QUEUE)) {
            match message {
                Message::Record(record) => batch.push(&record),
                Message::Reopened(file) => {
                    batch.write(&mut output, lost);
                    output.destination = Destination::File(file);
                }
                Message::Finish => {
                    batch.write(&mut output, lost);
                    return output.end(lost);
                }
            }
        }
        batch.write(&mut output, lost);
        // Whoever logs meanwhile does not have to wake this thread.
        thread::sleep(PAUSE);
    }
}

/// Where records end, and whether they do.
struct Output {
    destination: Destination,
    /// Whether the last write failed.
    fails: bool,
    complains: Arc<AtomicBool>,
}

impl Output {
    /// Writes, and says on standard error when that begins to fail and when it works again.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&mut self, bytes: &[u8], missing: u64) -> io::Result<()> {
        let written = self.destination.write(bytes);
        match (&written, self.fails) {
            (Err(error), false) => self.complain(&format!("{}; records are being lost", reason(error))),
            (Ok(()), true) => self.complain(&format!("works again; {missing} records were lost")),
            (Err(_), true) | (Ok(()), false) => {}
        }
        self.fails = written.is_err();
        written
    }

    /// Says what never came to be written.
    fn end(&self, lost: &AtomicU64) {
        if self.fails {
            self.complain(&format!("{} records were lost", lost.load(Ordering::Relaxed)));
        }
    }

    /// Of a standard error that fails there is nobody to tell.
    fn complain(&self, problem: &str) {
        if let Destination::File(_) = &self.destination {
            self.complains.store(true, Ordering::Relaxed);
            output::complain(&format!("log.file: {problem}"));
            self.complains.store(false, Ordering::Relaxed);
        }
    }
}

/// Records that are written together.
struct Batch {
    format: LogFormat,
    bytes: Vec<u8>,
    records: u64,
}

impl Batch {
    fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.records += 1;
    }

    /// Writes the records, or counts them as lost.
    fn write(&mut self, output: &mut Output, lost: &AtomicU64) {
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            self.bytes.extend_from_slice(records_lost(self.format, missing).as_bytes());
        }
        if !self.bytes.is_empty() && output.write(&self.bytes, missing).is_err() {
            lost.fetch_add(self.records + missing, Ordering::Relaxed);
        }
        (self.bytes, self.records) = (Vec::new(), 0);
    }
}

/// A record of the log's own.
fn records_lost(format: LogFormat, count: u64) -> String {
    let message = format!("{count} log records were lost");
    match format {
        LogFormat::Text => format!("wharf: {message}\n"),
        LogFormat::Json => {
            let now = Timestamp::now();
            format!("{{\"timestamp\":\"{now}\",\"level\":\"WARN\",\"message\":\"{message}\"}}\n")
        }
    }
}

impl Write for &Queue {
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

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
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
        let log = LogWriter::start(Some(&path), LogFormat::Text).unwrap();
        (&log.queue()).write_all(b"one\n").unwrap();
        fs::rename(&path, &rotated).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(log.reopen().is_err());
        (&log.queue()).write_all(b"still one\n").unwrap();
        fs::remove_dir(&path).unwrap();
        assert!(log.reopen().unwrap());
        (&log.queue()).write_all(b"two\n").unwrap();
        drop(log);
        assert_eq!(fs::read_to_string(rotated).unwrap(), "one\nstill one\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "two\n");
    }

    #[test]
    fn a_full_queue_loses_records_and_says_so() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let (sender, receiver) = sync_channel(2);
            let lost = Arc::new(AtomicU64::new(0));
            let queue = Queue { sender, lost: Arc::clone(&lost) };
            for record in [b"1\n", b"2\n", b"3\n", b"4\n"] {
                (&queue).write_all(record).unwrap();
            }
            drop(queue);
            let destination = Destination::File(open(&path).unwrap());
            let output = Output { destination, fails: false, complains: Arc::default() };
            write_all(output, format, &receiver, &lost);
            let log = fs::read_to_string(path).unwrap();
            let own = log.strip_prefix("1\n2\n").unwrap();
            match format {
                LogFormat::Text => assert_eq!(own, "wharf: 2 log records were lost\n"),
                LogFormat::Json => {
                    let own: serde_json::Value = serde_json::from_str(own).unwrap();
                    assert_eq!(own["message"], "2 log records were lost");
                    assert!(own["timestamp"].is_string() && own["level"] == "WARN", "{own}");
                }
            }
        }
    }
}
