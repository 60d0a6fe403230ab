//! From a plain connection to one under TLS.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::Policy;
use super::reuse::{Binding, NewTicket};

/// How long a handshake may take, where no timeout of the session's says so.
pub(crate) const LONGEST_HANDSHAKE: Duration = Duration::from_secs(300);

/// How many encrypted bytes may wait for a data connection: what a transfer reads at once leaves in one call, record headers
/// and tags included.
const DATA_BUFFER: usize = 272 * 1024;

/// TLS as a running server has it; shared by all sessions.
#[derive(Clone, Debug)]
pub(crate) struct Acceptor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Arc<ServerConfig>,
    policy: Policy,
    /// The right to compute the server's half of a control connection's handshake, which is milliseconds of work: one
    /// per core, so that a crowd of strangers queues here and not in front of those who are logged in.
    turns: Semaphore,
}

/// TLS of one control session: what binds its data connections to it.
#[derive(Clone, Debug)]
pub(crate) struct TlsSession {
    shared: Arc<Shared>,
    binding: Arc<Binding>,
    seen: Arc<Seen>,
}

/// What kinds of data connections there have been.
#[derive(Debug, Default)]
struct Seen {
    resumed: AtomicBool,
    fresh: AtomicBool,
}

/// A control connection under TLS.
#[derive(Debug)]
pub(crate) struct SecuredControl<S> {
    /// The connection.
    pub(crate) stream: TlsStream<S>,
    /// The subject of the client's certificate, which was verified, if it sent one (RFC 4514 form).
    pub(crate) certificate: Option<Arc<str>>,
}

/// A data connection under TLS.
#[derive(Debug)]
pub(crate) struct SecuredData<S> {
    /// The connection.
    pub(crate) stream: TlsStream<S>,
    /// Whether it resumed the session of its control connection, which nobody but that client can do.
    pub(crate) resumed: bool,
    /// The version of TLS, for people.
    pub(crate) version: &'static str,
}

impl Acceptor {
    pub(super) fn new(config: ServerConfig, policy: Policy) -> Self {
        let turns = Semaphore::new(available_parallelism().map_or(1, usize::from));
        Self(Arc::new(Shared { config: Arc::new(config), policy, turns }))
    }

    /// What is required of clients.
    pub(crate) fn policy(&self) -> Policy {
        self.0.policy
    }

    /// Begins the TLS part of a control session.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn session(&self) -> io::Result<TlsSession> {
        Ok(TlsSession { shared: Arc::clone(&self.0), binding: Binding::new()?, seen: Arc::default() })
    }
}

impl TlsSession {
    /// What is required of clients.
    pub(crate) fn policy(&self) -> Policy {
        self.shared.policy
    }

    /// Whether a data connection is the first one of its kind: those that resumed, and those that did not.
    pub(crate) fn is_first(&self, resumed: bool) -> bool {
        let seen = if resumed { &self.seen.resumed } else { &self.seen.fresh };
        !seen.swap(true, Ordering::Relaxed)
    }

    /// The handshake of the control connection, which has to be done within `deadline`.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`], what rustls says of the client, or a broken connection. The alert has been sent.
    pub(crate) async fn accept_control<S>(
        &self,
        stream: S,
        deadline: Duration,
    ) -> io::Result<SecuredControl<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.binding.control_config(&self.shared.config);
        let handshake = handshake(stream, config, Some(&self.shared.turns), |_| ());
        let stream = timeout(deadline, handshake).await??;
        let certificate = subject(stream.get_ref().1);
        Ok(SecuredControl { stream, certificate })
    }

    /// The handshake of a data connection, which has to be done within `deadline`. It does not queue with strangers:
    /// there is at most one per session that is logged in.
    ///
    /// # Errors
    /// As [`accept_control`](Self::accept_control).
    pub(crate) async fn accept_data<S>(
        &self,
        stream: S,
        new_ticket: NewTicket,
        deadline: Duration,
    ) -> io::Result<SecuredData<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (config, binding) = self.binding.data_config(&self.shared.config, new_ticket);
        let handshake = handshake(stream, config, None, |connection| binding.judge(connection));
        let mut stream = timeout(deadline, handshake).await??;
        let connection = stream.get_mut().1;
        connection.set_buffer_limit(Some(DATA_BUFFER));
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let tls12 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        let version = if tls12 { "TLS 1.2" } else { "TLS 1.3" };
        Ok(SecuredData { stream, resumed, version })
    }
}

/// Waits for the client's first message, then for a turn to work out the answer, then for the client to finish. `judge`
/// sees the connection after the first message.
async fn handshake<S>(
    stream: S,
    config: Arc<ServerConfig>,
    turns: Option<&Semaphore>,
    judge: impl FnOnce(&mut ServerConnection),
) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let answered = {
        let _turn = match turns {
            Some(turns) => Some(turns.acquire().await.map_err(io::Error::other)?),
            None => None,
        };
        hello.into_stream_with(config, |connection| judge(connection))
    };
    answered.await
}

/// The subject of the client's certificate. rustls has verified it, or refused the handshake.
fn subject(connection: &ServerConnection) -> Option<Arc<str>> {
    let certificate = Certificate::from_der(connection.peer_certificates()?.first()?).ok()?;
    Some(certificate.tbs_certificate().subject().to_string().into())
}
