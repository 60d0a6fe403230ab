//! Whatever comes, in whatever order: nothing panics, and every line gets exactly one final reply.

#![allow(clippy::unwrap_used, clippy::panic)] // what fails here fails the test

mod support;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;

use support::answers::failed;
use support::origin;
use support::settings::Settings;
use wharf_proto::{
    Account, Cause, Code, DataFailure, Denied, Done, Ending, FsErrorKind, Input, Listing, Metadata, Op,
    Output, Reply, Session, TransferEnd, VPath,
};

/// Something that happens to a session.
#[derive(Clone, Debug)]
enum Step {
    Lines(Vec<Vec<u8>>),
    /// The operation under way ends as it should, or fails.
    Answer(Option<FsErrorKind>),
    /// It ends in a way that does not fit it, or none is under way.
    Stray(u8),
    Listening,
    DataOpened,
    DataHalfClosed,
    DataFailed(DataFailure),
    Progress(u64),
    Ended(Ending, Option<Cause>),
    Secured,
    Eof,
    Stop,
    Pass(u64),
    Timeout,
}

const LINES: &[&str] = &[
    "NOOP",
    "STAT",
    "STAT /",
    "STAT *",
    "ABOR",
    "XXABOR",
    "EPSV 1",
    "EPSV ALL",
    "PORT 1,2,3,4,5,6",
    "APPE a",
    "STOU x",
    "LIST",
    "LIST -la",
    "NLST -1 x",
    "MLSD",
    "MLST",
    "REST 5",
    "TYPE I",
    "TYPE A",
    "SIZE a",
    "MDTM a",
    "MDTM 20200101000000 a",
    "MFMT 20200101000000 a",
    "CWD a",
    "CDUP",
    "PWD",
    "MKD a",
    "RMD a",
    "DELE a",
    "RNFR a",
    "RNTO b",
    "SITE CHMOD 644 a",
    "SITE HELP",
    "SITE MD5 a",
    "HELP",
    "FEAT",
    "OPTS MLST type;",
    "PBSZ 0",
    "PROT P",
    "PROT C",
    "CCC",
    "BOGUS",
    "",
    " ",
    "RETR",
    "PWD x",
    "USER ann",
    "PASS 12345",
    "PASS 1",
    "REIN",
];

const TRANSFERS: &[&str] =
    &["RETR a", "STOR a", "STOU", "NLST", "PASV", "EPSV", "PORT 127,0,0,1,200,13", "ABOR"];

fn line() -> impl Strategy<Value = Vec<u8>> {
    let any = prop::collection::vec(
        any::<u8>().prop_filter("no line end", |byte| !b"\r\n\xff".contains(byte)),
        0..40,
    );
    let tail = prop::collection::vec(32u8..127, 0..12);
    let known = select(LINES).prop_map(|line| line.as_bytes().to_vec());
    prop_oneof![
        200 => known.clone(),
        200 => select(TRANSFERS).prop_map(|line| line.as_bytes().to_vec()),
        20 => (known, tail).prop_map(|(line, tail)| [line, tail].concat()),
        10 => any,
        2 => Just(vec![b'A'; 9000]),
        1 => Just(b"AUTH TLS".to_vec()),
        1 => Just(b"QUIT".to_vec()),
    ]
}

fn error() -> impl Strategy<Value = FsErrorKind> {
    use FsErrorKind::*;
    select(vec![
        NotFound,
        PermissionDenied,
        NotADirectory,
        OffsetBeyondEnd(3),
        NoSpace,
        Busy,
        Failed,
        Unsupported,
    ])
}

