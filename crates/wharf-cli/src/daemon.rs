//! The program as a service: how many files it may open, and what it has to say to a service manager.

use std::net::TcpListener;

use crate::failure::Failure;

/// What the service manager is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    /// Clients can connect.
    Ready,
    /// Certificates and logs are being read and opened again.
    Reloading,
    /// The last sessions are ending.
    Stopping,
}

/// Ports that the service manager opened.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// For sessions that begin in clear.
    pub(crate) explicit: Vec<TcpListener>,
    /// For sessions that begin with TLS: sockets called `implicit`.
    pub(crate) implicit: Vec<TcpListener>,
}

/// Makes room for as many clients as the system allows, and none for what is not used. Without it there is room for a few
/// hundred.
pub(crate) fn raise_limits() {
    #[cfg(unix)]
    wharf_sys::daemon::return_large_blocks();
    #[cfg(unix)]
    if let Err(error) = wharf_sys::daemon::raise_open_files_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Sets the permission bits that new files do not get.
///
/// # Errors
/// Where files have no such bits.
pub(crate) fn set_umask(bits: u32) -> Result<(), Failure> {
    #[cfg(unix)]
    {
        wharf_sys::daemon::set_umask(bits);
        Ok(())
    }
    #[cfg(not(unix))]
    {
        let _ = bits;
        Err(Failure::usage("umask: files have no such permissions here"))
    }
}

/// Tells the service manager, if there is one.
pub(crate) fn tell(notice: Notice) {
    #[cfg(target_os = "linux")]
    {
        use wharf_sys::service::{self, Notice as Told};

        let told = service::notify(match notice {
            Notice::Ready => Told::Ready,
            Notice::Reloading => Told::Reloading,
            Notice::Stopping => Told::Stopping,
        });
        if let Err(error) = told {
            tracing::warn!(%error, "the service manager does not listen");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = notice;
}

/// Takes over the ports that the service manager opened.
///
/// # Errors
/// When one of them is not a port that clients can connect to.
pub(crate) fn inherited() -> Result<Inherited, Failure> {
    #[cfg(target_os = "linux")]
    {
        let sockets = wharf_sys::service::inherited_listeners()
            .map_err(|error| Failure::usage(format!("a socket of the service manager: {error}")))?;
        let (implicit, explicit): (Vec<_>, Vec<_>) =
            sockets.into_iter().partition(|socket| socket.name == "implicit");
        let listeners = |sockets: Vec<wharf_sys::service::InheritedListener>| {
            sockets.into_iter().map(|socket| socket.listener).collect()
        };
        Ok(Inherited { explicit: listeners(explicit), implicit: listeners(implicit) })
    }
    #[cfg(not(target_os = "linux"))]
    Ok(Inherited::default())
}
