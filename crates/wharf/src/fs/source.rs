//! What transfers read from and write to.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use wharf_proto::Ending;
use wharf_sys::Identity;

use super::{FsErrorKind, FsResult, blocking};
use crate::BoxFuture;

/// A file that is being read.
///
/// `Source::from(file)` reads an open file from its current position and is sent by the kernel where TLS and ASCII
/// conversion allow; [`Source::stream`] is for everything else.
pub struct Source(pub(crate) SourceKind);

pub(crate) enum SourceKind {
    /// A local file, positioned where reading begins unless the span says so.
    File(File, Option<Span>),
    /// Pieces that come from elsewhere.
    Stream(Pin<Box<dyn Stream<Item = FsResult<Bytes>> + Send>>),
}

/// What is to be read of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Where reading begins.
    pub(crate) offset: u64,
    /// The length of the whole file when it was opened.
    pub(crate) length: u64,
    /// The file lies on a file system that has nothing but memory. Others are asked.
    pub(crate) in_memory: bool,
}

impl Source {
    /// Reads `span` of a regular file.
    pub(crate) fn span(file: File, span: Span) -> Self {
        Self(SourceKind::File(file, Some(span)))
    }

    /// Reads the pieces that `stream` yields, until it ends or fails.
    pub fn stream(stream: impl Stream<Item = FsResult<Bytes>> + Send + 'static) -> Self {
        Self(SourceKind::Stream(Box::pin(stream)))
    }
}

impl From<File> for Source {
    fn from(file: File) -> Self {
        Self(SourceKind::File(file, None))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            SourceKind::File(..) => "Source::File",
            SourceKind::Stream(_) => "Source::Stream",
        })
    }
}

/// A place that an upload goes to when it is not a local file.
pub trait ByteSink: Send + 'static {
    /// Takes the next piece. The transfer waits for it, which is the back-pressure.
    fn write(&mut self, piece: Bytes) -> impl Future<Output = FsResult<()>> + Send;

    /// Ends the upload: publish what came, or discard it. See [`Sink::finish`].
    fn finish(self, ending: Ending) -> impl Future<Output = FsResult<()>> + Send;
}

/// The object-safe twin of [`ByteSink`].
pub(crate) trait DynByteSink: Send {
    fn write(&mut self, piece: Bytes) -> BoxFuture<'_, FsResult<()>>;
    fn finish(self: Box<Self>, ending: Ending) -> BoxFuture<'static, FsResult<()>>;
}

impl<S: ByteSink> DynByteSink for S {
    fn write(&mut self, piece: Bytes) -> BoxFuture<'_, FsResult<()>> {
        Box::pin(ByteSink::write(self, piece))
    }

    fn finish(self: Box<Self>, ending: Ending) -> BoxFuture<'static, FsResult<()>> {
        Box::pin(ByteSink::finish(*self, ending))
    }
}

/// A file that is being written.
///
/// `Sink::from(file)` writes an open file at its current position, by the kernel where TLS and ASCII conversion
/// allow; [`Sink::stream`] is for everything else.
///
/// When the transfer is over the sink is finished exactly once, with how the transfer ended, and the client is told
/// 226 only after that has succeeded. A sink that is dropped unfinished was never transferred to.
pub struct Sink {
    pub(crate) kind: SinkKind,
    /// The file and its directory have nothing but memory to wait for.
    pub(crate) in_memory: bool,
}

pub(crate) enum SinkKind {
    /// A local file, positioned where writing begins.
    File(OpenSink),
    /// Somewhere else.
    Stream(Box<dyn DynByteSink>),
}

/// A local file that is being written, and what is done with it. All of that may block.
pub(crate) struct OpenSink {
    file: File,
    /// Whose rights it is written and finished with: the system may have room for some that it has not for others.
    identity: Identity,
    /// What is done when the upload begins, if it has not begun.
    begin: Option<BeginFile>,
    finish: FinishFile,
}

