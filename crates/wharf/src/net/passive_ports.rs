//! The ports that passive listeners may have, in an order that nobody can guess.

use std::ops::RangeInclusive;

/// The ports of `passive.ports`. Clones are cheap next to a socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct PassivePorts {
    ranges: Vec<RangeInclusive<u16>>,
    count: u32,
}

impl PassivePorts {
    /// The ports of these ranges; none leaves the choice to the operating system.
    pub(crate) fn new(ranges: &[RangeInclusive<u16>]) -> Self {
        let count = ranges.iter().map(|range| range.len() as u32).sum();
        Self { ranges: ranges.to_vec(), count }
    }

    /// Each port once, from a random one on in random strides.
    ///
    /// A stride that has no divisor in common with the number of ports comes past all of them before it comes back,
    /// so no list of up to 65,535 ports is made for each PASV.
    pub(crate) fn shuffled(&self) -> impl Iterator<Item = u16> + '_ {
        let count = self.count.max(1);
        let (start, stride) = (random() % count, stride(count));
        (0..u64::from(self.count)).filter_map(move |step| {
            let index = (u64::from(start) + step * u64::from(stride)) % u64::from(count);
            self.nth(index as usize)
        })
    }

    /// Whether the operating system chooses.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
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

/// A random stride from 1 to `count` that visits all of `count` places.
fn stride(count: u32) -> u32 {
    let first = random() % count;
    (0..count).map(|step| (first + step) % count + 1).find(|&stride| divisor(stride, count) == 1).unwrap_or(1)
}

/// The greatest common divisor.
fn divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A number nobody can guess. A system without random numbers still serves, predictably.
fn random() -> u32 {
    getrandom::u32().unwrap_or(0) >> 1
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
    fn every_port_comes_once() {
        assert_eq!(sorted(&[]), []);
        assert_eq!(sorted(&[7..=7]), [7]);
        assert_eq!(sorted(&[10..=12, 20..=20, 30..=31]), [10, 11, 12, 20, 30, 31]);
        assert_eq!(sorted(&[1..=u16::MAX]).len(), 65_535);
        assert_eq!(sorted(&[60_000..=65_535]), (60_000..=65_535).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_differs_from_one_time_to_the_next() {
        let ports = PassivePorts::new(&[40_000..=50_000]);
        let orders: Vec<Vec<_>> = (0..4).map(|_| ports.shuffled().take(4).collect()).collect();
        assert!(orders.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
