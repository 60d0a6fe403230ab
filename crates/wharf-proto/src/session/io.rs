//! What goes into a [`Session`](super::Session) and what comes out of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::listing::Format;
use crate::{Event, FsErrorKind, Metadata, Permissions, Reply, Secret, Timestamp, TransferType, VPath};

/// Something that happened to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes arrived on the control connection.
    Bytes(&'a [u8]),
    /// The client closed its side of the control connection.
    Eof,
    /// The operation of the last [`Output::Perform`] ended.
    Done(Done),
    /// The control connection is under TLS now; the verified subject of the client's certificate, if it sent one.
    Secured(Option<Arc<str>>),
    /// The passive listener is open.
    Listening {
        /// The port to advertise.
        port: u16,
        /// The address to advertise in a 227, where it is not the one that the client reached.
        address: Option<Ipv4Addr>,
    },
    /// The client reached the passive listener, or was reached by an active connection.
    DataOpened,
    /// The client closed its side of a data connection that no command has used yet.
    DataHalfClosed,
    /// No data connection could be made.
    DataFailed(DataFailure),
    /// How many bytes the running transfer has moved so far.
    Progress(u64),
    /// The running transfer ended.
    TransferEnded(TransferEnd),
    /// The server stops: no new work, a running transfer may end.
    Stop,
}

/// Something that a session wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this reply.
    Reply(Reply),
    /// Perform this operation and hand in [`Input::Done`]. No other will be asked for until then.
    Perform(Op),
    /// Open a passive listener on the address that the client reached; answer with [`Input::Listening`] or
    /// [`Input::DataFailed`], then with [`Input::DataOpened`] when the client has come.
    Listen,
    /// Connect to the client; answer with [`Input::DataOpened`] or [`Input::DataFailed`].
    Connect(SocketAddr),
    /// Close the listener, the connector and the data connection, whichever there are.
    CloseData,
    /// Close what the last opening operation opened: its transfer will not take place, for this reason.
    DropOpened(Cause),
    /// Move bytes between what was opened and the data connection; answer with [`Input::TransferEnded`].
    Transfer(TransferPlan),
    /// End the running transfer for this reason; [`Input::TransferEnded`] follows.
    AbortTransfer(Cause),
    /// Begin TLS once all replies so far have been sent; answer with [`Input::Secured`].
    StartTls,
    /// Tell callbacks and logs.
    Emit(Event),
    /// Close the control connection once all replies so far have been sent.
    Close,
}

/// An operation that may wait for a disk, a password hash or an embedder.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are what the operation's name says
pub enum Op {
    /// Check a USER/PASS pair. Answer: [`Done::Login`].
    Authenticate(LoginInfo),
    /// Look at a path; links at its end are followed or not. Answer: [`Done::Found`].
    Metadata {
        path: VPath,
        follow: bool,
    },
    /// Check that a path is a directory that may be entered. Answer: [`Done::Nothing`].
    ChangeDir(VPath),
    /// Answer: [`Done::Nothing`], as for all below up to `SetMode`.
    MakeDir(VPath),
    RemoveDir(VPath),
    RemoveFile(VPath),
    Rename {
        from: VPath,
        to: VPath,
    },
    SetModified {
        path: VPath,
        time: Timestamp,
    },
    SetMode {
        path: VPath,
        mode: u32,
    },
    /// Open a file for RETR at an offset. Answer: [`Done::Opened`], as for all below up to `OpenList`.
    OpenRead {
        path: VPath,
        offset: u64,
    },
    OpenWrite {
        path: VPath,
        mode: WriteMode,
    },
    /// Create a file whose name starts with `prefix` and is new.
    OpenUnique {
        directory: VPath,
        prefix: Box<[u8]>,
    },
    /// Open a directory, or a single file where the listing may be of one.
    OpenList {
        path: VPath,
        format: Format,
        subject: ListSubject,
    },
    /// Read a listing for the control connection, at most `limit` bytes of it. Answer: [`Done::Lines`].
    ReadList {
        path: VPath,
        format: Format,
        limit: usize,
    },
    /// Run the command that an embedder added at this index. Answer: [`Done::Reply`].
    Custom {
        index: usize,
        argument: Option<Box<[u8]>>,
        path: Option<VPath>,
    },
}

/// What a listing may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListSubject {
    /// A directory, or any one thing (LIST, NLST).
    Any,
    /// A directory only (MLSD).
    Directory,
}

/// How a file is opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Created, or emptied first (STOR).
    Replace,
    /// Created, or written behind its end (APPE).
    Append,
    /// Must exist; written from this offset on, leaving the rest (REST, STOR). The offset may not lie behind the end.
    At(u64),
}

