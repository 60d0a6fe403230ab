//! The log: records of `tracing`, as lines for people or as JSON, on standard error or in a file.
//!
//! Whoever logs never waits for a disk or a terminal: records go through a bounded queue to a thread of their own, and when that
//! is full they are counted and dropped.

mod text;
mod writer;

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::time::SystemTime;

use self::text::TextFormat;
pub(crate) use self::writer::LogWriter;
use crate::config::{Log, LogFormat, reason};
use crate::failure::Failure;

/// Starts the log. Its last records are written when the returned value is dropped.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn start(log: &Log) -> Result<LogWriter, Failure> {
    let writer = LogWriter::start(log.file.as_deref(), log.format).map_err(|error| match &log.file {
        Some(path) => Failure::usage(format!("log.file: {}: {}", path.display(), reason(&error))),
        None => Failure::runtime(format!("the log: {error}")),
    })?;
    let colour = log.file.is_none() && io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let level = if log.debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(writer.queue());
    match log.format {
        LogFormat::Text => subscriber.event_format(TextFormat { colour }).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).with_timer(SystemTime).init(),
    }
    Ok(writer)
}
