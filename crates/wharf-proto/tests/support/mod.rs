//! A session on a stage: settings, time and the other side are made up.

#![allow(dead_code)] // each test uses its part

pub(crate) mod answers;
pub(crate) mod outputs;
pub(crate) mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_proto::{Account, Done, Input, Op, Output, Reply, Session};

use settings::Settings;

/// A session, the time and what the session has asked for.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    pub(crate) account: Account,
    /// The operation that awaits its answer.
    pub(crate) outstanding: Option<Op>,
    shows_events: bool,
    out: String,
}

impl Stage {
    pub(crate) fn new(settings: &Settings) -> Self {
        let now = origin();
        let rules = Arc::new(settings.rules.clone());
        let session = Session::new(rules, settings.peer, settings.secured, now);
        let mut stage = Self {
            session,
            now,
            account: settings.account.clone(),
            outstanding: None,
            shows_events: settings.shows_events,
            out: String::new(),
        };
        stage.collect();
        if settings.logged_in {
            stage.log_in();
        }
        stage
    }

    pub(crate) fn log_in(&mut self) {
        self.handle(Input::Bytes(b"USER ann\r\nPASS 12345\r\n"));
        self.handle(Input::Done(Done::Login(Ok(self.account.clone()))));
        self.out.clear();
    }

    /// What the session has said and asked for since the last call, in the words of the transcripts.
    pub(crate) fn take_outputs(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    pub(crate) fn handle(&mut self, input: Input<'_>) {
        if matches!(input, Input::Done(_)) {
            self.outstanding = None;
        }
        self.session.handle(input, self.now);
        self.collect();
    }

    /// One line of a transcript that is not the session's.
    pub(crate) fn act(&mut self, sign: &str, rest: &str) -> Result<(), String> {
        match sign {
            "<" => self.handle(Input::Bytes(&[&unescape(rest)?, b"\r\n".as_slice()].concat())),
            "<<" => self.handle(Input::Bytes(&unescape(rest)?)),
            "~" => self.pass(settings::duration(rest)?),
            _ => {
                let input = answers::input(rest, self)?;
                self.handle(input);
            }
        }
        Ok(())
    }

    /// Lets time pass, with the timeouts that fall into it.
    pub(crate) fn pass(&mut self, length: Duration) {
        let until = self.now + length;
        while let Some(due) = self.session.poll_timeout().filter(|&due| due <= until) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.collect();
        }
        self.now = until;
    }

    fn collect(&mut self) {
        while let Some(output) = self.session.poll_output() {
            if self.shows_events || !matches!(output, Output::Emit(_)) {
                outputs::push(&mut self.out, &output);
            }
            if let Output::Perform(op) = output {
                assert!(self.outstanding.replace(op).is_none(), "two operations at once");
            }
        }
    }
}

/// A point in time to count from.
#[allow(clippy::disallowed_methods)]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

pub(crate) fn wire(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    reply.encode_into(&mut out);
    out
}

/// Bytes as the transcripts show them.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let shown = bytes.utf8_chunks().map(|chunk| {
        let valid = chunk.valid().chars().map(|c| match c {
            '\\' => "\\\\".to_owned(),
            '\r' => "\\r".to_owned(),
            '\n' => "\\n".to_owned(),
            c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
            c => c.to_string(),
        });
        let invalid = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
        valid.chain(invalid).collect::<String>()
    });
    shown.collect()
}

/// The bytes that a transcript means.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let bad = || format!("no such escape: \\{escaped}");
        rest = if let Some(rest) = escaped.strip_prefix('r') {
            bytes.push(b'\r');
            rest
        } else if let Some(rest) = escaped.strip_prefix('n') {
            bytes.push(b'\n');
            rest
        } else if let Some(rest) = escaped.strip_prefix('\\') {
            bytes.push(b'\\');
            rest
        } else if let Some((digits, rest)) = escaped.strip_prefix('x').and_then(|hex| hex.split_at_checked(2))
        {
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
            rest
        } else {
            let (repeated, rest) =
                escaped.strip_prefix('[').and_then(|s| s.split_once(']')).ok_or_else(bad)?;
            let (count, what) = repeated.split_once(' ').ok_or_else(bad)?;
            bytes.extend(unescape(what)?.repeat(count.parse().map_err(|_| bad())?));
            rest
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}
