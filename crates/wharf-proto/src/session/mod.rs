//! One control connection as a value: no socket, no clock.
//!
//! A [`Session`] is handed what happens ([`Input`]) together with the time, and asked what to do about it
//! ([`Output`]) until it has nothing more to say. Lines are taken one at a time, and only while nothing that the
//! previous one began stands in the way:
//!
//! ```text
//!            line          Perform            Done
//!   Nothing ─────▶ execute ───────▶ Operation ────▶ reply ─▶ Nothing
//!                    │ wrong password           ──▶ Delay ──▶ 530, Nothing
//!                    │ PASV, PORT    ▶ Opening  ──▶ 227, 200, 425 ─▶ Nothing
//!                    │ ABOR          ▶ Aborting ──▶ 426, 226 ─▶ Nothing
//!                    │ AUTH          ▶ Securing ──▶ Nothing
//!                    └ QUIT          ▶ Leaving  ──▶ Close
//! ```
//!
//! A running transfer is not among them: NOOP, STAT, ABOR and QUIT are answered while it moves bytes. ABOR and QUIT do
//! not wait for a client that is being connected to, either. When the server stops, or the client has closed its side,
//! the way out is the same: what is under way is answered, then the session leaves.

mod closing;
mod data;
mod dirs;
mod files;
mod info;
mod io;
mod login;
mod rules;
mod timers;
mod tls;
mod transfer;
mod ways;
mod wrong;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::command::{Command, Row, Verb};
use crate::event::{Event, WrongProtocol};
use crate::line::{LineDecoder, LineError};
use crate::listing::FactSet;
use crate::reply::Reply;
use crate::text::{self, Escaped};
use crate::{TransferType, VPath};

use self::data::Data;
use self::files::Then;
use self::login::{Refusal, Who};
use self::tls::Security;

pub use self::io::{
    Account, Cause, DataFailure, Denied, Direction, Done, Ending, Input, ListSubject, Listing, LoginInfo, Op,
    Output, Peer, TransferEnd, TransferPlan, WriteMode,
};
pub use self::rules::{ActiveRules, Report, Rules, TlsPolicy};

/// How many over-long lines a client may send.
const MAX_LONG_LINES: u8 = 3;

/// One control connection.
#[derive(Debug)]
pub struct Session {
    rules: Arc<Rules>,
    peer: Peer,
    /// The time of the last call that brought one.
    now: Instant,
    /// Since when the client could have logged in.
    guest_since: Instant,
    /// When the last command came, or the last transfer ended.
    active: Instant,
    lines: LineDecoder,
    /// A line that was looked at before its time.
    held_line: Option<Result<Vec<u8>, LineError>>,
    /// Something has been received.
    heard: bool,
    long_lines: u8,
    outputs: VecDeque<Output>,
    wait: Wait,
    /// The command that is being answered.
    current: Option<Current>,
    /// Who said that no more lines are to come.
    end: Option<EndedBy>,
    who: Who,
    failed_logins: u32,
    parameters: Parameters,
    security: Security,
    data: Data,
}

/// Why the next line has to wait.
#[derive(Debug)]
enum Wait {
    /// It need not.
    Nothing,
    /// An operation is being performed; what happens then.
    Operation(Box<Then>),
    /// A wrong password is answered late.
    Delay { until: Instant, refusal: Refusal },
    /// A listener or an active connection is being opened.
    Opening,
    /// ABOR waits for the transfer to end.
    Aborting,
    /// The control connection is going under TLS.
    Securing,
    /// The client said QUIT, or the server stops: a transfer may end, no more lines are read.
    Leaving { farewell: Option<Reply> },
    /// [`Output::Close`] has been given.
    Closed,
}

/// Who ends a session that nobody has said QUIT in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndedBy {
    /// The client has closed its side of the connection.
    Client,
    /// The server stops.
    Server,
}

/// The command that is being answered, for the log.
#[derive(Debug)]
struct Current {
    verb: Cow<'static, str>,
    notable: bool,
    path: Option<VPath>,
}

/// What a client sets for commands to come.
#[derive(Debug, Default)]
struct Parameters {
    transfer_type: TransferType,
    /// The offset of REST, for the next RETR or STOR.
    restart: u64,
    /// The path of RNFR, for the next RNTO.
    rename_from: Option<VPath>,
    facts: FactSet,
    /// EPSV ALL was sent: no other command may set up a data connection.
    epsv_only: bool,
}

