//! Addresses and ports that wharf would take from itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;

use wharf::Settings;

use super::notation::ListenAddress;
use crate::failure::Failure;

/// The port of an address that names none, if it can be had.
pub(crate) const USUAL_PORT: u16 = 21;

/// What is wrong with an address for implicit FTPS on which sessions begin in clear.
pub(crate) const TAKEN_BY_LISTEN: &str = "wharf listens there itself (listen)";

/// The addresses that need a socket of their own: not those that another of them stands for.
pub(super) fn needed(addresses: Vec<ListenAddress>) -> Vec<ListenAddress> {
    let is_needed = |(at, address): &(usize, &ListenAddress)| {
        let mut others = addresses.iter().enumerate().filter(|(other, _)| other != at);
        !others.any(|(other, wider)| covers(wider, address) && (other < *at || !covers(address, wider)))
    };
    addresses.iter().enumerate().filter(is_needed).map(|(_, address)| address.clone()).collect()
}

/// What listens on a port keeps connections from leaving from it, others from listening there, and data from arriving.
///
/// # Errors
/// When two settings want the same port.
pub(super) fn refuse_conflicts(
    settings: &Settings,
    listen: &[ListenAddress],
    implicit: &[ListenAddress],
) -> Result<(), Failure> {
    let taken = |address: &&ListenAddress| {
        listen.iter().any(|other| covers(other, address) || covers(address, other))
    };
    if let Some(address) = implicit.iter().find(taken) {
        return Err(Failure::usage(format!("tls.implicit_listen: {address}: {TAKEN_BY_LISTEN}")));
    }
    let listens_on = |port: u16| listen.iter().chain(implicit).any(|address| port_of(address) == port);
    let passive = settings.passive.ports.as_slice();
    if !passive.is_empty() && passive.iter().all(|range| range.clone().all(listens_on)) {
        return Err(Failure::usage("passive.ports: wharf listens there itself, so no port is left for data"));
    }
    let Some(port) = settings.active.source_port.map(NonZeroU16::get) else { return Ok(()) };
    if listens_on(port) {
        return Err(Failure::usage(format!("active.source_port: wharf listens on port {port} itself")));
    }
    match passive.iter().any(|range| range.contains(&port)) {
        true => Err(Failure::usage(format!("active.source_port: {port} is among passive.ports"))),
        false => Ok(()),
    }
}

/// Where an address that names no port ends up on another one, this one is out of reach for all else too.
fn port_of(address: &ListenAddress) -> u16 {
    address.port.unwrap_or(USUAL_PORT)
}

/// Whether a socket on `wider` serves who connects to `narrower`, and keeps another from being opened there, as far as that
/// can be told before names are looked up.
fn covers(wider: &ListenAddress, narrower: &ListenAddress) -> bool {
    let port = port_of(wider);
    match (wider.literal(), narrower.literal()) {
        (Some(wider), Some(narrower)) => serves(wider, narrower),
        _ if port == 0 || port != port_of(narrower) => false,
        (Some(wider), None) => wider.ip() == Ipv6Addr::UNSPECIFIED,
        _ => wider.host.eq_ignore_ascii_case(&narrower.host),
    }
}

/// Whether a socket on `wider` serves who connects to `narrower`, and keeps another from being opened there.
pub(crate) fn serves(wider: SocketAddr, narrower: SocketAddr) -> bool {
    let is_wide_enough = match (wider.ip().to_canonical(), narrower.ip().to_canonical()) {
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), _) => true,
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(_)) => true,
        (one, other) => one == other,
    };
    is_wide_enough && wider.port() != 0 && wider.port() == narrower.port()
}

impl ListenAddress {
    /// The address, unless it is a name.
    pub(crate) fn literal(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse().ok()?, port_of(self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Notation;

    #[test]
    fn one_socket_stands_for_all_that_it_serves() {
        for (addresses, expected) in [
            ("0.0.0.0:21 [::]:21", "[::]:21"),
            ("[::]:21 0.0.0.0:21", "[::]:21"),
            ("127.0.0.1:21 0.0.0.0:21 10.0.0.1:22", "0.0.0.0:21 10.0.0.1:22"),
            ("localhost:21 [::1]:21 [::]:21", "[::]:21"),
            ("localhost:21 LOCALHOST:21", "localhost:21"),
            ("[::1]:21 [0::1]:21", "[::1]:21"),
            ("[::ffff:127.0.0.1]:21 127.0.0.1:21", "[::ffff:127.0.0.1]:21"),
            ("[::ffff:127.0.0.1]:21 0.0.0.0:21", "0.0.0.0:21"),
            ("0.0.0.0:21 [::1]:21", "0.0.0.0:21 [::1]:21"),
            ("0.0.0.0:21 localhost:21", "0.0.0.0:21 localhost:21"),
            ("0.0.0.0:0 [::]:0 0.0.0.0:0", "0.0.0.0:0 [::]:0 0.0.0.0:0"),
            ("0.0.0.0:21 [::]:22", "0.0.0.0:21 [::]:22"),
        ] {
            let read = addresses.split(' ').map(|text| ListenAddress::read(text).unwrap());
            let kept: Vec<_> = needed(read.collect()).iter().map(ToString::to_string).collect();
            assert_eq!(kept.join(" "), expected, "{addresses}");
        }
    }
}
