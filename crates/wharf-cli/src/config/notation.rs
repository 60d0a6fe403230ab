//! How values are written, in the file as on the command line: durations, port ranges, addresses, rights.

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use wharf::{Letters, MasqueradeAddress, VPath};

/// The longest duration. More is a slip, and would not fit the clocks of all systems.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What is wrong with a port that is none, where 0 means something.
const PORTS_OR_ZERO: &str = "ports are numbers from 0 to 65535";

/// A type whose values are written as text.
pub(crate) trait Notation: Sized {
    /// What is allowed, to follow the word "expected".
    const EXPECTED: &'static str;

    /// The value that `text` writes; otherwise what is wrong, to follow the text and a colon.
    fn read(text: &str) -> Result<Self, String>;

    /// The value that a number without quotes writes: what it would be within them, because a single port may be one.
    fn read_number(number: i64) -> Result<Self, String> {
        Self::read(&number.to_string())
    }
}

/// Reads a value that was typed as a flag.
pub(crate) fn read<T: Notation>(text: &str) -> Result<T, String> {
    T::read(text)
}

/// A value of the file that is written as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written<T>(pub(crate) T);

/// One value of the file that is written as text, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Several<T>(pub(crate) Vec<T>);

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    /// An IP address without brackets, or a host name.
    pub(crate) host: String,
    /// The port; `None` is 21, or 2121 where that cannot be had.
    pub(crate) port: Option<u16>,
}

/// The port that connections leave from; 0 writes `None`, the system's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourcePort(pub(crate) Option<NonZeroU16>);

/// The addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// An address in it.
    pub(crate) address: IpAddr,
    /// The number of bits that are shared.
    pub(crate) prefix: u8,
}

impl Notation for Duration {
    const EXPECTED: &'static str = r#"a duration such as "300s", "100ms", "5m" or "1h" ("0s" is off)"#;

    fn read(text: &str) -> Result<Self, String> {
        let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let milliseconds = match unit.trim_start() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(expected::<Self>()),
        };
        let number: u64 = number.parse().map_err(|_| expected::<Self>())?;
        let duration = Self::from_millis(number.saturating_mul(milliseconds));
        if duration > LONGEST {
            return Err("no duration may be longer than a year".into());
        }
        Ok(duration)
    }
}

/// The permission bits that new files do not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Umask(pub(crate) u32);

impl Notation for Umask {
    const EXPECTED: &'static str = r#"up to four octal digits in quotes such as "022" or "0027""#;

    fn read(text: &str) -> Result<Self, String> {
        let octal = (1..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| octal && *bits <= 0o777);
        bits.map(Self).ok_or_else(expected::<Self>)
    }

    /// None: `0o27` comes as 23, and cannot be told from it.
    fn read_number(_: i64) -> Result<Self, String> {
        Err(expected::<Self>())
    }
}

/// Ports from the first to the last. A single one may stand for both.
impl Notation for RangeInclusive<u16> {
    const EXPECTED: &'static str = r#"a port range such as "60000-65535", or a port"#;

    fn read(text: &str) -> Result<Self, String> {
        let port = |text: &str| match text.trim().parse::<u32>() {
            Ok(port @ 1..=65_535) => u16::try_from(port).map_err(|_| expected::<Self>()),
            Ok(_) => Err("ports are numbers from 1 to 65535".into()),
            Err(_) => Err(expected::<Self>()),
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!("the range is reversed; did you mean {last}-{first}?"));
        }
        Ok(first..=last)
    }
}

impl Notation for SourcePort {
    const EXPECTED: &'static str = "a port such as 20, or 0 for the system's choice";

    fn read(text: &str) -> Result<Self, String> {
        let port: i64 = parse::<Self, _>(text)?;
        u16::try_from(port).map(NonZeroU16::new).map(Self).map_err(|_| PORTS_OR_ZERO.to_owned())
    }
}

impl Notation for ListenAddress {
    const EXPECTED: &'static str = r#"an address and a port such as "0.0.0.0:2121" or "[::]:2121""#;

    fn read(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').ok_or_else(expected::<Self>)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) if address.parse::<Ipv6Addr>().is_ok() => address,
            None if !host.is_empty() && !host.contains([':', '[', ']', ' ']) => host,
            _ => return Err(expected::<Self>()),
        };
        let port = match port.parse::<u32>() {
            Ok(port) => u16::try_from(port).map_err(|_| PORTS_OR_ZERO.to_owned())?,
            Err(_) => return Err(expected::<Self>()),
        };
        Ok(Self { host: host.into(), port: Some(port) })
    }
}

impl Notation for MasqueradeAddress {
    const EXPECTED: &'static str = r#"an IPv4 address such as "203.0.113.7", or a host name"#;

    fn read(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Fixed(address));
        }
        let is_name = |label: &str| {
            !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        };
        match text.trim_end_matches('.').split('.').all(is_name) {
            true => Ok(Self::HostName(text.into())),
            false => Err(expected::<Self>()),
        }
    }
}

impl Notation for Network {
    const EXPECTED: &'static str = r#"a network such as "10.0.0.0/8""#;

