//! The ports that passive listeners may have, in an order that nobody can guess.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use crate::config::Passive;
use crate::error::{Error, ErrorKind, Result};

/// How many ports of the system's own range are tried before it is asked for one.
const TRIES: usize = 8;

/// The ports of `passive.ports`. Clones are cheap next to a socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct PassivePorts {
    ranges: Vec<RangeInclusive<u16>>,
    count: u32,
    /// Those of them that the administrator keeps for others.
    reserved: Vec<RangeInclusive<u16>>,
    /// Whether the operating system may choose another.
    any: bool,
}

/// # Errors
/// When these settings leave a listener, or what is said of it, without a port.
pub(crate) fn check_ports(passive: &Passive) -> Result<()> {
    let wrong = |what: String| Err(Error::new(ErrorKind::Setting, what));
    for range in &passive.ports {
        let (first, last) = (*range.start(), *range.end());
        if first == 0 || first > last {
            return wrong(format!("passive.ports: {first}-{last} is no range of ports from 1 to 65535"));
        }
    }
    let shifted = |port: u16| (1..=65_535).contains(&(i64::from(port) + i64::from(passive.port_offset)));
    if passive.port_offset != 0 && passive.ports.is_empty() {
        return wrong("passive.port_offset: needs passive.ports".into());
    }
    if !passive.ports.iter().all(|range| shifted(*range.start()) && shifted(*range.end())) {
        return wrong("passive.port_offset: moves passive.ports out of 1 to 65535".into());
    }
    Ok(())
}

impl PassivePorts {
    /// The ports of these ranges; none means any port that is meant for such use.
    ///
    /// To ask the operating system for a port is dear: it tries one after the other and looks closely at each that old
    /// connections linger on, which after some thousand transfers are many. A port named by us is looked at alone.
    pub(crate) fn new(chosen: &[RangeInclusive<u16>]) -> Self {
        let any = chosen.is_empty();
        let reserved = if any { ranges(&setting("ip_local_reserved_ports")) } else { Vec::new() };
        let ranges = if any { ephemeral() } else { chosen.to_vec() };
        let count = ranges.iter().map(|range| range.len() as u32).sum();
        Self { ranges, count, reserved, any }
    }

    /// The ports to try, in an order that nobody can guess.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = u16> + '_ {
        let free = |port: &u16| !self.reserved.iter().any(|range| range.contains(port));
        self.shuffled().filter(free).take(if self.any { TRIES } else { usize::MAX })
    }

    /// Whether the operating system chooses when the candidates are taken.
    pub(crate) fn any(&self) -> bool {
        self.any
    }

    /// Each port once, from a random one on in random strides.
    ///
    /// A stride that has no divisor in common with the number of ports comes past all of them before it comes back,
    /// so no list of up to 65,535 ports is made for each PASV.
    fn shuffled(&self) -> impl Iterator<Item = u16> + '_ {
        let count = self.count.max(1);
        let (start, stride) = random();
        let (start, stride) = (start % count, coprime(stride % count, count));
        (0..u64::from(self.count)).filter_map(move |step| {
            let index = (u64::from(start) + step * u64::from(stride)) % u64::from(count);
            self.nth(index as usize)
        })
    }

    fn nth(&self, mut index: usize) -> Option<u16> {
        for range in &self.ranges {
            if index < range.len() {
                return range.clone().nth(index);
            }
            index -= range.len();
        }
        None
    }
}

/// The ports that the operating system gives to whoever asks for any; nothing where it does not tell.
fn ephemeral() -> Vec<RangeInclusive<u16>> {
    let text = setting("ip_local_port_range");
    let mut ends = text.split_whitespace().map(str::parse);
    if let (Some(Ok(first)), Some(Ok(last))) = (ends.next(), ends.next()) {
        vec![first..=last]
    } else {
        Vec::new()
    }
}

/// A list such as `8080,40000-40010`.
fn ranges(list: &str) -> Vec<RangeInclusive<u16>> {
    let range = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.trim().split(',').filter_map(range).collect()
}

/// What Linux says of its ports; elsewhere there is no such file.
fn setting(name: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default()
}

