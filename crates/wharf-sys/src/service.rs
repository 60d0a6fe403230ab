//! The two small protocols between systemd, or a service manager that speaks like it, and a service.
//!
//! ```
//! use wharf_sys::service::{self, Notice};
//!
//! let listeners = service::inherited_listeners()?; // empty unless a service manager passed some
//! service::notify(Notice::Ready)?;                 // does nothing without a service manager
//! # drop(listeners);
//! # std::io::Result::Ok(())
//! ```

use std::env;
use std::ffi::OsStr;
use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_acceptconn, socket_domain};
use rustix::process::getpid;
use rustix::time::{ClockId, clock_gettime};

/// What a service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// The service answers.
    Ready,
    /// The service reads its configuration again; [`Notice::Ready`] follows.
    Reloading,
    /// The service is shutting down.
    Stopping,
    /// One line for people.
    Status(&'a str),
}

/// A listening socket that a service manager opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct InheritedListener {
    /// The name it was given there; `unknown` when none was.
    pub name: String,
    /// The socket.
    pub listener: TcpListener,
}

/// Tells the service manager that started this process, if one did and listens: see sd_notify(3). True when it was told.
///
/// # Errors
///
/// When `NOTIFY_SOCKET` names a socket that cannot be reached.
pub fn notify(notice: Notice<'_>) -> io::Result<bool> {
    let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
        return Ok(false);
    };
    send_notice(&socket_address(&address)?, notice)?;
    Ok(true)
}

/// The TCP sockets that a service manager opened for this process, in its order: see sd_listen_fds(3). They are handed out
/// once, and not inherited by programs that this one starts.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] when one of them is not a listening TCP socket.
pub fn inherited_listeners() -> io::Result<Vec<InheritedListener>> {
    const FIRST: RawFd = 3;
    static TAKEN: AtomicBool = AtomicBool::new(false);

    let (pid, count) = (number("LISTEN_PID"), number("LISTEN_FDS"));
    if pid != Some(getpid().as_raw_nonzero().get()) || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    (FIRST..FIRST.saturating_add(count.unwrap_or(0)))
        .map(|descriptor| {
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
            Ok(InheritedListener { listener: listener(inherited(descriptor)?)?, name })
        })
        .collect()
}

fn number(variable: &str) -> Option<i32> {
    env::var(variable).ok()?.parse().ok()
}

/// Takes over one descriptor. Called once for each that the service manager announced.
fn inherited(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_GETFD does no harm to a number that is not open, and says so.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open. By the protocol it is this process's, and it is taken once.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let flags = fcntl_getfd(&socket)?;
    fcntl_setfd(&socket, flags | FdFlags::CLOEXEC)?;
    Ok(socket)
}

fn listener(socket: OwnedFd) -> io::Result<TcpListener> {
    let is_internet = matches!(socket_domain(&socket), Ok(AddressFamily::INET | AddressFamily::INET6));
    if !is_internet || !matches!(socket_acceptconn(&socket), Ok(true)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "an inherited descriptor is not a listening TCP socket",
        ));
    }
    Ok(socket.into())
}

/// A path, or after an `@` a name without one.
fn socket_address(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(address),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "NOTIFY_SOCKET is neither a path nor a name after @",
        )),
    }
}

fn send_notice(address: &SocketAddr, notice: Notice<'_>) -> io::Result<()> {
    let text = match notice {
        Notice::Ready => "READY=1".to_owned(),
        Notice::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_microseconds()),
        Notice::Stopping => "STOPPING=1".to_owned(),
        Notice::Status(line) => format!("STATUS={}", line.replace('\n', " ")),
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), address)?;
    Ok(())
}

/// The service manager wants this to tell notices of one reload from those of the next.
fn monotonic_microseconds() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What arrives at `receiver` after these notices to `address`.
    fn check(receiver: &UnixDatagram, address: &OsStr) {
        let told = |notice| {
            send_notice(&socket_address(address).unwrap(), notice).unwrap();
            let mut buffer = [0; 256];
            let length = receiver.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        assert_eq!(told(Notice::Ready), "READY=1");
        assert_eq!(told(Notice::Stopping), "STOPPING=1");
        assert_eq!(told(Notice::Status("2 sessions\nREADY=1")), "STATUS=2 sessions READY=1");
        let (first, time) =
            told(Notice::Reloading).split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(first, "RELOADING=1");
        assert!(time.strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn notices_reach_a_socket_with_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        check(&UnixDatagram::bind(&path).unwrap(), path.as_os_str());
    }

    #[test]
    fn notices_reach_a_socket_without_a_path() {
        let name = format!("wharf-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        check(&UnixDatagram::bind_addr(&address).unwrap(), OsStr::new(&format!("@{name}")));
    }

    #[test]
    fn other_addresses_are_refused() {
        assert!(socket_address(OsStr::new("notify")).is_err());
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(listener(socket.into()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(listener(TcpListener::bind("127.0.0.1:0").unwrap().into()).is_ok());
    }
}
