//! Log records as lines for people.
//!
//! `2026-02-03 04:05:06 INFO  #17 [ann]@192.0.2.1:3456 RETR /a.txt completed=1 bytes=5 seconds=0.001`

use std::cell::{Cell, RefCell};
use std::fmt::{self, Debug, Write};
use std::time::SystemTime;

use jiff::Zoned;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::failure::OneLine;

/// Writes one line per record: time, level, session, user and peer, message, other fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextFormat {
    /// Whether the level is coloured, for terminals.
    pub(super) colour: bool,
}

impl<S, N> FormatEvent<S, N> for TextFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        SECOND.with_borrow_mut(|second| writer.write_str(second.now()))?;
        match self.colour {
            true => write!(writer, " {}{}\x1b[0m", colour(level), name(level))?,
            false => write!(writer, " {}", name(level))?,
        }
        // Taken, not borrowed: a value that is displayed may itself log.
        let mut record = RECORD.take();
        record.clear();
        event.record(&mut record);
        let written = record.write_to(&mut OneLine(&mut writer));
        RECORD.set(record);
        written?;
        writer.write_char('\n')
    }
}

thread_local! {
    static SECOND: RefCell<Second> = RefCell::default();
    /// The room that the last record took.
    static RECORD: Cell<Record> = Cell::default();
}

/// The text of the current second, which many records share.
#[derive(Default)]
struct Second {
    since_epoch: u64,
    text: String,
}

impl Second {
    /// The local time.
    fn now(&mut self) -> &str {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if now != self.since_epoch {
            self.since_epoch = now;
            self.text = Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
        }
        &self.text
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[2m",
    }
}

/// The level, padded to one width.
fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN ",
        Level::INFO => "INFO ",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

/// The fields of a record.
#[derive(Debug, Default)]
struct Record {
    session: String,
    peer: String,
    user: String,
    message: String,
    others: String,
}

impl Record {
    fn clear(&mut self) {
        let Self { session, peer, user, message, others } = self;
        [session, peer, user, message, others].into_iter().for_each(String::clear);
    }

    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let slot = match field.name() {
            "session" => &mut self.session,
            "peer" => &mut self.peer,
            "user" => &mut self.user,
            "message" => &mut self.message,
            name => {
                self.others.extend([" ", name, "="]);
                &mut self.others
            }
        };
        let _ = slot.write_fmt(value);
    }

    /// Writes the fields, with a space before each part.
    fn write_to(&self, line: &mut impl Write) -> fmt::Result {
        let Self { session, peer, user, message, others } = self;
        let numbered = !session.is_empty();
        let parts = [" #", session].into_iter().filter(|_| numbered);
        let known = !peer.is_empty();
        let parts = parts.chain([" [", user, "]@", peer].into_iter().filter(|_| known));
        parts.chain([" ", message, others]).try_for_each(|part| line.write_str(part))
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, format_args!("{value}"));
    }

    /// Seconds, to the millisecond.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, format_args!("{value:.3}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The line without its time.
    fn check(expected: &str, log: impl FnOnce()) {
        let lines = Lines::default();
        let target = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(TextFormat { colour: false })
            .with_writer(move || target.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let line = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(line.get(20..), Some(expected));
    }

    #[test]
    fn a_record_is_one_line() {
        check("INFO  #7 [ann]@192.0.2.1:99 RETR /a bytes=5 seconds=0.200\n", || {
            tracing::info!(
                session = 7,
                peer = "192.0.2.1:99",
                user = "ann",
                bytes = 5,
                seconds = 0.2,
                "RETR /a"
            );
        });
        check("WARN  #7 []@192.0.2.1:99 MKD /a\\nb\\u{1b}[1m\n", || {
            tracing::warn!(session = 7, peer = "192.0.2.1:99", user = "", "MKD /a\nb\x1b[1m");
        });
        check("ERROR stopped\n", || tracing::error!("stopped"));
    }
}
