//! Downloads: a file to the client.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use tokio::io::AsyncWriteExt;
use wharf_proto::{Cause, ToWire};

use super::Route;
use super::buffer::{Buffer, CAPACITY};
use super::progress::Watch;
use super::reader::Reader;
use super::stream::{DataStream, PlainStream};
use crate::fs::{FsError, FsErrorKind, FsResult, Source, SourceKind};

/// A file up to this size is read and sent, in two calls; it takes more to make `sendfile` pay.
#[cfg(target_os = "linux")]
const SMALL: usize = 64 * 1024;

/// Sends all of `source`.
///
/// # Errors
/// Why it was not all.
pub(super) async fn send(
    route: Route,
    stream: &mut DataStream,
    source: Source,
    watch: &mut Watch,
) -> Result<(), Cause> {
    let mut wire = (route == Route::Ascii).then(Wire::default);
    match source.0 {
        SourceKind::File(file, span) => {
            let mut reader = Reader::new(file, span).map_err(failed)?;
            send_file(route, stream, &mut reader, &mut wire, watch).await?;
            if reader.was_cut() { Err(Cause::File(FsErrorKind::Failed)) } else { Ok(()) }
        }
        SourceKind::Stream(mut pieces) => {
            while let Some(piece) = watch.wait(next(&mut pieces)).await? {
                write_piece(stream, &piece.map_err(failed)?, &mut wire, watch).await?;
            }
            Ok(())
        }
    }
}

/// Line ends as the network has them, and room to make them.
#[derive(Default)]
struct Wire {
    converter: ToWire,
    converted: Vec<u8>,
}

/// Sends a local file up to its end.
async fn send_file(
    route: Route,
    stream: &mut DataStream,
    reader: &mut Reader,
    wire: &mut Option<Wire>,
    watch: &mut Watch,
) -> Result<(), Cause> {
    if let (Route::Kernel, DataStream::Plain(plain)) = (route, &mut *stream)
        && by_kernel(plain, reader, watch).await?
    {
        return Ok(());
    }
    let mut buffer = Buffer::take();
    loop {
        buffer.clear();
        buffer = watch.wait(reader.fill(buffer, watch.piece(CAPACITY))).await?.map_err(failed)?;
        if buffer.is_empty() {
            return Ok(());
        }
        reader.advance(buffer.len());
        write_piece(stream, buffer.as_ref(), wire, watch).await?;
    }
}

/// Sends a local file by the kernel; false when the kernel cannot, at whatever point that turns out.
#[cfg(target_os = "linux")]
async fn by_kernel(stream: &mut PlainStream, reader: &mut Reader, watch: &mut Watch) -> Result<bool, Cause> {
    use super::kernel::{self, Sent};

    if send_small(stream, reader, watch).await? {
        return Ok(true);
    }
    let socket = stream.socket().map_err(broken)?;
    loop {
        let warm = watch.wait(reader.warm()).await?.map_err(failed)?;
        match kernel::send(socket, reader, watch.piece(warm)).map_err(broken)? {
            Sent::Bytes(0) => return Ok(true),
            Sent::Bytes(count) => watch.moved(count).await?,
            Sent::Full => watch.wait(socket.writable()).await?.map_err(broken)?,
            Sent::Unsupported => return Ok(false),
        }
    }
}

/// Elsewhere it never can.
#[cfg(not(target_os = "linux"))]
async fn by_kernel(_: &mut PlainStream, _: &mut Reader, _: &mut Watch) -> Result<bool, Cause> {
    Ok(false)
}

/// Sends a small file whole; false, with nothing sent of what is left, when it turns out not to be small.
#[cfg(target_os = "linux")]
async fn send_small(stream: &mut PlainStream, reader: &mut Reader, watch: &mut Watch) -> Result<bool, Cause> {
    if reader.left() > SMALL as u64 {
        return Ok(false);
    }
    let mut buffer = Buffer::take();
    loop {
        buffer.clear();
        let most = watch.piece(SMALL);
        buffer = watch.wait(reader.fill(buffer, most)).await?.map_err(failed)?;
        if buffer.is_empty() {
            return Ok(true);
        }
        if buffer.len() == most && reader.left() != most as u64 {
            return Ok(false);
        }
        reader.advance(buffer.len());
        write_more(stream, buffer.as_ref(), watch).await?;
        // Files that are made while they are read (`/proc`) have no length: they are read to their end.
        if reader.length() > 0 && reader.left() == 0 {
            return Ok(true);
        }
    }
}

