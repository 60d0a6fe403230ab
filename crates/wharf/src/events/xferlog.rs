//! The transfer log in wu-ftpd's format, which log analysers read.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use jiff::{Timestamp, Zoned, tz::TimeZone};
use wharf_proto::{Direction, TransferType};

use super::{SessionInfo, Transfer};

/// How many lines may wait for a slow disk. Those that come on top are counted and lost.
const QUEUE: usize = 4096;

/// A file with one line per transfer, as xferlog(5) describes it. Cloning gives another handle on the same file.
///
/// ```text
/// Sun Nov 22 20:46:01 2026 1 192.0.2.1 1234 /srv/ann/a_b.txt b _ o r ann ftp 0 * c
/// ```
///
/// Lines are written by a thread of their own: no session ever waits for the disk. Blanks and control characters in
/// names are written as `_`. The last handle that is dropped waits for the lines that are still on their way.
#[derive(Clone, Debug)]
pub struct XferLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    lines: Option<SyncSender<Message>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What sessions and the writer both see.
#[derive(Debug, Default)]
struct Shared {
    reopen: AtomicBool,
    lost: AtomicU64,
}

enum Message {
    /// When the transfer ended, and the line without that time.
    Line(Timestamp, Vec<u8>),
    /// Look at [`Shared::reopen`].
    Wake,
}

