//! One control connection: the loop that obeys a [`Session`].
//!
//! The task owns its socket, its session and at most one operation, one data connection and one transfer. It waits
//! for whichever of them moves next; dropping it drops them all.

mod control;
mod operation;
mod reporting;
#[cfg(feature = "tls")]
mod secured;
mod transfer;

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use wharf_proto::{Cause, Input, Op, Output, Peer, Session, TransferPlan};

pub(crate) use self::control::linger;
use self::control::{Control, Lost};
use self::operation::Performed;
use self::transfer::{Channel, Prepared, Running};
use crate::BoxFuture;
use crate::auth::User;
use crate::events::SessionInfo;
use crate::fs::DynFileSystem;
use crate::net::Permit;
use crate::server::{Arrival, Seat, Shared, UserPermit};
use crate::shutdown::{Phase, Shutdown};
#[cfg(feature = "tls")]
use crate::tls::{LONGEST_HANDSHAKE, TlsSession};

/// How long a client may take to take its last reply.
pub(crate) const LAST_REPLY: Duration = Duration::from_secs(2);

/// How many bytes of replies may wait for the client before no further command of it is begun.
const MOST_UNTAKEN: usize = 16 << 10;

/// Bids a client farewell and waits for it to close, as long as the server has the time.
pub(crate) async fn take_leave(farewell: impl Future<Output = ()>, shutdown: &Shutdown) {
    tokio::select! {
        biased;
        // First: what there is to say is said in any case.
        _ = tokio::time::timeout(LAST_REPLY, farewell) => {}
        () = shutdown.reached(Phase::Stopping) => {}
    }
}

/// What belongs to one control connection.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    info: Arc<SessionInfo>,
    session: Session,
    control: Control,
    /// What binds data connections to this session.
    #[cfg(feature = "tls")]
    tls: Option<TlsSession>,
    /// Replies that the client has not taken yet.
    replies: Vec<u8>,
    login: Option<Arc<LoggedIn>>,
    /// The operation being performed.
    operation: Option<BoxFuture<'static, Performed>>,
    channel: Channel,
    /// The address of the last 227, which explains why a client may not come.
    advertised: Option<Ipv4Addr>,
    /// What was opened for the next transfer, and how that will go.
    prepared: Option<(TransferPlan, Box<Prepared>)>,
    transfer: Option<Box<Running>>,
    state: State,
    /// When a client that is leaving must have taken its last reply.
    close_by: Option<Instant>,
    /// The place among the connections allowed, and then among those that take leave: it changes before the farewell is
    /// sent, because a client that has read it may come back at once. `None` when too many take leave.
    permit: Option<Permit>,
    _seat: Seat,
}

/// What a login brought.
pub(crate) struct LoggedIn {
    user: User,
    files: Arc<dyn DynFileSystem>,
    /// Counts the user's sessions.
    _permit: UserPermit,
}

/// What happens once all replies have been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The client is listened to.
    Open,
    /// TLS begins.
    Upgrading,
    /// The connection is closed.
    Closing,
}

/// Whether a client that is left knows about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    /// It is the answer to what the client said last, QUIT say.
    Expected,
    /// The client may be about to say something.
    Unexpected,
}

/// What the loop woke up for.
enum Woken {
    Read(std::io::Result<usize>),
    Wrote(std::io::Result<()>),
    Performed(Performed),
    Channel(transfer::ChannelEvent),
    TransferEnded(wharf_proto::TransferEnd),
    Timeout,
    Stop,
}

/// A client that was accepted: what [`Connection::new`] needs to know about it.
pub(crate) struct Accepted {
    pub(crate) arrival: Arrival,
    pub(crate) peer: Peer,
    /// The number of the session.
    pub(crate) id: u64,
    /// TLS begins with the first byte (implicit FTPS).
    pub(crate) implicit_tls: bool,
    pub(crate) seat: Seat,
}

