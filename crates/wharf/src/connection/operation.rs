//! Operations that a session asks for: logins, file-system calls, embedders' commands.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;
use wharf_proto::listing::Format;
use wharf_proto::{
    Account, Code, Denied, Done, Input, ListSubject, Listing, LoginInfo, Op, Reply, VPath, WriteMode,
};

use super::transfer::{Asker, Prepared};
use super::{Connection, LoggedIn};
use crate::BoxFuture;
use crate::auth::{AuthError, Login, User};
use crate::data::Opened;
use crate::events::SessionInfo;
use crate::fs::{Detail, DynFileSystem, Entries, FsError, FsErrorKind, FsResult};
use crate::server::Shared;

/// An operation that has been performed: what the session is told, and what the connection keeps.
pub(super) struct Performed {
    done: Done,
    brought: Brought,
}

/// What an operation brought besides an answer.
enum Brought {
    Nothing,
    Login(Arc<LoggedIn>),
    Opened(Box<Prepared>),
}

impl From<Done> for Performed {
    fn from(done: Done) -> Self {
        Self { done, brought: Brought::Nothing }
    }
}

/// Waits for the operation; for ever, if there is none.
pub(super) fn poll_done(
    operation: &mut Option<BoxFuture<'static, Performed>>,
    context: &mut Context<'_>,
) -> Poll<Performed> {
    let Some(running) = operation else { return Poll::Pending };
    let performed = ready!(running.as_mut().poll(context));
    *operation = None;
    Poll::Ready(performed)
}

impl Connection {
    /// Keeps what the operation brought and tells the session.
    pub(super) fn performed(&mut self, performed: Performed) {
        match performed.brought {
            Brought::Nothing => {}
            Brought::Login(login) => {
                Arc::make_mut(&mut self.info).user = Some(Arc::clone(&login.user.name));
                self.login = Some(login);
            }
            Brought::Opened(prepared) => {
                self.prepared = self.session.transfer_plan().map(|plan| (plan, prepared));
            }
        }
        self.tell(Input::Done(performed.done));
    }

    pub(super) fn operation_for(&self, op: Op) -> BoxFuture<'static, Performed> {
        let op = match op {
            Op::Authenticate(login) => return self.authenticate(login),
            Op::Custom { index, argument, path } => return self.custom(index, argument, path),
            op => op,
        };
        let Some(login) = &self.login else {
            return Box::pin(async { Done::Nothing(Err(FsErrorKind::PermissionDenied)).into() });
        };
        let files = Arc::clone(&login.files);
        let log = Arc::clone(&self.shared);
        let asker = Asker { info: Arc::clone(&self.info), login: Arc::clone(login) };
        Box::pin(async move {
            file_operation(&*files, op, &asker).await.unwrap_or_else(|(error, answer)| {
                log.log.file_error(&asker.info, &error);
                answer(error.kind()).into()
            })
        })
    }

    fn authenticate(&self, login: LoginInfo) -> BoxFuture<'static, Performed> {
        let shared = Arc::clone(&self.shared);
        let info = Arc::clone(&self.info);
        Box::pin(async move {
            match log_in(&shared, &info, &login).await {
                Ok((account, login)) => {
                    Performed { done: Done::Login(Ok(account)), brought: Brought::Login(Arc::new(login)) }
                }
                Err(denied) => Done::Login(Err(denied)).into(),
            }
        })
    }

    fn custom(
        &self,
        index: usize,
        argument: Option<Box<[u8]>>,
        path: Option<VPath>,
    ) -> BoxFuture<'static, Performed> {
        let Some(handler) = self.shared.commands.get(index) else {
            let reply = Reply::new(Code::new(502), "Command not implemented.");
            return Box::pin(async { Done::Reply(reply).into() });
        };
        let files = self.login.as_ref().map(|login| Arc::clone(&login.files));
        let call = crate::command::Call::new(SessionInfo::clone(&self.info), argument, path, files);
        let reply = handler.run(call);
        Box::pin(async move { Done::Reply(reply.await).into() })
    }
}

/// Checks a USER/PASS pair and opens the user's file system.
async fn log_in(
    shared: &Shared,
    info: &SessionInfo,
    login: &LoginInfo,
) -> Result<(Account, LoggedIn), Denied> {
    // Names are bytes on the wire, but no authorizer knows a user whose name is not text.
    let user = std::str::from_utf8(&login.user).map_err(|_| Denied::Credentials)?;
    let asked = Login {
        user,
        password: &login.password,
        peer: info.peer,
        local: info.local,
        secured: login.secured,
        certificate: login.certificate.as_deref(),
    };
    let user = shared.authorizer.authenticate(asked).await.map_err(|error| {
        shared.log.login_error(info, &error);
        match error {
            AuthError::Refused | AuthError::NotAllowed(_) => Denied::Credentials,
            AuthError::NoAnonymous => Denied::Anonymous,
            AuthError::Unavailable(_) => Denied::Unavailable,
        }
    })?;
    let permit = shared.user_limits.admit(&user).ok_or_else(|| {
        shared.log.refused(info, "too many sessions of this user");
        Denied::TooManySessions
    })?;
    let files = shared.files_of(&user).await.map_err(|error| {
        shared.log.home_error(info, &user, &error);
        Denied::Unavailable
    })?;
    let account = account_of(&user, files.start());
    Ok((account, LoggedIn { user, files, _permit: permit }))
}

