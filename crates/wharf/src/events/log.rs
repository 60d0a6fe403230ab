//! The log that every server writes: one tracing event per session, command and transfer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use tracing::Level;
use tracing::field::{debug, display};
use wharf_proto::{DataFailure, Escaped, Peer, Reply, WrongProtocol};

use crate::auth::{AuthError, User};
use crate::data::Stranger;
use crate::fs::{FsError, FsErrorKind};
use crate::net::LimitHit;

use super::{CommandRecord, SessionInfo, Transfer};

/// Writes what sessions do as [`tracing`] events, with targets `wharf::session`, `wharf::command` and
/// `wharf::transfer`. With its fields a record has pyftpdlib's shape: those are what is counted of a transfer, and the
/// session's number, peer and user.
///
/// ```text
/// INFO wharf::command:  MKD /incoming/new 257 session=7 peer=192.0.2.1:50312 user=ann
/// INFO wharf::command:  RMD /incoming 550 "Directory not empty." session=7 peer=192.0.2.1:50312 user=ann
/// INFO wharf::transfer: STOR /srv/ann/a.bin completed=0 bytes=4096 seconds=0.213 cause=Abort session=7 …
/// ```
///
/// Bytes of clients and disks are escaped, so that one record stays one line. Passwords never get here.
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "log_cmd")]
#[doc(alias = "log_transfer")]
#[doc(alias = "logerror")]
#[doc(alias = "logline")]
pub struct TracingLog;

/// What a data connection's handshake tells of the client.
#[cfg(feature = "tls")]
pub(crate) struct ReuseRecord {
    /// Whether it resumed the TLS session of the control connection.
    pub(crate) resumed: bool,
    /// Whether it is refused for that.
    pub(crate) refused: bool,
    /// Whether it is the session's first of that kind.
    pub(crate) first: bool,
    /// The version of TLS.
    pub(crate) version: &'static str,
}

/// A tracing event about a session, at a level that is known at run time only.
macro_rules! record {
    ($level:expr, $target:literal, $session:expr $(; { $($field:ident = $value:expr),+ })?, $($message:tt)+) => {{
        let session: &SessionInfo = $session;
        let user = session.user.as_deref().map(|user| display(Escaped(user.as_bytes())));
        macro_rules! at {
            ($at:expr) => {
                tracing::event!(target: $target, $at, $($($field = $value,)+)? session = session.id,
                    peer = %session.peer, user, $($message)+)
            };
        }
        match $level {
            Level::WARN => at!(Level::WARN),
            Level::INFO => at!(Level::INFO),
            _ => at!(Level::DEBUG),
        }
    }};
}

impl TracingLog {
    /// A client connected.
    pub fn connected(&self, session: &SessionInfo) {
        record!(Level::INFO, "wharf::session", session, "session opened");
    }

    /// The control connection is closed.
    pub fn disconnected(&self, session: &SessionInfo) {
        record!(Level::INFO, "wharf::session", session, "session closed");
    }

    /// A user logged in: `session.user`.
    pub fn logged_in(&self, session: &SessionInfo) {
        let name = Escaped(session.user.as_deref().unwrap_or_default().as_bytes());
        let subject = session.certificate.as_deref().map(|subject| display(Escaped(subject.as_bytes())));
        match subject {
            None => record!(Level::INFO, "wharf::session", session, "USER '{name}' logged in."),
            Some(subject) => {
                record!(
                    Level::INFO,
                    "wharf::session",
                    session,
                    "USER '{name}' logged in, with certificate {subject}."
                );
            }
        }
    }

    /// A login as `user` was refused.
    pub fn login_failed(&self, session: &SessionInfo, user: &str) {
        record!(Level::INFO, "wharf::session", session, "USER '{}' failed login.", Name(user.as_bytes()));
    }

    /// A user who had logged in left by QUIT, REIN, USER or AUTH.
    pub fn logged_out(&self, session: &SessionInfo) {
        let name = Escaped(session.user.as_deref().unwrap_or_default().as_bytes());
        record!(Level::INFO, "wharf::session", session, "USER '{name}' logged out.");
    }

    /// A limit or rule of the server stopped a client; `why` names it.
    pub fn refused(&self, session: &SessionInfo, why: &str) {
        record!(Level::WARN, "wharf::session", session, "{}", Escaped(why.as_bytes()));
    }

    /// The client was told, by no command of its own, that its session or data connection is closed.
    pub(crate) fn closing(&self, session: &SessionInfo, reply: &Reply) {
        record!(Level::INFO, "wharf::session", session, "{} {}", reply.code().number(), reply.text());
    }