/// Serves one client until it leaves, `shutdown` says so, or the connection breaks.
///
/// What happens once in a session's life is in boxes here, and so is what happens for a transfer: an idle session is
/// as large as the largest of what is left.
pub(crate) fn serve(
    shared: Arc<Shared>,
    accepted: Accepted,
    permit: Permit,
    shutdown: Shutdown,
) -> impl Future<Output = ()> + Send {
    let begun = Box::pin(Connection::begin(shared, accepted, permit, shutdown));
    async move {
        let Some((mut connection, shutdown)) = begun.await else { return };
        let parting = connection.run(&shutdown).await;
        Box::pin(connection.end(parting, &shutdown)).await;
    }
}

impl Connection {
    /// Greets the client; `None` when it was lost before, during an implicit handshake say.
    async fn begin(
        shared: Arc<Shared>,
        accepted: Accepted,
        permit: Permit,
        shutdown: Shutdown,
    ) -> Option<(Self, Shutdown)> {
        let Accepted { arrival, peer, id, implicit_tls, seat } = accepted;
        let stream = arrival.stream().ok()?;
        let now = Instant::now().into_std();
        let mut connection = Self {
            session: Session::new(Arc::clone(&shared.rules), peer, implicit_tls, now),
            shared,
            info: Arc::new(SessionInfo::new(id, peer.remote, peer.local)),
            control: Control::Plain(Box::new(stream)),
            #[cfg(feature = "tls")]
            tls: None,
            replies: Vec::new(),
            login: None,
            operation: None,
            channel: Channel::None,
            advertised: None,
            prepared: None,
            transfer: None,
            state: State::Open,
            close_by: None,
            permit: Some(permit),
            _seat: seat,
        };
        if implicit_tls {
            connection.upgrade(&shutdown).await.ok()?;
        }
        connection.report_connect().await;
        Some((connection, shutdown))
    }

    /// The loop: obey the session, wait for the next thing to happen, tell the session.
    async fn run(&mut self, shutdown: &Shutdown) -> Parting {
        let mut timer = pin!(sleep_until(self.deadline()));
        let mut phase = Phase::Draining;
        let mut stop = pin!(shutdown.moved());
        let mut awaits_stop = false;
        let mut parting = Parting::Unexpected;
        loop {
            self.obey_all().await;
            if self.replies.is_empty() {
                match self.state {
                    State::Open => {}
                    State::Closing => return parting,
                    State::Upgrading => match self.upgrade(shutdown).await {
                        Ok(()) => continue,
                        Err(Lost) => return Parting::Unexpected,
                    },
                }
            }
            let woken = poll_fn(|context| {
                let woken = self.poll_next(context, timer.as_mut());
                if woken.is_ready() {
                    return woken;
                }
                // To be asked once is enough, as long as the task is the same, and to ask takes a lock of all sessions.
                if !awaits_stop {
                    awaits_stop = stop.as_mut().poll(context).is_pending();
                }
                if shutdown.has_reached(phase) { Poll::Ready(Woken::Stop) } else { Poll::Pending }
            });
            let woken = woken.await;
            parting = match woken {
                Woken::Read(_) => Parting::Expected,
                Woken::Wrote(_) => parting,
                _ => Parting::Unexpected,
            };
            match woken {
                Woken::Read(Ok(0)) => self.tell(Input::Eof),
                Woken::Read(Ok(_)) | Woken::Wrote(Ok(())) => {}
                Woken::Read(Err(_)) | Woken::Wrote(Err(_)) => {
                    self.lose();
                    return Parting::Unexpected;
                }
                Woken::Performed(performed) => self.performed(performed),
                Woken::Channel(event) => self.channel_moved(event),
                Woken::TransferEnded(end) => Box::pin(self.transfer_ended(end)).await,
                // A client that does not take its last reply does not keep us.
                Woken::Timeout if self.state == State::Closing => return Parting::Unexpected,
                // A client that has come for its data counts, even if its time is up.
                Woken::Timeout if self.channel.attend() => {}
                Woken::Timeout => self.session.handle_timeout(Instant::now().into_std()),
                Woken::Stop if phase == Phase::Draining => {
                    self.tell(Input::Stop);
                    phase = Phase::Stopping;
                    stop.set(shutdown.moved());
                    awaits_stop = false;
                }
                Woken::Stop => {
                    self.abort_transfer(Cause::Shutdown);
                    Box::pin(self.drop_prepared(Cause::Shutdown)).await;
                    return Parting::Unexpected;
                }
            }
        }
    }

