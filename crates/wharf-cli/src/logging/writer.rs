//! The thread that writes the log, and the queue to it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
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

/// The way to the log's thread. Each write must be one record, and one line.
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
    /// Writes as much as there is room for, and says how much that was.
    fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        match self {
            Self::StandardError => write_what_fits(&mut io::stderr(), bytes),
            Self::File(file) => write_what_fits(file, bytes),
        }
    }

    /// Removes the last bytes that were written.
    ///
    /// # Errors
    /// When they cannot be, or somebody else has written since.
    fn take_back(&mut self, length: usize) -> io::Result<()> {
        let Self::File(file) = self else { return Err(ErrorKind::Unsupported.into()) };
        let (end, metadata) = (file.stream_position()?, file.metadata()?);
        let start = u64::try_from(length).ok().and_then(|length| end.checked_sub(length));
        match start.filter(|_| metadata.is_file() && metadata.len() == end) {
            Some(start) => file.set_len(start),
            None => Err(ErrorKind::Unsupported.into()),
        }
    }
}

/// As `write_all`, which does not say how far it came.
fn write_what_fits(to: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match to.write(rest) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(length) => written += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
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
        let output = Output::new(destination, Arc::clone(&complains));
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
        self.queue.sender.try_send(reopened).map_err(|_| ErrorKind::WouldBlock)?;
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
    let mut batch = Batch { format, bytes: Vec::new() };
    for first in receiver {
        for message in std::iter::once(first).chain(receiver.try_iter().take(QUEUE)) {
            match message {
                Message::Record(record) => batch.bytes.extend_from_slice(&record),
                Message::Reopened(file) => {
                    batch.write(&mut output, lost);
                    // It may be the same file again, or one that was there.
                    output.is_torn = output.is_torn && file.metadata().is_ok_and(|found| found.len() > 0);
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
    /// Whether what was written last is the beginning of a record.
    is_torn: bool,
    complains: Arc<AtomicBool>,
}

impl Output {
    fn new(destination: Destination, complains: Arc<AtomicBool>) -> Self {
        Self { destination, fails: false, is_torn: false, complains }
    }

    /// Writes records, and says on standard error when that begins to fail and when it works again. Returns the length of
    /// those that were written whole.
    fn write(&mut self, records: &[u8], missing: u64) -> usize {
        // Whoever reads the log loses one record at most, not the one after it too.
        let end_of_torn: &[u8] = if self.is_torn { b"\n" } else { b"" };
        let (written, outcome) = match self.destination.write(end_of_torn) {
            (_, Ok(())) => {
                self.is_torn = false;
                self.destination.write(records)
            }
            (_, Err(error)) => (0, Err(error)),
        };
        let line_ends = records.iter().take(written).rposition(|byte| *byte == b'\n');
        let whole = line_ends.map_or(0, |last| last + 1);
        if whole < written {
            self.is_torn = self.destination.take_back(written - whole).is_err();
        }
        match (&outcome, self.fails) {
            (Err(error), false) => self.complain(&format!("{}; records are being lost", reason(error))),
            (Ok(()), true) => self.complain(&format!("works again; {missing} records were lost")),
            (Err(_), true) | (Ok(()), false) => {}
        }
        self.fails = outcome.is_err();
        whole
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
}

impl Batch {
    /// Writes the records, and counts as lost those that cannot be written.
    fn write(&mut self, output: &mut Output, lost: &AtomicU64) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let (records, missing) = (bytes.len(), lost.swap(0, Ordering::Relaxed));
        if missing > 0 {
            bytes.extend_from_slice(records_lost(self.format, missing).as_bytes());
        }
        if bytes.is_empty() {
            return;
        }
        let written = output.write(&bytes, missing);
        if written < bytes.len() {
            let unwritten = bytes.iter().take(records).skip(written).filter(|byte| **byte == b'\n');
            lost.fetch_add(unwritten.fold(missing, |lost, _| lost + 1), Ordering::Relaxed);
        }
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
            write_all(Output::new(destination, Arc::default()), format, &receiver, &lost);
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

    /// A pipe with room for some records, the last of them not whole.
    #[cfg(unix)]
    #[test]
    fn only_what_is_not_written_is_lost() {
        use std::io::Read;
        use std::os::fd::OwnedFd;

        let (mut reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let destination = Destination::File(File::from(OwnedFd::from(writer)));
        let (mut output, lost) = (Output::new(destination, Arc::default()), AtomicU64::new(0));
        // Pipes have room for a power of two.
        let mut batch = Batch { format: LogFormat::Text, bytes: b"the record\n".repeat(20_000) };
        batch.write(&mut output, &lost);
        let mut room = vec![0; 1 << 20];
        let mut read = || {
            let length = reader.read(&mut room).unwrap();
            String::from_utf8_lossy(&room[..length]).into_owned()
        };
        let log = read();
        let missing =
            20_000 - u64::try_from(log.lines().filter(|line| *line == "the record").count()).unwrap();
        assert!(!log.ends_with('\n'), "not torn");
        assert_eq!(lost.load(Ordering::Relaxed), missing);

        batch.bytes.extend_from_slice(b"after\n");
        batch.write(&mut output, &lost);
        assert_eq!(read(), format!("\nafter\nwharf: {missing} log records were lost\n"));
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }
}
