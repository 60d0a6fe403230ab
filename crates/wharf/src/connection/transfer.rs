//! The data connection of a session, and the transfer that uses it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;
use wharf_proto::{Cause, DataFailure, Direction, Ending, Input, TransferEnd, TransferPlan, VPath};

use super::control::Waiting;
#[cfg(feature = "tls")]
use super::secured::{self, Securing};
use super::{Connection, LoggedIn, State};
use crate::BoxFuture;
use crate::auth::UserLimits;
use crate::data::{
    self, Comer, DataStream, Job, NotConnected, Opened, Pace, PassiveListener, Progress, Proof, Stranger,
};
use crate::events::{RunningTransfer, SessionInfo, Transfer};
#[cfg(feature = "tls")]
use crate::tls::CloseNotify;

/// The data connection, or the way to it.
pub(super) enum Channel {
    None,
    /// PASV, EPSV: the client is awaited.
    Listening(Box<Awaited>),
    /// PORT, EPRT: the client is being connected to.
    Connecting(BoxFuture<'static, Result<TcpStream, NotConnected>>),
    /// It is there, and no transfer uses it. It is watched until the client says something or closes. `broken`: that was
    /// a reset, which the system tells only once.
    Open {
        stream: DataStream,
        watched: bool,
        broken: bool,
    },
}

/// A listener that a client was told of.
///
/// Nobody looks who came before a command needs the connection: the client is most likely there by then, and need not
/// be waited for. One that takes its time is looked for all the same, so that strangers do not fill the queue that
/// it stands in.
pub(super) struct Awaited {
    listener: PassiveListener,
    /// When to begin to look; `None` is now.
    from: Option<Instant>,
}

/// How long nobody looks who came.
const UNATTENDED: Duration = Duration::from_millis(100);

/// What became of a [`Channel`].
pub(super) enum ChannelEvent {
    Opened,
    HalfClosed,
    Failed(DataFailure, io::Error),
    /// Somebody else than the client came, and the client is still awaited.
    Refused(Stranger),
}

/// What an operation opened for a transfer, which begins when there is a data connection.
pub(super) struct Prepared {
    /// When it was opened, and the client told so: 125 or 150.
    pub(super) begun: Instant,
    pub(super) asker: Asker,
    pub(super) verb: &'static str,
    pub(super) path: VPath,
    pub(super) local_path: Option<PathBuf>,
    pub(super) opened: Opened,
}

/// Who asked for a transfer. It stays theirs, and their session counts, when they have left by QUIT or REIN.
#[derive(Clone)]
pub(super) struct Asker {
    /// The session as it was then.
    pub(super) info: Arc<SessionInfo>,
    pub(super) login: Arc<LoggedIn>,
}

/// A transfer that moves bytes.
pub(super) struct Running {
    end: BoxFuture<'static, TransferEnd>,
    file: RunningTransfer,
    asker: Asker,
    plan: TransferPlan,
    local_path: Option<PathBuf>,
}

impl Running {
    /// How many bytes have moved.
    pub(super) fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// What callbacks are told when it begins.
    pub(super) fn told(&self) -> (&SessionInfo, &RunningTransfer) {
        (&self.asker.info, &self.file)
    }
}

/// Whoever kept its [`RunningTransfer`] sees that it is over, even if the task of the session was dropped.
impl Drop for Running {
    fn drop(&mut self) {
        self.file.end();
    }
}

/// Waits for the transfer to end; for ever, if there is none.
pub(super) fn poll_ended(
    transfer: &mut Option<Box<Running>>,
    context: &mut Context<'_>,
) -> Poll<TransferEnd> {
    transfer.as_mut().map_or(Poll::Pending, |running| running.end.as_mut().poll(context))
}

impl Channel {
    /// Waits until something becomes of it; for ever, if nothing can. `operating`: an operation is being performed, most
    /// likely to open what the connection is for, and a transfer finds out for itself what the client has done.
    pub(super) fn poll_moved(&mut self, context: &mut Context<'_>, operating: bool) -> Poll<ChannelEvent> {
        let opened = match self {
            Self::None | Self::Open { watched: false, .. } => return Poll::Pending,
            Self::Open { .. } if operating => return Poll::Pending,
            Self::Listening(awaited) if awaited.from.is_some() => return Poll::Pending,
            Self::Listening(awaited) => match ready!(awaited.listener.poll_accept(context)) {
                Ok(Comer::Stranger(stranger)) => return Poll::Ready(ChannelEvent::Refused(stranger)),
                Ok(Comer::Client(stream)) => Ok(stream),
                Err(error) => Err((DataFailure::Listen, error)),
            },
            Self::Connecting(connecting) => ready!(connecting.as_mut().poll(context)).map(DataStream::from),
            Self::Open { stream, watched, broken } => {
                let waiting = ready!(stream.poll_peek(context));
                *watched = false;
                *broken = waiting.is_err();
                // Bytes that come before the command are left in the socket: they belong to the upload.
                return if matches!(waiting, Ok(1..)) {
                    Poll::Pending
                } else {
                    Poll::Ready(ChannelEvent::HalfClosed)
                };
            }
        };
        let (channel, event) = match opened {
            Ok(stream) => (Self::Open { stream, watched: true, broken: false }, ChannelEvent::Opened),
            Err((failure, error)) => (Self::None, ChannelEvent::Failed(failure, error)),
        };
        *self = channel;
        Poll::Ready(event)
    }

