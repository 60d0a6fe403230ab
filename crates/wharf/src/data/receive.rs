//! Uploads: a file from the client.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use wharf_proto::{Cause, Ending, FromWire};

use super::buffer::Buffer;
use super::progress::{Watch, at_once};
use super::send::failed;
use super::stream::{DataStream, PeerEnd};
use super::upload::Upload;
use super::{Proof, Route};
use crate::fs::{FsErrorKind, Sink};

/// How long nothing must come before what has come is written.
const LULL: Duration = Duration::from_millis(100);

/// An upload wakes the worker for so many bytes, or for its end: that of a small file comes right behind it.
const MANY: u32 = 64 * 1024;

/// How long after its upload the control connection of a client that was killed may end: Linux closes what a process
/// opened last first, some 30 µs apart.
const AFTERMATH: Duration = Duration::from_millis(2);

/// An upload that took so long can wait for that. Clients are hardly ever killed in a shorter one.
const LONG: Duration = Duration::from_millis(200);

/// Receives all that the client sends, into `sink`, which is finished when this returns.
pub(super) async fn receive(
    route: Route,
    stream: &mut DataStream,
    sink: Sink,
    watch: &mut Watch,
    proof: Proof,
) -> (Ending, Option<Cause>) {
    let mut receiver = Receiver {
        upload: Upload::new(sink, Arc::clone(&watch.progress)),
        arrived: Buffer::take(),
        line_ends: (route == Route::Ascii).then(FromWire::default),
        sleeps: watch.outlasts(LULL) && stream.wake_for(MANY),
    };
    let begun = Instant::now();
    let came = receiver.receive_all(route, stream, watch).await;
    let there = match came {
        Ok(end) => hear_out(end, begun.elapsed(), watch).await,
        Err(cause) => Err(cause),
    };
    let (ending, cause) = judge(came, there, &proof);
    if matches!(came, Ok(PeerEnd::CloseNotify | PeerEnd::BareFin)) {
        // Our `close_notify`; a client that is gone need not hear it.
        let _ = watch.wait(stream.shutdown()).await;
    }
    // Nobody will hear that the upload of a lost session is stored, so its file is treated as that of a cut one.
    let fate = if cause == Some(Cause::ControlLost) { Ending::Aborted } else { ending };
    let finished = receiver.finish(fate).await;
    if finished.is_err() || matches!(cause, Some(Cause::File(_))) {
        watch.progress.count_what_is_stored();
    }
    conclude(ending, cause, finished)
}

/// Waits for what the client said before its upload came to an end: an ABOR must not be overtaken. Answers whether the
/// client is still there.
///
/// # Errors
/// What has stopped the transfer.
async fn hear_out(end: PeerEnd, took: Duration, watch: &Watch) -> Result<bool, Cause> {
    if matches!(end, PeerEnd::Fin | PeerEnd::BareFin) && took >= LONG {
        watch.wait(sleep(AFTERMATH)).await?;
    }
    watch.wait(watch.progress.last_word()).await
}

/// What an upload is, by how it came to its end, and by whether its client was still there then or what stopped it first.
fn judge(came: Result<PeerEnd, Cause>, there: Result<bool, Cause>, proof: &Proof) -> (Ending, Option<Cause>) {
    match came {
        Ok(_) if there == Err(Cause::Abort) => (Ending::Aborted, Some(Cause::Abort)),
        Ok(PeerEnd::Fin) if proof.broken => (Ending::Aborted, Some(Cause::Peer)),
        Ok(PeerEnd::CloseNotify) => (Ending::Complete, None),
        Ok(PeerEnd::BareFin) if proof.close_notify => (Ending::Aborted, Some(Cause::NoCloseNotify)),
        Ok(PeerEnd::Reset) => (Ending::Aborted, Some(Cause::Peer)),
        Err(cause) => (Ending::Aborted, Some(cause)),
        // A client that is killed closes its control connection as well, at about the same time.
        Ok(_) if matches!(there, Ok(false) | Err(Cause::ControlLost)) => {
            (Ending::Unproven, Some(Cause::ControlLost))
        }
        Ok(PeerEnd::Fin) => (Ending::Complete, None),
        Ok(PeerEnd::BareFin) => (Ending::Unproven, Some(Cause::NoCloseNotify)),
    }
}

