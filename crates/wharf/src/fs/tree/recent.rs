//! Which directories were listed a moment ago.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::Entry;

/// How long what a listing has read is taken to stay in the kernel's caches.
const FRESH: Duration = Duration::from_secs(10);

/// How many directories are remembered.
const SLOTS: usize = 256;

/// A directory, and what of it a listing has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Whether facts about its entries were looked up, rather than their names alone.
    pub(super) facts: bool,
}

impl Listed {
    /// Whether all that was looked up lies in the directory itself: what is mounted there may have to be asked for
    /// somewhere else.
    pub(super) fn has_all(self, entries: &[Entry]) -> bool {
        !self.facts || entries.iter().all(|entry| entry.metadata.device == self.device)
    }
}

/// Small directories that were just listed to their end. The least recent make room for others.
#[derive(Debug, Default)]
pub(in super::super) struct Recent(Mutex<Vec<(Listed, Instant)>>);

impl Recent {
    /// Whether `listed` was noted so lately that nothing of it should have left the caches.
    pub(super) fn contains(&self, listed: Listed) -> bool {
        let now = Instant::now();
        self.slots().iter().any(|&(other, noted)| other == listed && now < noted + FRESH)
    }

    /// Remembers `listed` from now on.
    pub(super) fn note(&self, listed: Listed) {
        let now = Instant::now();
        let mut slots = self.slots();
        if let Some((_, noted)) = slots.iter_mut().find(|(other, _)| *other == listed) {
            *noted = now;
        } else if slots.len() < SLOTS {
            slots.push((listed, now));
        } else if let Some(oldest) = slots.iter_mut().min_by_key(|(_, noted)| *noted) {
            *oldest = (listed, now);
        }
    }

    /// Knows nothing more of `listed`.
    pub(super) fn forget(&self, listed: Listed) {
        self.slots().retain(|(other, _)| *other != listed);
    }

    fn slots(&self) -> MutexGuard<'_, Vec<(Listed, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(inode: u64) -> Listed {
        Listed { device: 1, inode, facts: true }
    }

    #[tokio::test(start_paused = true)]
    async fn directories_are_remembered_for_a_while() {
        let recent = Recent::default();
        assert!(!recent.contains(listed(1)));
        recent.note(listed(1));
        tokio::time::advance(FRESH / 2).await;
        assert!(recent.contains(listed(1)));
        assert!(!recent.contains(Listed { facts: false, ..listed(1) }));
        assert!(!recent.contains(Listed { device: 2, ..listed(1) }));
        recent.note(listed(1));
        tokio::time::advance(FRESH / 2).await;
        assert!(recent.contains(listed(1)), "noted anew");
        tokio::time::advance(FRESH / 2).await;
        assert!(!recent.contains(listed(1)));
        recent.note(listed(1));
        recent.forget(listed(1));
        assert!(!recent.contains(listed(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_recent_make_room() {
        let recent = Recent::default();
        for inode in 0..1_000 {
            recent.note(listed(inode));
            recent.note(listed(0));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(recent.slots().len(), SLOTS);
        assert!(recent.contains(listed(0)) && recent.contains(listed(999)) && !recent.contains(listed(500)));
    }
}
