//! PWD, and the paths that commands name.

use std::borrow::Cow;

use crate::command::{Command, Row};
use crate::listing::Format;
use crate::permissions::{Letter, Verdict};
use crate::reply::Reply;
use crate::text;
use crate::{TransferType, VPath};

use super::files::Then;
use super::{ListSubject, Op, Session, WriteMode};

/// How the names begin that STOU makes up without a hint.
const UNHINTED: &[u8] = b"ftpd";

impl Session {
    pub(super) fn pwd(&mut self) {
        let Some(ready) = self.who.ready() else { return self.finish(text::NOT_LOGGED_IN) };
        let reply = Reply::quoting(text::code(257), "", &ready.directory, " is the current directory.");
        self.finish(reply);
    }

    /// Executes a command that names a path: finds out which, and whether the user may.
    pub(super) fn on_path(&mut self, command: Command, row: &Row, is_directory: Option<bool>) {
        let doubtful = command.doubtful_name();
        let Some(raw) = doubtful.or_else(|| named_path(&command)) else {
            return self.finish(text::NOT_LOGGED_IN);
        };
        let letter = match command {
            Command::SetModified { .. } => Some(Letter::ChangeTime),
            _ => row.letter,
        };
        let Some(ready) = self.who.ready() else { return self.finish(text::NOT_LOGGED_IN) };
        let Ok(mut path) = ready.directory.join(raw) else { return self.finish(text::BAD_PATH) };
        if doubtful.is_some() {
            // What looks like options, or like a time, is a name if something has that very name.
            return self
                .perform(Op::Metadata { path, follow: false }, Then::Decide { command, row: row.clone() });
        }
        if matches!(command, Command::Stou(_)) && path == ready.directory {
            path = path.join(UNHINTED).unwrap_or(path);
        }
        if let Some(current) = &mut self.current {
            current.path = Some(path.clone());
            current.notable |= matches!(command, Command::SetModified { .. });
        }
        let permissions = &ready.account.permissions;
        let judged = judged_path(&command, &path);
        let moves_more = matches!(command, Command::Rnfr(_)) && !permissions.may_move_below(&path);
        let verdict = match letter {
            None => Verdict::Allowed,
            Some(_) if moves_more => Verdict::Denied,
            Some(letter) => permissions.verdict(letter, &judged),
        };
        let is_directory = is_directory.or_else(|| kind_of_target(&command));
        match (verdict, is_directory) {
            (Verdict::Allowed, _)
            | (Verdict::AllowedForDirectory, Some(true))
            | (Verdict::AllowedForFile, Some(false)) => self.on_admitted(command, path),
            (Verdict::AllowedForDirectory | Verdict::AllowedForFile, None) => {
                let op = Op::Metadata { path, follow: true };
                self.perform(op, Then::Resume { command, row: row.clone() });
            }
            _ => self.finish(text::NOT_ENOUGH_PRIVILEGES),
        }
    }

    /// Executes a command on a path that the user may use that way.
    fn on_admitted(&mut self, command: Command, path: VPath) {
        match command {
            Command::Cwd(_) => self.perform(Op::ChangeDir(path.clone()), Then::Enter(path)),
            Command::Mkd(_) => self.perform(Op::MakeDir(path.clone()), Then::Made(path)),
            Command::Rmd(_) if path.is_root() => self.finish(text::CANNOT_REMOVE_ROOT),
            Command::Rmd(_) => self.perform(Op::RemoveDir(path), Then::Say(text::DIRECTORY_REMOVED)),
            Command::Dele(_) => self.perform(Op::RemoveFile(path), Then::Say(text::FILE_REMOVED)),
            Command::Rnfr(_) if path.is_root() => self.finish(text::CANNOT_RENAME_ROOT),
            Command::Rnfr(_) => {
                let op = Op::Metadata { path: path.clone(), follow: false };
                self.perform(op, Then::RenameFrom(path));
            }
            Command::Rnto(_) => self.rename_to(path),
            Command::Size(_) if self.parameters.transfer_type == TransferType::Ascii => {
                self.finish(text::SIZE_IN_ASCII);
            }
            Command::Size(_) => {
                self.perform(Op::Metadata { path: path.clone(), follow: true }, Then::Size(path))
            }
            Command::Mdtm(_) => {
                self.perform(Op::Metadata { path: path.clone(), follow: true }, Then::Modified(path))
            }
            Command::SetModified { time, .. } => {
                let op = Op::SetModified { path: path.clone(), time };
                self.perform(op, Then::SetModified { path, time });
            }
            Command::SiteChmod { mode, .. } => {
                self.perform(Op::SetMode { path, mode }, Then::Say(text::MODE_CHANGED))
            }
            Command::Mlst(_) => {
                self.perform(Op::Metadata { path: path.clone(), follow: true }, Then::Mlst(path))
            }
            Command::Stat(Some(argument)) => self.status_of(&argument.whole, path),
            Command::Retr(_) => self.retr(path),
            Command::Stor(_) => self.stor(path),
            Command::Appe(_) => self.appe(path),
            Command::Stou(_) => self.stou(&path),
            Command::List(_) => self.open_list(path, self.long_format(), ListSubject::Any),
            Command::Nlst(_) => self.open_list(path, Format::Names, ListSubject::Any),
            Command::Mlsd(_) => {
                let format = self.facts_format(&path);
                self.open_list(path, format, ListSubject::Directory);
            }
            custom => self.custom(custom, Some(path)),
        }
    }