/// What becomes of that judgement when the file was finished.
fn conclude(ending: Ending, cause: Option<Cause>, finished: Result<(), Cause>) -> (Ending, Option<Cause>) {
    match finished {
        Ok(()) => (ending, cause),
        Err(_) if ending == Ending::Aborted => (ending, cause),
        // What publishes proven uploads only has not published this one, and that is why.
        Err(Cause::File(FsErrorKind::NotPublished)) if cause == Some(Cause::ControlLost) => (ending, cause),
        // The same, and the client is to hear it.
        Err(Cause::File(FsErrorKind::NotPublished)) if cause == Some(Cause::NoCloseNotify) => {
            (Ending::Aborted, cause)
        }
        Err(error) => (Ending::Aborted, Some(error)),
    }
}

/// What has arrived and is not with the file yet, and the file.
struct Receiver {
    upload: Upload,
    arrived: Buffer,
    line_ends: Option<FromWire>,
    /// Whether a few bytes do not wake us.
    sleeps: bool,
}

impl Receiver {
    /// Receives until the peer ends it; what is left in `arrived` then is still to be written.
    ///
    /// # Errors
    /// Why it was given up before.
    async fn receive_all(
        &mut self,
        route: Route,
        stream: &mut DataStream,
        watch: &mut Watch,
    ) -> Result<PeerEnd, Cause> {
        match self.receive_until_stopped(route, stream, watch).await {
            Err(Cause::ControlLost) => self.receive_what_is_there(stream, watch).await,
            Err(cause @ (Cause::Abort | Cause::Shutdown)) if self.sleeps => {
                self.receive_what_did_not_wake_us(stream, watch).await;
                Err(cause)
            }
            done => done,
        }
    }

    async fn receive_until_stopped(
        &mut self,
        route: Route,
        stream: &mut DataStream,
        watch: &mut Watch,
    ) -> Result<PeerEnd, Cause> {
        #[cfg(not(any(target_os = "linux", feature = "tls")))]
        let _ = route;
        loop {
            let most = watch.piece(usize::MAX);
            // A slow client's bytes do not wait for the buffer to fill before others can see them.
            let holding = !self.arrived.is_empty();
            let read = tokio::select! {
                biased;
                read = watch.wait(stream.read(self.arrived.spare(most))) => read?,
                () = sleep(LULL), if holding || self.sleeps => {
                    // A slow client's bytes wake us one by one from now on.
                    self.sleeps = self.sleeps && !stream.wake_for(1);
                    if holding {
                        self.pass_on().await?;
                    }
                    continue;
                }
            };
            match read {
                Ok(count) if count > 0 => {
                    self.arrived.advance(count);
                    watch.moved(count).await?;
                }
                end => return Ok(stream.peer_end(&end)),
            }
            if self.arrived.is_full() {
                self.pass_on().await?;
                #[cfg(target_os = "linux")]
                if let (Route::Kernel, Upload::Local(local)) = (route, &mut self.upload) {
                    return super::kernel::receive(stream, local, watch).await;
                }
                #[cfg(feature = "tls")]
                if let (Route::Tls, Upload::Local(local)) = (route, &mut self.upload) {
                    return super::tls::receive(stream, local, watch).await;
                }
            }
        }
    }

    /// Receives the few bytes that came before the transfer was stopped, and for which nobody was woken.
    async fn receive_what_did_not_wake_us(&mut self, stream: &mut DataStream, watch: &Watch) {
        stream.wake_for(1);
        let most = watch.piece(usize::MAX);
        if matches!(stream.has_arrived().await, Ok(true))
            && let Some(Ok(count)) = at_once(stream.read(self.arrived.spare(most))).await
        {
            self.arrived.advance(count);
            watch.progress.add(count);
        }
    }

