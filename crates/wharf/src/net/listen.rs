//! Control-connection listeners.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the kernel completes while we are busy. It is cut to `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// Listens on `address`. An unspecified IPv6 address serves IPv4 as well, on the same socket.
///
/// On Unix an old connection in TIME_WAIT does not keep a restarted server from its port. On Windows that option
/// would let another process take the port over, and is not needed.
///
/// # Errors
/// What the operating system says; the address family missing, the port being in use or privileged.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(open(address)?)
}

/// The same, where no runtime is at work yet.
///
/// # Errors
/// See [`listen`].
pub(crate) fn open(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Sets up a control connection, or a listener for all those that it will accept where the system passes options on.
///
/// # Errors
/// What the operating system says.
pub(crate) fn set_control_options(socket: SockRef<'_>, no_delay: bool) -> io::Result<()> {
    // Telnet's urgent byte before an ABOR is read where it stands; otherwise it would be missing among the others.
    socket.set_out_of_band_inline(true)?;
    // A client that vanished without a word is noticed even while no timer runs.
    socket.set_keepalive(true)?;
    socket.set_tcp_nodelay(no_delay)
}

/// The address as everything else compares, counts and logs it: never an IPv4-mapped IPv6 address.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn one_socket_serves_both_families() {
        let Ok(listener) = listen((Ipv6Addr::UNSPECIFIED, 0).into()) else {
            return;
        }; // a host without IPv6
        let port = listener.local_addr().unwrap().port();
        for own in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
            let client = TcpStream::connect((own, port)).await.unwrap();
            let (_, from) = listener.accept().await.unwrap();
            assert_eq!(canonical(from), client.local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_refused() {
        let first = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let error = listen(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
