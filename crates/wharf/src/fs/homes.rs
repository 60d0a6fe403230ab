//! The homes of those who are logged in.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wharf_sys::Identity;

use super::tree::{DirectoryId, Recent};
use super::{FsResult, JailedFs, blocking};
use crate::Uploads;
use crate::auth::User;

/// Opens the homes of users, and lets sessions in the same home share it: one handle for all of them.
///
/// Every login finds its home anew, so a directory that has taken the place of another is served as what it is.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    uploads: Uploads,
    /// For all homes, as they come and go with their sessions.
    recent: Arc<Recent>,
    shared: Mutex<HashMap<Arc<Path>, Known>>,
}

/// A home that somebody is in, or was.
#[derive(Debug)]
struct Known {
    files: Weak<JailedFs>,
    directory: DirectoryId,
}

/// From how many homes on those that nobody is in any more are forgotten.
const MANY: usize = 1_024;

impl Homes {
    /// Homes with these rules for uploads.
    pub(crate) fn new(uploads: Uploads) -> Self {
        Self { uploads, ..Self::default() }
    }

    /// The files in the home of `user`: at once if the kernel's caches know it, and by a hop to the pool otherwise.
    pub(crate) async fn open(&self, user: &User) -> FsResult<Arc<JailedFs>> {
        let found = match JailedFs::open_cached(user) {
            Ok(found) => found,
            Err(_) => {
                let user = user.clone();
                // `open` takes on the user's identity itself.
                blocking(&Identity::process(), move || JailedFs::open(&user)).await?
            }
        };
        let found = found.with_uploads(self.uploads).with_recent(Arc::clone(&self.recent));
        self.share(&user.home, found)
    }

    /// What another session has of the same home, or else `found`, for the next.
    ///
    /// # Errors
    /// When it is a directory that the sandbox has not heard of.
    fn share(&self, home: &Arc<Path>, found: JailedFs) -> FsResult<Arc<JailedFs>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shared.get(home);
        if let Some(other) = known.and_then(|known| known.files.upgrade())
            && other.is_same(&found)
        {
            return Ok(other);
        }
        // Asked of each directory once: it costs two system calls.
        if known.is_none_or(|known| known.directory != found.directory()) {
            found.check_sandbox()?;
        }
        if shared.len() >= MANY {
            shared.retain(|_, known| known.files.strong_count() > 0);
        }
        let found = Arc::new(found);
        let known = Known { files: Arc::downgrade(&found), directory: found.directory() };
        shared.insert(Arc::clone(home), known);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sessions_share_a_home_until_it_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().canonicalize().unwrap().join("home");
        let homes = Homes::default();
        let user = User::new("ann", &home);
        assert!(homes.open(&user).await.is_err());
        std::fs::create_dir(&home).unwrap();
        let first = homes.open(&user).await.unwrap();
        assert!(Arc::ptr_eq(&first, &homes.open(&user).await.unwrap()));
        std::fs::rename(&home, directory.path().join("moved")).unwrap();
        assert!(homes.open(&user).await.is_err());
        std::fs::create_dir(&home).unwrap();
        let is_same = Arc::ptr_eq(&first, &homes.open(&user).await.unwrap());
        // Elsewhere a home is a path, and it makes no difference what that leads to.
        assert_eq!(is_same, cfg!(not(target_os = "linux")));
    }
}
