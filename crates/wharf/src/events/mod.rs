//! What an embedder is told: logins, transfers, connections.
//!
//! An [`EventHandler`] has a callback for each. Besides, every server writes its log by [`TracingLog`], and transfers
//! to an [`XferLog`] if it has one.
//!
//! ```
//! use wharf::Server;
//! use wharf::auth::VirtualUsers;
//! use wharf::events::{EventHandler, SessionInfo, Transfer};
//!
//! struct Announce;
//!
//! impl EventHandler for Announce {
//!     async fn on_file_received(&self, session: &SessionInfo, file: &Transfer) {
//!         println!("{} sent {} ({} bytes)", session.peer, file.path, file.bytes);
//!     }
//! }
//!
//! let server = Server::builder(VirtualUsers::new()).events(Announce);
//! # drop(server);
//! ```

mod erased;
mod log;
mod running;
mod xferlog;

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

pub(crate) use self::erased::DynEventHandler;
pub(crate) use self::log::Name;
#[cfg(feature = "tls")]
pub(crate) use self::log::ReuseRecord;
pub use self::log::TracingLog;
pub use self::running::RunningTransfer;
pub use self::xferlog::XferLog;
pub use wharf_proto::{Cause, Code, Direction, Ending, TransferType, VPath};

/// Callbacks. All default to nothing; implement those you want.
///
/// A callback runs within its session: that session waits for it, no other does.
#[doc(alias = "FTPHandler")]
pub trait EventHandler: Send + Sync + 'static {
    /// A client connected and is within the limits; the banner follows.
    fn on_connect(&self, session: &SessionInfo) -> impl Future<Output = ()> + Send {
        let _ = session;
        nothing()
    }

    /// The control connection is closed; nothing more comes from this session. Not told is the end of a session in which
    /// a callback panicked, or whose server was dropped.
    fn on_disconnect(&self, session: &SessionInfo) -> impl Future<Output = ()> + Send {
        let _ = session;
        nothing()
    }

    /// A user logged in: `session.user` says who.
    fn on_login(&self, session: &SessionInfo) -> impl Future<Output = ()> + Send {
        let _ = session;
        nothing()
    }

    /// A login as `user` was refused.
    fn on_login_failed(&self, session: &SessionInfo, user: &str) -> impl Future<Output = ()> + Send {
        let _ = (session, user);
        nothing()
    }

    /// A user left by QUIT, REIN, AUTH or a new USER; `session.user` still says who. A lost connection is told by
    /// [`on_disconnect`](Self::on_disconnect) alone.
    fn on_logout(&self, session: &SessionInfo) -> impl Future<Output = ()> + Send {
        let _ = session;
        nothing()
    }

    /// A command was answered. Passwords are not in it.
    #[doc(alias = "log_cmd")]
    fn on_command(&self, session: &SessionInfo, command: &CommandRecord) -> impl Future<Output = ()> + Send {
        let _ = (session, command);
        nothing()
    }

    /// A download or an upload begins: its data connection is there. A clone of `file` may be kept, and asked how far
    /// it is. One of the four callbacks below tells of its end.
    fn on_transfer_begun(
        &self,
        session: &SessionInfo,
        file: &RunningTransfer,
    ) -> impl Future<Output = ()> + Send {
        let _ = (session, file);
        nothing()
    }

    /// A download ended with 226.
    fn on_file_sent(&self, session: &SessionInfo, file: &Transfer) -> impl Future<Output = ()> + Send {
        let _ = (session, file);
        nothing()
    }

    /// An upload ended with 226; the file is closed under its final name.
    fn on_file_received(&self, session: &SessionInfo, file: &Transfer) -> impl Future<Output = ()> + Send {
        let _ = (session, file);
        nothing()
    }

    /// A download ended otherwise; `file.cause` says why.
    fn on_incomplete_file_sent(
        &self,
        session: &SessionInfo,
        file: &Transfer,
    ) -> impl Future<Output = ()> + Send {
        let _ = (session, file);
        nothing()
    }

    /// An upload ended otherwise; `file.cause` says why, `file.local_path` where its part lies. That of an upload which never
    /// began, for want of a data connection, is told if it has made a file all the same.
    fn on_incomplete_file_received(
        &self,
        session: &SessionInfo,
        file: &Transfer,
    ) -> impl Future<Output = ()> + Send {
        let _ = (session, file);
        nothing()
    }
}

/// What a callback does by default. It has no size, unlike `async {}`, so that boxing it allocates nothing.
fn nothing() -> impl Future<Output = ()> + Send {
    poll_fn(|_| Poll::Ready(()))
}

/// No callbacks.
impl EventHandler for () {}