    /// A command was answered.
    pub fn command(&self, session: &SessionInfo, command: &CommandRecord) {
        let level = match command.code.number() {
            421 => Level::WARN,
            _ if command.notable => Level::INFO,
            _ => Level::DEBUG,
        };
        record!(level, "wharf::command", session, "{}", CommandLine(command));
    }

    /// Whether commands that change nothing are logged too, which costs something for each of them.
    pub(crate) fn wants_all_commands() -> bool {
        tracing::enabled!(target: "wharf::command", Level::DEBUG)
    }

    /// A login could not be checked, or was refused for a reason that the client is not told.
    pub(crate) fn login_error(&self, session: &SessionInfo, error: &AuthError) {
        let level = match error {
            AuthError::Unavailable(_) => Level::WARN,
            AuthError::NotAllowed(_) => Level::INFO,
            AuthError::Refused | AuthError::NoAnonymous => Level::DEBUG,
        };
        record!(level, "wharf::session", session, "login refused: {}", Escaped(error.to_string().as_bytes()));
    }

    /// A user was accepted whose files cannot be served.
    pub(crate) fn home_error(&self, session: &SessionInfo, user: &User, error: &FsError) {
        let (name, home) = (Escaped(user.name.as_bytes()), user.home.display().to_string());
        let (home, error) = (Escaped(home.as_bytes()), error.to_string());
        let error = Escaped(error.as_bytes());
        record!(Level::WARN, "wharf::session", session, "login of {name} refused: the home {home}: {error}");
    }

    /// A file system refused or failed. What it says of wrong names is the client's business alone.
    pub(crate) fn file_error(&self, session: &SessionInfo, error: &FsError) {
        let level = match error.kind() {
            FsErrorKind::Failed | FsErrorKind::NoSpace | FsErrorKind::QuotaExceeded => Level::WARN,
            _ => Level::DEBUG,
        };
        record!(level, "wharf::session", session, "file system: {}", Escaped(error.to_string().as_bytes()));
    }

    /// A client was not served at all.
    pub(crate) fn turned_away(&self, peer: Peer, limit: LimitHit) {
        let setting = match limit {
            LimitHit::Total => "limits.max_connections",
            LimitHit::PerAddress => "limits.max_connections_per_ip",
        };
        tracing::warn!(target: "wharf::session", peer = %peer.remote, "turned away: {setting} is reached");
    }

    /// A client that speaks another protocol was left without an answer.
    pub(crate) fn wrong_protocol(&self, session: &SessionInfo, protocol: WrongProtocol) {
        let why = match protocol {
            WrongProtocol::Tls => {
                "TLS where the session begins in clear; clients of implicit FTPS belong on tls.implicit_listen"
            }
            WrongProtocol::Http => "an HTTP request where FTP is spoken",
        };
        record!(Level::WARN, "wharf::session", session, "closed: {why}");
    }

    /// The TLS handshake of this connection, control or data, failed.
    #[cfg(feature = "tls")]
    pub(crate) fn handshake_failed(
        &self,
        session: &SessionInfo,
        connection: &'static str,
        error: &std::io::Error,
    ) {
        let error = error.to_string();
        let error = Escaped(error.as_bytes());
        record!(
            Level::INFO,
            "wharf::session",
            session,
            "TLS handshake failed on the {connection} connection: {error}"
        );
    }

    /// A data connection resumed the TLS session of its control connection, or did not: which software does.
    #[cfg(feature = "tls")]
    pub(crate) fn session_reuse(&self, session: &SessionInfo, reuse: &ReuseRecord) {
        let ReuseRecord { resumed, refused, first, version } = reuse;
        let level = if *first || *refused { Level::INFO } else { Level::DEBUG };
        let whether = if *resumed { "resumed" } else { "did not resume" };
        let consequence = if *refused { ", so it is refused (tls.session_reuse)" } else { "" };
        let client = session.client.as_deref().unwrap_or("of an unnamed kind");
        record!(
            level,
            "wharf::session",
            session,
            "data connection {whether} the TLS session{consequence}: client {client}, {version}"
        );
    }

    /// There is no data connection.
    pub(crate) fn data_failed(
        &self,
        session: &SessionInfo,
        failure: DataFailure,
        error: Option<&std::io::Error>,
    ) {
        let why = match failure {
            DataFailure::PortsExhausted => {
                "no passive port left: every port of passive.ports is in use; widen the range"
            }
            DataFailure::Listen => {
                "no passive listener could be opened on the address that the client reached"
            }
            DataFailure::Connect => "the client cannot be connected to (PORT, EPRT)",
            DataFailure::SourcePort => "the client cannot be connected to from active.source_port",
        };
        match error {
            None => record!(Level::WARN, "wharf::session", session, "{why}"),
            Some(error) => record!(Level::WARN, "wharf::session", session, "{why}: {error}"),
        }
    }

