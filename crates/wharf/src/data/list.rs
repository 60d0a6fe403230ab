//! Listings: the entries of a directory to the client, as they are read.

use std::time::SystemTime;

use wharf_proto::listing::Format;
use wharf_proto::{Cause, Timestamp};

use super::progress::{Watch, at_once};
use super::send::{failed, write_all, write_last};
use super::stream::DataStream;
use crate::fs::Entries;

/// Lines are sent when so many bytes of them have come together, or when the file system has no more for now.
const ENOUGH: usize = 64 * 1024;

/// Sends a line for each entry. The first leave before the directory has been read to its end.
///
/// # Errors
/// Why it was not all.
pub(super) async fn list(
    stream: &mut DataStream,
    mut entries: Entries,
    format: &Format,
    watch: &mut Watch,
) -> Result<(), Cause> {
    let now = now();
    let mut lines = Vec::new();
    let mut next = watch.wait(entries.next_batch()).await?;
    while let Some(batch) = next {
        for entry in batch.map_err(failed)? {
            format.push_line(&entry, now, &mut lines);
            if lines.len() >= ENOUGH {
                write_all(stream, &lines, watch).await?;
                lines.clear();
            }
        }
        next = match at_once(entries.next_batch()).await {
            Some(next) => next,
            None => {
                write_all(stream, &lines, watch).await?;
                lines.clear();
                watch.wait(entries.next_batch()).await?
            }
        };
    }
    write_last(stream, &lines, watch).await
}

/// The time of day, which decides how LIST writes dates.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: since.subsec_nanos(),
    }
}
