//! Linux keeps user and group ids per thread; the C library's `seteuid` and friends change all threads of the process.
//! So this goes to the kernel directly, by rustix's calls of the same meaning.
//!
//! Only effective ids change, and with them the ids for file access. Real and saved ids stay, which has two effects: the way
//! back is always open, and the user cannot signal or trace the server meanwhile.

use std::io;

use rustix::process::{getegid, geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, capabilities, set_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

/// The ids of one user.
#[derive(Debug)]
pub(super) struct Rights {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl Rights {
    pub(super) fn new(uid: u32, gid: u32, groups: Vec<u32>) -> Self {
        Self { uid, gid, groups }
    }

    pub(super) fn enter(&self) -> io::Result<Switched> {
        let uid = Uid::from_raw(valid(self.uid)?);
        let gid = Gid::from_raw(valid(self.gid)?);
        let groups = self
            .groups
            .iter()
            .map(|group| valid(*group).map(Gid::from_raw))
            .collect::<io::Result<Vec<_>>>()?;

        let mut switched = Switched::find()?;
        switched.switch(uid, gid, &groups)?; // an early return drops it, which undoes the steps that were made
        Ok(switched)
    }
}

/// All ones mean "leave as it is" to the kernel: taken for an id it would keep the rights of the server.
fn valid(id: u32) -> io::Result<u32> {
    if id == u32::MAX {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a user or group id"))
    } else {
        Ok(id)
    }
}

/// What the thread had before, and how far it got away from it.
pub(super) struct Switched {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    capabilities: CapabilitySets,
    reached: Step,
}

/// The steps in the order they are made: each needs a right that a later one gives up.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Nothing,
    Groups,
    Group,
    User,
}

impl Switched {
    fn find() -> io::Result<Self> {
        Ok(Self {
            uid: geteuid(),
            gid: getegid(),
            groups: getgroups()?,
            capabilities: capabilities(None)?,
            reached: Step::Nothing,
        })
    }

    fn switch(&mut self, uid: Uid, gid: Gid, groups: &[Gid]) -> io::Result<()> {
        set_thread_groups(groups)?;
        self.reached = Step::Groups;
        set_thread_res_gid(None, gid, None)?;
        self.reached = Step::Group;
        set_thread_res_uid(None, uid, None)?;
        self.reached = Step::User;
        // The kernel does this itself only on the way from root to somebody else.
        set_capabilities(None, CapabilitySets { effective: CapabilitySet::empty(), ..self.capabilities })?;
        Ok(())
    }

    fn restore(&self) -> io::Result<()> {
        if self.reached >= Step::User {
            set_thread_res_uid(None, self.uid, None)?;
            set_capabilities(None, self.capabilities)?;
        }
        if self.reached >= Step::Group {
            set_thread_res_gid(None, self.gid, None)?;
        }
        if self.reached >= Step::Groups {
            set_thread_groups(&self.groups)?;
        }
        Ok(())
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            super::abort_after(&error);
        }
    }
}
