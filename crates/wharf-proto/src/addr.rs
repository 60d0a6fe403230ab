//! Addresses of data connections: what clients send with PORT and EPRT, what PASV and EPSV answer, and who may be
//! connected to.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::str::FromStr;

use crate::reply::{Code, Reply};

/// EPRT or EPSV asks for a network protocol that nobody has (RFC 2428 §2).
pub(crate) const UNKNOWN_PROTOCOL: Reply = Reply::fixed(522, "Network protocol not supported, use (1,2).");

const INVALID_PORT: Reply = Reply::fixed(501, "Invalid PORT format.");
const INVALID_EPRT: Reply = Reply::fixed(501, "Invalid EPRT format.");
const FOREIGN: Reply = Reply::fixed(501, "Can't connect to a foreign address.");
const PRIVILEGED: Reply = Reply::fixed(501, "Can't connect over a privileged port.");

/// Ports below this one belong to the system's own services.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// An IPv4-mapped IPv6 address as the IPv4 address that it is; others as they are.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// A number as clients write it: digits, with blanks around them and a plus before them if they like.
pub(crate) fn integer(bytes: &[u8]) -> Option<u64> {
    let trimmed = bytes.trim_ascii();
    let digits = trimmed.strip_prefix(b"+").unwrap_or(trimmed);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let value = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(value)
    })
}

/// The argument of PORT: `h1,h2,h3,h4,p1,p2` (RFC 959 §4.1.2).
///
/// # Errors
/// The reply to send when it is anything else.
pub(crate) fn parse_port(argument: &[u8]) -> Result<SocketAddrV4, Reply> {
    let mut octets = [0; 6];
    let mut fields = argument.split(|&byte| byte == b',');
    for octet in &mut octets {
        let number = fields.next().and_then(integer).and_then(|number| u8::try_from(number).ok());
        *octet = number.ok_or(INVALID_PORT)?;
    }
    let [a, b, c, d, high, low] = octets;
    match fields.next() {
        None => Ok(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))),
        Some(_) => Err(INVALID_PORT),
    }
}

/// The argument of EPRT: `|protocol|address|port|` (RFC 2428 §2).
///
/// Which protocols a session takes, only the session knows; [`DataAddress::target`] asks in the order that
/// clients expect: first the protocol, then the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataAddress {
    /// The number of the protocol: 1 is IPv4, 2 is IPv6.
    pub protocol: u64,
    /// The address, when it is one of that protocol.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl DataAddress {
    /// Takes the three fields apart. Any first character is the delimiter.
    ///
    /// # Errors
    /// The reply to send when there are not three fields, or protocol or port are no numbers.
    pub fn parse(argument: &[u8]) -> Result<Self, Reply> {
        let (delimiter, fields) = argument.split_first().ok_or(INVALID_EPRT)?;
        let fields: Vec<&[u8]> = fields.splitn(5, |byte| byte == delimiter).collect();
        // What follows the closing delimiter is ignored.
        let &[protocol, address, port, _] = fields.as_slice() else {
            return Err(INVALID_EPRT);
        };
        let port = integer(port).and_then(|port| u16::try_from(port).ok()).ok_or(INVALID_EPRT)?;
        let protocol = integer(protocol).ok_or(INVALID_EPRT)?;
        let text = str::from_utf8(address).ok();
        let address = match protocol {
            1 => text.and_then(|text| text.parse().ok()).map(IpAddr::V4),
            2 => text.and_then(|text| text.parse().ok()).map(IpAddr::V6),
            _ => None,
        };
        Ok(Self { protocol, address, port })
    }

    /// Where to connect, for a session whose own end has the address `local`.
    ///
    /// # Errors
    /// The reply to send: 522 when the protocol is not that of the session, 501 when the address is none.
    pub fn target(&self, local: IpAddr) -> Result<SocketAddr, Reply> {
        match (self.protocol, canonical(local)) {
            (1, IpAddr::V4(_)) => self.socket_address().ok_or(INVALID_EPRT),
            (2, IpAddr::V6(_)) => self.socket_address().ok_or(FOREIGN),
            (1, IpAddr::V6(_)) => Err(Reply::fixed(522, "Network protocol not supported, use (2).")),
            (2, IpAddr::V4(_)) => Err(Reply::fixed(522, "Network protocol not supported, use (1).")),
            _ => Err(UNKNOWN_PROTOCOL),
        }
    }

    fn socket_address(&self) -> Option<SocketAddr> {
        self.address.map(|address| SocketAddr::new(address, self.port))
    }
}

