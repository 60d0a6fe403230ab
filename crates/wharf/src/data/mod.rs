//! The data engine: how bytes get from what was opened to the client, and back.
//!
//! [`open`] makes data connections. [`run`] moves one transfer over one, and always comes to one [`TransferEnd`]:
//!
//! | route | sending | receiving |
//! |---|---|---|
//! | `Kernel` | `sendfile` on the worker, cold pages fetched on the blocking pool first | `splice` on the blocking pool |
//! | `Tls`, `Copy` | read into one large buffer, from memory on the worker and from disk on the pool | large buffers, one filled while the other is written on the pool; `Tls` into a file: all on the pool |
//! | `Ascii` | the same, line ends converted between | the same |
//!
//! An upload that fits one buffer costs one hop to the pool, which writes and closes the file.

mod buffer;
#[cfg(any(target_os = "linux", feature = "tls"))]
mod hop;
#[cfg(target_os = "linux")]
mod kernel;
mod lazy;
mod list;
mod open;
mod progress;
mod reader;
mod receive;
mod send;
mod settle;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use wharf_proto::listing::Format;
use wharf_proto::{Cause, Ending, TransferEnd, TransferPlan, TransferType};

#[cfg(feature = "tls")]
pub(crate) use self::buffer::{Buffer, CAPACITY as BUFFER_SIZE};
pub(crate) use self::list::now;
pub(crate) use self::open::{Comer, NotConnected, PassiveListener, Stranger, connect};
use self::progress::Watch;
pub(crate) use self::progress::{Pace, Progress};
pub(crate) use self::stream::DataStream;
use crate::fs::{Entries, Sink, SinkKind, Source, SourceKind};

/// One transfer, all set.
pub(crate) struct Job {
    /// What moves, which way and how.
    pub(crate) plan: TransferPlan,
    /// The data connection, its TLS handshake done where the plan asks for TLS.
    pub(crate) stream: DataStream,
    /// The other side.
    pub(crate) opened: Opened,
    /// Shared with the session.
    pub(crate) progress: Arc<Progress>,
    /// The speed limit, if there is one.
    pub(crate) pace: Option<Pace>,
    /// No byte moved for this long ends the transfer; zero is for ever.
    pub(crate) data_timeout: Duration,
    /// What proves that an upload is whole.
    pub(crate) proof: Proof,
}

/// What proves that an upload is whole, besides that it ended without an error and the client's last word
/// ([`Progress::last_word`]).
pub(crate) struct Proof {
    /// The client reset the data connection before the transfer began, which no read will tell again.
    pub(crate) broken: bool,
    /// Under TLS, an upload that ends without `close_notify` has failed.
    pub(crate) close_notify: bool,
}

/// What an operation opened for a transfer.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A file to send.
    Source(Source),
    /// A file to receive. It is finished exactly once, also when the transfer is dropped.
    Sink(Sink),
    /// A directory to list, and how.
    Entries(Entries, Format),
}

/// How the bytes of a transfer move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The kernel moves them between file and socket.
    Kernel,
    /// Through a buffer, encrypted or decrypted on the way.
    Tls,
    /// Through a buffer.
    Copy,
    /// Through a buffer, line ends converted on the way; under TLS or not.
    Ascii,
}

impl Route {
    /// The cheapest way that is right. `local` says that the other side is a file of the operating system's.
    pub(crate) fn choose(plan: &TransferPlan, local: bool) -> Self {
        match (plan.transfer_type, plan.protected) {
            (TransferType::Ascii, _) => Self::Ascii,
            (TransferType::Binary, true) => Self::Tls,
            (TransferType::Binary, false) if local && cfg!(target_os = "linux") => Self::Kernel,
            (TransferType::Binary, false) => Self::Copy,
        }
    }
}

/// Moves the bytes of one transfer, to its one end.
///
/// It ends early, and tidily, by [`Progress::stop`]; dropping it ends it as well, and finishes an upload as aborted.
pub(crate) async fn run(job: Job) -> TransferEnd {
    let Job { plan, mut stream, opened, progress, pace, data_timeout, proof } = job;
    let mut watch = Watch::new(Arc::clone(&progress), pace, data_timeout);
    let (ending, cause) = match opened {
        Opened::Sink(sink) => {
            let route = Route::choose(&plan, matches!(sink.kind, SinkKind::File(_)));
            receive::receive(route, &mut stream, sink, &mut watch, proof).await
        }
        Opened::Source(source) => {
            let route = Route::choose(&plan, matches!(source.0, SourceKind::File(..)));
            let sent = send::send(route, &mut stream, source, &mut watch).await;
            end_sending(sent, &mut stream, &watch).await
        }
        Opened::Entries(entries, format) => {
            let sent = list::list(&mut stream, entries, &format, &mut watch).await;
            end_sending(sent, &mut stream, &watch).await
        }
    };
    TransferEnd { ending, cause, bytes: progress.bytes() }
}

/// Ends the sending side so that the client can tell the whole from a part.
async fn end_sending(
    sent: Result<(), Cause>,
    stream: &mut DataStream,
    watch: &Watch,
) -> (Ending, Option<Cause>) {
    let settled = match sent {
        Ok(()) => settle::settle(stream, watch).await,
        Err(cause) => Err(cause),
    };
    let cause = match settled {
        Ok(Ending::Complete) => return (Ending::Complete, None),
        Ok(ending) => return (ending, Some(Cause::Peer)),
        Err(cause) => cause,
    };
    if cause != Cause::Abort {
        // A FIN would look like the end of the file. A client that asked for the abort knows better.
        let _ = stream.descriptor().map(|socket| socket.set_linger(Some(Duration::ZERO)));
    }
    (Ending::Aborted, Some(cause))
}
