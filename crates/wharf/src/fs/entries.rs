//! What a directory holds.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use wharf_proto::listing::Entry;

use super::FsResult;

/// What a listing will print, which is all that a file system must find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Names alone (NLST): metadata may be anything.
    Names,
    /// Names and metadata, symbolic links followed (MLSD). Links that lead nowhere or out of the home are left out.
    Facts,
    /// Names, metadata of links themselves, targets of links, names of owners and groups (LIST, STAT).
    Long,
}

/// Batches of entries, as they come.
type Batches = Pin<Box<dyn Stream<Item = FsResult<Vec<Entry>>> + Send>>;

/// The entries of a directory, in batches, without `.` and `..`.
///
/// A directory of a million entries is never in memory as a whole: batches come as the client takes them.
pub struct Entries {
    batches: Batches,
    of_directory: bool,
}

impl Entries {
    /// The entries of a directory, as `batches` of any size yield them.
    pub fn directory(batches: impl Stream<Item = FsResult<Vec<Entry>>> + Send + 'static) -> Self {
        Self { batches: Box::pin(batches), of_directory: true }
    }

    /// All the entries of a directory.
    pub fn of(entries: Vec<Entry>) -> Self {
        Self::directory(Once(Some(entries)))
    }

    /// The one thing that the path named, which is no directory.
    pub fn single(entry: Entry) -> Self {
        Self { of_directory: false, ..Self::of(vec![entry]) }
    }

    /// Those entries that `keep` is true for.
    pub fn filter(self, keep: impl Fn(&Entry) -> bool + Send + Unpin + 'static) -> Self {
        let batches = Box::pin(Filtered { batches: self.batches, keep });
        Self { batches, of_directory: self.of_directory }
    }

    /// Whether these are the entries of a directory, rather than the one thing that the path named.
    pub fn is_directory(&self) -> bool {
        self.of_directory
    }

    /// The next batch; `None` after the last.
    pub async fn next_batch(&mut self) -> Option<FsResult<Vec<Entry>>> {
        poll_fn(|context| self.batches.as_mut().poll_next(context)).await
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("of_directory", &self.of_directory).finish_non_exhaustive()
    }
}

/// A stream of one batch.
struct Once(Option<Vec<Entry>>);

impl Stream for Once {
    type Item = FsResult<Vec<Entry>>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

/// A stream of batches without some of their entries.
struct Filtered<K> {
    batches: Batches,
    keep: K,
}

impl<K: Fn(&Entry) -> bool + Unpin> Stream for Filtered<K> {
    type Item = FsResult<Vec<Entry>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { batches, keep } = self.get_mut();
        batches.as_mut().poll_next(context).map_ok(|mut batch| {
            batch.retain(&*keep);
            batch
        })
    }
}
