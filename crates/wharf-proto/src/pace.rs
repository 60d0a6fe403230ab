//! Pacing: how long a transfer waits so that it keeps to its rate.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// What may be moved at once before the first wait, as time at the given rate.
const BURST: Duration = Duration::from_millis(250);

/// A bucket that fills at a steady rate and holds a quarter of a second's worth of bytes.
///
/// ```
/// # use std::{num::NonZeroU64, time::{Duration, Instant}};
/// # use wharf_proto::TokenBucket;
/// # #[allow(clippy::disallowed_methods)]
/// # let now = Instant::now();
/// let mut bucket = TokenBucket::new(NonZeroU64::new(1000).unwrap());
/// assert_eq!(bucket.take(250, now), Duration::ZERO);
/// assert_eq!(bucket.take(1000, now), Duration::from_secs(1));
/// ```
#[derive(Clone, Debug)]
pub struct TokenBucket {
    bytes_per_second: NonZeroU64,
    /// How far ahead of its rate the transfer was, at `as_of`.
    debt: Duration,
    as_of: Option<Instant>,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, debt: Duration::ZERO, as_of: None }
    }

    /// Takes `bytes` that were or will be moved at `now`, and says how long to wait before the next are.
    ///
    /// Large takes are allowed: they are paid for by a longer wait, so that the rate holds on average.
    pub fn take(&mut self, bytes: u64, now: Instant) -> Duration {
        let passed = self.as_of.map_or(Duration::ZERO, |as_of| now.saturating_duration_since(as_of));
        self.as_of = self.as_of.max(Some(now));
        self.debt = self.debt.saturating_sub(passed).saturating_add(self.time_for(bytes));
        self.debt.saturating_sub(BURST)
    }

    /// How long `bytes` take at the rate, rounded up to nanoseconds.
    fn time_for(&self, bytes: u64) -> Duration {
        let rate = self.bytes_per_second.get();
        let nanoseconds = (u128::from(bytes % rate) * 1_000_000_000).div_ceil(u128::from(rate));
        // Less than a second's worth of bytes is at most a second.
        Duration::from_secs(bytes / rate) + Duration::from_nanos(nanoseconds as u64)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // an origin for the times that are handed in
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket(rate: u64) -> TokenBucket {
        TokenBucket::new(NonZeroU64::new(rate).unwrap())
    }

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn waits_as_long_as_the_rate_says() {
        let start = Instant::now();
        let mut bucket = bucket(1000);
        for (at, bytes, wait) in [
            (0, 100, 0),
            (0, 150, 0),
            (0, 100, 100),
            (100, 0, 0),
            (100, 1000, 1000),
            (1100, 500, 500),
            // Idle time fills the bucket, but not beyond its size.
            (60_000, 250, 0),
            (60_000, 1, 1),
            // A clock that goes back is no gain.
            (0, 1, 2),
            (60_000, 0, 2),
        ] {
            assert_eq!(
                bucket.take(bytes, start + milliseconds(at)),
                milliseconds(wait),
                "{bytes} bytes at {at}"
            );
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        let start = Instant::now();
        let mut slow = bucket(1);
        assert!(slow.take(u64::MAX, start) > slow.take(0, start + milliseconds(1)));
        assert_eq!(slow.take(u64::MAX, start), Duration::MAX - BURST);
        assert_eq!(bucket(u64::MAX).take(u64::MAX, start), milliseconds(750));
    }

    proptest! {
        #[test]
        fn keeps_to_its_rate(rate in 1u64..1_000_000_000, takes in prop::collection::vec(0u64..10_000_000, 1..50)) {
            let start = Instant::now();
            let (mut bucket, mut now, mut moved) = (bucket(rate), start, 0u64);
            for bytes in takes {
                moved += bytes;
                now += bucket.take(bytes, now);
            }
            let allowed = (now - start + BURST).as_nanos() * u128::from(rate);
            prop_assert!(u128::from(moved) * 1_000_000_000 <= allowed);
        }
    }
}
