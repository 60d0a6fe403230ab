//! How many control connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where nothing else says it, how many clients may be taking leave at once.
const MANY: usize = 100_000;

/// How many may in any case, so that the farewells of clients who come and go in a row are not cut.
const SOME: usize = 64;

/// The same for clients from one address.
const SOME_FROM_ADDRESS: usize = 16;

/// Counts connections and refuses those that are too many. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total: Option<usize>,
    per_address: Option<usize>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: Count,
    by_address: HashMap<IpAddr, Count>,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    open: usize,
    /// Those that are taking leave: others may have their places, but they still have a socket.
    leaving: usize,
}

/// The limit that keeps a connection out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitHit {
    /// `limits.max_connections`.
    Total,
    /// `limits.max_connections_per_ip`.
    PerAddress,
}

/// The right to be connected, or to take leave; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    shared: Arc<Shared>,
    address: IpAddr,
    leaving: bool,
}

impl ConnectionLimits {
    /// At most `total` connections at once, and at most `per_address` from one address; `None` is no limit.
    pub(crate) fn new(total: Option<usize>, per_address: Option<usize>) -> Self {
        Self { shared: Arc::new(Shared { total, per_address, counts: Mutex::default() }) }
    }

    /// Counts a connection from `address`, which must be canonical.
    ///
    /// # Errors
    /// The limit that was reached; the total is looked at first, and nothing is counted.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Permit, LimitHit> {
        let mut counts = self.shared.counts();
        if self.shared.total.is_some_and(|limit| counts.total.open >= limit) {
            return Err(LimitHit::Total);
        }
        if self.shared.per_address.is_some_and(|limit| counts.from(address).open >= limit) {
            return Err(LimitHit::PerAddress);
        }
        counts.change(address, |count| count.open += 1);
        Ok(Permit { shared: Arc::clone(&self.shared), address, leaving: false })
    }

    /// Counts a client that was not admitted and is told so; `None` if too many are taking leave.
    pub(crate) fn turn_away(&self, address: IpAddr) -> Option<Permit> {
        self.shared.let_leave(&mut self.shared.counts(), address)?;
        Some(Permit { shared: Arc::clone(&self.shared), address, leaving: true })
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.shared.counts().total.open
    }
}

impl Permit {
    /// Gives the place up while there is still something to say; `None` if too many are taking leave, and the connection is
    /// to be closed at once.
    pub(crate) fn leave(mut self) -> Option<Self> {
        if !self.leaving {
            let shared = Arc::clone(&self.shared);
            let mut counts = shared.counts();
            shared.let_leave(&mut counts, self.address)?;
            counts.change(self.address, |count| count.open -= 1);
            self.leaving = true;
        }
        Some(self)
    }
}

impl Shared {
    /// The counts. They are whole after any panic: each change below is a few additions.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a client that takes leave. There may be as many as connections, or a few where those are fewer: a client
    /// that keeps its socket open gets no more of them by leaving again and again.
    fn let_leave(&self, counts: &mut Counts, address: IpAddr) -> Option<()> {
        let most = self.total.map_or(MANY, |limit| limit.max(SOME));
        let most_from_here = self.per_address.map_or(most, |limit| limit.max(SOME_FROM_ADDRESS));
        if counts.total.leaving >= most || counts.from(address).leaving >= most_from_here {
            return None;
        }
        counts.change(address, |count| count.leaving += 1);
        Some(())
    }
}

impl Counts {
    fn from(&self, address: IpAddr) -> Count {
        self.by_address.get(&address).copied().unwrap_or_default()
    }

    fn change(&mut self, address: IpAddr, change: impl Fn(&mut Count)) {
        change(&mut self.total);
        let from_here = self.by_address.entry(address).or_default();
        change(from_here);
        if *from_here == Count::default() {
            self.by_address.remove(&address);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let leaving = self.leaving;
        let given_back = |count: &mut Count| {
            let which = if leaving { &mut count.leaving } else { &mut count.open };
            *which -= 1;
        };
        self.shared.counts().change(self.address, given_back);
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
        assert!(limits.shared.counts().by_address.is_empty());
    }

    #[test]
    fn who_leaves_makes_room_and_is_counted_all_the_same() {
        let limits = ConnectionLimits::new(Some(100), Some(1));
        let mut leaving = Vec::new();
        for _ in 0..SOME_FROM_ADDRESS {
            let permit = limits.admit(HERE).unwrap();
            assert!(limits.admit(HERE).is_err());
            leaving.push(permit.leave().unwrap().leave().unwrap());
        }
        assert!(limits.admit(HERE).unwrap().leave().is_none());
        assert!(limits.turn_away(HERE).is_none());
        assert!(limits.turn_away(THERE).is_some());
        leaving.pop();
        assert!(limits.turn_away(HERE).is_some());
        drop(leaving);
        assert_eq!(limits.open(), 0);
        assert!(limits.shared.counts().by_address.is_empty());
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
                        let counts = limits.shared.counts();
                        assert!(counts.total.open <= 5);
                        assert!(counts.by_address.values().all(|count| count.open <= 4));
                    }
                });
            }
        });
        assert_eq!(limits.open(), 0);
    }
}
