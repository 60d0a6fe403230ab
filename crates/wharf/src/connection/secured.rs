//! A transfer whose data connection goes under TLS first (RFC 4217 §7).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use wharf_proto::{Cause, Ending, TransferEnd};

use crate::data::{self, DataStream, Job, Opened, Progress};
use crate::events::{ReuseRecord, SessionInfo, TracingLog};
use crate::tls::{LONGEST_HANDSHAKE, SessionReuse, TlsSession};

/// What a transfer under TLS needs besides the transfer.
pub(super) struct Securing {
    pub(super) tls: TlsSession,
    pub(super) stream: DataStream,
    pub(super) log: TracingLog,
    pub(super) info: Arc<SessionInfo>,
}

/// Shakes hands, then moves the bytes; or says why not, and finishes an upload all the same. `job` makes the
/// transfer of the secured connection.
pub(super) async fn run(
    securing: Securing,
    timeout: Duration,
    progress: Arc<Progress>,
    opened: Opened,
    job: impl FnOnce(DataStream, Opened) -> Job,
) -> TransferEnd {
    let secured = tokio::select! {
        biased;
        cause = progress.stopped() => Err(cause),
        secured = shake_hands(securing, timeout) => secured,
    };
    let cause = match secured {
        Ok(stream) => return data::run(job(stream, opened)).await,
        Err(cause) => cause,
    };
    if let Opened::Sink(sink) = opened {
        // Nothing came. That discarding it may fail too changes nothing for the client.
        let _ = sink.finish(Ending::Aborted).await;
    }
    TransferEnd { ending: Ending::Aborted, cause: Some(cause), bytes: 0 }
}

async fn shake_hands(securing: Securing, timeout: Duration) -> Result<DataStream, Cause> {
    let Securing { tls, stream, log, info } = securing;
    let patience = if timeout.is_zero() { LONGEST_HANDSHAKE } else { timeout };
    let secured = async {
        let stream = stream.into_plain().ok_or(io::ErrorKind::AlreadyExists)?;
        tls.accept_data(stream, patience).await
    };
    let secured = secured.await.map_err(|error| {
        log.handshake_failed(&info, "data", &error);
        let late = error.kind() == io::ErrorKind::TimedOut;
        if late { Cause::Timeout } else { Cause::TlsHandshake }
    })?;
    let (policy, resumed) = (tls.policy().session_reuse, secured.resumed);
    let refused = policy == SessionReuse::Require && !resumed;
    if policy != SessionReuse::Off {
        let record = ReuseRecord { resumed, refused, first: tls.is_first(resumed), version: secured.version };
        log.session_reuse(&info, &record);
    }
    if refused {
        return Err(Cause::TlsNotResumed);
    }
    Ok(DataStream::Tls(Box::new(secured.stream)))
}
