//! What all sessions of a server share.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;
use wharf_proto::Rules;

use super::workers::Workers;
use crate::BoxFuture;
use crate::auth::{DynAuthorizer, User};
use crate::command::Handler;
use crate::config::Settings;
use crate::events::{DynEventHandler, TracingLog, XferLog};
use crate::fs::{DynFileSystem, FsResult};
use crate::net::{ConnectionLimits, MasqueradeNames, PassivePorts};

/// Opens the file system of a user.
pub(crate) type FileSystemFactory =
    Arc<dyn Fn(&User) -> BoxFuture<'static, FsResult<Arc<dyn DynFileSystem>>> + Send + Sync>;

/// How often certificate files are looked at.
#[cfg(feature = "tls")]
const CERTIFICATE_WATCH: std::time::Duration = std::time::Duration::from_secs(10);

/// What all sessions of a server share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) rules: Arc<Rules>,
    pub(crate) authorizer: Box<dyn DynAuthorizer>,
    pub(crate) filesystem: FileSystemFactory,
    pub(crate) events: Box<dyn DynEventHandler>,
    pub(crate) log: TracingLog,
    pub(crate) xferlog: Option<XferLog>,
    /// The embedder's commands, by their number in the table.
    pub(crate) commands: Vec<Handler>,
    pub(crate) connection_limits: ConnectionLimits,
    pub(crate) user_limits: UserSessions,
    pub(crate) passive_ports: PassivePorts,
    pub(crate) masquerade: MasqueradeNames,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::Acceptor>,
    #[cfg(feature = "tls")]
    pub(crate) certificates: Option<crate::tls::Certificates>,
    pub(crate) sessions: AtomicU64,
    pub(crate) workers: Workers,
}

impl Shared {
    /// A number for a new session.
    pub(crate) fn next_session_id(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Opens the files of a user who has just logged in.
    pub(crate) async fn files_of(&self, user: &User) -> FsResult<Arc<dyn DynFileSystem>> {
        (self.filesystem)(user).await
    }

    /// Starts what runs beside the sessions.
    pub(crate) fn spawn_background(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let shared = Arc::clone(self);
        tasks.spawn(async move { shared.masquerade.keep_current().await });
        #[cfg(feature = "tls")]
        if let Some(certificates) = self.certificates.clone() {
            tasks.spawn(certificates.watch(CERTIFICATE_WATCH));
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Counts the sessions of each user that has a limit on them, whatever name it gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserSessions(Arc<Mutex<HashMap<Arc<str>, usize>>>);

/// One session of a user. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct UserPermit {
    sessions: UserSessions,
    /// `None` for a user without a limit, who is not counted.
    account: Option<Arc<str>>,
}

impl UserSessions {
    /// Room for one more session of `user`; `None` when there is none.
    pub(crate) fn admit(&self, user: &User) -> Option<UserPermit> {
        let Some(most) = user.limits.sessions else {
            return Some(UserPermit { sessions: self.clone(), account: None });
        };
        let account = user.account.as_ref().unwrap_or(&user.name);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(Arc::clone(account)).or_default();
        if *count >= most.get() {
            return None;
        }
        *count += 1;
        Some(UserPermit { sessions: self.clone(), account: Some(Arc::clone(account)) })
    }
}

impl Drop for UserPermit {
    fn drop(&mut self) {
        let Some(account) = self.account.take() else { return };
        let mut counts = self.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&account) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::auth::UserLimits;

    #[test]
    fn counts_the_sessions_of_a_limited_user() {
        let sessions = UserSessions::default();
        let mut user = User::new("ann", "/");
        user.limits.sessions = NonZeroUsize::new(2);
        let first = sessions.admit(&user).unwrap();
        let _second = sessions.admit(&user).unwrap();
        assert!(sessions.admit(&user).is_none());
        drop(first);
        assert!(sessions.admit(&user).is_some());
        assert!(sessions.admit(&User::new("bob", "/")).is_some());
    }

    #[test]
    fn one_account_is_counted_once_whatever_its_name() {
        let sessions = UserSessions::default();
        let user = |name: &str| {
            let user = User { account: Some("S-1-5-21".into()), ..User::new(name, "/") };
            User { limits: UserLimits { sessions: NonZeroUsize::new(1), ..user.limits }, ..user }
        };
        let _first = sessions.admit(&user("ann")).unwrap();
        assert!(sessions.admit(&user("OFFICE\\ANN")).is_none());
    }
}
