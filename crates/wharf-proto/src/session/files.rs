//! What follows an operation: the reply, and what the session remembers.

use crate::command::{Command, Row};
use crate::listing::{Format, mlst_line, push_time};
use crate::metadata::{FsErrorKind, Metadata, Timestamp};
use crate::reply::Reply;
use crate::text;
use crate::{Letters, VPath};

use super::data::Transfer;
use super::{Done, ListSubject, Op, Session, Wait, rules};

/// What happens when the operation that is being performed succeeds. If it fails the client is told why, which is
/// the same for all.
#[derive(Debug)]
pub(super) enum Then {
    /// The reply is known already.
    Say(Reply),
    /// USER and PASS were checked.
    LogIn {
        name: Box<[u8]>,
    },
    /// CWD: the path is a directory.
    Enter(VPath),
    /// MKD: the directory exists now.
    Made(VPath),
    /// RNFR: the path exists.
    RenameFrom(VPath),
    Size(VPath),
    Modified(VPath),
    SetModified {
        path: VPath,
        time: Timestamp,
    },
    Mlst(VPath),
    /// STAT of a path: its listing was read.
    Status(VPath),
    /// LIST with what looks like options, MDTM with what looks like a time: now it is known whether that is a name.
    Decide {
        command: Command,
        row: Row,
    },
    /// Rights depend on what the path is: now it is known.
    Resume {
        command: Command,
        row: Row,
    },
    /// What is to be transferred was opened.
    Transfer(Transfer),
    /// An embedder's command was run.
    Custom,
}

impl Then {
    /// The transfer that is being opened.
    pub(super) fn transfer(&self) -> Option<&Transfer> {
        if let Self::Transfer(transfer) = self { Some(transfer) } else { None }
    }
}

impl Session {
    /// The operation of the last `Perform` ended.
    pub(super) fn operation_done(&mut self, done: Done) {
        // A session that is leaving has forgotten what it waited for.
        let Wait::Operation(_) = self.wait else { return };
        let Wait::Operation(then) = std::mem::replace(&mut self.wait, Wait::Nothing) else { return };
        self.active = self.now;
        self.data.use_again(rules::deadline(self.now, self.rules.data_timeout), self.now);
        match (*then, done) {
            (Then::LogIn { name }, Done::Login(outcome)) => self.login_done(name, outcome),
            (Then::Decide { command, row }, Done::Found(found)) => {
                self.execute(command.decided(found.is_ok()), &row, None);
            }
            (Then::Resume { command, row }, Done::Found(Ok(metadata))) => {
                self.execute(command, &row, Some(metadata.is_dir()));
            }
            (Then::Resume { command, row }, Done::Found(Err(FsErrorKind::NotFound))) => {
                self.execute(command, &row, Some(false));
            }
            (then, Done::Found(Ok(metadata))) => self.found(then, &metadata),
            (then, Done::Nothing(Ok(()))) => self.succeeded(then),
            (Then::Transfer(transfer), Done::Opened(Ok(path))) => self.opened(transfer, path),
            (Then::Status(path), Done::Lines(Ok(listing))) => self.finish(text::status_of(&path, &listing)),
            (Then::Custom, Done::Reply(reply)) => self.finish(reply),
            (
                then,
                Done::Nothing(Err(error))
                | Done::Found(Err(error))
                | Done::Opened(Err(error))
                | Done::Lines(Err(error)),
            ) => self.failed(&then, error),
            _ => self.finish(text::OUT_OF_STEP),
        }
    }

    fn succeeded(&mut self, then: Then) {
        let reply = match then {
            Then::Say(reply) => reply,
            Then::Enter(path) => {
                let reply = Reply::quoting(text::code(250), "", &path, " is the current directory.");
                if let Some(ready) = self.who.ready_mut() {
                    ready.directory = path;
                }
                reply
            }
            Then::Made(path) => Reply::quoting(text::code(257), "", &path, " directory created."),
            Then::SetModified { path, time } => text::modified(time, &path),
            _ => text::OUT_OF_STEP,
        };
        self.finish(reply);
    }