fn account_of(user: &User, start: VPath) -> Account {
    Account {
        name: Arc::clone(&user.name),
        permissions: Arc::clone(&user.permissions),
        start,
        login_message: Arc::clone(&user.login_message),
        quit_message: Arc::clone(&user.quit_message),
    }
}

/// How a failed operation is told to the session.
type Answer = fn(FsErrorKind) -> Done;

/// Performs a file-system operation.
async fn file_operation(
    files: &dyn DynFileSystem,
    op: Op,
    asker: &Asker,
) -> Result<Performed, (FsError, Answer)> {
    let done = match op {
        Op::Authenticate(_) | Op::Custom { .. } => Done::Nothing(Err(FsErrorKind::Unsupported)),
        Op::Metadata { path, follow } => {
            let found = if follow { files.metadata(&path).await } else { files.link_metadata(&path).await };
            Done::Found(Ok(found.map_err(|error| (error, (|kind| Done::Found(Err(kind))) as Answer))?))
        }
        Op::ChangeDir(path) => nothing(files.enter(&path).await)?,
        Op::MakeDir(path) => nothing(files.create_dir(&path).await)?,
        Op::RemoveDir(path) => nothing(files.remove_dir(&path).await)?,
        Op::RemoveFile(path) => nothing(files.remove_file(&path).await)?,
        Op::Rename { from, to } => nothing(files.rename(&from, &to).await)?,
        Op::SetModified { path, time } => nothing(files.set_modified(&path, time).await)?,
        Op::SetMode { path, mode } => nothing(files.set_mode(&path, mode).await)?,
        Op::ReadList { path, format, limit } => {
            let listing = read_list(files, &path, format, limit).await;
            Done::Lines(Ok(listing.map_err(|error| (error, (|kind| Done::Lines(Err(kind))) as Answer))?))
        }
        Op::OpenRead { .. } | Op::OpenWrite { .. } | Op::OpenUnique { .. } | Op::OpenList { .. } => {
            let opened = open(files, op, asker).await;
            return opened.map_err(|error| (error, (|kind| Done::Opened(Err(kind))) as Answer));
        }
    };
    Ok(done.into())
}

fn nothing(result: FsResult<()>) -> Result<Done, (FsError, Answer)> {
    result.map_err(|error| (error, (|kind| Done::Nothing(Err(kind))) as Answer))?;
    Ok(Done::Nothing(Ok(())))
}

/// Opens what a transfer will move.
async fn open(files: &dyn DynFileSystem, op: Op, asker: &Asker) -> FsResult<Performed> {
    let (verb, path, opened) = match op {
        Op::OpenRead { path, offset } => {
            let source = files.read(&path, offset).await?;
            ("RETR", path, Opened::Source(source))
        }
        Op::OpenWrite { path, mode } => {
            let sink = files.write(&path, mode).await?;
            (if mode == WriteMode::Append { "APPE" } else { "STOR" }, path, Opened::Sink(sink))
        }
        Op::OpenUnique { directory, prefix } => {
            let (path, sink) = files.write_unique(&directory, &prefix).await?;
            ("STOU", path, Opened::Sink(sink))
        }
        Op::OpenList { path, format, subject } => {
            let entries = files.list(&path, detail_of(&format)).await?;
            if subject == ListSubject::Directory && !entries.is_directory() {
                return Err(FsErrorKind::NotADirectory.into());
            }
            ("LIST", path, Opened::Entries(entries, format))
        }
        _ => return Err(FsErrorKind::Unsupported.into()),
    };
    let local_path = files.local_path(&path);
    let (begun, asker) = (Instant::now(), asker.clone());
    let prepared = Prepared { begun, asker, verb, local_path, path: path.clone(), opened };
    Ok(Performed { done: Done::Opened(Ok(path)), brought: Brought::Opened(Box::new(prepared)) })
}

fn detail_of(format: &Format) -> Detail {
    match format {
        Format::Names => Detail::Names,
        Format::Facts { .. } => Detail::Facts,
        Format::Long(_) => Detail::Long,
    }
}

/// Reads a listing for the control connection, up to the line with which it would be longer than `limit` bytes.
async fn read_list(
    files: &dyn DynFileSystem,
    path: &VPath,
    format: Format,
    limit: usize,
) -> FsResult<Listing> {
    let mut entries: Entries = files.list(path, detail_of(&format)).await?;
    let now = crate::data::now();
    let mut lines = Vec::new();
    while let Some(batch) = entries.next_batch().await {
        for entry in &batch? {
            let before = lines.len();
            format.push_line(entry, now, &mut lines);
            if lines.len() > limit {
                lines.truncate(before);
                return Ok(Listing { lines, truncated: true });
            }
        }
    }
    Ok(Listing { lines, truncated: false })
}
