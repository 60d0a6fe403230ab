//! What callbacks and logs are told.

use std::borrow::Cow;

use crate::{Reply, VPath};

/// Something worth telling about a session. Transfers are told by who moves the bytes.
#[derive(Debug)]
pub enum Event {
    /// A user logged in.
    LoggedIn,
    /// A login was refused. The password is not in it.
    LoginFailed {
        /// The argument of USER.
        user: Box<[u8]>,
    },
    /// A user who had logged in left by QUIT, REIN, USER or AUTH.
    LoggedOut,
    /// The client was told where a passive listener waits, and did not come in time.
    ClientNeverCame,
    /// The client said which software it is (CLNT).
    ClientNamed(Box<[u8]>),
    /// The client speaks another protocol, and the connection is closed without a word.
    WrongProtocol(WrongProtocol),
    /// A command was answered.
    Command {
        /// The verb, as the command table spells it; for an unknown one what the client wrote, escaped.
        verb: Cow<'static, str>,
        /// The path it was about, where it was about one.
        path: Option<VPath>,
        /// Its reply; of a transfer that begins, the 125 or 150.
        reply: Reply,
        /// Whether it is logged wherever anything is: it may have changed the disk, the directory or the login.
        notable: bool,
    },
}

/// What a client that does not speak FTP speaks instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongProtocol {
    /// TLS, where it begins with AUTH.
    Tls,
    /// HTTP: a mistake, or a web page that uses its visitor's browser to reach us.
    Http,
}