    fn read(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = parse::<Self, _>(address)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), parse::<Self, _>)?;
        if prefix > longest {
            return Err(format!("the prefix of this network is at most {longest}"));
        }
        Ok(Self { address, prefix })
    }
}

impl Notation for IpAddr {
    const EXPECTED: &'static str = r#"an IP address such as "10.0.0.2""#;

    fn read(text: &str) -> Result<Self, String> {
        parse::<Self, _>(text)
    }
}

impl Notation for Ipv4Addr {
    const EXPECTED: &'static str = r#"an IPv4 address such as "203.0.113.7""#;

    fn read(text: &str) -> Result<Self, String> {
        parse::<Self, _>(text)
    }
}

impl Notation for Letters {
    const EXPECTED: &'static str = r#"permission letters out of "elradfmwMT""#;

    fn read(text: &str) -> Result<Self, String> {
        parse::<Self, _>(text)
    }
}

/// A directory as clients see it.
impl Notation for VPath {
    const EXPECTED: &'static str = r#"a directory below the home such as "incoming""#;

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text.as_bytes()).map_err(|_| expected::<Self>())
    }
}

fn expected<T: Notation>() -> String {
    format!("expected {}", T::EXPECTED)
}

/// Parses a part of the notation of `T`.
fn parse<T: Notation, P: FromStr>(text: &str) -> Result<P, String> {
    text.trim().parse().map_err(|_| expected::<T>())
}

impl<'de, T: Notation> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor(PhantomData)).map(Self)
    }
}

impl<'de, T: Notation> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData)).map(Self)
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: Notation> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(|reason| E::custom(format_args!("{text:?}: {reason}")))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::read_number(number).map_err(|reason| E::custom(format_args!("{number}: {reason}")))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Notation> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a list of such", T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        TextVisitor(PhantomData).visit_str(text).map(|value| vec![value])
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Vec<T>, E> {
        TextVisitor(PhantomData).visit_i64(number).map(|value| vec![value])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(Written(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => f.write_str(", port 21 or else 2121"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Notation + PartialEq + fmt::Debug>(text: &str, expected: Option<T>) {
        assert_eq!(read::<T>(text).ok(), expected, "{text}");
    }

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("0s", Some(0)),
            ("100ms", Some(100)),
            ("300s", Some(300_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("8760h", Some(31_536_000_000)),
            ("8761h", None),
            ("99999999999999999999s", None),
            ("300", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("5 minutes", None),
            ("", None),
        ] {
            check(text, milliseconds.map(Duration::from_millis));
        }
    }

    #[test]
    fn port_ranges() {
        check("60000-65535", Some(60_000..=65_535));
        check("4000", Some(4_000..=4_000));
        check("4000-4000", Some(4_000..=4_000));
        for wrong in ["", "-", "1-", "0-10", "60000-65536", "2-1", "a-b", "1-2-3"] {
            check::<RangeInclusive<u16>>(wrong, None);
        }
        let reason = read::<RangeInclusive<u16>>("60010-60000").unwrap_err();
        assert_eq!(reason, "the range is reversed; did you mean 60000-60010?");
    }

    #[test]
    fn source_ports() {
        for (text, port) in [("0", Some(0)), ("20", Some(20)), ("65535", Some(65_535))] {
            check(text, port.map(|port| SourcePort(NonZeroU16::new(port))));
        }
        for wrong in ["", "-1", "65536", "ftp-data", "20-21"] {
            check::<SourcePort>(wrong, None);
        }
    }

    #[test]
    fn listen_addresses() {
        let address = |host: &str, port| Some(ListenAddress { host: host.into(), port: Some(port) });
        check("0.0.0.0:2121", address("0.0.0.0", 2121));
        check("[::]:0", address("::", 0));
        check("localhost:21", address("localhost", 21));
        for wrong in ["2121", ":2121", "0.0.0.0", "::1:2121", "[localhost]:21", "a b:1", "a:65536", "a:"] {
            check::<ListenAddress>(wrong, None);
        }
        assert_eq!(read::<ListenAddress>("[::1]:21").unwrap().to_string(), "[::1]:21");
    }

    #[test]
    fn addresses_to_advertise() {
        check("203.0.113.7", Some(MasqueradeAddress::Fixed(Ipv4Addr::new(203, 0, 113, 7))));
        check("ftp.example.org", Some(MasqueradeAddress::HostName("ftp.example.org".into())));
        for wrong in ["", "2001:db8::1", "a b", "a..b", "http://example.org"] {
            check::<MasqueradeAddress>(wrong, None);
        }
    }

    #[test]
    fn networks() {
        let network = |address: &str, prefix| Some(Network { address: address.parse().unwrap(), prefix });
        check("10.0.0.0/8", network("10.0.0.0", 8));
        check("10.1.2.3", network("10.1.2.3", 32));
        check("fd00::/8", network("fd00::", 8));
        for wrong in ["10.0.0.0/33", "10.0.0.0/", "ten/8", ""] {
            check::<Network>(wrong, None);
        }
    }
}
