//! The single door to the blocking pool.

use std::io;

use wharf_sys::Identity;

use super::FsResult;

/// Runs `work` on the blocking pool with the rights of `identity`.
///
/// Everything that may wait for a disk goes through here, so that no async worker ever does. One call is one hop:
/// merge what one command needs into one `work`.
///
/// # Errors
/// What `work` returns; [`FsErrorKind::Failed`](super::FsErrorKind::Failed) when the identity cannot be entered, or
/// when `work` panicked.
pub async fn blocking<T: Send + 'static>(
    identity: &Identity,
    work: impl FnOnce() -> FsResult<T> + Send + 'static,
) -> FsResult<T> {
    let identity = identity.clone();
    let task = tokio::task::spawn_blocking(move || {
        let _entered = identity.enter()?;
        work()
    });
    task.await.map_err(io::Error::other)?
}
