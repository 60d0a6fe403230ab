//! Commands that an embedder adds.
//!
//! A command is a [`Row`] of the command table, which says what is checked before it runs, and a function from a [`Call`]
//! to a [`Reply`].
//!
//! ```
//! use wharf::auth::VirtualUsers;
//! use wharf::command::{Argument, Call, Code, Reply, Row};
//! use wharf::{Letter, Server};
//!
//! async fn size_of_name(call: Call) -> Reply {
//!     let length = call.path.map_or(0, |path| path.as_bytes().len());
//!     Reply::new(Code::new(200), format!("{length} bytes."))
//! }
//!
//! let row = Row::new("SITE LENGTH", Argument::Required).letter(Letter::List);
//! let server = Server::builder(VirtualUsers::new()).command(row, size_of_name)?.without_command("DELE")?;
//! # drop(server);
//! # Ok::<(), wharf::Error>(())
//! ```

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use wharf_proto::VPath;
pub use wharf_proto::{Argument, Code, Reply, Row, TableError};

use crate::BoxFuture;
use crate::events::SessionInfo;
use crate::fs::{DynFileSystem, SharedFs};

/// A call of a command that an embedder added.
#[derive(Debug)]
#[non_exhaustive]
pub struct Call {
    /// Whose session it is.
    pub session: SessionInfo,
    /// The argument as the client wrote it.
    pub argument: Option<Box<[u8]>>,
    /// The path that the argument names, seen from the working directory; set for rows with a permission letter,
    /// which has been checked.
    pub path: Option<VPath>,
    /// The user's files; `None` before login.
    pub files: Option<SharedFs>,
}

impl Call {
    pub(crate) fn new(
        session: SessionInfo,
        argument: Option<Box<[u8]>>,
        path: Option<VPath>,
        files: Option<Arc<dyn DynFileSystem>>,
    ) -> Self {
        Self { session, argument, path, files: files.map(SharedFs::new) }
    }
}

/// What runs when a client sends the command.
pub(crate) struct Handler(Box<dyn Fn(Call) -> BoxFuture<'static, Reply> + Send + Sync>);

impl Handler {
    pub(crate) fn new<F: Future<Output = Reply> + Send + 'static>(
        run: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(move |call| Box::pin(run(call))))
    }

    pub(crate) fn run(&self, call: Call) -> BoxFuture<'static, Reply> {
        (self.0)(call)
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}