/// Who a session belongs to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionInfo {
    /// A number that no other session of this server has.
    pub id: u64,
    /// Where the client is.
    #[doc(alias = "remote_ip")]
    #[doc(alias = "remote_port")]
    pub peer: SocketAddr,
    /// The address of ours that it reached.
    pub local: SocketAddr,
    /// The user, once logged in.
    #[doc(alias = "username")]
    pub user: Option<Arc<str>>,
    /// Whether the control connection is under TLS.
    pub secured: bool,
    /// The subject of the client certificate that TLS verified, if there was one.
    pub certificate: Option<Arc<str>>,
    /// The client software as it calls itself (CLNT), if it does; escaped, and cut after 64 bytes.
    pub client: Option<Arc<str>>,
}

impl SessionInfo {
    /// A session in clear from `peer` to our address `local` in which nobody has logged in yet. The server makes its own;
    /// this is to try an [`EventHandler`] out.
    pub fn new(id: u64, peer: SocketAddr, local: SocketAddr) -> Self {
        Self { id, peer, local, user: None, secured: false, certificate: None, client: None }
    }
}

/// A file that was sent or received, wholly or in part.
#[doc(alias = "DTPHandler")]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Transfer {
    /// The command: RETR, STOR, APPE or STOU.
    pub verb: &'static str,
    /// The path as the client sees it.
    pub path: VPath,
    /// Where it lies on this machine, if the file system says.
    pub local_path: Option<std::path::PathBuf>,
    /// Which way.
    pub direction: Direction,
    /// Whether line ends were converted.
    pub transfer_type: TransferType,
    /// How it ended.
    pub ending: Ending,
    /// Why, unless it is complete.
    pub cause: Option<Cause>,
    /// Whether the client was told 226.
    pub completed: bool,
    /// Bytes that moved over the data connection; of an upload whose file failed, those that the file took.
    #[doc(alias = "get_transmitted_bytes")]
    pub bytes: u64,
    /// From the 125 or 150 to the end. It includes what comes after that reply: waiting for the data connection where
    /// that was not there yet, and its TLS handshake.
    #[doc(alias = "get_elapsed_time")]
    pub elapsed: Duration,
    /// Whether the data connection was under TLS.
    pub protected: bool,
}

impl Transfer {
    /// A whole but empty file that was transferred in clear and as it is, in no time. The server makes its own; this is
    /// to try an [`EventHandler`] out.
    pub fn new(verb: &'static str, direction: Direction, path: VPath) -> Self {
        Self {
            verb,
            path,
            local_path: None,
            direction,
            transfer_type: TransferType::Binary,
            ending: Ending::Complete,
            cause: None,
            completed: true,
            bytes: 0,
            elapsed: Duration::ZERO,
            protected: false,
        }
    }
}

/// A command and its answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommandRecord {
    /// The verb as the command table spells it, or what the client wrote, escaped.
    pub verb: Box<str>,
    /// The path it was about.
    pub path: Option<VPath>,
    /// The code of its reply; of a transfer that begins, 125 or 150: its end is told by itself.
    pub code: Code,
    /// The text of that reply, escaped.
    pub text: Box<str>,
    /// Whether it may have changed the disk, the directory or the login; the log tells of others at debug level only.
    pub notable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session of ann's.
    pub(super) fn session() -> SessionInfo {
        let (peer, local) = (([192, 0, 2, 1], 50312), ([192, 0, 2, 2], 21));
        SessionInfo { user: Some("ann".into()), ..SessionInfo::new(7, peer.into(), local.into()) }
    }

    /// A download that ended well.
    pub(super) fn transfer() -> Transfer {
        Transfer {
            local_path: Some("/srv/ann/a b.txt".into()),
            bytes: 12,
            elapsed: Duration::from_millis(3),
            ..Transfer::new("RETR", Direction::Send, VPath::parse(b"/a b.txt").unwrap())
        }
    }

    #[test]
    fn callbacks_that_do_nothing_are_boxed_without_a_box() {
        assert_eq!(size_of_val(&EventHandler::on_connect(&(), &session())), 0);
        assert_eq!(size_of_val(&EventHandler::on_file_sent(&(), &session(), &transfer())), 0);
    }

    #[tokio::test]
    async fn callbacks_are_told_through_the_twin() {
        struct Announce(std::sync::Mutex<Vec<String>>);

        impl EventHandler for Announce {
            async fn on_file_sent(&self, session: &SessionInfo, file: &Transfer) {
                self.0.lock().unwrap().push(format!("{} {}", session.id, file.path));
            }
        }

        let announce = Arc::new(Announce(Vec::new().into()));
        let handler: &dyn DynEventHandler = &*announce;
        handler.on_connect(&session()).await;
        handler.on_file_sent(&session(), &transfer()).await;
        assert_eq!(*announce.0.lock().unwrap(), ["7 /a b.txt"]);
    }
}