    /// Waits for whatever moves next. It holds nothing while it waits, which keeps an idle session small.
    fn poll_next(&mut self, context: &mut Context<'_>, timer: Pin<&mut Sleep>) -> Poll<Woken> {
        if let Poll::Ready(end) = transfer::poll_ended(&mut self.transfer, context) {
            return Poll::Ready(Woken::TransferEnded(end));
        }
        if let Poll::Ready(performed) = operation::poll_done(&mut self.operation, context) {
            return Poll::Ready(Woken::Performed(performed));
        }
        if let Poll::Ready(event) = self.channel.poll_moved(context, self.operation.is_some()) {
            return Poll::Ready(Woken::Channel(event));
        }
        if let Poll::Ready(woken) = self.poll_wire(context) {
            return Poll::Ready(woken);
        }
        if self.give_last_word()
            && let Poll::Ready(end) = transfer::poll_ended(&mut self.transfer, context)
        {
            return Poll::Ready(Woken::TransferEnded(end));
        }
        self.poll_timer(context, timer)
    }

    /// Replies go out before anything more is read: a client that does not take them is not listened to.
    fn poll_wire(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        let Self { session, control, replies, transfer, state, .. } = self;
        if !replies.is_empty() {
            let written = ready!(control.poll_write_all(context, replies));
            // What was not begun while there were too many can be now.
            if *state != State::Open || written.is_err() || session.may_begin() {
                return Poll::Ready(Woken::Wrote(written));
            }
        }
        if *state == State::Open && session.wants_input() {
            let progress = transfer.as_ref().map(|running| running.bytes());
            return control.poll_read(context, session, progress).map(Woken::Read);
        }
        Poll::Pending
    }

    /// What the session wants done next. A client that sends commands and takes no replies gets no more of them: the commands
    /// of one packet may be hundreds, and some have long replies.
    fn next_output(&mut self) -> Option<Output> {
        if self.replies.len() < MOST_UNTAKEN { self.session.poll_output() } else { self.session.poll_begun() }
    }

    /// Does all that the session wants done now.
    async fn obey_all(&mut self) {
        while let Some(output) = self.next_output() {
            match output {
                Output::Reply(reply) => {
                    self.report_reply(&reply);
                    reply.encode_into(&mut self.replies);
                }
                Output::Perform(op) => self.perform(op),
                Output::Listen => self.listen(),
                Output::Connect(target) => self.connect(target),
                Output::CloseData => self.channel = Channel::None,
                Output::DropOpened(cause) => Box::pin(self.drop_prepared(cause)).await,
                Output::Transfer(plan) => {
                    self.start_transfer(plan);
                    self.report_begun().await;
                }
                Output::AbortTransfer(cause) => self.abort_transfer(cause),
                Output::StartTls => self.state = State::Upgrading,
                Output::Emit(event) => Box::pin(self.report(event)).await,
                Output::Close => {
                    self.state = State::Closing;
                    self.begin_to_leave();
                    let patience = if self.permit.is_some() { LAST_REPLY } else { Duration::ZERO };
                    self.close_by = Some(Instant::now() + patience);
                }
            }
        }
    }