    /// When to look for the client, which nobody does yet.
    pub(super) fn unattended_until(&self) -> Option<Instant> {
        if let Self::Listening(awaited) = self { awaited.from } else { None }
    }

    /// Looks for the client from now on. False if that was so before, or there is nobody to look for.
    pub(super) fn attend(&mut self) -> bool {
        if let Self::Listening(awaited) = self { awaited.from.take().is_some() } else { false }
    }
}

impl Connection {
    /// PASV, EPSV.
    pub(super) fn listen(&mut self) {
        let now = Instant::now();
        let shared = &self.shared;
        let (local, remote) = (self.info.local.ip(), self.info.peer.ip());
        let client = if shared.settings.active.permit_foreign_addresses { None } else { Some(remote) };
        let input = match PassiveListener::open(local, &shared.passive_ports, client) {
            Ok(listener) => {
                let (address, port) = shared.masquerade.advertised(local, remote, listener.port());
                self.advertised = address;
                let from = Some(now + UNATTENDED);
                self.channel = Channel::Listening(Box::new(Awaited { listener, from }));
                Input::Listening { port, address }
            }
            Err((failure, error)) => {
                shared.log.data_failed(&self.info, failure, error.as_ref());
                Input::DataFailed(failure)
            }
        };
        self.session.handle(input, now.into_std());
    }

    /// PORT, EPRT.
    pub(super) fn connect(&mut self, target: SocketAddr) {
        let (local, port) = (self.info.local.ip(), self.shared.settings.active.source_port);
        self.channel = Channel::Connecting(Box::pin(data::connect(local, port, target)));
    }

    pub(super) fn channel_moved(&mut self, event: ChannelEvent) {
        self.tell(match event {
            ChannelEvent::Opened => Input::DataOpened,
            ChannelEvent::HalfClosed => Input::DataHalfClosed,
            ChannelEvent::Failed(failure, error) => {
                self.shared.log.data_failed(&self.info, failure, Some(&error));
                Input::DataFailed(failure)
            }
            // The session goes on waiting.
            ChannelEvent::Refused(stranger) => {
                return self.shared.log.stranger_refused(&self.info, &stranger);
            }
        });
    }

    /// Brings together what was opened and the data connection.
    pub(super) fn start_transfer(&mut self, plan: TransferPlan) {
        let channel = std::mem::replace(&mut self.channel, Channel::None);
        // The session asks for a transfer only when both are there.
        let (Channel::Open { stream, broken, .. }, Some((_, prepared))) = (channel, self.prepared.take())
        else {
            return;
        };
        let progress = Arc::new(Progress::default());
        let Prepared { begun, asker, verb, path, local_path, opened } = *prepared;
        let proof = self.proof(broken);
        let pace = self.rate(plan.direction, asker.login.user.limits).map(Pace::new);
        let end = self.moving(plan, stream, opened, Arc::clone(&progress), proof, pace);
        let file = RunningTransfer::new(verb, path, &plan, begun, progress);
        self.transfer = Some(Box::new(Running { end, file, asker, plan, local_path }));
    }