/// Writes all of `bytes`, which more follows: the FIN that most likely does travels with them.
#[cfg(target_os = "linux")]
async fn write_more(stream: &mut PlainStream, mut bytes: &[u8], watch: &mut Watch) -> Result<(), Cause> {
    while !bytes.is_empty() {
        let (piece, _) = bytes.split_at(watch.piece(bytes.len()));
        match super::kernel::send_more(stream, piece) {
            Ok(count) => {
                bytes = bytes.split_at(count).1;
                watch.moved(count).await?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let socket = stream.socket().map_err(broken)?;
                watch.wait(socket.writable()).await?.map_err(broken)?;
            }
            Err(error) => return Err(broken(error)),
        }
    }
    Ok(())
}

/// Writes all of `bytes`, behind which nothing but the end comes.
///
/// # Errors
/// Why it was not all.
pub(super) async fn write_last(
    stream: &mut DataStream,
    bytes: &[u8],
    watch: &mut Watch,
) -> Result<(), Cause> {
    match stream {
        #[cfg(target_os = "linux")]
        DataStream::Plain(plain) => write_more(plain, bytes, watch).await,
        #[cfg(any(feature = "tls", not(target_os = "linux")))]
        stream => write_all(stream, bytes, watch).await,
    }
}

/// Writes a piece, its line ends converted where `wire` says how.
async fn write_piece(
    stream: &mut DataStream,
    piece: &[u8],
    wire: &mut Option<Wire>,
    watch: &mut Watch,
) -> Result<(), Cause> {
    let Some(Wire { converter, converted }) = wire else {
        return write_all(stream, piece, watch).await;
    };
    converted.clear();
    converter.convert(piece, converted);
    write_all(stream, converted, watch).await
}

/// Writes all of `bytes`, as fast as the peer takes them and the pace allows.
///
/// # Errors
/// Why it was not all.
pub(super) async fn write_all(
    stream: &mut DataStream,
    mut bytes: &[u8],
    watch: &mut Watch,
) -> Result<(), Cause> {
    while !bytes.is_empty() {
        let (piece, _) = bytes.split_at(watch.piece(bytes.len()));
        send_pending(stream, watch).await?;
        let written = watch.wait(stream.write(piece)).await?.map_err(broken)?;
        bytes = bytes.split_at(written).1;
        watch.moved(written).await?;
    }
    Ok(())
}

/// Sends what TLS has sealed, which may be much: a slow peer takes it in parts, and each of them counts as progress.
///
/// # Errors
/// Why it was not all.
pub(super) async fn send_pending(stream: &mut DataStream, watch: &Watch) -> Result<(), Cause> {
    while stream.has_pending() {
        watch.wait(poll_fn(|context| stream.poll_send(context))).await?.map_err(broken)?;
    }
    Ok(())
}

async fn next(pieces: &mut Pin<Box<dyn Stream<Item = FsResult<Bytes>> + Send>>) -> Option<FsResult<Bytes>> {
    poll_fn(|context| pieces.as_mut().poll_next(context)).await
}

/// The cause for an error of a file.
pub(super) fn failed(error: impl Into<FsError>) -> Cause {
    let error = error.into();
    tracing::debug!(%error, "a transfer's file failed");
    Cause::File(error.kind())
}

/// The cause for an error of a call on a socket, which may also read a file.
pub(super) fn broken(error: io::Error) -> Cause {
    use io::ErrorKind as K;
    match error.kind() {
        K::StorageFull | K::QuotaExceeded | K::FileTooLarge | K::StaleNetworkFileHandle => failed(error),
        #[cfg(unix)]
        _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => failed(error),
        _ => Cause::Peer,
    }
}
