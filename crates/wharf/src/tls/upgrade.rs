//! From a plain connection to one under TLS.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use rustls::server::UnbufferedServerConnection;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::Policy;
use super::handshake::{Shaken, shake_hands};
use super::reuse::Binding;
use super::stream::TlsStream;
use super::traffic::{Traffic, Use};

/// How long a handshake may take, where no timeout of the session's says so.
pub(crate) const LONGEST_HANDSHAKE: Duration = Duration::from_secs(300);

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
        mut stream: S,
        deadline: Duration,
    ) -> io::Result<SecuredControl<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.binding.control_config(&self.shared.config);
        let handshake = shake_hands(&mut stream, config, Some(&self.shared.turns), |_| ());
        let shaken = timeout(deadline, handshake).await??;
        let certificate = subject(&shaken.connection);
        Ok(SecuredControl { stream: secured(stream, shaken, Use::Control)?, certificate })
    }

    /// The handshake of a data connection, which has to be done within `deadline`. It does not queue with strangers:
    /// there is at most one per session that is logged in.
    ///
    /// # Errors
    /// As [`accept_control`](Self::accept_control).
    pub(crate) async fn accept_data<S>(&self, mut stream: S, deadline: Duration) -> io::Result<SecuredData<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (config, binding) = self.binding.data_config(&self.shared.config);
        let handshake = shake_hands(&mut stream, config, None, |connection| binding.judge(connection));
        let shaken = timeout(deadline, handshake).await??;
        let resumed = shaken.connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let tls12 = shaken.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        let version = if tls12 { "TLS 1.2" } else { "TLS 1.3" };
        Ok(SecuredData { stream: secured(stream, shaken, Use::Data)?, resumed, version })
    }
}

/// The connection that a handshake led to.
fn secured<S>(stream: S, shaken: Shaken, purpose: Use) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Shaken { connection, early, last_flight } = shaken;
    let traffic = Traffic::new(connection, purpose, &early, last_flight).map_err(io::Error::other)?;
    Ok(TlsStream::new(stream, traffic))
}

/// The subject of the client's certificate. rustls has verified it, or refused the handshake.
fn subject(connection: &UnbufferedServerConnection) -> Option<Arc<str>> {
    let certificate = Certificate::from_der(connection.peer_certificates()?.first()?).ok()?;
    Some(certificate.tbs_certificate().subject().to_string().into())
}