    fn found(&mut self, then: Then, metadata: &Metadata) {
        let reply = match then {
            Then::RenameFrom(path) => {
                self.parameters.rename_from = Some(path);
                text::READY_FOR_DESTINATION
            }
            Then::Size(path) | Then::Modified(path) if !metadata.is_file() => text::not_retrievable(&path),
            Then::Size(_) => Reply::new(text::code(213), metadata.size.to_string()),
            Then::Modified(_) => {
                let mut digits = Vec::with_capacity(14);
                push_time(&mut digits, metadata.modified, &self.rules.times);
                Reply::new(text::code(213), String::from_utf8_lossy(&digits))
            }
            Then::Mlst(path) => {
                let letters = self.letters_for(&path, metadata.is_dir());
                let line = mlst_line(metadata, &path, self.parameters.facts, letters, &self.rules.times);
                text::mlst(&path, &line)
            }
            _ => text::OUT_OF_STEP,
        };
        self.finish(reply);
    }

    fn failed(&mut self, then: &Then, error: FsErrorKind) {
        let path = self.current.as_ref().and_then(|current| current.path.clone()).unwrap_or_else(VPath::root);
        self.finish(match (then, error) {
            (Then::Size(_) | Then::Modified(_), FsErrorKind::NotFound) => text::not_retrievable(&path),
            (Then::Transfer(transfer), FsErrorKind::NotADirectory) if transfer.verb == "MLSD" => {
                text::NO_SUCH_DIRECTORY
            }
            (Then::Transfer(transfer), FsErrorKind::OffsetBeyondEnd(size)) => {
                text::offset_beyond_end(transfer.offset, size)
            }
            (Then::Transfer(transfer), error) if transfer.verb == "STOU" => {
                text::no_unique_name(error, &path)
            }
            _ => text::refusal(error, &path),
        });
    }

    pub(super) fn open_file(&mut self, verb: &'static str, op: Op) {
        if let Some(refusal) = self.transfer_refusal() {
            return self.finish(refusal);
        }
        let transfer = Transfer::new(verb, &op, self.parameters.transfer_type, self.security.private_data);
        self.perform(op, Then::Transfer(transfer));
    }

    pub(super) fn open_list(&mut self, path: VPath, format: Format, subject: ListSubject) {
        let verb = match (&format, subject) {
            (Format::Long(_), _) => "LIST",
            (_, ListSubject::Directory) => "MLSD",
            (_, ListSubject::Any) => "NLST",
        };
        self.open_file(verb, Op::OpenList { path, format, subject });
    }

    /// STAT of a path: a listing over the control connection.
    pub(super) fn status_of(&mut self, raw: &[u8], path: VPath) {
        if raw.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
            return self.finish(text::NO_GLOBBING);
        }
        let op = Op::ReadList { path: path.clone(), format: self.long_format(), limit: text::STATUS_LIMIT };
        self.perform(op, Then::Status(path));
    }

    pub(super) fn custom(&mut self, command: Command, path: Option<VPath>) {
        let Command::Custom { index, argument } = command else { return self.finish(text::OUT_OF_STEP) };
        self.perform(Op::Custom { index, argument, path }, Then::Custom);
    }

    pub(super) fn long_format(&self) -> Format {
        Format::Long(self.rules.times.clone())
    }

    pub(super) fn facts_format(&self, directory: &VPath) -> Format {
        let letters = match self.who.ready() {
            Some(ready) => ready.account.permissions.inside(directory),
            None => Letters::NONE.into(),
        };
        Format::Facts { facts: self.parameters.facts, letters, times: self.rules.times.clone() }
    }

    fn letters_for(&self, path: &VPath, is_directory: bool) -> Letters {
        self.who
            .ready()
            .map_or(Letters::NONE, |ready| ready.account.permissions.letters_for(path, is_directory))
    }
}