fn step() -> impl Strategy<Value = Step> {
    let ending = select(vec![Ending::Complete, Ending::Aborted, Ending::Unproven]);
    let cause = prop::option::of(select(vec![
        Cause::Abort,
        Cause::Peer,
        Cause::Timeout,
        Cause::TlsHandshake,
        Cause::ControlLost,
        Cause::Shutdown,
        Cause::File(FsErrorKind::NoSpace),
    ]));
    let failure = select(vec![
        DataFailure::PortsExhausted,
        DataFailure::Listen,
        DataFailure::Connect,
        DataFailure::SourcePort,
    ]);
    prop_oneof![
        120 => prop::collection::vec(line(), 1..4).prop_map(Step::Lines),
        200 => prop::option::weighted(0.2, error()).prop_map(Step::Answer),
        10 => any::<u8>().prop_map(Step::Stray),
        60 => Just(Step::Listening),
        60 => Just(Step::DataOpened),
        10 => Just(Step::DataHalfClosed),
        10 => failure.prop_map(Step::DataFailed),
        10 => any::<u64>().prop_map(Step::Progress),
        30 => (ending, cause).prop_map(|(ending, cause)| Step::Ended(ending, cause)),
        10 => Just(Step::Secured),
        1 => Just(Step::Eof),
        1 => Just(Step::Stop),
        2 => Just(Step::Timeout),
        20 => (0..40_000u64).prop_map(Step::Pass),
    ]
}

/// A session, and what is known about it from outside.
struct Watched {
    session: Session,
    account: Account,
    now: Instant,
    outstanding: Option<Op>,
    opening: bool,
    securing: bool,
    running: bool,
    closed: bool,
    /// Lines may have been dropped, so their replies need not come.
    dropped_lines: bool,
    /// It is known to end.
    leaving: bool,
    lines: usize,
    final_replies: usize,
    inputs: usize,
    outputs: usize,
}

impl Watched {
    fn new(settings: &Settings) -> Self {
        let now = origin();
        let mut watched = Self {
            session: Session::new(settings.rules.clone().into(), settings.peer, settings.secured, now),
            account: settings.account.clone(),
            now,
            outstanding: None,
            opening: false,
            securing: false,
            running: false,
            closed: false,
            dropped_lines: false,
            leaving: false,
            // The greeting answers the connection.
            lines: 1,
            final_replies: 0,
            inputs: 0,
            outputs: 0,
        };
        watched.collect();
        watched
    }

    fn handle(&mut self, input: Input<'_>) {
        match input {
            Input::Done(_) => self.outstanding = None,
            Input::TransferEnded(_) => self.running = false,
            Input::Secured(_) => self.securing = false,
            Input::Eof | Input::Stop => (self.leaving, self.dropped_lines) = (true, true),
            _ => {}
        }
        self.session.handle(input, self.now);
        self.collect();
    }

    fn collect(&mut self) {
        self.inputs += 1;
        while let Some(output) = self.session.poll_output() {
            assert!(!self.closed, "{output:?} after the end");
            self.outputs += 1;
            match output {
                Output::Reply(reply) => self.count(&reply),
                Output::Perform(op) => {
                    assert!(self.outstanding.replace(op).is_none(), "two operations at once");
                }
                Output::Listen | Output::Connect(_) => self.opening = true,
                Output::CloseData => self.opening = false,
                Output::Transfer(_) => {
                    assert!(!self.running, "two transfers at once");
                    self.running = true;
                }
                Output::AbortTransfer(_) => assert!(self.running, "no transfer to abort"),
                Output::StartTls => (self.securing, self.dropped_lines) = (true, true),
                Output::Close => self.closed = true,
                Output::DropOpened(_) | Output::Emit(_) => {}
            }
        }
        assert!(self.outputs <= 8 * (self.inputs + self.lines), "too many outputs");
    }

