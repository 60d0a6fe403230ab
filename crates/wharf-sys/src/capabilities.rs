//! What is left of root: capabilities(7).
//!
//! A server starts as root to bind its ports, then keeps only what it needs and says so:
//!
//! ```no_run
//! use wharf_sys::capabilities::{self, Capability};
//!
//! capabilities::keep(&[Capability::SetUid, Capability::SetGid])?;
//! capabilities::no_new_privileges()?;
//! println!("kept {}", capabilities::current()?); // kept cap_setgid cap_setuid
//! # std::io::Result::Ok(())
//! ```
//!
//! Capabilities belong to threads and are inherited from the one that starts them. So this is for the start of a
//! program, before a runtime starts its workers; with a second thread running, it is an error.

use std::fmt;
use std::io;

use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgid, getgroups, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::threads;

/// A piece of root's power that a server may want to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// Write to the audit log. PAM needs it in a process of user id 0 where the kernel audits, or each login fails.
    AuditWrite,
    /// Read any file and search any directory, `/etc/shadow` among them.
    DacReadSearch,
    /// Bind ports below 1024: active mode from port 20.
    NetBindService,
    /// Take on any group: half of entering a user's [identity](crate::identity).
    SetGid,
    /// Take on any user id, root's included: the other half.
    SetUid,
}

/// The capabilities that a process may use. Displayed by the names of capabilities(7), or as `no capabilities`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(CapabilitySet);

/// The capabilities that the calling thread may use now.
///
/// # Errors
///
/// When the kernel does not tell.
pub fn current() -> io::Result<Capabilities> {
    Ok(Capabilities(capabilities(None)?.effective))
}

/// Gives up every capability but these, for good and for all programs that this one starts.
///
/// The user ids stay. A process that stays root still owns root's files, `/etc/shadow` among them.
///
/// # Errors
///
/// [`io::ErrorKind::PermissionDenied`] when one of them is not there to be kept; another when a second thread is
/// running. The process may then hold anything between before and after: end it.
pub fn keep(kept: &[Capability]) -> io::Result<()> {
    threads::require_single()?;
    let kept = set(kept);
    shrink_bounding_set(kept)?;
    limit_to(kept)
}

/// Turns the process into this user, real and saved ids included, keeping only these capabilities.
///
/// Afterwards it tries to become root again: that must fail, unless [`Capability::SetUid`] is kept.
///
/// # Errors
///
/// As for [`keep`]; also when the process is not root, or could take back what it gave up.
pub fn drop_to(uid: u32, gid: u32, groups: &[u32], kept: &[Capability]) -> io::Result<()> {
    threads::require_single()?;
    if uid == u32::MAX || gid == u32::MAX || groups.contains(&u32::MAX) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a user or group id"));
    }
    let kept = set(kept);
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();

    shrink_bounding_set(kept)?;
    // The kernel's own calls change one thread, which is the whole process here.
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_keep_capabilities(true)?;
    set_thread_res_uid(uid, uid, uid)?;
    set_keep_capabilities(false)?;
    limit_to(kept)?;
    verify_dropped(uid, gid, &groups, kept)
}

/// No program that this process starts can have more rights than it has: set-user-id bits count for nothing.
///
/// Without the helper `unix_chkpwd` then, PAM can check passwords only in a process that may read the shadow database itself.
///
/// # Errors
///
/// When the kernel refuses.
pub fn no_new_privileges() -> io::Result<()> {
    Ok(set_no_new_privs(true)?)
}

impl Capabilities {
    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when this one is among them.
    pub fn contains(&self, capability: Capability) -> bool {
        self.0.contains(flag(capability))
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no capabilities");
        }
        for (index, (name, _)) in self.0.iter_names().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}cap_{}", name.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

fn set(kept: &[Capability]) -> CapabilitySet {
    kept.iter().copied().map(flag).collect()
}

const fn flag(capability: Capability) -> CapabilitySet {
    match capability {
        Capability::AuditWrite => CapabilitySet::AUDIT_WRITE,
        Capability::DacReadSearch => CapabilitySet::DAC_READ_SEARCH,
        Capability::NetBindService => CapabilitySet::NET_BIND_SERVICE,
        Capability::SetGid => CapabilitySet::SETGID,
        Capability::SetUid => CapabilitySet::SETUID,
    }
}

/// Sets the ceiling for programs that this one starts. Only `CAP_SETPCAP` may do that; whoever lacks it
/// has [`no_new_privileges`] to the same end.
fn shrink_bounding_set(kept: CapabilitySet) -> io::Result<()> {
    if !capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for capability in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        match capability_is_in_bounding_set(capability) {
            Ok(true) if !kept.contains(capability) => remove_capability_from_bounding_set(capability)?,
            Ok(_) => {}
            Err(Errno::INVAL) => break, // beyond the last one that this kernel knows
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn limit_to(kept: CapabilitySet) -> io::Result<()> {
    let missing = kept - capabilities(None)?.permitted;
    if !missing.is_empty() {
        let text = format!("the process does not have {}", Capabilities(missing));
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    clear_ambient_capability_set()?;
    set_capabilities(None, sets)?;
    if capabilities(None)? == sets { Ok(()) } else { Err(not_dropped("capabilities")) }
}

/// Asks for everything back and expects to be refused: a drop that did not work looks just like one that did.
fn verify_dropped(uid: Uid, gid: Gid, groups: &[Gid], kept: CapabilitySet) -> io::Result<()> {
    if [getuid(), geteuid()] != [uid; 2] {
        return Err(not_dropped("the user id"));
    }
    if [getgid(), getegid()] != [gid; 2] {
        return Err(not_dropped("the group id"));
    }
    let mut wanted = groups.to_vec();
    let mut found = getgroups()?;
    wanted.sort_by_key(|group| group.as_raw());
    found.sort_by_key(|group| group.as_raw());
    wanted.dedup();
    found.dedup();
    if found != wanted {
        return Err(not_dropped("the groups"));
    }
    let may_set_uid = kept.contains(CapabilitySet::SETUID) || uid == Uid::ROOT;
    if !may_set_uid && set_thread_res_uid(None, Uid::ROOT, None).is_ok() {
        return Err(not_dropped("root"));
    }
    let may_set_gid = kept.contains(CapabilitySet::SETGID) || gid == Gid::ROOT;
    if !may_set_gid && set_thread_res_gid(None, Gid::ROOT, None).is_ok() {
        return Err(not_dropped("root's group"));
    }
    Ok(())
}

fn not_dropped(what: &str) -> io::Error {
    io::Error::other(format!("the process could not give up its rights: {what} would still be there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_shown_by_their_names() {
        assert_eq!(Capabilities(set(&[])).to_string(), "no capabilities");
        let kept = Capabilities(set(&[Capability::SetUid, Capability::SetGid, Capability::NetBindService]));
        assert_eq!(kept.to_string(), "cap_setgid cap_setuid cap_net_bind_service");
        assert!(kept.contains(Capability::SetUid) && !kept.contains(Capability::DacReadSearch));
    }

    #[test]
    fn a_second_thread_is_in_the_way() {
        // The test harness runs this on a thread of its own.
        assert!(keep(&[]).unwrap_err().to_string().contains("threads are running"));
        assert!(drop_to(65_534, 65_534, &[], &[]).is_err());
    }
}
