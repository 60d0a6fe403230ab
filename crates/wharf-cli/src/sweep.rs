//! What a killed server left of staged uploads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wharf::Publish;
use wharf::fs::JailedFs;

use crate::config::{Accounts, Config};

/// How long after the start it is swept. By then all that an earlier run left is older than [`FRESH`], and what this
/// run has begun is younger, or locked.
const AFTER: Duration = Duration::from_secs(5);

/// What has changed within this time may be an upload that is only just beginning.
const FRESH: Duration = Duration::from_secs(2);

/// Sweeps the homes that virtual users write to, where uploads are staged, beside the sessions. Users of the system are
/// swept for when they remove a directory.
pub(crate) fn begin(config: &Config) {
    let homes = homes(config);
    if config.settings.uploads.publish != Publish::Staged || homes.is_empty() {
        return;
    }
    tokio::spawn(async move {
        tokio::time::sleep(AFTER).await;
        tokio::task::spawn_blocking(move || homes.iter().for_each(|home| sweep(home))).await
    });
}

/// The homes with users that may write, each once.
fn homes(config: &Config) -> Vec<PathBuf> {
    let Accounts::Virtual { users, anonymous, .. } = &config.accounts else { return Vec::new() };
    let writers =
        users.iter().chain(anonymous).filter(|user| user.permissions.writes() || !user.overrides.is_empty());
    let mut homes: Vec<PathBuf> = writers.map(|user| user.home.clone()).collect();
    homes.sort_unstable();
    homes.dedup();
    homes
}

fn sweep(home: &Path) {
    match JailedFs::sweep(home, FRESH) {
        Ok(0) => {}
        Ok(count) => tracing::info!(home = %home.display(), count, "removed what was left of staged uploads"),
        Err(error) => {
            tracing::warn!(home = %home.display(), %error, "cannot look for the rest of staged uploads")
        }
    }
}
