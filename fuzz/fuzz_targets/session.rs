//! Whatever a client sends and a driver answers, a session keeps its promises: one operation at a time, no reply too
//! many, nothing after the end.
//!
//! An input is a list of lines, each a sign and what belongs to it: `<` a line of the client, `+` bytes of it, `~` a
//! byte that says how many seconds pass, `!` a letter that says what the driver hands in.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use wharf_proto::listing::TimeStyle;
use wharf_proto::{
    Account, ActiveRules, Argument, Cause, CommandTable, DataFailure, Denied, Done, Ending, FsErrorKind,
    Input, Letters, Listing, Metadata, Op, Output, Peer, Permissions, Reply, Report, Row, Rules, Session,
    TlsPolicy, TransferEnd, VPath,
};

static RULES: LazyLock<Arc<Rules>> = LazyLock::new(|| Arc::new(rules()));

fuzz_target!(|input: &[u8]| {
    let mut stage = Stage::new();
    for line in input.split(|&byte| byte == b'\n') {
        match line.split_first() {
            Some((b'<', line)) => {
                stage.lines += 1 + line.windows(2).filter(|pair| pair == b"\r\n").count();
                stage.handle(Input::Bytes(&[line, b"\r\n"].concat()));
            }
            Some((b'+', bytes)) => {
                stage.lines += 1;
                stage.handle(Input::Bytes(bytes));
            }
            Some((b'~', [seconds, ..])) => stage.pass(Duration::from_secs((*seconds).into())),
            Some((b'!', [letter, ..])) => stage.answer(*letter),
            _ => {}
        }
    }
});

struct Stage {
    session: Session,
    now: Instant,
    outstanding: Option<Op>,
    running: bool,
    closed: bool,
    /// How many lines there may have been, the greeting counted as the answer to one.
    lines: usize,
    final_replies: usize,
    outputs: usize,
}

impl Stage {
    fn new() -> Self {
        let now = Instant::now();
        let peer = Peer { remote: ([127, 0, 0, 1], 40_000).into(), local: ([127, 0, 0, 1], 21).into() };
        let session = Session::new(Arc::clone(&RULES), peer, false, now);
        let mut stage = Self {
            session,
            now,
            outstanding: None,
            running: false,
            closed: false,
            lines: 1,
            final_replies: 0,
            outputs: 0,
        };
        stage.collect();
        stage
    }

    fn handle(&mut self, input: Input<'_>) {
        match input {
            Input::Done(_) => self.outstanding = None,
            Input::TransferEnded(_) => self.running = false,
            _ => {}
        }
        self.session.handle(input, self.now);
        self.collect();
    }

    fn pass(&mut self, length: Duration) {
        let until = self.now + length;
        while let Some(due) = self.session.poll_timeout().filter(|&due| due <= until) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.collect();
        }
        self.now = until;
    }

    fn answer(&mut self, letter: u8) {
        let end = |ending, cause| Input::TransferEnded(TransferEnd { ending, cause, bytes: 1 });
        let input = match letter {
            b'l' => Input::Listening { port: 2000, address: None },
            b'o' => Input::DataOpened,
            b'h' => Input::DataHalfClosed,
            b'f' => Input::DataFailed(DataFailure::Connect),
            b'p' => Input::Progress(7),
            b'c' => end(Ending::Complete, None),
            b'a' => end(Ending::Aborted, Some(Cause::Abort)),
            b't' => end(Ending::Aborted, Some(Cause::Timeout)),
            b's' => Input::Secured(None),
            b'e' => Input::Eof,
            b'x' => Input::Stop,
            b'w' => Input::Done(Done::Opened(Ok(VPath::root()))),
            _ => match &self.outstanding {
                Some(op) => Input::Done(done(op, letter)),
                None => return,
            },
        };
        self.handle(input);
    }

    fn collect(&mut self) {
        while let Some(output) = self.session.poll_output() {
            assert!(!self.closed, "{output:?} after the end");
            self.outputs += 1;
            assert!(self.outputs < 100_000, "outputs without end");
            match output {
                Output::Reply(reply) => self.check(&reply),
                Output::Perform(op) => assert!(self.outstanding.replace(op).is_none()),
                Output::Transfer(_) => assert!(!std::mem::replace(&mut self.running, true)),
                Output::AbortTransfer(_) => assert!(self.running),
                Output::Close => self.closed = true,
                _ => {}
            }
        }
    }

    fn check(&mut self, reply: &Reply) {
        let mut wire = Vec::new();
        reply.encode_into(&mut wire);
        assert!(wire.ends_with(b"\r\n"));
        let number = reply.code().number();
        self.final_replies += usize::from(number >= 200 && number != 421);
        assert!(self.final_replies <= self.lines, "a reply too many: {reply:?}");
    }
}

/// The outcome of an operation: `0` to `3` are failures, everything else is success.
fn done(op: &Op, letter: u8) -> Done {
    let error = match letter {
        b'0' => Some(FsErrorKind::NotFound),
        b'1' => Some(FsErrorKind::NotADirectory),
        b'2' => Some(FsErrorKind::OffsetBeyondEnd(1)),
        b'3' => Some(FsErrorKind::NoSpace),
        _ => None,
    };
    let outcome = error.map_or(Ok(()), Err);
    match op {
        Op::Authenticate(_) => Done::Login(outcome.map(|()| account()).map_err(|_| Denied::Credentials)),
        Op::Metadata { .. } if letter == b'd' => Done::Found(Ok(Metadata::directory())),
        Op::Metadata { .. } => Done::Found(outcome.map(|()| Metadata::file(1))),
        Op::OpenRead { path, .. } | Op::OpenWrite { path, .. } | Op::OpenList { path, .. } => {
            Done::Opened(outcome.map(|()| path.clone()))
        }
        Op::OpenUnique { directory, .. } => Done::Opened(outcome.map(|()| directory.clone())),
        Op::ReadList { .. } => {
            Done::Lines(outcome.map(|()| Listing { lines: b"226 a\r\n".to_vec(), truncated: false }))
        }
        Op::Custom { .. } => Done::Reply(Reply::fixed(200, "Done.")),
        _ => Done::Nothing(outcome),
    }
}

fn account() -> Account {
    let mut permissions = Permissions::new(Letters::ALL);
    permissions.override_directory(VPath::parse(b"/a").expect("a path"), Letters::READ_ONLY, false);
    Account {
        name: "ann".into(),
        permissions: permissions.into(),
        start: VPath::root(),
        login_message: "Login successful.".into(),
        quit_message: "Goodbye.".into(),
    }
}

fn rules() -> Rules {
    let mut commands = CommandTable::standard().with_tls();
    commands.add(Row::new("SITE MD5", Argument::Required)).expect("a new name");
    Rules {
        banner: "wharf ready.".to_owned(),
        commands,
        report: Report::All,
        times: TimeStyle::Utc,
        max_login_attempts: 3,
        login_timeout: Duration::from_secs(60),
        failed_login_delay: Duration::from_secs(3),
        idle_timeout: Duration::from_secs(300),
        data_timeout: Duration::from_secs(200),
        passive_timeout: Duration::from_secs(30),
        active: ActiveRules {
            enabled: true,
            permit_foreign_addresses: false,
            permit_privileged_ports: false,
        },
        tls: Some(TlsPolicy::default()),
    }
}