/// The first stride after `least`, going round, that visits all of `count` places.
fn coprime(least: u32, count: u32) -> u32 {
    (0..count).map(|step| (least + step) % count + 1).find(|&stride| divisor(stride, count) == 1).unwrap_or(1)
}

/// The greatest common divisor.
fn divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Two numbers that nobody can guess, small enough to be added. A system without random numbers still serves,
/// predictably.
fn random() -> (u32, u32) {
    let bits = RANDOM.with_borrow_mut(Random::next);
    ((bits >> 33) as u32, (bits as u32) >> 1)
}

thread_local! {
    static RANDOM: RefCell<Random> = RefCell::default();
}

/// Random numbers of the system, fetched together: to ask for some costs as much as to ask for one.
#[derive(Default)]
struct Random(Vec<u64>);

impl Random {
    /// How many are fetched.
    const TOGETHER: usize = 32;

    /// A number that nobody has had.
    fn next(&mut self) -> u64 {
        if self.0.is_empty() {
            let mut bytes = [0; Self::TOGETHER * size_of::<u64>()];
            let _ = getrandom::fill(&mut bytes);
            self.0.extend(bytes.as_chunks().0.iter().map(|&chunk| u64::from_ne_bytes(chunk)));
        }
        self.0.pop().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(ranges: &[RangeInclusive<u16>]) -> Vec<u16> {
        let mut ports: Vec<_> = PassivePorts::new(ranges).shuffled().collect();
        ports.sort_unstable();
        ports
    }

    #[test]
    fn no_random_number_comes_twice() {
        let mut random = Random::default();
        let mut numbers: Vec<_> = (0..10 * Random::TOGETHER).map(|_| random.next()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 10 * Random::TOGETHER);
    }

    #[test]
    fn every_port_comes_once() {
        assert_eq!(sorted(&[7..=7]), [7]);
        assert_eq!(sorted(&[10..=12, 20..=20, 30..=31]), [10, 11, 12, 20, 30, 31]);
        assert_eq!(sorted(&[1..=u16::MAX]).len(), 65_535);
        assert_eq!(sorted(&[60_000..=65_535]), (60_000..=65_535).collect::<Vec<_>>());
    }

    #[test]
    fn reserved_ports_are_left_to_others() {
        assert_eq!(ranges(""), []);
        assert_eq!(ranges("8080,40000-40010\n"), [8080..=8080, 40000..=40010]);
        let reserved = ranges("10-14,16");
        let ports = PassivePorts { reserved, ..PassivePorts::new(&[10..=17]) };
        let mut left: Vec<_> = ports.candidates().collect();
        left.sort_unstable();
        assert_eq!(left, [15, 17]);
    }

    #[test]
    fn where_any_port_will_do_a_few_are_tried() {
        let ports = PassivePorts::new(&[]);
        assert!(ports.any() && ports.candidates().count() <= TRIES);
        let ports = PassivePorts::new(&[40_000..=50_000]);
        assert!(!ports.any() && ports.candidates().count() == 10_001);
    }

    #[test]
    fn the_order_differs_from_one_time_to_the_next() {
        let ports = PassivePorts::new(&[40_000..=50_000]);
        let orders: Vec<Vec<_>> = (0..4).map(|_| ports.shuffled().take(4).collect()).collect();
        assert!(orders.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn ports_that_cannot_be_are_refused() {
        for (ports, port_offset, expected) in [
            (vec![], 0, None),
            (vec![1..=65_535], 0, None),
            (vec![7..=7, 60_000..=60_010], -6, None),
            (
                vec![7..=7, RangeInclusive::new(60_010, 60_000)],
                0,
                Some("passive.ports: 60010-60000 is no range of ports from 1 to 65535"),
            ),
            (vec![0..=10], 0, Some("passive.ports: 0-10 is no range of ports from 1 to 65535")),
            (vec![], 1, Some("passive.port_offset: needs passive.ports")),
            (vec![7..=7], -7, Some("passive.port_offset: moves passive.ports out of 1 to 65535")),
            (vec![60_000..=65_535], 1, Some("passive.port_offset: moves passive.ports out of 1 to 65535")),
        ] {
            let settings = Passive { ports, port_offset, ..Passive::default() };
            let error = check_ports(&settings).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected, "{settings:?}");
        }
    }
}
