//! Where an upload goes, finished exactly once whatever becomes of the transfer.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;
use wharf_proto::Ending;

use super::buffer::Buffer;
use super::progress::Progress;
use crate::fs::{DynByteSink, FsErrorKind, FsResult, OpenSink, Sink, SinkKind};

/// A [`Sink`] that bytes are going to.
///
/// Dropped before it was finished (the session's task was, or it panicked) it is finished as aborted, off the worker.
pub(super) enum Upload {
    Local(LocalUpload),
    Stream(StreamUpload),
}

impl Upload {
    /// `progress` is told what the sink has taken.
    pub(super) fn new(sink: Sink, progress: Arc<Progress>) -> Self {
        match sink.kind {
            SinkKind::File(open) => Self::Local(LocalUpload {
                idle: Some(OpenFile { open: Some(open), progress }),
                writing: None,
                brief: sink.in_memory,
            }),
            SinkKind::Stream(sink) => Self::Stream(StreamUpload { sink: Some(sink), progress }),
        }
    }

    /// Writes a piece. A local file is written while the next piece arrives, so an error may be that of an earlier one.
    pub(super) async fn write(&mut self, piece: Buffer) -> FsResult<()> {
        match self {
            Self::Local(local) => local.hop(move |open| open.write(piece.as_ref())).await,
            Self::Stream(stream) => stream.write(piece).await,
        }
    }

    /// Writes the last piece, which may be empty, and ends the upload: one hop for a local file.
    ///
    /// # Errors
    /// What could not be written or published. The upload is over all the same: as an aborted one where writing failed.
    pub(super) async fn finish(self, rest: Buffer, ending: Ending) -> FsResult<()> {
        match self {
            Self::Local(local) => local.finish(rest, ending).await,
            Self::Stream(stream) => stream.finish(rest, ending).await,
        }
    }
}

/// A local file between two hops to the blocking pool, or during one.
pub(super) struct LocalUpload {
    idle: Option<OpenFile>,
    writing: Option<JoinHandle<(OpenFile, FsResult<()>)>>,
    /// Nothing was written yet, to a file in memory: to write a buffer and close it takes no hop.
    brief: bool,
}

/// The file itself. It travels into each hop and back, so it is finished wherever it is when everything ends.
pub(super) struct OpenFile {
    open: Option<OpenSink>,
    progress: Arc<Progress>,
}

impl LocalUpload {
    /// Starts `work` on the blocking pool once the hop before has ended.
    ///
    /// # Errors
    /// What that hop ran into; `work` is not begun then.
    async fn hop(
        &mut self,
        work: impl FnOnce(&mut OpenFile) -> FsResult<()> + Send + 'static,
    ) -> FsResult<()> {
        let mut open = self.settle().await?;
        self.brief = false;
        self.writing = Some(spawn_blocking(move || {
            let written = open.entered(work);
            (open, written)
        }));
        Ok(())
    }

    /// Has `work` done on the blocking pool and answers what it made of it.
    ///
    /// # Errors
    /// What the hop before ran into; what `work` returns.
    #[cfg(any(target_os = "linux", feature = "tls"))]
    pub(super) async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut OpenFile) -> FsResult<T> + Send + 'static,
    ) -> FsResult<T> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.hop(move |open| {
            let value = work(open)?;
            // Nobody is left to hear it when the transfer is gone.
            let _ = answer.send(value);
            Ok(())
        })
        .await?;
        self.idle = Some(self.settle().await?);
        answered.await.map_err(|_| FsErrorKind::Failed.into())
    }

    /// Waits for the hop that runs, if one does.
    async fn settle(&mut self) -> FsResult<OpenFile> {
        if let Some(writing) = &mut self.writing {
            let joined = writing.await;
            self.writing = None;
            // A panicked hop has dropped the file, and so finished it.
            let (open, written) = joined.map_err(std::io::Error::other)?;
            self.idle = Some(open);
            written?;
        }
        self.idle.take().ok_or_else(|| FsErrorKind::Failed.into())
    }

    async fn finish(mut self, rest: Buffer, ending: Ending) -> FsResult<()> {
        if self.brief
            && ending != Ending::Aborted
            && let Some(mut open) = self.idle.take()
        {
            open.write(rest.as_ref())?;
            return open.finish(ending);
        }
        let settled = self.settle().await;
        let (mut open, earlier) = match settled {
            Ok(open) => (open, Ok(())),
            Err(error) => match self.idle.take() {
                Some(open) => (open, Err(error)),
                None => return Err(error),
            },
        };
        let finishing = spawn_blocking(move || {
            let written = earlier.and_then(|()| open.entered(|open| open.write(rest.as_ref())));
            match written {
                Ok(()) => open.finish(ending),
                Err(error) => {
                    drop(open);
                    Err(error)
                }
            }
        });
        finishing.await.map_err(std::io::Error::other)?
    }
}