impl Session {
    /// A session that begins: its first outputs greet the client. `secured` says that TLS is already up (implicit FTPS).
    pub fn new(rules: Arc<Rules>, peer: Peer, secured: bool, now: Instant) -> Self {
        let banner = Reply::message(text::code(220), &rules.banner);
        let mut session = Self {
            rules,
            peer,
            now,
            guest_since: now,
            active: now,
            lines: LineDecoder::default(),
            held_line: None,
            heard: false,
            long_lines: 0,
            outputs: VecDeque::new(),
            wait: Wait::Nothing,
            current: None,
            end: None,
            who: Who::default(),
            failed_logins: 0,
            parameters: Parameters::default(),
            security: Security::new(secured),
            data: Data::Closed,
        };
        session.say(banner);
        session
    }

    /// Takes in what happened at `now`; nothing, once [`Output::Close`] has been given.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if matches!(self.wait, Wait::Closed) {
            return;
        }
        self.now = now;
        match input {
            Input::Bytes(bytes) if self.takes_lines() => self.bytes(bytes),
            // It came behind AUTH, QUIT or the server's stop.
            Input::Bytes(_) => {}
            Input::Eof => self.end_of_input(),
            Input::Done(done) => self.operation_done(done),
            Input::Secured(certificate) => self.secured(certificate),
            Input::Listening { port, address } => self.listening(port, address),
            Input::DataOpened => self.data_opened(),
            Input::DataHalfClosed => self.data_half_closed(),
            Input::DataFailed(failure) => self.data_failed(failure),
            Input::Progress(bytes) => self.data.set_progress(bytes),
            Input::TransferEnded(end) => self.transfer_ended(end),
            Input::Stop => self.stop(),
        }
    }

    /// The next thing to do; `None` when there is nothing before the next input or timeout.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            if matches!(self.wait, Wait::Opening) && self.connecting_is_interrupted() {
                self.data_failed(DataFailure::Connect);
                continue;
            }
            if !matches!(self.wait, Wait::Nothing) {
                break;
            }
            match self.next_line() {
                Some(Ok(line)) => self.run(&line),
                Some(Err(LineError::TooLong)) => self.line_too_long(),
                None => match self.end {
                    Some(by) => self.lines_are_used_up(by),
                    None => break,
                },
            }
        }
        self.outputs = VecDeque::new();
        None
    }

    /// As [`poll_output`](Self::poll_output), but no further command is begun: for as long as the client has not taken
    /// the replies to those before.
    pub fn poll_begun(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`poll_output`](Self::poll_output) may have more to say than [`poll_begun`](Self::poll_begun).
    pub fn may_begin(&self) -> bool {
        self.held_line.is_some() || self.lines.buffered() > 0 || self.end.is_some()
    }

    /// Whether more bytes of the client are of use now. While they are not, leave them in the socket. A client that is
    /// leaving says nothing of use, but that it has gone is worth knowing as long as its transfer waits.
    pub fn wants_input(&self) -> bool {
        match self.wait {
            Wait::Leaving { .. } => self.data.is_waiting(),
            _ => self.takes_lines() && !self.lines.is_full(),
        }
    }

    /// What the transfer moves that the operation under way is to open.
    pub fn transfer_plan(&self) -> Option<TransferPlan> {
        match &self.wait {
            Wait::Operation(then) => then.transfer().map(|transfer| transfer.plan),
            _ => None,
        }
    }

    fn next_line(&mut self) -> Option<Result<Vec<u8>, LineError>> {
        self.held_line.take().or_else(|| self.lines.next_line())
    }

    /// Whether ABOR or QUIT comes next while the client is being connected to: they do not wait for that.
    fn connecting_is_interrupted(&mut self) -> bool {
        if !self.data.is_connecting() {
            return false;
        }
        self.held_line = self.next_line();
        let Some(Ok(line)) = &self.held_line else { return false };
        let row = self.rules.commands.recognise(line);
        row.is_ok_and(|(row, _)| matches!(row.verb, Verb::Abor | Verb::Quit))
    }

    /// Drops what has been received and not executed.
    fn forget_lines(&mut self) {
        self.held_line = None;
        self.lines.clear();
    }

    fn takes_lines(&self) -> bool {
        self.end.is_none() && !matches!(self.wait, Wait::Securing | Wait::Leaving { .. } | Wait::Closed)
    }

    /// Recognises one line and executes it.
    fn run(&mut self, line: &[u8]) {
        self.active = self.now;
        let rules = Arc::clone(&self.rules);
        let (row, argument) = match rules.commands.recognise(line) {
            Ok(recognised) => recognised,
            Err(reply) => return self.refuse_line(line, reply),
        };
        self.current = Some(Current { verb: row.name.clone(), notable: is_notable(row.verb), path: None });
        if row.needs_login(argument) && self.who.ready().is_none() {
            return self.finish(text::NOT_LOGGED_IN);
        }
        match Command::parse(row.verb, argument) {
            Ok(command) => self.execute(command, row, None),
            Err(reply) => self.finish(reply),
        }
    }

    /// Executes a command; `is_directory` says what its path names, where that had to be found out first.
    fn execute(&mut self, command: Command, row: &Row, is_directory: Option<bool>) {
        match command {
            Command::User(name) => self.user(name),
            Command::Pass(password) => self.pass(password),
            Command::Rein => self.rein(),
            Command::Quit => self.quit(),
            Command::Auth(mechanism) => self.auth(mechanism),
            Command::Ccc => self.ccc(),
            Command::Pbsz => self.pbsz(),
            Command::Prot(protection) => self.prot(protection),
            Command::Port(target) => self.port(target),
            Command::Eprt(target) => self.eprt(target),
            Command::Pasv => self.pasv(),
            Command::Epsv(argument) => self.epsv(argument),
            Command::Abor => self.abor(),
            Command::Cdup => self.on_path(Command::Cwd(Box::from(b"..".as_slice())), row, is_directory),
            Command::Pwd => self.pwd(),
            Command::Acct
            | Command::Allo
            | Command::Stru
            | Command::Mode
            | Command::Noop
            | Command::Syst
            | Command::OptsUtf8
            | Command::Unimplemented => self.simple(&command),
            Command::Clnt(name) => self.client(name),
            Command::Feat => self.feat(),
            Command::Help(topic) => self.help(topic.as_deref()),
            Command::SiteHelp(topic) => self.site_help(topic.as_deref()),
            Command::OptsMlst(facts) => self.opts_mlst(facts),
            Command::Type(transfer_type) => self.set_type(transfer_type),
            Command::Rest(offset) => self.rest(offset),
            Command::Stat(None) => self.status(),
            Command::Custom { .. } if row.letter.is_none() => self.custom(command, None),
            on_path => self.on_path(on_path, row, is_directory),
        }
    }

    fn refuse_line(&mut self, line: &[u8], reply: Reply) {
        if self.is_http(line) {
            return self.close_on(WrongProtocol::Http);
        }
        if self.who.ready().is_none() && reply.code() == text::code(500) {
            // Before a login an unknown word may be a password that was mistyped into the wrong place.
            self.current = Some(Current { verb: Cow::Borrowed("(unknown)"), notable: false, path: None });
            self.report(&Reply::new(reply.code(), "Command not understood."));
            return self.say(reply);
        }
        let word = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        let shown = Escaped(word.get(..32).unwrap_or(word)).to_string();
        self.current = Some(Current { verb: Cow::Owned(shown), notable: false, path: None });
        self.finish(reply);
    }

    fn line_too_long(&mut self) {
        self.active = self.now;
        self.long_lines += 1;
        if self.long_lines >= MAX_LONG_LINES {
            return self.say_and_close(text::TOO_MANY_LONG_LINES);
        }
        self.say(text::LINE_TOO_LONG);
    }

    /// Answers the current command, finally.
    fn finish(&mut self, reply: Reply) {
        self.report(&reply);
        self.say(reply);
    }

    /// Tells callbacks and logs how the current command was answered.
    fn report(&mut self, reply: &Reply) {
        let Some(current) = self.current.take() else { return };
        if current.notable || self.rules.report == Report::All {
            let Current { verb, path, notable } = current;
            self.emit(Event::Command { verb, path, reply: reply.clone(), notable });
        }
    }

    fn say(&mut self, reply: Reply) {
        self.outputs.push_back(Output::Reply(reply));
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    fn perform(&mut self, op: Op, then: Then) {
        self.wait = Wait::Operation(Box::new(then));
        self.outputs.push_back(Output::Perform(op));
    }
}

/// Whether a command is logged wherever anything is: those that change the disk, the directory or the login.
fn is_notable(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Dele
            | Verb::Rnfr
            | Verb::Rnto
            | Verb::Mkd
            | Verb::Rmd
            | Verb::Cwd
            | Verb::Cdup
            | Verb::Rein
            | Verb::SiteChmod
            | Verb::Mfmt
            | Verb::Custom(_)
    )
}