    fn rename_to(&mut self, to: VPath) {
        match self.parameters.rename_from.take() {
            None => self.finish(text::RNFR_FIRST),
            Some(_) if to.is_root() => self.finish(text::CANNOT_RENAME_ROOT),
            Some(from) => self.perform(Op::Rename { from, to }, Then::Say(text::RENAMED)),
        }
    }

    /// RETR: the offset of REST is used up, whatever becomes of it.
    fn retr(&mut self, path: VPath) {
        let offset = std::mem::take(&mut self.parameters.restart);
        self.open_file("RETR", Op::OpenRead { path, offset });
    }

    fn stor(&mut self, path: VPath) {
        let mode = match std::mem::take(&mut self.parameters.restart) {
            0 => WriteMode::Replace,
            offset => WriteMode::At(offset),
        };
        self.open_file("STOR", Op::OpenWrite { path, mode });
    }

    fn appe(&mut self, path: VPath) {
        if self.parameters.restart != 0 {
            return self.finish(text::APPE_AFTER_REST);
        }
        self.open_file("APPE", Op::OpenWrite { path, mode: WriteMode::Append });
    }

    /// STOU: the argument is a hint for the name.
    fn stou(&mut self, hint: &VPath) {
        if self.parameters.restart != 0 {
            return self.finish(text::STOU_AFTER_REST);
        }
        let (directory, prefix) = (hint.parent(), hint.file_name().unwrap_or(UNHINTED).into());
        self.open_file("STOU", Op::OpenUnique { directory, prefix });
    }
}

/// The path that a command names, as the client wrote it; `None` for commands that name none.
fn named_path(command: &Command) -> Option<&[u8]> {
    match command {
        // Without an argument CWD goes to the root, all others stay where they are.
        Command::Cwd(path) if path.is_empty() => Some(b"/"),
        Command::Cwd(path)
        | Command::Mkd(path)
        | Command::Rmd(path)
        | Command::Mlsd(path)
        | Command::Mlst(path)
        | Command::Retr(path)
        | Command::Stor(path)
        | Command::Appe(path)
        | Command::Stou(path)
        | Command::Rnfr(path)
        | Command::Rnto(path)
        | Command::Dele(path)
        | Command::Size(path)
        | Command::Mdtm(path)
        | Command::SetModified { path, .. }
        | Command::SiteChmod { path, .. } => Some(path),
        Command::List(argument) | Command::Nlst(argument) | Command::Stat(Some(argument)) => {
            Some(&argument.whole)
        }
        Command::Custom { argument, .. } => Some(argument.as_deref().unwrap_or_default()),
        _ => None,
    }
}

/// The path whose rights a command needs. STOU's argument is only how the name begins: the file lies beside what has that
/// name, and not in it.
fn judged_path<'a>(command: &Command, path: &'a VPath) -> Cow<'a, VPath> {
    match (command, path.file_name()) {
        (Command::Stou(_), Some(_)) => {
            let begun = [path.as_bytes(), b"."].concat();
            // It is longer by a byte than may be. The name that STOU finds will be too.
            VPath::parse(&begun).map_or(Cow::Borrowed(path), Cow::Owned)
        }
        _ => Cow::Borrowed(path),
    }
}

/// What a command's path must name for the command to succeed; `None` where it may be either.
fn kind_of_target(command: &Command) -> Option<bool> {
    match command {
        Command::Cwd(_) | Command::Rmd(_) | Command::Mlsd(_) => Some(true),
        Command::Retr(_)
        | Command::Stor(_)
        | Command::Appe(_)
        | Command::Stou(_)
        | Command::Dele(_)
        | Command::Mkd(_)
        | Command::Size(_)
        | Command::Mdtm(_) => Some(false),
        _ => None,
    }
}