/// The answer to PASV: `227 Entering passive mode (h1,h2,h3,h4,p1,p2).`
pub(crate) fn passive_reply(address: SocketAddrV4) -> Reply {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    Reply::new(Code::new(227), format!("Entering passive mode ({a},{b},{c},{d},{high},{low})."))
}

/// The answer to EPSV: `229 Entering extended passive mode (|||port|).`
pub(crate) fn extended_passive_reply(port: u16) -> Reply {
    Reply::new(Code::new(229), format!("Entering extended passive mode (|||{port}|)."))
}

/// Whether a data connection may go from the server to `target`, asked for by a client at `peer`. Anything else
/// would let the client attack others in the server's name (RFC 2577 §3).
///
/// # Errors
/// The reply to send when it may not.
pub(crate) fn may_connect(
    target: SocketAddr,
    peer: IpAddr,
    permit_foreign: bool,
    permit_privileged: bool,
) -> Result<(), Reply> {
    if !permit_foreign && canonical(target.ip()) != canonical(peer) {
        return Err(FOREIGN);
    }
    if !permit_privileged && target.port() < FIRST_UNPRIVILEGED {
        return Err(PRIVILEGED);
    }
    Ok(())
}

/// Which address PASV announces, for a server behind address translation.
///
/// Host names are not resolved here: whoever fills this in has done so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masquerade {
    /// For every client that nothing more specific is said about.
    pub address: Option<Ipv4Addr>,
    /// By the address at which the client reached the server.
    pub by_local: BTreeMap<IpAddr, Ipv4Addr>,
    /// By the client's network; the smallest network that holds the client decides.
    pub by_client: Vec<(Network, Ipv4Addr)>,
    /// Added to the port that the server listens on.
    pub port_offset: i32,
}

impl Masquerade {
    /// The address to announce to a client at `peer` that reached the server at `local`. The client's network
    /// decides before the server's address, and that before `address`; without any it is `local` itself. `None`
    /// when that is an IPv6 address, which PASV cannot say.
    pub fn advertised(&self, local: IpAddr, peer: IpAddr) -> Option<Ipv4Addr> {
        let local = canonical(local);
        let networks = self.by_client.iter().filter(|(network, _)| network.contains(peer));
        let by_client = networks.max_by_key(|(network, _)| network.prefix).map(|&(_, address)| address);
        let by_local =
            || self.by_local.iter().find(|(key, _)| canonical(**key) == local).map(|(_, &address)| address);
        by_client.or_else(by_local).or(self.address).or(match local {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    /// The port to announce for one that the server listens on; `None` when the offset leads out of the ports.
    pub fn advertised_port(&self, port: u16) -> Option<u16> {
        let shifted = i32::from(port).checked_add(self.port_offset)?;
        u16::try_from(shifted).ok().filter(|&port| port != 0)
    }
}

/// A block of addresses: those that share the first `prefix` bits. Written `10.0.0.0/8`, or as one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The addresses that share the first `prefix` bits of `address`; `None` when it has no such number of bits.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    /// Whether `address` belongs to the block. An IPv4-mapped address is the IPv4 address that it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let different_bits = match (self.address, canonical(address)) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros(),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros(),
            _ => return false,
        };
        different_bits >= u32::from(self.prefix)
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let prefix = match prefix {
            Some(bits) => bits.parse().map_err(|_| InvalidNetwork)?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address, prefix).ok_or(InvalidNetwork)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A text that is no [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNetwork;

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a network; write an address, or an address and a number of bits such as 10.0.0.0/8")
    }
}

impl std::error::Error for InvalidNetwork {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn text(reply: &Reply) -> String {
        format!("{} {}", reply.code().number(), reply.text())
    }