    fn count(&mut self, reply: &Reply) {
        let number = reply.code().number();
        let unsolicited = number == 421;
        self.final_replies += usize::from(number >= 200 && !unsolicited);
        self.leaving |= number == 221;
        // Of those with code 421 only these two answer a command.
        self.final_replies += usize::from(unsolicited && reply.text().to_string().starts_with("Active"));
        assert!(self.final_replies <= self.lines, "a reply too many: {reply:?}");
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Lines(lines) => {
                self.lines += lines.len();
                let bytes: Vec<u8> =
                    lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect();
                self.handle(Input::Bytes(&bytes));
            }
            Step::Answer(error) => {
                if let Some(op) = &self.outstanding {
                    let done = error.map_or_else(|| succeeded(op, &self.account), |error| failed(op, error));
                    self.handle(Input::Done(done));
                }
            }
            Step::Stray(choice) => self.handle(Input::Done(stray(choice))),
            Step::Listening => self.handle(Input::Listening { port: 2000, address: None }),
            Step::DataOpened => self.handle(Input::DataOpened),
            Step::DataHalfClosed => self.handle(Input::DataHalfClosed),
            Step::DataFailed(failure) => self.handle(Input::DataFailed(failure)),
            Step::Progress(bytes) => self.handle(Input::Progress(bytes)),
            Step::Ended(ending, cause) => self.handle(Input::TransferEnded(end(ending, cause))),
            Step::Secured => self.handle(Input::Secured(None)),
            Step::Eof => self.handle(Input::Eof),
            Step::Stop => self.handle(Input::Stop),
            Step::Pass(milliseconds) => self.pass(Duration::from_millis(milliseconds)),
            Step::Timeout => {
                if let Some(due) = self.session.poll_timeout() {
                    self.pass(due.saturating_duration_since(self.now));
                }
            }
        }
    }

    fn pass(&mut self, length: Duration) {
        let until = self.now + length;
        for _ in 0..100 {
            let Some(due) = self.session.poll_timeout().filter(|&due| due <= until) else { break };
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.collect();
        }
        assert!(self.session.poll_timeout().is_none_or(|due| due > until), "a timeout that does not pass");
        self.now = until;
    }

    /// Answers everything that is still open, as a driver would.
    fn settle(&mut self) {
        for _ in 0..1000 {
            if self.closed {
                return;
            } else if self.outstanding.is_some() {
                self.take(Step::Answer(None));
            } else if self.securing {
                self.handle(Input::Secured(None));
            } else if self.running {
                self.handle(Input::TransferEnded(end(Ending::Complete, None)));
            } else if std::mem::take(&mut self.opening) {
                self.handle(Input::DataFailed(DataFailure::Connect));
            } else if self.leaving || (self.final_replies < self.lines && !self.dropped_lines) {
                self.take(Step::Timeout);
            } else {
                return;
            }
        }
        panic!("it does not come to rest");
    }
}

fn succeeded(op: &Op, account: &Account) -> Done {
    match op {
        Op::Authenticate(login) if login.password.expose() != b"12345" => {
            Done::Login(Err(Denied::Credentials))
        }
        Op::Authenticate(_) => Done::Login(Ok(account.clone())),
        Op::Metadata { .. } => Done::Found(Ok(Metadata::file(1))),
        Op::OpenRead { .. } | Op::OpenWrite { .. } | Op::OpenUnique { .. } | Op::OpenList { .. } => {
            Done::Opened(Ok(VPath::root()))
        }
        Op::ReadList { .. } => Done::Lines(Ok(Listing { lines: b"a\r\n".to_vec(), truncated: false })),
        Op::Custom { .. } => Done::Reply(Reply::fixed(200, "Done.")),
        _ => Done::Nothing(Ok(())),
    }
}

fn stray(choice: u8) -> Done {
    match choice % 6 {
        0 => Done::Login(Err(Denied::Credentials)),
        1 => Done::Nothing(Ok(())),
        2 => Done::Found(Ok(Metadata::directory())),
        3 => Done::Opened(Ok(VPath::root())),
        4 => Done::Lines(Err(FsErrorKind::Failed)),
        _ => Done::Reply(Reply::new(Code::new(200), "Stray.")),
    }
}

fn end(ending: Ending, cause: Option<Cause>) -> TransferEnd {
    TransferEnd { ending, cause, bytes: 5 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_gets_one_final_reply(
        logged_in in prop::bool::weighted(0.8),
        secured in any::<bool>(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut settings = Settings::for_all_commands();
        // With the timers a session that owes a reply could hide behind its end.
        for setting in ["with r SITE MD5", "idle-timeout 0s", "login-timeout 0s"] {
            settings.set(setting).unwrap();
        }
        settings.secured = secured;
        let mut watched = Watched::new(&settings);
        if logged_in {
            watched.take(Step::Lines(vec![b"USER ann".to_vec(), b"PASS 12345".to_vec()]));
            watched.take(Step::Answer(None));
        }
        for step in steps {
            watched.take(step);
        }
        watched.settle();
        prop_assert!(watched.closed || !watched.leaving);
        if !watched.closed && !watched.dropped_lines {
            prop_assert_eq!(watched.final_replies, watched.lines);
        }
    }
}
