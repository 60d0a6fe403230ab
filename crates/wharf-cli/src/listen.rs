//! Opening the ports, before anything else can fail and while the process may still have the rights for it.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use tokio::net::TcpSocket;
use wharf::{Server, Settings};

use crate::config::{ListenAddress, reason};
use crate::failure::Failure;

/// The port that FTP has, and the one that is taken in its place.
const PORTS: [u16; 2] = [21, 2121];

/// Listens on an address; without a port on 21, or on 2121 with a line for `note` that says why.
///
/// # Errors
/// When the host is unknown or the port cannot be had.
pub(crate) fn open(address: &ListenAddress, note: &mut dyn FnMut(String)) -> Result<TcpListener, Failure> {
    let [usual, other] = PORTS;
    let Some(port) = address.port else {
        return open_at(&address.host, usual).or_else(|error| {
            let listener =
                open_at(&address.host, other).map_err(|error| failure(&address.host, other, &error))?;
            note(format!("port {usual}: {}; serving on port {other} instead", cause(&error)));
            Ok(listener)
        });
    };
    open_at(&address.host, port).map_err(|error| failure(&address.host, port, &error))
}

fn open_at(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in (host, port).to_socket_addrs()? {
        match Server::open_socket(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Asks whether data connections may have the ports that these settings want for them, at the addresses that are listened
/// on, now that the process has the rights that it keeps. What else may be in the way passes; this would not.
///
/// # Errors
/// When the process lacks the privilege.
pub(crate) fn may_have_ports(settings: &Settings, listeners: &[TcpListener]) -> Result<(), Failure> {
    if let Some(port) = settings.active.source_port {
        may_bind("active.source_port", port.get(), listeners)?;
    }
    // Privileged ports are the low ones: where the highest is out of reach, all are.
    let highest = settings.passive.ports.iter().map(|range| *range.end()).max();
    highest.map_or(Ok(()), |port| may_bind("passive.ports", port, listeners))
}

fn may_bind(setting: &str, port: u16, listeners: &[TcpListener]) -> Result<(), Failure> {
    let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
    for address in addresses.map(|address| SocketAddr::new(address.ip(), port)) {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let bound = socket.and_then(|socket| socket.set_reuseaddr(true).and_then(|()| socket.bind(address)));
        if let Err(error) = bound
            && error.kind() == ErrorKind::PermissionDenied
        {
            return Err(Failure::usage(format!("{setting}: {port}: {}", cause(&error))));
        }
    }
    Ok(())
}

fn failure(host: &str, port: u16, error: &io::Error) -> Failure {
    let address = ListenAddress { host: host.into(), port: Some(port) };
    Failure::usage(format!("cannot listen on {address}: {}", cause(error)))
}

/// Why, and what would help.
fn cause(error: &io::Error) -> String {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => " (ports below 1024 need root or CAP_NET_BIND_SERVICE)",
        ErrorKind::AddrInUse => " (another program listens there)",
        ErrorKind::AddrNotAvailable => " (this machine does not have the address)",
        _ => "",
    };
    format!("{}{hint}", reason(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> ListenAddress {
        ListenAddress { host: host.into(), port: Some(port) }
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let listener = open(&address("127.0.0.1", 0), &mut |_| ()).unwrap();
        let taken = listener.local_addr().unwrap();
        let failure = open(&address("127.0.0.1", taken.port()), &mut |_| ()).unwrap_err();
        let expected =
            format!("cannot listen on {taken}: address already in use (another program listens there)");
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn names_are_looked_up() {
        assert!(open(&address("localhost", 0), &mut |_| ()).is_ok());
        assert!(
            open(&address("host.invalid", 0), &mut |_| ())
                .unwrap_err()
                .to_string()
                .starts_with("cannot listen on host.invalid:0: ")
        );
    }
}