    #[test]
    fn reads_port() {
        for (argument, expected) in [
            ("127,0,0,1,200,13", Some("127.0.0.1:51213")),
            (" 127 ,+0,0,1,0,21", Some("127.0.0.1:21")),
            ("127,0,0,1,1.1", None),
            ("X,0,0,1,1,1", None),
            ("1,2,3,4,5,6,7", None),
            ("1,2,3,4", None),
            ("256,0,0,1,1,1", None),
            ("127,0,0,1,256,1", None),
            ("127,0,0,1,-1,0", None),
            ("127,0,0,1,1,", None),
            ("::1", None),
        ] {
            let expected = expected.map(|address| address.parse().unwrap()).ok_or(INVALID_PORT);
            assert_eq!(parse_port(argument.as_bytes()), expected, "{argument}");
        }
    }

    /// The cases of behaviour.md §3.3, in the order of its checks.
    #[test]
    fn answers_eprt() {
        for (local, argument, expected) in [
            ("127.0.0.1", "||||", "501 Invalid EPRT format."),
            ("127.0.0.1", "||", "501 Invalid EPRT format."),
            ("127.0.0.1", "", "501 Invalid EPRT format."),
            ("127.0.0.1", "|1|127.0.0.1|65536|", "501 Invalid EPRT format."),
            ("127.0.0.1", "|1|127.0.0.1|-1|", "501 Invalid EPRT format."),
            ("127.0.0.1", "|1|127.0.0.1|2222", "501 Invalid EPRT format."),
            ("127.0.0.1", "|1|127.0.0.1|2222|x|", "501 Invalid EPRT format."),
            ("127.0.0.1", "|1|127.0.0.1|222|", "501 Can't connect over a privileged port."),
            ("127.0.0.1", "|3|127.0.0.1|5000|", "522 Network protocol not supported, use (1,2)."),
            ("127.0.0.1", "|1|1.2.3.4.5|2048|", "501 Invalid EPRT format."),
            ("127.0.0.1", "|1|1.2.3.256|2048|", "501 Invalid EPRT format."),
            ("127.0.0.1", "|2|1.2.3.256|2048|", "522 Network protocol not supported, use (1)."),
            ("127.0.0.1", "|1|0.10.10.10|2222|", "501 Can't connect to a foreign address."),
            ("::1", "|2|::foo|2222|", "501 Can't connect to a foreign address."),
            ("::1", "|1|127.0.0.1|2222|", "522 Network protocol not supported, use (2)."),
            ("127.0.0.1", "|1|127.0.0.1|2222|", "127.0.0.1:2222"),
            ("::ffff:127.0.0.1", "!1!127.0.0.1!2222!ignored", "127.0.0.1:2222"),
            ("::1", "|2|0:0:0:0:0:0:0:1|2222|", "[::1]:2222"),
        ] {
            let target =
                DataAddress::parse(argument.as_bytes()).and_then(|address| address.target(ip(local)));
            let allowed =
                target.and_then(|target| may_connect(target, ip(local), false, false).map(|()| target));
            assert_eq!(
                allowed.map_or_else(|reply| text(&reply), |target| target.to_string()),
                expected,
                "{argument}"
            );
        }
    }

    #[test]
    fn refuses_to_bounce() {
        let target = "10.0.0.1:25".parse().unwrap();
        assert_eq!(may_connect(target, ip("10.0.0.2"), false, true), Err(FOREIGN));
        assert_eq!(may_connect(target, ip("10.0.0.1"), false, false), Err(PRIVILEGED));
        assert_eq!(may_connect(target, ip("::ffff:10.0.0.1"), false, true), Ok(()));
        assert_eq!(may_connect(target, ip("10.0.0.2"), true, true), Ok(()));
    }