    /// The transfer as a future.
    fn moving(
        &self,
        plan: TransferPlan,
        stream: DataStream,
        opened: Opened,
        progress: Arc<Progress>,
        proof: Proof,
        pace: Option<Pace>,
    ) -> BoxFuture<'static, TransferEnd> {
        let data_timeout = self.shared.settings.limits.data_timeout;
        #[cfg(feature = "tls")]
        let watched = Arc::clone(&progress);
        let job = move |stream, opened| Job { plan, stream, opened, progress, pace, data_timeout, proof };
        #[cfg(feature = "tls")]
        if plan.protected
            && let Some(tls) = &self.tls
        {
            let securing =
                Securing { tls: tls.clone(), stream, log: self.shared.log, info: Arc::clone(&self.info) };
            return Box::pin(secured::run(securing, data_timeout, watched, opened, job));
        }
        Box::pin(data::run(job(stream, opened)))
    }

    /// What is asked of an upload before it counts as whole.
    fn proof(&self, broken: bool) -> Proof {
        #[cfg(feature = "tls")]
        let close_notify =
            self.tls.as_ref().is_some_and(|tls| tls.policy().close_notify == CloseNotify::Require);
        #[cfg(not(feature = "tls"))]
        let close_notify = false;
        Proof { broken, close_notify }
    }

    /// Gives an upload that has come to its end the client's last word, if it wants that and no more is to be heard.
    /// True if it was given.
    pub(super) fn give_last_word(&self) -> bool {
        let Some(progress) = self.transfer.as_ref().map(|running| running.file.progress()) else {
            return false;
        };
        if !progress.asks() {
            return false;
        }
        // Once the operation is performed, the session listens again.
        let listens = self.state == State::Open && (self.session.wants_input() || self.operation.is_some());
        match self.control.look() {
            // The runtime has yet to learn of it, and wakes us then.
            Waiting::Bytes if listens => return false,
            Waiting::Bytes | Waiting::Nothing => progress.answer(true),
            Waiting::End => progress.answer(false),
        }
        true
    }

    pub(super) fn abort_transfer(&mut self, cause: Cause) {
        if let Some(running) = &self.transfer {
            running.file.progress().stop(cause);
        }
    }

    /// Tells the session, whose reply goes out first, then callbacks and logs.
    pub(super) async fn transfer_ended(&mut self, end: TransferEnd) {
        let Some(mut running) = self.transfer.take() else { return };
        let (plan, info) = (running.plan, Arc::clone(&running.asker.info));
        let file = Transfer {
            verb: running.file.verb,
            path: running.file.path.clone(),
            local_path: running.local_path.take(),
            direction: plan.direction,
            transfer_type: plan.transfer_type,
            ending: end.ending,
            cause: end.cause,
            completed: end.is_told_complete(),
            bytes: end.bytes,
            elapsed: running.file.end(),
            protected: plan.protected,
        };
        drop(running);
        if plan.protected {
            self.control.repeat_ticket();
        }
        self.tell(Input::TransferEnded(end));
        self.obey_all().await;
        self.flush_once().await;
        self.report_transfer(&info, &file).await;
    }

    /// Gives up what was opened: its transfer will not take place. Of an upload that has made or changed a file all the same,
    /// callbacks and logs are told.
    pub(super) async fn drop_prepared(&mut self, cause: Cause) {
        let Some((plan, prepared)) = self.prepared.take() else { return };
        let Prepared { begun, asker, verb, path, local_path, opened } = *prepared;
        let Opened::Sink(sink) = opened else { return };
        let touched = sink.has_touched();
        if let Err(error) = sink.finish(Ending::Aborted).await {
            self.shared.log.file_error(&self.info, &error);
        }
        if touched {
            let file = Transfer {
                verb,
                path,
                local_path,
                direction: plan.direction,
                transfer_type: plan.transfer_type,
                ending: Ending::Aborted,
                cause: Some(cause),
                completed: false,
                bytes: 0,
                elapsed: begun.elapsed(),
                protected: plan.protected,
            };
            self.report_transfer(&asker.info, &file).await;
        }
    }

    fn rate(&self, direction: Direction, user: UserLimits) -> Option<std::num::NonZeroU64> {
        let limits = &self.shared.settings.limits;
        match direction {
            Direction::Receive => user.upload_rate.or(limits.upload_rate),
            Direction::Send => user.download_rate.or(limits.download_rate),
            Direction::List => None,
        }
    }
}