impl XferLog {
    /// Appends to the file at `path`, creating it where there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, or no thread can be started.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let file = append_to(&path)?;
        let shared = Arc::new(Shared::default());
        let (lines, queue) = sync_channel(QUEUE);
        let mut writer =
            Writer { path, file, shared: Arc::clone(&shared), reported: 0, error: None, torn: false };
        let writer = Builder::new().name("wharf-xferlog".into()).spawn(move || writer.run(&queue))?;
        Ok(Self(Arc::new(Inner { shared, lines: Some(lines), writer: Mutex::new(Some(writer)) })))
    }

    /// Adds the line of a transfer that has just ended. Never waits.
    pub fn record(&self, session: &SessionInfo, file: &Transfer) {
        let message = Message::Line(Timestamp::now(), line(session, file));
        if self.0.send(message).is_err() {
            self.0.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the path again, after it was moved away by a log rotation. What is recorded from now on goes there.
    pub fn reopen(&self) {
        self.0.shared.reopen.store(true, Ordering::Release);
        // A full queue does not need waking: its writer looks before every line.
        let _ = self.0.send(Message::Wake);
    }

    /// How many lines were lost because the disk was full or too slow.
    pub fn lost(&self) -> u64 {
        self.0.shared.lost.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn send(&self, message: Message) -> Result<(), ()> {
        self.lines.as_ref().and_then(|lines| lines.try_send(message).ok()).ok_or(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lines = None;
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

/// The thread that writes.
struct Writer {
    path: PathBuf,
    file: File,
    shared: Arc<Shared>,
    /// How many lost lines the server's log has been told of.
    reported: u64,
    /// Why the last of them could not be written; `None` where the disk was only too slow.
    error: Option<io::Error>,
    /// The last line has no end.
    torn: bool,
}

impl Writer {
    fn run(&mut self, queue: &Receiver<Message>) {
        for message in queue {
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            if let Message::Line(time, rest) = message {
                self.write(time, &rest);
            }
            self.report();
        }
    }

    /// One write per line, so that lines stay whole whoever else appends to the file.
    fn write(&mut self, time: Timestamp, rest: &[u8]) {
        let time = Zoned::new(time, TimeZone::system());
        let mut line = time.strftime("%a %b %e %H:%M:%S %Y ").to_string().into_bytes();
        line.extend_from_slice(rest);
        if let Err(error) = append(&mut self.file, &mut self.torn, &line) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            self.error = Some(error);
        }
    }

    fn reopen(&mut self) {
        match append_to(&self.path) {
            Ok(file) => {
                // It may be the same file again.
                self.torn = self.torn && file.metadata().is_ok_and(|found| found.len() > 0);
                self.file = file;
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "xferlog stays where it was")
            }
        }
    }

    fn report(&mut self) {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        if lost > self.reported {
            let (path, lines) = (self.path.display(), lost - self.reported);
            match self.error.take() {
                Some(error) => tracing::warn!(%path, lines, %error, "the xferlog lacks lines"),
                None => tracing::warn!(%path, lines, "the xferlog lacks lines: the disk is too slow"),
            }
            self.reported = lost;
        }
    }
}

/// Writes a line, on one of its own if the last is `torn`; it is afterwards if the disk had no room for all.
fn append(file: &mut impl Write, torn: &mut bool, line: &[u8]) -> io::Result<()> {
    let end: &[u8] = if *torn { b"\n" } else { b"" };
    let line = [end, line].concat();
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        *torn = !rest.is_empty();
    }
    Ok(())
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// All fields but the time: seconds, host, size, name, type, action, direction, access mode, user, service,
/// authentication method and user, completion.
fn line(session: &SessionInfo, file: &Transfer) -> Vec<u8> {
    let user = session.user.as_deref().unwrap_or("anonymous");
    let seconds = file.elapsed.as_secs().max(1);
    let transfer_type = match file.transfer_type {
        TransferType::Ascii => 'a',
        TransferType::Binary => 'b',
    };
    let direction = if file.direction == Direction::Receive { 'i' } else { 'o' };
    let access = if user == "anonymous" { 'a' } else { 'r' };
    let completion = if file.completed { 'c' } else { 'i' };
    let path =
        file.local_path.as_ref().map_or(file.path.as_bytes(), |path| path.as_os_str().as_encoded_bytes());

    let mut line = format!("{seconds} {} {} ", session.peer.ip(), file.bytes).into_bytes();
    line.extend(word(path));
    line.extend_from_slice(format!(" {transfer_type} _ {direction} {access} ").as_bytes());
    line.extend(word(user.as_bytes()));
    line.extend_from_slice(format!(" ftp 0 * {completion}\n").as_bytes());
    line
}

/// `bytes` as one word of a line.
fn word(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().map(|&byte| if byte == b' ' || byte.is_ascii_control() { b'_' } else { byte })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use wharf_proto::VPath;

    use super::*;
    use crate::events::tests::{session, transfer};

    #[test]
    fn what_a_full_disk_has_torn_stays_a_line_of_its_own() {
        /// A file with room for so many bytes more.
        struct Disk(Vec<u8>, usize);

        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let (written, _) = bytes.split_at(bytes.len().min(self.1));
                if written.is_empty() {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.0.extend(written);
                self.1 -= written.len();
                Ok(written.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let (mut disk, mut torn) = (Disk(Vec::new(), 6), false);
        append(&mut disk, &mut torn, b"one\n").unwrap();
        for _ in 0..2 {
            append(&mut disk, &mut torn, b"two\n").unwrap_err();
        }
        disk.1 = 100;
        for line in [b"six\n", b"ten\n"] {
            append(&mut disk, &mut torn, line).unwrap();
        }
        assert_eq!(disk.0.escape_ascii().to_string(), r"one\ntw\nsix\nten\n");
    }

    fn text(session: &SessionInfo, file: &Transfer) -> String {
        String::from_utf8(line(session, file)).unwrap()
    }

    #[test]
    fn lines_are_as_analysers_expect() {
        let whole = text(&session(), &transfer());
        assert_eq!(whole, "1 192.0.2.1 12 /srv/ann/a_b.txt b _ o r ann ftp 0 * c\n");

        let nobody = SessionInfo { user: Some("anonymous".into()), ..session() };
        let cut = Transfer {
            local_path: None,
            path: VPath::parse(b"/a\tb c").unwrap(),
            direction: Direction::Receive,
            transfer_type: TransferType::Ascii,
            completed: false,
            elapsed: Duration::from_millis(61_700),
            ..transfer()
        };
        assert_eq!(text(&nobody, &cut), "61 192.0.2.1 12 /a_b_c a _ i a anonymous ftp 0 * i\n");
    }

    #[test]
    fn lines_are_appended_and_the_file_can_be_rotated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("xferlog");
        fs::write(&path, "before\n").unwrap();
        let log = XferLog::open(&path).unwrap();
        log.record(&session(), &transfer());
        drop(log);

        let log = XferLog::open(&path).unwrap();
        let rotated = directory.path().join("xferlog.1");
        fs::rename(&path, &rotated).unwrap();
        log.reopen();
        log.record(&session(), &transfer());
        assert_eq!(log.lost(), 0);
        drop(log);

        let lines = |path| fs::read_to_string(path).unwrap().lines().map(String::from).collect::<Vec<_>>();
        let old = lines(&rotated);
        assert_eq!((old.len(), &*old[0]), (2, "before"));
        assert_eq!(old[1].split_whitespace().count(), 18, "{}", old[1]);
        assert_eq!(lines(&path).len(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_full_disk_refuses_is_counted() {
        let log = XferLog::open("/dev/full").unwrap();
        let shared = Arc::clone(&log.0.shared);
        log.record(&session(), &transfer());
        drop(log);
        assert_eq!(shared.lost.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(XferLog::open(directory.path()).is_err());
    }
}