    /// Somebody else than the client came to its data port.
    pub(crate) fn stranger_refused(&self, session: &SessionInfo, stranger: &Stranger) {
        let Stranger { from, port, count } = stranger;
        record!(
            Level::WARN,
            "wharf::session",
            session,
            "data connection from {from} to port {port} refused, number {count}: \
             another address than the client's (active.permit_foreign_addresses)"
        );
    }

    /// A client was told where to connect to and did not come: the log says why that may be.
    pub(crate) fn client_never_came(&self, session: &SessionInfo, advertised: Option<Ipv4Addr>, ports: bool) {
        let private = |address: IpAddr| match address {
            IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
            IpAddr::V6(address) => address.is_unique_local() || address.is_loopback(),
        };
        let told = advertised.map_or_else(|| session.local.ip(), IpAddr::V4);
        let cause = if private(told) && !private(session.peer.ip()) {
            "a client elsewhere was told a private address: set passive.masquerade_address to the public one"
        } else if !ports {
            "no passive.ports are set, so a firewall or a container cannot let them through: set and publish a range"
        } else {
            "are the ports of passive.ports open in the firewall, and published if this is a container?"
        };
        record!(Level::WARN, "wharf::session", session, "no data connection came to {told}: {cause}");
    }

    /// A file was sent or received, wholly or in part: its path on this machine, where it has one.
    pub fn transfer(&self, session: &SessionInfo, file: &Transfer) {
        let path =
            file.local_path.as_ref().map_or(file.path.as_bytes(), |path| path.as_os_str().as_encoded_bytes());
        let (verb, path) = (file.verb, Escaped(path));
        let (completed, bytes) = (u8::from(file.completed), file.bytes);
        let seconds = (file.elapsed.as_secs_f64() * 1000.0).round() / 1000.0;
        let cause = file.cause.map(debug);
        record!(
            Level::INFO,
            "wharf::transfer",
            session; { completed = completed, bytes = bytes, seconds = seconds, cause = cause },
            "{verb} {path}"
        );
    }
}

/// A name that anybody may give who has not logged in, as it is kept and shown: escaped, and cut with a mark if no name is
/// that long.
pub(crate) struct Name<'a>(pub(crate) &'a [u8]);

/// The longest that is shown whole, in bytes.
const LONGEST_NAME: usize = 64;

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= LONGEST_NAME {
            return Escaped(self.0).fmt(f);
        }
        let within_character = |end: usize| self.0.get(end).is_some_and(|byte| byte & 0xc0 == 0x80);
        let mut ends = (LONGEST_NAME - 3..=LONGEST_NAME).rev();
        let end = ends.find(|&end| !within_character(end)).unwrap_or(LONGEST_NAME);
        write!(f, "{}…", Escaped(self.0.get(..end).unwrap_or_default()))
    }
}

/// `MKD /path 257`, and the text of the reply where it is a failure.
struct CommandLine<'a>(&'a CommandRecord);

