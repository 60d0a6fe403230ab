//! Threads with the rights of different users.

use std::fs;
use std::io::ErrorKind::PermissionDenied;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use rustix::thread::{CapabilitySet, CapabilitySets, Gid, capabilities, set_capabilities, set_thread_groups};
use wharf_sys::capabilities::{self as kept, Capability};
use wharf_sys::identity::Identity;

use crate::rows::{Needs, Place, Row};

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row { name: "identities_never_mix",                       needs: Needs::Root, place: Place::Thread,  run: identities_never_mix },
    Row { name: "all_ids_of_the_thread_change_and_return",    needs: Needs::Root, place: Place::Thread,  run: all_ids_of_the_thread_change_and_return },
    Row { name: "no_other_thread_changes",                    needs: Needs::Root, place: Place::Thread,  run: no_other_thread_changes },
    Row { name: "what_was_found_is_restored",                 needs: Needs::Root, place: Place::Thread,  run: what_was_found_is_restored },
    Row { name: "a_panic_gives_the_rights_back",              needs: Needs::Root, place: Place::Thread,  run: a_panic_gives_the_rights_back },
    Row { name: "root_s_groups_are_not_lent",                 needs: Needs::Root, place: Place::Thread,  run: root_s_groups_are_not_lent },
    Row { name: "root_as_a_user_has_no_capabilities",         needs: Needs::Root, place: Place::Thread,  run: root_as_a_user_has_no_capabilities },
    Row { name: "a_second_identity_inside_one_is_refused",    needs: Needs::Root, place: Place::Thread,  run: a_second_identity_inside_one_is_refused },
    Row { name: "capabilities_of_a_plain_user_are_not_lent",  needs: Needs::Root, place: Place::Process, run: capabilities_of_a_plain_user_are_not_lent },
    Row { name: "half_the_capabilities_are_not_enough",       needs: Needs::Root, place: Place::Process, run: half_the_capabilities_are_not_enough },
    Row { name: "without_capabilities_it_is_an_error",        needs: Needs::Root, place: Place::Process, run: without_capabilities_it_is_an_error },
];

/// Ids that no account has. Each test takes its own.
const FIRST_ID: u32 = 0x7000_0000;

fn user(number: u32) -> (u32, Identity) {
    let id = FIRST_ID + number;
    (id, Identity::user(id, id + 1_000, vec![id + 1_000, id + 2_000]))
}

/// A line of the status that the kernel shows of the calling thread.
fn status(field: &str) -> String {
    status_of(Path::new("/proc/thread-self"), field).unwrap()
}

