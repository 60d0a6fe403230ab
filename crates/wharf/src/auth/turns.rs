//! Turns to check a password: a few at a time, and one address does not take those of others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// To compute a hash: as many as half the cores, so that the other half serves who is logged in already.
pub(super) static COMPUTING: LazyLock<Turns> = LazyLock::new(|| {
    let most = (cores() / 2).max(1);
    Turns::new(most, most)
});

/// To ask the system, which waits more than it computes, and to wait as long where there is nothing to ask. One address has an
/// eighth of them. Each holds a thread of the blocking pool, of which there are 512.
#[cfg_attr(not(any(target_os = "linux", windows)), allow(dead_code, reason = "there are no system users"))]
pub(super) static ASKING: LazyLock<Turns> = LazyLock::new(|| {
    let each = cores().clamp(4, 16);
    Turns::new(8 * each, each)
});

/// A number of turns. Whoever has none waits behind others from the same address, and then behind the first few from each
/// other address: a flood from one address is one place in the queue, however many it sends.
pub(super) struct Turns {
    all: Semaphore,
    /// How many may come from one address at once, waiting for the others included.
    each: usize,
    lines: Mutex<HashMap<Option<IpAddr>, Line>>,
}

/// Those from one address.
struct Line {
    turns: Arc<Semaphore>,
    members: usize,
}

/// A turn, which is given back when dropped.
pub(super) struct Turn {
    _of_all: SemaphorePermit<'static>,
    _of_line: OwnedSemaphorePermit,
    _member: Member,
}

/// Somebody who is in a line, or has come to the turn. The last one removes the line.
struct Member {
    turns: &'static Turns,
    address: Option<IpAddr>,
}

impl Turns {
    fn new(most: usize, each: usize) -> Self {
        Self { all: Semaphore::new(most), each, lines: Mutex::default() }
    }

    /// Waits for a turn of somebody at `peer`; those from unknown places count as from one. Dropping the future leaves the line.
    pub(super) async fn take(&'static self, peer: Option<IpAddr>) -> Option<Turn> {
        let (member, line) = self.join(peer.map(site));
        let of_line = line.acquire_owned().await.ok()?;
        let of_all = self.all.acquire().await.ok()?;
        Some(Turn { _of_all: of_all, _of_line: of_line, _member: member })
    }

    fn join(&'static self, address: Option<IpAddr>) -> (Member, Arc<Semaphore>) {
        let mut lines = self.lines();
        let empty = || Line { turns: Arc::new(Semaphore::new(self.each)), members: 0 };
        let line = lines.entry(address).or_insert_with(empty);
        line.members += 1;
        (Member { turns: self, address }, Arc::clone(&line.turns))
    }

    /// The lines. They are whole after any panic: each change is one step.
    fn lines(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        if let Some(line) = lines.get_mut(&self.address) {
            line.members -= 1;
            if line.members == 0 {
                lines.remove(&self.address);
            }
        }
    }
}

/// What one host is known to have: an address of IPv4, a whole /64 of IPv6.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
        address => address,
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Option<Turn>>>>;

    fn turns(most: usize, each: usize) -> &'static Turns {
        Box::leak(Box::new(Turns::new(most, each)))
    }

    fn ask(turns: &'static Turns, address: &str) -> Waiting {
        Box::pin(turns.take(Some(address.parse().unwrap())))
    }

    fn got(waiting: &mut Waiting) -> Option<Turn> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => turn,
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_flood_from_one_address_is_one_place_in_the_queue() {
        let turns = turns(1, 1);
        let held = got(&mut ask(turns, "192.0.2.1")).unwrap();
        let mut flood: Vec<_> = (0..100).map(|_| ask(turns, "192.0.2.1")).collect();
        assert!(flood.iter_mut().all(|one| got(one).is_none()));
        let mut others = ["192.0.2.2", "192.0.2.3"].map(|address| ask(turns, address));
        assert!(others.iter_mut().all(|one| got(one).is_none()));
        drop(held);
        assert!(flood.iter_mut().all(|one| got(one).is_none()), "the others come first");
        let [first, second] = &mut others;
        drop(got(first).unwrap());
        let held = got(second).unwrap();
        assert!(flood.iter_mut().all(|one| got(one).is_none()));
        drop((held, others));
        assert_eq!(flood.iter_mut().filter_map(got).count(), 100, "each in its turn");
        drop(flood);
        assert!(turns.lines().is_empty());
    }

    #[test]
    fn one_address_leaves_turns_to_others() {
        let turns = turns(4, 2);
        let mut of_one: Vec<_> =
            ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(|it| ask(turns, it)).into();
        let held: Vec<_> = of_one.iter_mut().map(got).collect();
        assert_eq!(held.iter().flatten().count(), 2, "a /64 is one");
        assert!(got(&mut ask(turns, "2001:db8:0:1::1")).is_some());
        // Who leaves the line or gives back a turn makes room.
        drop((of_one, held));
        assert!(turns.lines().is_empty());
        assert!(got(&mut ask(turns, "2001:db8::1")).is_some());
    }
}