impl fmt::Display for CommandLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.0;
        Escaped(command.verb.as_bytes()).fmt(f)?;
        if let Some(path) = &command.path {
            write!(f, " {path}")?;
        }
        write!(f, " {}", command.code.number())?;
        if command.code.is_failure() {
            write!(f, " \"{}\"", Escaped(command.text.as_bytes()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::tests::{session, transfer};
    use std::sync::{Arc, Mutex};
    use tracing::field::{Field, Visit};
    use wharf_proto::{Cause, Code, VPath};

    /// Writes each event as `LEVEL target message field=value …`.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Text {
        message: String,
        fields: String,
    }

    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            match field.name() {
                "message" => self.message = format!("{value:?}"),
                name => self.fields += &format!(" {name}={value:?}"),
            }
        }
    }

    impl tracing::Subscriber for Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let mut text = Text { message: String::new(), fields: String::new() };
            event.record(&mut text);
            let (level, target) = (event.metadata().level(), event.metadata().target());
            self.0.lock().unwrap().push(format!("{level} {target} {}{}", text.message, text.fields));
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    fn lines(log: impl FnOnce(&TracingLog)) -> Vec<String> {
        let lines = Lines::default();
        tracing::subscriber::with_default(lines.clone(), || log(&TracingLog));
        let lines = lines.0.lock().unwrap();
        lines.clone()
    }

    fn command(verb: &str, path: &[u8], code: u16, text: &str) -> CommandRecord {
        CommandRecord {
            verb: verb.into(),
            path: Some(VPath::parse(path).unwrap()),
            code: Code::new(code),
            text: text.into(),
            notable: matches!(verb, "MKD" | "RMD"),
        }
    }

    #[test]
    fn commands_have_pyftpdlibs_shape() {
        for (record, expected) in [
            (command("MKD", b"/new", 257, "made"), "INFO wharf::command MKD /new 257"),
            (command("RMD", b"/a b", 550, "Not empty."), "INFO wharf::command RMD /a b 550 \"Not empty.\""),
            (command("SIZE", b"/a\x1b[2J", 213, "7"), "DEBUG wharf::command SIZE /a\\x1b[2J 213"),
            (command("LIST", b"/", 421, "Bye."), "WARN wharf::command LIST / 421 \"Bye.\""),
            (command("X\n", b"/", 500, "a\nb"), "DEBUG wharf::command X\\x0a / 500 \"a\\x0ab\""),
        ] {
            let expected = format!("{expected} session=7 peer=192.0.2.1:50312 user=ann");
            assert_eq!(lines(|log| log.command(&session(), &record)), [expected]);
        }
    }

    #[test]
    fn names_are_cut_where_a_character_ends() {
        let long = "é".repeat(4000);
        for (name, shown) in [
            ("FileZilla 3.67".as_bytes(), "FileZilla 3.67".to_owned()),
            (b"a\nb", "a\\x0ab".to_owned()),
            (&[b'x'; 64], "x".repeat(64)),
            (&[b'x'; 65], format!("{}…", "x".repeat(64))),
            (long.as_bytes(), format!("{}…", "é".repeat(32))),
            (format!("x{long}").as_bytes(), format!("x{}…", "é".repeat(31))),
            (&[0x80; 65], format!("{}…", "\\x80".repeat(64))),
        ] {
            assert_eq!(Name(name).to_string(), shown);
        }
        let said = lines(|log| log.login_failed(&session(), &"x".repeat(8000)));
        assert!(said.iter().all(|line| line.len() < 200 && line.contains("xx…' failed login")), "{said:?}");
    }

    #[test]
    fn transfers_name_the_real_path_and_the_cause() {
        let whole = lines(|log| log.transfer(&session(), &transfer()));
        let expected = "INFO wharf::transfer RETR /srv/ann/a b.txt completed=1 bytes=12 seconds=0.003 \
                        session=7 peer=192.0.2.1:50312 user=ann";
        assert_eq!(whole, [expected]);

        let cut = Transfer { local_path: None, completed: false, cause: Some(Cause::Abort), ..transfer() };
        let cut = lines(|log| log.transfer(&session(), &cut));
        let expected = "INFO wharf::transfer RETR /a b.txt completed=0 bytes=12 seconds=0.003 \
                        cause=Abort session=7 peer=192.0.2.1:50312 user=ann";
        assert_eq!(cut, [expected]);
    }

    #[test]
    fn trouble_with_data_ports_names_the_session() {
        let stranger = Stranger { from: ([192, 0, 2, 66], 4_444).into(), port: 60_000, count: 2 };
        let said = lines(|log| {
            log.stranger_refused(&session(), &stranger);
            log.data_failed(&session(), DataFailure::PortsExhausted, None);
            log.data_failed(&session(), DataFailure::Listen, Some(&std::io::Error::other("no")));
            log.data_failed(&session(), DataFailure::SourcePort, Some(&std::io::Error::other("no")));
        });
        let of_ann = "session=7 peer=192.0.2.1:50312 user=ann";
        let expected = [
            "data connection from 192.0.2.66:4444 to port 60000 refused, number 2: another address than the \
             client's (active.permit_foreign_addresses)",
            "no passive port left: every port of passive.ports is in use; widen the range",
            "no passive listener could be opened on the address that the client reached: no",
            "the client cannot be connected to from active.source_port: no",
        ];
        assert_eq!(said, expected.map(|line| format!("WARN wharf::session {line} {of_ann}")));
    }

    #[test]
    fn sessions_are_told_from_begin_to_end() {
        let stranger = SessionInfo { user: None, ..session() };
        let said = lines(|log| {
            log.connected(&stranger);
            log.login_failed(&stranger, "root\r\nforged");
            log.logged_in(&session());
            log.refused(&session(), "too many sessions of this user");
            log.logged_out(&session());
            log.disconnected(&session());
        });
        let of_stranger = "session=7 peer=192.0.2.1:50312";
        let of_ann = "session=7 peer=192.0.2.1:50312 user=ann";
        assert_eq!(
            said,
            [
                format!("INFO wharf::session session opened {of_stranger}"),
                format!("INFO wharf::session USER 'root\\x0d\\x0aforged' failed login. {of_stranger}"),
                format!("INFO wharf::session USER 'ann' logged in. {of_ann}"),
                format!("WARN wharf::session too many sessions of this user {of_ann}"),
                format!("INFO wharf::session USER 'ann' logged out. {of_ann}"),
                format!("INFO wharf::session session closed {of_ann}"),
            ]
        );
    }
}