    #[test]
    fn says_where_it_listens() {
        let address = "127.0.0.1:51213".parse().unwrap();
        assert_eq!(text(&passive_reply(address)), "227 Entering passive mode (127,0,0,1,200,13).");
        assert_eq!(text(&extended_passive_reply(51213)), "229 Entering extended passive mode (|||51213|).");
    }

    #[test]
    fn announces_the_most_specific_address() {
        let address = |last| Ipv4Addr::new(203, 0, 113, last);
        let masquerade = Masquerade {
            address: Some(address(1)),
            by_local: BTreeMap::from([(ip("::ffff:10.0.0.2"), address(2))]),
            by_client: vec![
                ("10.0.0.0/8".parse().unwrap(), address(3)),
                ("10.9.0.0/16".parse().unwrap(), address(4)),
            ],
            port_offset: 10_000,
        };
        for (local, peer, last) in [
            ("192.168.0.1", "1.1.1.1", 1),
            ("10.0.0.2", "1.1.1.1", 2),
            ("10.0.0.2", "::ffff:10.1.1.1", 3),
            ("10.0.0.2", "10.9.1.1", 4),
            ("::1", "::1", 1),
        ] {
            assert_eq!(masquerade.advertised(ip(local), ip(peer)), Some(address(last)), "{local} {peer}");
        }
        assert_eq!(masquerade.advertised_port(50_000), Some(60_000));
        assert_eq!(masquerade.advertised_port(60_000), None);
        let plain = Masquerade::default();
        assert_eq!(plain.advertised(ip("::ffff:10.0.0.2"), ip("::1")), Some(Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!(plain.advertised(ip("::1"), ip("::1")), None);
    }

    #[test]
    fn networks_hold_their_addresses() {
        for (network, address, held) in [
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.2", false),
            ("10.0.0.0/9", "10.127.0.1", true),
            ("10.0.0.0/9", "10.128.0.1", false),
            ("fe80::/10", "febf::1", true),
            ("::/0", "::1", true),
        ] {
            assert_eq!(
                network.parse::<Network>().unwrap().contains(ip(address)),
                held,
                "{network} {address}"
            );
        }
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "::/129", "host/8"] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork), "{text}");
        }
    }

    proptest! {
        #[test]
        fn port_reads_what_pasv_says(octets: [u8; 4], port: u16) {
            let address = SocketAddrV4::new(octets.into(), port);
            let said = text(&passive_reply(address));
            let numbers = said.split(['(', ')']).nth(1).unwrap();
            prop_assert_eq!(parse_port(numbers.as_bytes()), Ok(address));
        }

        #[test]
        fn eprt_reads_any_address(address: IpAddr, port: u16, delimiter in "[|!@$,]") {
            let protocol = if address.is_ipv4() { 1 } else { 2 };
            let argument = [&protocol.to_string(), &address.to_string(), &port.to_string()]
                .into_iter()
                .fold(delimiter.clone(), |argument, field| argument + field + &delimiter);
            let expected = DataAddress { protocol, address: Some(address), port };
            prop_assert_eq!(DataAddress::parse(argument.as_bytes()), Ok(expected));
        }

        #[test]
        fn networks_print_as_they_parse(address: IpAddr, prefix in 0u8..=128) {
            if let Some(network) = Network::new(address, prefix) {
                prop_assert_eq!(network.to_string().parse(), Ok(network));
            }
        }

        #[test]
        fn any_bytes_have_an_answer(bytes: Vec<u8>) {
            let _ = parse_port(&bytes);
            let _ = DataAddress::parse(&bytes).map(|address| address.target(Ipv4Addr::LOCALHOST.into()));
        }
    }
}
