//! What clients are asked to do, and where.

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
    process::Command,
};

/// Something every FTP client might do. Remote names are relative to the login directory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Job<'a> {
    /// Print the names in a directory.
    List(&'a OsStr),
    /// Fetch one file.
    Download(Copy<'a>),
    /// Store one file.
    Upload(Copy<'a>),
    /// Fetch what the local file lacks.
    ResumeDownload(Copy<'a>),
    /// Store what the remote file lacks.
    ResumeUpload(Copy<'a>),
    /// Give a remote file another name.
    Rename(&'a OsStr, &'a OsStr),
    /// Remove a remote file.
    Delete(&'a OsStr),
    /// Make a remote directory.
    MakeDirectory(&'a OsStr),
    /// Make a local directory equal to a remote one.
    MirrorDown(Copy<'a>),
    /// Make a remote directory equal to a local one.
    MirrorUp(Copy<'a>),
    /// Fetch `file-0` to `file-49` of a directory, one after the other in one session.
    DownloadFifty(Copy<'a>),
    /// Store as many, likewise.
    UploadFifty(Copy<'a>),
}

/// The names of the fifty files.
pub(crate) fn fifty() -> Vec<String> {
    (0..50).map(|number| format!("file-{number}")).collect()
}

/// The two ends of a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy<'a> {
    /// A name on the server.
    pub(crate) remote: &'a OsStr,
    /// A path on this machine.
    pub(crate) local: &'a Path,
}

/// Who opens the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The client.
    Passive,
    /// The server.
    Active,
}

/// How a session is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) begin: Begin,
    pub(crate) version: Version,
    /// PROT P rather than C.
    pub(crate) private_data: bool,
    /// The server requires data connections to resume the session of their control connection.
    pub(crate) bound: bool,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With AUTH.
    Explicit,
    /// With the first byte.
    Implicit,
}

/// The one version of TLS that the client may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

/// A server and the way to talk to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) mode: Mode,
    /// `None` is FTP in clear.
    pub(crate) tls: Option<Tls>,
}

impl Site {
    /// A URL of something on the server, every unusual byte escaped.
    pub(crate) fn url(&self, remote: &OsStr) -> String {
        let escaped: String = remote.as_bytes().iter().map(|byte| escape(*byte)).collect();
        let scheme = if self.is_implicit() { "ftps" } else { "ftp" };
        format!("{scheme}://{}/{escaped}", self.address)
    }

    /// Whether TLS begins with the first byte.
    pub(crate) fn is_implicit(&self) -> bool {
        self.tls.is_some_and(|tls| tls.begin == Begin::Implicit)
    }

    /// The host alone; the port is told separately.
    pub(crate) fn host(&self) -> String {
        self.address.ip().to_string()
    }

    /// The port as text.
    pub(crate) fn port(&self) -> String {
        self.address.port().to_string()
    }
}

/// A client program.
pub(crate) trait Tool: Sync {
    /// What people call it.
    fn name(&self) -> &'static str;

    /// The program that must be installed.
    fn program(&self) -> &'static str {
        self.name()
    }

    /// What stands in the way of running it, if anything does.
    fn is_missing(&self) -> Option<String> {
        let found = Command::new("sh").args(["-c", &format!("command -v {}", self.program())]).output();
        let found = found.is_ok_and(|output| output.status.success());
        (!found).then(|| format!("{} is not installed", self.program()))
    }

    /// The command for a job and what is typed into it; `None` if this client has no way to do it.
    fn invocation(&self, job: Job<'_>, site: &Site) -> Option<Invocation>;
}

/// A program to start and what it reads from its standard input.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) command: Command,
    pub(crate) input: Vec<u8>,
}

impl From<Command> for Invocation {
    fn from(command: Command) -> Self {
        Self { command, input: Vec::new() }
    }
}

/// Text and names put together; names need not be UTF-8.
pub(crate) fn join(parts: &[&OsStr]) -> OsString {
    OsString::from_vec(parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>().concat())
}

fn escape(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}