/// Nothing when the thread has ended meanwhile.
fn status_of(task: &Path, field: &str) -> Option<String> {
    let text = fs::read_to_string(task.join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Real, effective, saved and file-system ids of users and groups, supplementary groups, and capabilities.
fn everything() -> [String; 6] {
    ["Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapInh"].map(status)
}

fn identities_never_mix() {
    const USERS: u32 = 8;
    const ROUNDS: u32 = 300;

    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let home = |number: u32| dir.path().join(number.to_string());
    for number in 0..USERS {
        let (id, _) = user(number);
        fs::create_dir(home(number)).unwrap();
        chown(home(number), Some(id), Some(id + 1_000)).unwrap();
        fs::set_permissions(home(number), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let start = Barrier::new(USERS as usize);
    thread::scope(|scope| {
        for number in 0..USERS {
            let (start, home) = (&start, &home);
            scope.spawn(move || {
                let (id, identity) = user(number);
                let before = everything();
                start.wait();
                for round in 0..ROUNDS {
                    let file = home(number).join(round.to_string());
                    let entered = identity.enter().unwrap();
                    fs::write(&file, id.to_string()).unwrap();
                    assert_eq!(fs::read_to_string(&file).unwrap(), id.to_string());
                    let other = home((number + 1) % USERS);
                    assert_eq!(fs::read_dir(&other).unwrap_err().kind(), PermissionDenied);
                    assert_eq!(fs::write(other.join("theirs"), "").unwrap_err().kind(), PermissionDenied);
                    drop(entered);
                    let metadata = fs::metadata(&file).unwrap();
                    assert_eq!((metadata.uid(), metadata.gid()), (id, id + 1_000));
                }
                assert_eq!(everything(), before);
            });
        }
    });
}

fn all_ids_of_the_thread_change_and_return() {
    let before = everything();
    let (id, identity) = user(10);
    let entered = identity.enter().unwrap();
    // The real and the saved id stay root's: that is the way back, and keeps the user from signalling the server.
    assert_eq!(status("Uid"), format!("0 {id} 0 {id}"));
    assert_eq!(status("Gid"), format!("0 {0} 0 {0}", id + 1_000));
    assert_eq!(status("Groups"), format!("{} {}", id + 1_000, id + 2_000));
    assert_eq!(status("CapEff"), "0000000000000000");
    drop(entered);
    assert_eq!(everything(), before);
}

fn no_other_thread_changes() {
    let (id, identity) = user(20);
    let entered = identity.enter().unwrap();
    let changed = fs::read_dir("/proc/self/task").unwrap().filter(|task| {
        let uids = status_of(&task.as_ref().unwrap().path(), "Uid");
        uids.is_some_and(|uids| uids.split(' ').any(|uid| uid == id.to_string()))
    });
    assert_eq!(changed.count(), 1);
    drop(entered);
}

fn what_was_found_is_restored() {
    set_thread_groups(&[Gid::from_raw(4), Gid::from_raw(5)]).unwrap();
    let effective = CapabilitySet::SETUID | CapabilitySet::SETGID;
    set_capabilities(None, CapabilitySets { effective, ..capabilities(None).unwrap() }).unwrap();
    let before = everything();
    drop(user(30).1.enter().unwrap());
    assert_eq!(everything(), before);
    assert_eq!(status("Groups"), "4 5");
    assert_eq!(capabilities(None).unwrap().effective, effective);
}

fn a_panic_gives_the_rights_back() {
    let before = everything();
    let panicked = catch_unwind(|| {
        let _entered = user(40).1.enter().unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.is_err());
    assert_eq!(everything(), before);
}

fn root_s_groups_are_not_lent() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = dir.path().join("for root's group");
    fs::write(&file, "secret").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();

    set_thread_groups(&[Gid::ROOT]).unwrap();
    let entered = Identity::user(FIRST_ID + 50, FIRST_ID + 50, Vec::new()).enter().unwrap();
    assert_eq!(status("Groups"), "");
    assert_eq!(fs::read(&file).unwrap_err().kind(), PermissionDenied);
    drop(entered);
    assert_eq!(fs::read(&file).unwrap(), b"secret");
}

fn root_as_a_user_has_no_capabilities() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("of somebody else");
    fs::write(&file, "secret").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&file, Some(FIRST_ID), Some(FIRST_ID)).unwrap();

    let entered = Identity::user(0, 0, vec![0]).enter().unwrap();
    assert_eq!(fs::read(&file).unwrap_err().kind(), PermissionDenied);
    drop(entered);
    assert_eq!(fs::read(&file).unwrap(), b"secret");
}

fn a_second_identity_inside_one_is_refused() {
    let entered = user(60).1.enter().unwrap();
    let inside = everything();
    assert_eq!(user(61).1.enter().unwrap_err().kind(), PermissionDenied);
    assert_eq!(everything(), inside);
    drop(entered);
}

fn capabilities_of_a_plain_user_are_not_lent() {
    let (id, identity) = user(70);
    let service = FIRST_ID + 71;
    kept::drop_to(
        service,
        service,
        &[],
        &[Capability::SetUid, Capability::SetGid, Capability::DacReadSearch],
    )
    .unwrap();
    let before = everything();
    fs::read("/etc/shadow").unwrap();

    let entered = identity.enter().unwrap();
    assert_eq!(status("Uid"), format!("{service} {id} {service} {id}"));
    assert_eq!(status("CapEff"), "0000000000000000");
    assert_eq!(fs::read("/etc/shadow").unwrap_err().kind(), PermissionDenied);
    drop(entered);

    assert_eq!(everything(), before);
    fs::read("/etc/shadow").unwrap();
}

fn half_the_capabilities_are_not_enough() {
    let service = FIRST_ID + 80;
    kept::drop_to(service, service, &[service], &[Capability::SetGid]).unwrap();
    let before = everything();
    // Groups can be changed, the user cannot: the groups are put back.
    assert_eq!(user(81).1.enter().unwrap_err().kind(), PermissionDenied);
    assert_eq!(everything(), before);
}

fn without_capabilities_it_is_an_error() {
    kept::keep(&[]).unwrap();
    let before = everything();
    assert_eq!(user(90).1.enter().unwrap_err().kind(), PermissionDenied);
    assert_eq!(everything(), before);
}
