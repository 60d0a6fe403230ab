//! The words behind `!`.

use wharf_proto::listing::parse_time;
use wharf_proto::{
    Cause, Code, DataFailure, Denied, Done, Ending, FileKind, FsErrorKind, Input, Listing, Metadata, Op,
    Reply, TransferEnd,
};

use super::settings::path;
use super::{Stage, unescape};

/// What a line of the driver means, now.
pub(crate) fn input(line: &str, stage: &Stage) -> Result<Input<'static>, String> {
    let (word, value) = line.split_once(' ').unwrap_or((line, ""));
    Ok(match (word, value) {
        ("eof", _) => Input::Eof,
        ("stop", _) => Input::Stop,
        ("secured", "") => Input::Secured(None),
        ("secured", subject) => Input::Secured(Some(subject.into())),
        ("listening", value) => listening(value)?,
        ("data", "opened") => Input::DataOpened,
        ("data", "half-closed") => Input::DataHalfClosed,
        ("data", "ports exhausted") => Input::DataFailed(DataFailure::PortsExhausted),
        ("data", "cannot listen") => Input::DataFailed(DataFailure::Listen),
        ("data", "cannot connect") => Input::DataFailed(DataFailure::Connect),
        ("data", "no source port") => Input::DataFailed(DataFailure::SourcePort),
        ("progress", value) => Input::Progress(value.parse().map_err(|_| "no such number")?),
        ("transfer", value) => Input::TransferEnded(end(value)?),
        _ => Input::Done(done(word, value, stage)?),
    })
}

fn listening(value: &str) -> Result<Input<'static>, String> {
    let (port, address) = value.split_once(" at ").unwrap_or((value, ""));
    let address =
        if address.is_empty() { None } else { Some(address.parse().map_err(|_| "no such address")?) };
    Ok(Input::Listening { port: port.parse().map_err(|_| "no such port")?, address })
}

fn end(value: &str) -> Result<TransferEnd, String> {
    let (how, bytes) = value.rsplit_once(' ').ok_or("how it ended and the number of bytes")?;
    let (ending, cause) = match how {
        "complete" => (Ending::Complete, None),
        "unproven" => (Ending::Unproven, Some(Cause::NoCloseNotify)),
        "aborted" => (Ending::Aborted, None),
        "aborted by abor" => (Ending::Aborted, Some(Cause::Abort)),
        "aborted by peer" => (Ending::Aborted, Some(Cause::Peer)),
        "aborted by timeout" => (Ending::Aborted, Some(Cause::Timeout)),
        "aborted by handshake" => (Ending::Aborted, Some(Cause::TlsHandshake)),
        "aborted by missing resumption" => (Ending::Aborted, Some(Cause::TlsNotResumed)),
        "aborted by missing close_notify" => (Ending::Aborted, Some(Cause::NoCloseNotify)),
        "aborted by lost control" => (Ending::Aborted, Some(Cause::ControlLost)),
        "aborted by shutdown" => (Ending::Aborted, Some(Cause::Shutdown)),
        other => (Ending::Aborted, Some(Cause::File(error(other.trim_start_matches("aborted by "))?))),
    };
    let bytes = bytes.parse().map_err(|_| "no such number")?;
    Ok(TransferEnd { ending, cause, bytes })
}

fn done(word: &str, value: &str, stage: &Stage) -> Result<Done, String> {
    let op = stage.outstanding.as_ref().ok_or("no operation awaits an answer")?;
    Ok(match (word, value) {
        ("rejected", "") => Done::Login(Err(Denied::Credentials)),
        ("rejected", "anonymous") => Done::Login(Err(Denied::Anonymous)),
        ("rejected", "unavailable") => Done::Login(Err(Denied::Unavailable)),
        ("rejected", "too many sessions") => Done::Login(Err(Denied::TooManySessions)),
        ("ok", "") => match op {
            Op::Authenticate(_) => Done::Login(Ok(stage.account.clone())),
            Op::OpenRead { path, .. } | Op::OpenWrite { path, .. } | Op::OpenList { path, .. } => {
                Done::Opened(Ok(path.clone()))
            }
            _ => Done::Nothing(Ok(())),
        },
        ("opened", value) => Done::Opened(Ok(path(value)?)),
        ("file", value) => Done::Found(Ok(file(value)?)),
        ("directory", "") => Done::Found(Ok(Metadata::directory())),
        ("fifo", _) => Done::Found(Ok(Metadata { kind: FileKind::Fifo, ..Metadata::file(0) })),
        ("lines", value) => Done::Lines(Ok(Listing { lines: unescape(value)?, truncated: false })),
        ("cut-lines", value) => Done::Lines(Ok(Listing { lines: unescape(value)?, truncated: true })),
        ("reply", value) => {
            let (code, text) = value.split_once(' ').ok_or("a code and a text")?;
            Done::Reply(Reply::new(Code::new(code.parse().map_err(|_| "no such code")?), text))
        }
        _ => failed(op, error(&format!("{word} {value}"))?),
    })
}

/// A size and, perhaps, a time.
fn file(value: &str) -> Result<Metadata, String> {
    let (size, time) = value.split_once(' ').unwrap_or((value, "19700101000000"));
    let modified = parse_time(time.as_bytes()).ok_or("no such time")?;
    Ok(Metadata { modified, ..Metadata::file(size.parse().map_err(|_| "no such size")?) })
}

/// The failure of an operation.
pub(crate) fn failed(op: &Op, error: FsErrorKind) -> Done {
    match op {
        Op::Authenticate(_) => Done::Login(Err(Denied::Unavailable)),
        Op::Metadata { .. } => Done::Found(Err(error)),
        Op::OpenRead { .. } | Op::OpenWrite { .. } | Op::OpenUnique { .. } | Op::OpenList { .. } => {
            Done::Opened(Err(error))
        }
        Op::ReadList { .. } => Done::Lines(Err(error)),
        _ => Done::Nothing(Err(error)),
    }
}

fn error(words: &str) -> Result<FsErrorKind, String> {
    use FsErrorKind::*;
    if let Some(size) = words.trim_end().strip_prefix("beyond end ") {
        return size.parse().map(OffsetBeyondEnd).map_err(|_| "no such size".to_owned());
    }
    let kinds = [
        NotFound,
        PermissionDenied,
        AlreadyExists,
        NotADirectory,
        IsADirectory,
        NotAFile,
        DirectoryNotEmpty,
        NameTooLong,
        TooManyLinks,
        InvalidName,
        OutsideHome,
        NoSpace,
        QuotaExceeded,
        FileTooLarge,
        ReadOnly,
        CrossDevice,
        Busy,
        NotPublished,
        Unsupported,
        Failed,
    ];
    let spelled: String = words.split_whitespace().collect();
    let found = kinds.into_iter().find(|kind| format!("{kind:?}").eq_ignore_ascii_case(&spelled));
    found.ok_or_else(|| format!("no such answer: {words}"))
}