    /// Puts the control connection under TLS, before the session's next deadline.
    #[cfg(feature = "tls")]
    async fn upgrade(&mut self, shutdown: &Shutdown) -> Result<(), Lost> {
        let tls = self.shared.tls.as_ref().ok_or(Lost)?.session().map_err(|_| Lost)?;
        let until = self.session.poll_timeout().map(Instant::from_std);
        let patience = until.map_or(LONGEST_HANDSHAKE, |until| until - Instant::now());
        let upgraded = tokio::select! {
            biased;
            () = shutdown.reached(Phase::Draining) => return Err(Lost),
            upgraded = Box::pin(self.control.upgrade(&tls, patience)) => upgraded,
        };
        let certificate = upgraded.map_err(|error| {
            self.shared.log.handshake_failed(&self.info, "control", &error);
            Lost
        })?;
        self.tls = Some(tls);
        self.state = State::Open;
        let info = Arc::make_mut(&mut self.info);
        info.secured = true;
        info.certificate.clone_from(&certificate);
        self.tell(Input::Secured(certificate));
        Ok(())
    }

    /// Without TLS nobody gets here: AUTH is no command.
    #[cfg(not(feature = "tls"))]
    async fn upgrade(&mut self, _: &Shutdown) -> Result<(), Lost> {
        Err(Lost)
    }

    /// Waits for the session's next deadline, when there is nothing else to do. One that has moved later is noticed when
    /// the timer fires, so that a busy session does not touch its timer for every command.
    fn poll_timer(&self, context: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Woken> {
        let wanted = self.deadline();
        if timer.is_elapsed() || wanted < timer.deadline() {
            timer.as_mut().reset(wanted);
        }
        timer.poll(context).map(|()| Woken::Timeout)
    }

    /// When the session wants to hear of the time, the client must have taken its last reply, or somebody should look
    /// for its data connection.
    fn deadline(&self) -> Instant {
        let far = || Instant::now() + Duration::from_secs(86_400);
        let due = self.close_by.or_else(|| self.session.poll_timeout().map(Instant::from_std));
        let due = due.unwrap_or_else(far);
        self.channel.unattended_until().map_or(due, |attended| attended.min(due))
    }

    /// Sends what the client takes at once.
    async fn flush_once(&mut self) {
        let Self { control, replies, .. } = self;
        poll_fn(|context| {
            // Whatever is not taken now, or cannot be, is the loop's business.
            let _ = control.poll_write_all(context, replies);
            Poll::Ready(())
        })
        .await;
    }

    fn tell(&mut self, input: Input<'_>) {
        self.session.handle(input, Instant::now().into_std());
    }

    /// The control connection is broken: nothing more can be said.
    fn lose(&mut self) {
        self.tell(Input::Eof);
        self.replies = Vec::new();
        self.abort_transfer(Cause::ControlLost);
    }

    /// Ends what is still under way, takes leave of the client and tells callbacks.
    async fn end(mut self, parting: Parting, shutdown: &Shutdown) {
        self.operation = None;
        self.channel = Channel::None;
        self.begin_to_leave();
        if self.transfer.is_some() {
            self.abort_transfer(Cause::ControlLost);
            let end = poll_fn(|context| transfer::poll_ended(&mut self.transfer, context)).await;
            self.transfer_ended(end).await;
        }
        self.drop_prepared(Cause::ControlLost).await;
        self.report_disconnect().await;
        if self.permit.is_some() {
            take_leave(self.control.close(parting), shutdown).await;
        }
    }

    /// Makes room for another client. This one is left at once if too many others have stayed to hear the last reply.
    fn begin_to_leave(&mut self) {
        self.permit = self.permit.take().and_then(Permit::leave);
    }

    fn perform(&mut self, op: Op) {
        // Most operations that come between PASV and a transfer open the file.
        self.channel.attend();
        self.operation = Some(self.operation_for(op));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that `make` makes, which need not exist for that.
    fn size<A, B, C, D, F: Future>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// A hundred thousand idle sessions are a design case, and each of them is such a future.
    #[test]
    fn a_session_is_small() {
        let bytes = size(serve);
        assert!(bytes <= 1408, "a session takes {bytes} bytes");
    }
}
