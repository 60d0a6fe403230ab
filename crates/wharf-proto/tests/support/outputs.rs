//! The words behind `>` and `?`.

use std::fmt::Write;

use wharf_proto::listing::{Format, TimeStyle, push_time};
use wharf_proto::{Cause, Direction, Event, Op, Output, Timestamp, TransferPlan, WriteMode};

use super::{escape, wire};

/// Appends the lines of one output.
pub(crate) fn push(out: &mut String, output: &Output) {
    let asked = match output {
        Output::Reply(reply) => {
            let bytes = wire(reply);
            let text = bytes.strip_suffix(b"\r\n").unwrap();
            for line in text.split(|&byte| byte == b'\n') {
                let line = escape(line.strip_suffix(b"\r").unwrap_or(line));
                writeln!(out, "> {line}").unwrap();
            }
            return;
        }
        Output::Perform(op) => operation(op),
        Output::Listen => "listen".to_owned(),
        Output::Connect(target) => format!("connect {target}"),
        Output::CloseData => "close data".to_owned(),
        Output::DropOpened(cause) => format!("drop opened: {}", self::cause(*cause)),
        Output::Transfer(plan) => transfer(plan),
        Output::AbortTransfer(cause) => format!("abort transfer: {}", self::cause(*cause)),
        Output::StartTls => "start tls".to_owned(),
        Output::Emit(event) => event_line(event),
        Output::Close => "close".to_owned(),
    };
    writeln!(out, "? {asked}").unwrap();
}

fn operation(op: &Op) -> String {
    match op {
        Op::Authenticate(login) => {
            let secured = if login.secured { " over tls" } else { "" };
            let certificate = login.certificate.as_deref().map(|it| format!(" as {it}")).unwrap_or_default();
            let (user, password) = (escape(&login.user), escape(login.password.expose()));
            format!("authenticate {user} with {password}{secured}{certificate}")
        }
        Op::Metadata { path, follow: true } => format!("metadata {path}"),
        Op::Metadata { path, follow: false } => format!("metadata of link {path}"),
        Op::ChangeDir(path) => format!("change dir {path}"),
        Op::MakeDir(path) => format!("make dir {path}"),
        Op::RemoveDir(path) => format!("remove dir {path}"),
        Op::RemoveFile(path) => format!("remove file {path}"),
        Op::Rename { from, to } => format!("rename {from} to {to}"),
        Op::SetModified { path, time } => format!("set modified {path} {}", self::time(*time)),
        Op::SetMode { path, mode } => format!("set mode {path} {mode:04o}"),
        Op::OpenRead { path, offset } => format!("open read {path} from {offset}"),
        Op::OpenWrite { path, mode } => match mode {
            WriteMode::Replace => format!("open write {path}"),
            WriteMode::Append => format!("open append {path}"),
            WriteMode::At(offset) => format!("open write {path} from {offset}"),
        },
        Op::OpenUnique { directory, prefix } => format!("open unique {} in {directory}", escape(prefix)),
        Op::OpenList { path, format, subject } => {
            let subject = format!("{subject:?}").to_lowercase();
            format!("open list {path}: {}, {subject}", self::format(format))
        }
        Op::ReadList { path, format, .. } => format!("read list {path}: {}", self::format(format)),
        Op::Custom { index, argument, path } => {
            let argument = argument.as_deref().map(escape).unwrap_or_default();
            let path = path.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
            format!("custom {index} ({argument}){path}")
        }
    }
}

fn format(format: &Format) -> String {
    match format {
        Format::Long(_) => "long".to_owned(),
        Format::Names => "names".to_owned(),
        Format::Facts { facts, letters, .. } => {
            let (file, directory) = (letters.of(b"", false), letters.of(b"", true));
            let directories = if file == directory { String::new() } else { format!(" and {directory}") };
            format!("facts {} for {file}{directories}", facts.selected())
        }
    }
}

fn transfer(plan: &TransferPlan) -> String {
    let direction = match plan.direction {
        Direction::Send => "send",
        Direction::Receive => "receive",
        Direction::List => "list",
    };
    let kind = plan.transfer_type.to_string().to_lowercase();
    let protected = if plan.protected { " protected" } else { "" };
    format!("transfer {direction} {kind}{protected}")
}

fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Abort => "abor",
        Cause::ControlLost => "control lost",
        Cause::Shutdown => "shutdown",
        Cause::Timeout => "timeout",
        Cause::Peer => "peer",
        _ => "another cause",
    }
}

fn event_line(event: &Event) -> String {
    match event {
        Event::LoggedIn => "tell: logged in".to_owned(),
        Event::LoginFailed { user } => format!("tell: login of {} failed", escape(user)),
        Event::LoggedOut => "tell: logged out".to_owned(),
        Event::ClientNeverCame => "tell: nobody came".to_owned(),
        Event::ClientNamed(name) => format!("tell: client {}", escape(name)),
        Event::WrongProtocol(protocol) => format!("tell: wrong protocol {protocol:?}"),
        Event::Command { verb, path, reply, .. } => {
            let path = path.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
            format!("tell: {verb}{path} {}", reply.code().number())
        }
    }
}

fn time(time: Timestamp) -> String {
    let mut digits = Vec::new();
    push_time(&mut digits, time, &TimeStyle::Utc);
    String::from_utf8(digits).unwrap()
}
