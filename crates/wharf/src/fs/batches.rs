//! The listing of a directory as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use wharf_sys::Identity;

use super::tree::Listing;
use super::{Entry, FsResult, blocking};
use crate::BoxFuture;

/// Reads a directory a batch at a time, one hop to the blocking pool each. One batch is read while the client takes the one
/// before it, and no more.
pub(super) struct Batches(State);

enum State {
    /// Entries that nobody has asked for yet, and where the others come from.
    Ready(Vec<Entry>, Listing),
    Reading(BoxFuture<'static, FsResult<(Vec<Entry>, Listing)>>),
    Ended,
}

impl Batches {
    pub(super) fn new(first: Vec<Entry>, listing: Listing) -> Self {
        Self(State::Ready(first, listing))
    }
}

impl Stream for Batches {
    type Item = FsResult<Vec<Entry>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (batch, listing) = match std::mem::replace(&mut self.0, State::Ended) {
            State::Ended => return Poll::Ready(None),
            State::Ready(batch, listing) => (batch, listing),
            State::Reading(mut reading) => match reading.as_mut().poll(context) {
                Poll::Pending => {
                    self.0 = State::Reading(reading);
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Ok(read)) => read,
            },
        };
        if !listing.is_at_end() {
            let mut reading = read(listing);
            // Polled once, so that it starts now.
            self.0 = match reading.as_mut().poll(context) {
                Poll::Pending => State::Reading(reading),
                Poll::Ready(Ok((batch, listing))) => State::Ready(batch, listing),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
            };
        }
        Poll::Ready((!batch.is_empty()).then_some(Ok(batch)))
    }
}

fn read(mut listing: Listing) -> BoxFuture<'static, FsResult<(Vec<Entry>, Listing)>> {
    // The listing takes on the rights of its user itself, and asks for names of owners without them.
    Box::pin(
        async move { blocking(&Identity::process(), move || Ok((listing.next_batch()?, listing))).await },
    )
}