    /// Receives what the client had sent when its control connection was lost, and nothing that comes later.
    async fn receive_what_is_there(
        &mut self,
        stream: &mut DataStream,
        watch: &Watch,
    ) -> Result<PeerEnd, Cause> {
        stream.wake_for(1);
        let mut asked = false;
        loop {
            if self.arrived.is_full() {
                self.pass_on().await?;
            }
            let Some(read) = at_once(stream.read(self.arrived.spare(usize::MAX))).await else {
                // After a hop the runtime has yet to learn of the socket, and what it cannot tell the socket can. It is
                // asked once: a client that has lost its control connection may go on sending for ever.
                let has_more = if asked { Ok(false) } else { stream.has_arrived().await };
                asked = true;
                match has_more {
                    Ok(true) => continue,
                    Ok(false) => return Err(Cause::ControlLost),
                    Err(error) => return Ok(stream.peer_end(&Err(error))),
                }
            };
            match read {
                Ok(count) if count > 0 => {
                    self.arrived.advance(count);
                    watch.progress.add(count);
                }
                end => return Ok(stream.peer_end(&end)),
            }
        }
    }

    /// Hands what has arrived to the file.
    async fn pass_on(&mut self) -> Result<(), Cause> {
        let arrived = std::mem::replace(&mut self.arrived, Buffer::take());
        let piece = self.converted(arrived, false);
        self.upload.write(piece).await.map_err(failed)
    }

    /// Writes what is left and ends the upload.
    async fn finish(mut self, ending: Ending) -> Result<(), Cause> {
        let arrived = std::mem::replace(&mut self.arrived, Vec::new().into());
        let rest = self.converted(arrived, true);
        self.upload.finish(rest, ending).await.map_err(failed)
    }

    fn converted(&mut self, arrived: Buffer, last: bool) -> Buffer {
        let Some(line_ends) = &mut self.line_ends else {
            return arrived;
        };
        let mut text = Vec::with_capacity(arrived.len() + 1);
        line_ends.convert(arrived.as_ref(), &mut text);
        if last {
            line_ends.finish(&mut text);
        }
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lost_control_connection_makes_a_fin_doubtful() {
        for (there, expected) in [
            (Ok(true), (Ending::Complete, None)),
            (Ok(false), (Ending::Unproven, Some(Cause::ControlLost))),
            (Err(Cause::ControlLost), (Ending::Unproven, Some(Cause::ControlLost))),
            (Err(Cause::Abort), (Ending::Aborted, Some(Cause::Abort))),
            // All was there before it took effect.
            (Err(Cause::Shutdown), (Ending::Complete, None)),
        ] {
            let proof = Proof { broken: false, close_notify: false };
            assert_eq!(judge(Ok(PeerEnd::Fin), there, &proof), expected, "{there:?}");
        }
    }

    #[test]
    fn a_file_that_failed_says_so_unless_the_transfer_had_failed_before() {
        const FULL: Cause = Cause::File(FsErrorKind::NoSpace);
        const NOT_PUBLISHED: Cause = Cause::File(FsErrorKind::NotPublished);
        for (ending, cause, failure, expected) in [
            (Ending::Complete, None, FULL, (Ending::Aborted, FULL)),
            (Ending::Complete, None, NOT_PUBLISHED, (Ending::Aborted, NOT_PUBLISHED)),
            (Ending::Aborted, Some(Cause::Peer), FULL, (Ending::Aborted, Cause::Peer)),
            (Ending::Unproven, Some(Cause::ControlLost), FULL, (Ending::Aborted, FULL)),
            (
                Ending::Unproven,
                Some(Cause::ControlLost),
                NOT_PUBLISHED,
                (Ending::Unproven, Cause::ControlLost),
            ),
            (Ending::Unproven, Some(Cause::NoCloseNotify), FULL, (Ending::Aborted, FULL)),
            (
                Ending::Unproven,
                Some(Cause::NoCloseNotify),
                NOT_PUBLISHED,
                (Ending::Aborted, Cause::NoCloseNotify),
            ),
        ] {
            assert_eq!(conclude(ending, cause, Ok(())), (ending, cause));
            let concluded = conclude(ending, cause, Err(failure));
            assert_eq!(concluded, (expected.0, Some(expected.1)), "{ending:?} {cause:?} {failure:?}");
        }
    }
}
