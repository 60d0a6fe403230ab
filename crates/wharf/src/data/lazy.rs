//! Sockets that the runtime learns of when they must be waited for, and not before.
//!
//! To make a socket known to the runtime and to take it back costs two system calls. Most clients have connected before
//! they name the file, and a small file fits the socket's buffer: neither has to be waited for.

use std::io;

/// A socket, `Watched` once the runtime knows it.
#[derive(Debug)]
pub(crate) enum Lazy<Socket, Watched> {
    Unwatched(Socket),
    Watched(Watched),
    /// The runtime could not take it, or it is at work elsewhere.
    Lost,
}

impl<Socket, Watched> Lazy<Socket, Watched> {
    /// The socket as the runtime knows it, which is told by `register` if it does not yet.
    ///
    /// # Errors
    /// What `register` says, and that there is no socket ever after.
    pub(crate) fn watch(
        &mut self,
        register: impl FnOnce(Socket) -> io::Result<Watched>,
    ) -> io::Result<&mut Watched> {
        if matches!(self, Self::Unwatched(_))
            && let Self::Unwatched(socket) = std::mem::replace(self, Self::Lost)
        {
            *self = Self::Watched(register(socket)?);
        }
        match self {
            Self::Watched(watched) => Ok(watched),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Takes the socket for work elsewhere, during which the runtime is not to be woken by it. Nothing is left here.
    ///
    /// # Errors
    /// What `deregister` says, and that there is no socket.
    #[cfg(any(target_os = "linux", feature = "tls"))]
    pub(crate) fn take(
        &mut self,
        deregister: impl FnOnce(Watched) -> io::Result<Socket>,
    ) -> io::Result<Socket> {
        match std::mem::replace(self, Self::Lost) {
            Self::Unwatched(socket) => Ok(socket),
            Self::Watched(watched) => deregister(watched),
            Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
