//! What can be done with a server while it serves.

use std::sync::Arc;

use super::Shared;
#[cfg(feature = "tls")]
use crate::error::Result;

/// A server's other end: what can be done with it while [`serve`](super::Server::serve) runs. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Reads certificates and keys again. Sessions that are under TLS keep theirs.
    ///
    /// # Errors
    /// When what is there now cannot be used: the certificates stay what they were.
    #[cfg(feature = "tls")]
    pub fn reload_certificates(&self) -> Result<()> {
        match &self.0.certificates {
            Some(certificates) => Ok(certificates.reload()?),
            None => Ok(()),
        }
    }

    /// Opens the transfer log's path again, after a log rotation.
    pub fn reopen_logs(&self) {
        if let Some(xferlog) = &self.0.xferlog {
            xferlog.reopen();
        }
    }

    /// How many clients are connected.
    pub fn connections(&self) -> usize {
        self.0.connection_limits.open()
    }
}