impl Drop for LocalUpload {
    fn drop(&mut self) {
        let Some(open) = self.idle.take() else { return };
        if Handle::try_current().is_ok() {
            // A runtime that is shutting down drops the closure, and so finishes the file here after all.
            drop(spawn_blocking(move || drop(open)));
        }
    }
}

impl OpenFile {
    /// Does `work` with the rights that the file is written with.
    fn entered<T>(&mut self, work: impl FnOnce(&mut Self) -> FsResult<T>) -> FsResult<T> {
        let identity = self.open.as_ref().ok_or(FsErrorKind::Failed)?.identity().clone();
        let _entered = identity.enter()?;
        work(self)
    }

    /// The file, to be written at its position.
    pub(super) fn file(&mut self) -> FsResult<&mut File> {
        self.open.as_mut().ok_or(FsErrorKind::Failed)?.file()
    }

    /// Writes all of `piece`. Where that fails, what was written of it is counted all the same.
    pub(super) fn write(&mut self, piece: &[u8]) -> FsResult<()> {
        let mut rest = piece;
        while !rest.is_empty() {
            match self.file()?.write(rest) {
                Ok(0) => return Err(std::io::Error::from(ErrorKind::WriteZero).into()),
                Ok(count) => {
                    self.count(count);
                    rest = rest.get(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Counts bytes that were written.
    pub(super) fn count(&self, bytes: usize) {
        self.progress.add_stored(bytes);
    }

    fn finish(mut self, ending: Ending) -> FsResult<()> {
        self.open.take().ok_or(FsErrorKind::Failed)?.finish(ending)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = open.finish(Ending::Aborted)
            && error.kind() != FsErrorKind::NotPublished
        {
            warn!(%error, "an aborted upload could not be closed");
        }
    }
}

/// An upload that goes to an embedder's sink.
pub(super) struct StreamUpload {
    sink: Option<Box<dyn DynByteSink>>,
    progress: Arc<Progress>,
}

impl StreamUpload {
    async fn write(&mut self, piece: Buffer) -> FsResult<()> {
        match &mut self.sink {
            Some(sink) if !piece.is_empty() => {
                let length = piece.len();
                sink.write(Bytes::from_owner(piece)).await?;
                self.progress.add_stored(length);
                Ok(())
            }
            Some(_) => Ok(()),
            None => Err(FsErrorKind::Failed.into()),
        }
    }

    async fn finish(mut self, rest: Buffer, ending: Ending) -> FsResult<()> {
        let written = self.write(rest).await;
        let sink = self.sink.take().ok_or(FsErrorKind::Failed)?;
        let ending = if written.is_ok() { ending } else { Ending::Aborted };
        // A task of its own: publishing goes on when the session is gone.
        let finished = tokio::spawn(sink.finish(ending)).await.map_err(std::io::Error::other)?;
        written.and(finished)
    }
}

impl Drop for StreamUpload {
    fn drop(&mut self) {
        if let (Some(sink), Ok(runtime)) = (self.sink.take(), Handle::try_current()) {
            runtime.spawn(sink.finish(Ending::Aborted));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    #[cfg(target_os = "linux")]
    use wharf_sys::Identity;

    use super::*;

    /// A file and what its finishes were told.
    fn upload() -> (Upload, mpsc::Receiver<Ending>) {
        let (told, endings) = mpsc::channel();
        let sink = Sink::file(tempfile::tempfile().unwrap(), move |_, ending| {
            told.send(ending).unwrap();
            Ok(())
        });
        (Upload::new(sink, Arc::default()), endings)
    }

    fn all(endings: mpsc::Receiver<Ending>) -> Vec<Ending> {
        endings.into_iter().collect()
    }

    #[tokio::test]
    async fn finishing_happens_once() {
        let (mut upload, endings) = upload();
        upload.write(vec![1; 10].into()).await.unwrap();
        upload.finish(vec![2; 10].into(), Ending::Complete).await.unwrap();
        assert_eq!(all(endings), [Ending::Complete]);
    }

    #[tokio::test]
    async fn an_upload_that_is_aborted_before_its_first_byte_leaves_the_file_alone() {
        for byte in [&[][..], &[1]] {
            let (told, steps) = mpsc::channel();
            let begun = told.clone();
            let sink = Sink::file(tempfile::tempfile().unwrap(), move |_, ending| {
                told.send(Some(ending)).unwrap();
                Ok(())
            });
            let sink = sink.begun_by(move |_| {
                begun.send(None).unwrap();
                Ok(())
            });
            let upload = Upload::new(sink, Arc::default());
            upload.finish(byte.to_vec().into(), Ending::Aborted).await.unwrap();
            let expected = if byte.is_empty() { &[][..] } else { &[None, Some(Ending::Aborted)] };
            assert_eq!(steps.into_iter().collect::<Vec<_>>(), expected);
        }
    }

    #[tokio::test]
    async fn dropping_finishes_as_aborted() {
        let (untouched, endings) = upload();
        drop(untouched);
        assert_eq!(all(endings), [Ending::Aborted]);
        let (mut written, endings) = upload();
        written.write(vec![1; 10].into()).await.unwrap();
        drop(written);
        assert_eq!(all(endings), [Ending::Aborted]);
    }

    #[test]
    fn dropping_outside_of_a_runtime_finishes_as_well() {
        let (upload, endings) = upload();
        drop(upload);
        assert_eq!(all(endings), [Ending::Aborted]);
    }

    #[test]
    fn a_runtime_that_ends_finishes_what_is_under_way() {
        let (mut upload, endings) = upload();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.spawn(async move {
            upload.write(vec![1; 10].into()).await.unwrap();
            std::future::pending::<()>().await;
        });
        runtime.block_on(tokio::task::yield_now());
        drop(runtime);
        assert_eq!(all(endings), [Ending::Aborted]);
    }

    #[tokio::test]
    async fn a_write_error_aborts_and_is_what_is_told() {
        for early in [true, false] {
            let (told, endings) = mpsc::channel();
            let full = File::options().write(true).open("/dev/full").unwrap();
            let sink = Sink::file(full, move |_, ending| {
                told.send(ending).unwrap();
                Ok(())
            });
            let mut upload = Upload::new(sink, Arc::default());
            let piece = Buffer::from(vec![1; 10]);
            let rest = if early {
                upload.write(piece).await.unwrap();
                Buffer::take()
            } else {
                piece
            };
            let error = upload.finish(rest, Ending::Complete).await.unwrap_err();
            assert_eq!(error.kind(), FsErrorKind::NoSpace);
            assert_eq!(all(endings), [Ending::Aborted]);
        }
    }

    #[tokio::test]
    async fn a_panic_in_a_hop_finishes_as_well() {
        let (mut upload, endings) = upload();
        let Upload::Local(local) = &mut upload else { unreachable!() };
        local.hop(|_| panic!("as an embedder's code might")).await.unwrap();
        assert!(upload.finish(Buffer::take(), Ending::Complete).await.is_err());
        assert_eq!(all(endings), [Ending::Aborted]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn bytes_are_written_with_the_rights_of_the_sink() {
        if !rustix::process::getuid().is_root() {
            println!(
                "skipped: bytes_are_written_with_the_rights_of_the_sink needs root, to work as another user"
            );
            return;
        }
        let (told, writers) = mpsc::channel();
        let nobody = Identity::user(65_534, 65_534, Vec::new());
        let sink = Sink::from(tempfile::tempfile().unwrap()).written_by(nobody);
        let mut upload = Upload::new(sink, Arc::default());
        let Upload::Local(local) = &mut upload else { unreachable!() };
        let writer = local.work(move |_| {
            told.send(wharf_sys::identity::effective_user()).unwrap();
            Ok(())
        });
        writer.await.unwrap();
        assert_eq!(writers.recv(), Ok(65_534));
        upload.finish(vec![1; 10].into(), Ending::Complete).await.unwrap();
    }
}