/// The outcome of an [`Op`].
#[derive(Debug)]
pub enum Done {
    /// Of [`Op::Authenticate`].
    Login(Result<Account, Denied>),
    /// Of an operation that yields nothing but success.
    Nothing(Result<(), FsErrorKind>),
    /// Of [`Op::Metadata`].
    Found(Result<Metadata, FsErrorKind>),
    /// Of an operation that opens; the path that was opened, which [`Op::OpenUnique`] chooses.
    Opened(Result<VPath, FsErrorKind>),
    /// Of [`Op::ReadList`].
    Lines(Result<Listing, FsErrorKind>),
    /// Of [`Op::Custom`].
    Reply(Reply),
}

/// A listing for the control connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Complete lines, each ending with CRLF.
    pub lines: Vec<u8>,
    /// There were more.
    pub truncated: bool,
}

/// Who wants to log in, from where and how.
#[derive(Clone, Debug)]
pub struct LoginInfo {
    /// The argument of USER. Names are bytes.
    pub user: Box<[u8]>,
    /// The argument of PASS.
    pub password: Secret,
    /// Whether the control connection is under TLS.
    pub secured: bool,
    /// The subject of the client certificate that the TLS layer verified, if any.
    pub certificate: Option<Arc<str>>,
}

/// What the session needs to know about a user who has logged in.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name, for logs and STAT.
    pub name: Arc<str>,
    /// Rights per directory.
    pub permissions: Arc<Permissions>,
    /// The working directory after login.
    pub start: VPath,
    /// The text of the 230.
    pub login_message: Arc<str>,
    /// The text of the 221.
    pub quit_message: Arc<str>,
}

/// Why a login was refused, as far as the client may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Wrong name or password; which of them is not told.
    Credentials,
    /// Anonymous users are not welcome.
    Anonymous,
    /// The check itself could not be made.
    Unavailable,
    /// The user has as many sessions as allowed.
    TooManySessions,
}

/// The client's end of the control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where the client is; never an IPv4-mapped IPv6 address.
    pub remote: SocketAddr,
    /// The address of ours that it reached; never an IPv4-mapped IPv6 address.
    pub local: SocketAddr,
}

/// What a transfer moves, which way and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferPlan {
    /// Which way.
    pub direction: Direction,
    /// Whether line ends are converted.
    pub transfer_type: TransferType,
    /// Whether the data connection is under TLS (PROT P).
    pub protected: bool,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A file to the client (RETR).
    Send,
    /// A file from the client (STOR, STOU, APPE).
    Receive,
    /// A listing to the client (LIST, NLST, MLSD).
    List,
}

/// How an upload or download ended, as far as can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All bytes are there, and the peer said so as well as its protocol allows.
    Complete,
    /// It was cut: by a reset, an ABOR, a timeout or an error.
    Aborted,
    /// It ended without an error, but nothing proves that all of it came: of an upload, the control connection was gone, or
    /// TLS closed without `close_notify`; of a download under TLS, the client's system took all and then reset the connection,
    /// as it does when `close_notify` is not read.
    Unproven,
}

/// Why a transfer ended, where it was not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client sent ABOR.
    Abort,
    /// The client reset or closed the data connection too early, or gave the transfer up before there was one.
    Peer,
    /// No byte moved for as long as the data timeout, or no data connection came.
    Timeout,
    /// The file system failed.
    File(FsErrorKind),
    /// The TLS handshake of the data connection failed.
    TlsHandshake,
    /// The TLS session of the data connection is not that of the control connection, and it must be.
    TlsNotResumed,
    /// TLS ended without `close_notify`.
    NoCloseNotify,
    /// The control connection was lost meanwhile.
    ControlLost,
    /// The server is stopping.
    Shutdown,
}

/// The end of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferEnd {
    /// How it ended.
    pub ending: Ending,
    /// Why, unless it was complete.
    pub cause: Option<Cause>,
    /// Bytes that moved over the data connection (plaintext bytes under TLS).
    pub bytes: u64,
}

impl TransferEnd {
    /// Whether it is answered 226. What nothing proves is believed, unless the control connection is gone: then
    /// nobody hears the 226, and a client that was killed looks like that.
    pub fn is_told_complete(&self) -> bool {
        match self.ending {
            Ending::Complete => true,
            Ending::Unproven => self.cause != Some(Cause::ControlLost),
            Ending::Aborted => false,
        }
    }
}

/// Why there is no data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFailure {
    /// Every port of the passive range is in use.
    PortsExhausted,
    /// The listener could not be opened.
    Listen,
    /// The client's address refused an active connection or was not reached.
    Connect,
    /// An active connection could not leave from the port that it has to leave from.
    SourcePort,
}
