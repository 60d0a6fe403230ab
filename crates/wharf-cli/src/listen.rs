//! Opening the ports, before anything else can fail and while the process may still have the rights for it.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use tokio::net::TcpSocket;
use wharf::{Server, Settings};

use crate::config::{ListenAddress, TAKEN_BY_LISTEN, USUAL_PORT, reason, serves};
use crate::failure::Failure;

/// The port that is taken in place of the usual one.
const OTHER_PORT: u16 = 2121;

/// Listens on the addresses of this key, but for those of names that lead where another of them listens anyway. Without a
/// port that is 21, or 2121 with a line for `note` that says why. Sockets that are `taken` serve something else.
///
/// # Errors
/// When a host is unknown or a port cannot be had.
pub(crate) fn open(
    key: &str,
    addresses: &[ListenAddress],
    taken: &[TcpListener],
    note: &mut dyn FnMut(String),
) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    for address in addresses {
        let others = addresses.iter().filter(|other| *other != address).filter_map(ListenAddress::literal);
        let ours = Ours { served: others.chain(local(&listeners)).collect(), taken: local(taken).collect() };
        let opened = ours.open(address, note);
        listeners.extend(opened.map_err(|problem| Failure::usage(format!("{key}: {problem}")))?);
    }
    Ok(listeners)
}

fn local(listeners: &[TcpListener]) -> impl Iterator<Item = SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok())
}

/// Where wharf listens besides, or is about to.
struct Ours {
    /// For the same.
    served: Vec<SocketAddr>,
    /// For something else.
    taken: Vec<SocketAddr>,
}

impl Ours {
    /// A listener, unless there is one already. The error names the address.
    fn open(
        &self,
        address: &ListenAddress,
        note: &mut dyn FnMut(String),
    ) -> Result<Option<TcpListener>, String> {
        let ListenAddress { host, port } = address;
        let in_words = |port: u16, problem| {
            let address = ListenAddress { host: host.clone(), port: Some(port) };
            format!("{address}: {problem}")
        };
        match port {
            Some(port) => self.open_at(host, *port).map_err(|problem| in_words(*port, problem)),
            None => self.open_at(host, USUAL_PORT).or_else(|problem| {
                let listener =
                    self.open_at(host, OTHER_PORT).map_err(|problem| in_words(OTHER_PORT, problem))?;
                note(format!("port {USUAL_PORT}: {problem}; serving on port {OTHER_PORT} instead"));
                Ok(listener)
            }),
        }
    }

    /// Tries the addresses of a name one after the other.
    fn open_at(&self, host: &str, port: u16) -> Result<Option<TcpListener>, String> {
        let is_served = |address| self.served.iter().any(|wider| serves(*wider, address));
        let is_taken = |address| self.taken.iter().any(|one| serves(*one, address) || serves(address, *one));
        let mut last = Err(cause(&ErrorKind::AddrNotAvailable.into()));
        for address in (host, port).to_socket_addrs().map_err(|error| cause(&error))? {
            if is_served(address) {
                last = Ok(None);
                continue;
            }
            let opened = match is_taken(address) {
                true => Err(TAKEN_BY_LISTEN.to_owned()),
                false => Server::open_socket(address).map_err(|error| cause(&error)),
            };
            match opened {
                Ok(listener) => return Ok(Some(listener)),
                Err(problem) if last.is_err() => last = Err(problem),
                Err(_) => {}
            }
        }
        last
    }
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
    for address in local(listeners).map(|address| SocketAddr::new(address.ip(), port)) {
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

    fn opened(addresses: &[ListenAddress], taken: &[TcpListener]) -> Result<Vec<TcpListener>, String> {
        open("key", addresses, taken, &mut |_| ()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let listeners = opened(&[address("127.0.0.1", 0)], &[]).unwrap();
        let taken = listeners[0].local_addr().unwrap();
        let expected = format!("key: {taken}: address already in use (another program listens there)");
        assert_eq!(opened(&[address("127.0.0.1", taken.port())], &[]).unwrap_err(), expected);
        let expected = format!("key: 0.0.0.0:{}: wharf listens there itself (listen)", taken.port());
        assert_eq!(opened(&[address("0.0.0.0", taken.port())], &listeners).unwrap_err(), expected);
    }

    #[test]
    fn names_are_looked_up() {
        assert_eq!(opened(&[address("localhost", 0)], &[]).unwrap().len(), 1);
        assert!(opened(&[address("host.invalid", 0)], &[]).unwrap_err().starts_with("key: host.invalid:0: "));
    }

    #[test]
    fn names_that_lead_where_we_listen_need_no_listener() {
        for (served, name) in [("127.0.0.1:2121", "127.0.0.1"), ("0.0.0.0:2121", "127.0.0.1")] {
            let ours = Ours { served: vec![served.parse().unwrap()], taken: Vec::new() };
            assert!(matches!(ours.open(&address(name, 2121), &mut |_| ()), Ok(None)), "{served}");
        }
        let ours = Ours { served: vec!["[::]:2121".parse().unwrap()], taken: Vec::new() };
        assert!(matches!(ours.open(&address("localhost", 2121), &mut |_| ()), Ok(None)));
    }
}
