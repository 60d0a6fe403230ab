//! How many control connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections and refuses those that are too many. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total: Option<usize>,
    per_address: Option<usize>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The limit that keeps a connection out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitHit {
    /// `limits.max_connections`.
    Total,
    /// `limits.max_connections_per_ip`.
    PerAddress,
}

/// The right to be connected; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl ConnectionLimits {
    /// At most `total` connections at once, and at most `per_address` from one address; `None` is no limit.
    pub(crate) fn new(total: Option<usize>, per_address: Option<usize>) -> Self {
        Self { shared: Arc::new(Shared { total, per_address, open: Mutex::default() }) }
    }

    /// Counts a connection from `address`, which must be canonical.
    ///
    /// # Errors
    /// The limit that was reached; the total is looked at first, and nothing is counted.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Permit, LimitHit> {
        let mut open = self.shared.open();
        if self.shared.total.is_some_and(|limit| open.total >= limit) {
            return Err(LimitHit::Total);
        }
        let from_here = open.by_address.get(&address).copied().unwrap_or(0);
        if self.shared.per_address.is_some_and(|limit| from_here >= limit) {
            return Err(LimitHit::PerAddress);
        }
        open.total += 1;
        open.by_address.insert(address, from_here + 1);
        Ok(Permit { shared: Arc::clone(&self.shared), address })
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.shared.open().total
    }
}

impl Shared {
    /// The counts. They are whole after any panic: each change below is a few additions.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.shared.open();
        open.total -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::thread;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn the_limit_that_was_reached_is_named() {
        let limits = ConnectionLimits::new(Some(3), Some(2));
        let _first = limits.admit(HERE).unwrap();
        let second = limits.admit(HERE).unwrap();
        assert_eq!(limits.admit(HERE).unwrap_err(), LimitHit::PerAddress);
        let _third = limits.admit(THERE).unwrap();
        assert_eq!(limits.admit(THERE).unwrap_err(), LimitHit::Total);
        drop(second);
        assert!(limits.admit(HERE).is_ok());
    }

    #[test]
    fn what_is_given_back_leaves_nothing_behind() {
        let limits = ConnectionLimits::new(None, None);
        let permits: Vec<_> = (0..10).map(|_| limits.admit(HERE).unwrap()).collect();
        assert_eq!(limits.open(), 10);
        drop(permits);
        assert_eq!(limits.open(), 0);
        assert!(limits.shared.open().by_address.is_empty());
    }

    #[test]
    fn threads_never_get_more_than_there_is() {
        let limits = ConnectionLimits::new(Some(5), Some(4));
        thread::scope(|scope| {
            for address in [HERE, THERE, HERE, THERE] {
                let limits = &limits;
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        let _permit = limits.admit(address);
                        let open = limits.shared.open();
                        assert!(open.total <= 5 && open.by_address.values().all(|&count| count <= 4));
                    }
                });
            }
        });
        assert_eq!(limits.open(), 0);
    }
}