/// Makes a file ready, by emptying it.
type BeginFile = Box<dyn FnOnce(&File) -> FsResult<()> + Send>;

/// Closes a file under its final name, or discards it.
type FinishFile = Box<dyn FnOnce(File, Ending) -> FsResult<()> + Send>;

impl OpenSink {
    /// Whose rights are to be entered before it is written.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The file, ready to be written at its position, for who has entered its [`identity`](Self::identity).
    ///
    /// # Errors
    /// Why it is not; it stays as it was.
    pub(crate) fn file(&mut self) -> FsResult<&mut File> {
        if let Some(begin) = self.begin.take()
            && let Err(error) = begin(&self.file)
        {
            // There is still nothing to finish.
            self.begin = Some(Box::new(|_| Err(FsErrorKind::Failed.into())));
            return Err(error);
        }
        Ok(&mut self.file)
    }

    /// Ends the upload. One that is aborted before it has begun leaves the file as it was.
    ///
    /// # Errors
    /// As [`Sink::finish`] says.
    pub(crate) fn finish(mut self, ending: Ending) -> FsResult<()> {
        if ending == Ending::Aborted && self.begin.is_some() {
            return Ok(wharf_sys::close(self.file)?);
        }
        let _entered = self.identity.clone().enter()?;
        self.file()?;
        (self.finish)(self.file, ending)
    }
}

impl Sink {
    /// Hands the pieces of the upload to `sink`.
    pub fn stream(sink: impl ByteSink) -> Self {
        Self { kind: SinkKind::Stream(Box::new(sink)), in_memory: false }
    }

    /// Writes to the local `file` at its current position; `finish` ends the upload. Both happen on the blocking pool,
    /// with the process's own rights.
    pub fn file(file: File, finish: impl FnOnce(File, Ending) -> FsResult<()> + Send + 'static) -> Self {
        let open = OpenSink { file, identity: Identity::process(), begin: None, finish: Box::new(finish) };
        Self { kind: SinkKind::File(open), in_memory: false }
    }

    /// The same, written and finished with the rights of `identity`.
    pub(crate) fn written_by(mut self, identity: Identity) -> Self {
        if let SinkKind::File(open) = &mut self.kind {
            open.identity = identity;
        }
        self
    }

    /// The same, with what is done to the file when the upload begins. One that is aborted before leaves it as it was, and is
    /// not finished.
    pub(crate) fn begun_by(mut self, begin: impl FnOnce(&File) -> FsResult<()> + Send + 'static) -> Self {
        if let SinkKind::File(open) = &mut self.kind {
            open.begin = Some(Box::new(begin));
        }
        self
    }

    /// Whether opening it may have changed something: what was there is not as it was, or something is there that was not.
    pub(crate) fn has_touched(&self) -> bool {
        !matches!(&self.kind, SinkKind::File(OpenSink { begin: Some(_), .. }))
    }

    /// Ends the upload. Success means that what came lies under its final name for good. `ending` is that of the
    /// transfer, but [`Aborted`](Ending::Aborted) for an [`Unproven`](Ending::Unproven) one whose control connection was
    /// lost: nobody will hear that it is stored.
    ///
    /// # Errors
    /// What the file system says when the file cannot be closed or published; [`NotPublished`](super::FsErrorKind::NotPublished) when it
    /// publishes complete uploads only and `ending` is another.
    pub async fn finish(self, ending: Ending) -> FsResult<()> {
        match self.kind {
            SinkKind::File(open) => blocking(&Identity::process(), move || open.finish(ending)).await,
            SinkKind::Stream(sink) => sink.finish(ending).await,
        }
    }
}

impl From<File> for Sink {
    fn from(file: File) -> Self {
        Self::file(file, |file, _| Ok(wharf_sys::close(file)?))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SinkKind::File(_) => "Sink::File",
            SinkKind::Stream(_) => "Sink::Stream",
        })
    }
}
