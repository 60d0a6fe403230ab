//! Names of users and groups, as listings print them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::{Entry, Metadata};

/// How long a name is believed.
const FRESH: Duration = Duration::from_secs(300);

/// How many ids are remembered before all are forgotten.
const MAX_IDS: usize = 4_096;

static USERS: LazyLock<Names> = LazyLock::new(|| Names::new(wharf_sys::users::user_name));
static GROUPS: LazyLock<Names> = LazyLock::new(|| Names::new(wharf_sys::users::group_name));

/// Fills in the names of owners and groups. It may ask a name service on the network, so it belongs on the blocking pool;
/// and the service may load code and start threads, so never with the rights of a user.
pub(super) fn name_owners(entries: &mut [Entry]) {
    fill_in(entries, Names::name);
}

/// As [`name_owners`], from what is known already. It asks nobody; whether that was enough for all.
pub(super) fn name_known_owners(entries: &mut [Entry]) -> bool {
    fill_in(entries, Names::known)
}

/// A name, or that there is none; `None` when that is not known.
type Found = Option<Option<Arc<str>>>;

fn fill_in(entries: &mut [Entry], find: fn(&Names, u32, Instant) -> Found) -> bool {
    let now = Instant::now();
    let (mut owner, mut group) = (None, None);
    for entry in entries {
        let Metadata { uid, gid, .. } = entry.metadata;
        // Neighbours mostly belong to the same.
        owner = owner.filter(|&(id, _)| id == uid).or_else(|| Some((uid, find(&USERS, uid, now)?)));
        group = group.filter(|&(id, _)| id == gid).or_else(|| Some((gid, find(&GROUPS, gid, now)?)));
        let (Some((_, owner)), Some((_, group))) = (&owner, &group) else { return false };
        (entry.owner, entry.group) = (owner.clone(), group.clone());
    }
    true
}

type LookUp = fn(u32) -> io::Result<Option<OsString>>;

/// Names by id, for the whole process.
struct Names {
    look_up: LookUp,
    known: Mutex<HashMap<u32, Known>>,
}

struct Known {
    name: Option<Arc<str>>,
    until: Instant,
}

impl Names {
    fn new(look_up: LookUp) -> Self {
        Self { look_up, known: Mutex::default() }
    }

    /// The name that goes with `id`; none when there is none, or none can be had.
    fn name(&self, id: u32, now: Instant) -> Found {
        if let Some(known) = self.known(id, now) {
            return Some(known);
        }
        // Not under the lock: a slow name service holds up this listing only.
        let found = (self.look_up)(id).ok().flatten();
        let name = found.map(|name| Arc::from(name.to_string_lossy()));
        let mut known = self.lock();
        if known.len() >= MAX_IDS {
            known.clear();
        }
        known.insert(id, Known { name: name.clone(), until: now + FRESH });
        Some(name)
    }

    /// As [`name`](Self::name), asking nobody.
    fn known(&self, id: u32, now: Instant) -> Found {
        self.lock().get(&id).filter(|known| known.until > now).map(|known| known.name.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn a_name_is_asked_for_once() {
        let names = Names::new(|id| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            Ok((id == 7).then(|| "ann".into()))
        });
        let now = Instant::now();
        assert_eq!(names.known(7, now), None);
        for _ in 0..3 {
            assert_eq!(names.name(7, now), Some(Some("ann".into())));
            assert_eq!(names.name(8, now), Some(None));
        }
        assert_eq!((names.known(7, now), names.known(8, now)), (Some(Some("ann".into())), Some(None)));
        assert_eq!(ASKED.load(Ordering::Relaxed), 2);
        assert_eq!(names.known(7, now + FRESH), None);
        names.name(7, now + FRESH);
        assert_eq!(ASKED.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_name_service_that_fails_leaves_the_number() {
        assert_eq!(Names::new(|_| Err(io::Error::other("down"))).name(1, Instant::now()), Some(None));
    }

    #[test]
    fn every_entry_gets_its_own_owner() {
        // Nobody else asks for this one.
        const STRANGER: u32 = 3_210_987_654;
        let entry = |uid| Entry::new("a", Metadata { uid, ..Metadata::file(0) });
        let mut entries = [0, 0, STRANGER, 0].map(entry);
        assert!(!name_known_owners(&mut entries), "nobody was asked");
        name_owners(&mut entries);
        let root = USERS.name(0, Instant::now()).unwrap();
        assert_eq!(
            entries.each_ref().map(|entry| entry.owner.clone()),
            [root.clone(), root.clone(), None, root]
        );
        let mut again = entries.each_ref().map(|entry| Entry { owner: None, group: None, ..entry.clone() });
        assert!(name_known_owners(&mut again));
        assert_eq!(again, entries);
    }
}
