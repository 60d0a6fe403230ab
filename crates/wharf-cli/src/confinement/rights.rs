//! User ids and capabilities: what is kept, decided before anything changes.

use std::fs;
use std::io;
use std::num::NonZeroU16;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wharf_sys::capabilities::{self, Capability};
use wharf_sys::identity::{self, Identity};
use wharf_sys::users::{self, Account};

use crate::config::{Accounts, Config, reason};
use crate::failure::Failure;

/// Below this, ports are privileged.
const FIRST_FREE_PORT: u16 = 1024;

/// What becomes of the rights that the process was started with.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Root becomes this user.
    Become { account: Box<Account>, groups: Vec<u32>, kept: Vec<Capability> },
    /// The user stays, with these capabilities.
    Keep(Vec<Capability>),
    /// Root stays what it is, for want of another user.
    StayRoot,
}

/// Decides what to keep: for virtual users nothing but ports below 1024, if data connections use such; for users of the
/// system what it takes to become them. PAM and the shadow database want user id 0 then, which owns what they read.
///
/// # Errors
/// When `run_as` names nobody, or somebody who cannot open a home, or means nothing here.
pub(super) fn plan(config: &Config) -> Result<Plan, Failure> {
    let held = capabilities::current().map_err(|error| cannot("say which rights there are", &error))?;
    let data_ports = config.settings.passive.ports.iter().map(|range| *range.start());
    let source_port = config.settings.active.source_port.map(NonZeroU16::get);
    let has_low_ports = data_ports.chain(source_port).any(|port| port < FIRST_FREE_PORT);
    let ports = [Capability::NetBindService].into_iter().filter(|_| has_low_ports);
    if !matches!(config.accounts, Accounts::Virtual { .. }) {
        if config.run_as.is_some() {
            return Err(Failure::usage(
                "run_as: is for virtual users; system users need a server that stays root",
            ));
        }
        return Ok(Plan::Keep(ports.chain(for_system_users()).filter(|one| held.contains(*one)).collect()));
    }
    let kept = ports.filter(|one| held.contains(*one)).collect();
    match &config.run_as {
        Some(name) => {
            let plan = become_user(name, kept)?;
            plan.require_homes(config)?;
            Ok(plan)
        }
        None if is_root() => Ok(Plan::StayRoot),
        None => Ok(Plan::Keep(kept)),
    }
}

/// `CAP_AUDIT_WRITE` is PAM's, where the kernel audits.
fn for_system_users() -> impl Iterator<Item = Capability> {
    // Some systems let nobody read the shadow database by its mode, root included.
    let unreadable = fs::metadata("/etc/shadow").is_ok_and(|shadow| shadow.mode() & 0o400 == 0);
    let shadow = [Capability::DacReadSearch].into_iter().filter(move |_| unreadable);
    [Capability::SetUid, Capability::SetGid, Capability::AuditWrite].into_iter().chain(shadow)
}

fn become_user(name: &str, kept: Vec<Capability>) -> Result<Plan, Failure> {
    let unknown = |error: io::Error| Failure::usage(format!("run_as: {name:?}: {}", reason(&error)));
    let account = users::account_by_name(name).map_err(unknown)?;
    let account = account.ok_or_else(|| Failure::usage(format!("run_as: there is no user {name:?}")))?;
    if !is_root() {
        return Ok(Plan::Keep(kept));
    }
    let groups = users::supplementary_groups(&account.name, account.gid).map_err(unknown)?;
    Ok(Plan::Become { account: Box::new(account), groups, kept })
}

impl Plan {
    /// # Errors
    /// When the system refuses.
    pub(super) fn carry_out(&self) -> Result<(), Failure> {
        let given_up = match self {
            Self::Become { account, groups, kept } => {
                capabilities::drop_to(account.uid, account.gid, groups, kept)
            }
            Self::Keep(kept) => keep(kept),
            Self::StayRoot => Ok(()),
        };
        given_up
            .and_then(|()| capabilities::no_new_privileges())
            .map_err(|error| cannot("give up rights", &error))
    }

    /// A home that the new user cannot open is a mistake in the configuration: better said now than at each login.
    fn require_homes(&self, config: &Config) -> Result<(), Failure> {
        let (Self::Become { account, groups, .. }, Accounts::Virtual { users, anonymous, .. }) =
            (self, &config.accounts)
        else {
            return Ok(());
        };
        let user = account.name.display();
        let closed = |home: &Path, error| {
            Failure::usage(format!(
                "run_as: {user} cannot open the home {}: {}",
                home.display(),
                reason(&error)
            ))
        };
        let identity = Identity::user(account.uid, account.gid, groups.clone());
        let _entered = identity.enter().map_err(|error| cannot("become another user", &error))?;
        let mut homes = users.iter().chain(anonymous).map(|account| &account.home);
        homes.try_for_each(|home| fs::read_dir(home).map(drop).map_err(|error| closed(home, error)))
    }

    /// Who the process is now and what it may do, in words.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(super) fn left(&self) -> Result<String, Failure> {
        let held = match self {
            Self::StayRoot => "all capabilities".to_owned(),
            Self::Become { .. } | Self::Keep(_) => capabilities::current()
                .map_err(|error| cannot("say which rights are left", &error))?
                .to_string(),
        };
        let uid = identity::effective_user();
        let name = users::user_name(uid).ok().flatten();
        let name = name.map_or_else(|| format!("user {uid}"), |name| name.to_string_lossy().into_owned());
        Ok(format!("{name} with {held}, no new privileges"))
    }

    /// What could be better.
    pub(super) fn warning(&self, config: &Config) -> Option<String> {
        match self {
            Self::StayRoot => Some(
                "virtual users do not need a server that is root; run_as in the configuration names another user"
                    .into(),
            ),
            Self::Become { .. } => None,
            Self::Keep(_) => without_effect(config.run_as.as_ref()?, identity::effective_user()),
        }
    }
}

/// What to say of `run_as` when user `uid` starts the program, who is not root.
fn without_effect(run_as: &str, uid: u32) -> Option<String> {
    let account = users::account_by_name(run_as).ok().flatten();
    let is_another = account.is_none_or(|account| account.uid != uid);
    is_another.then(|| format!("run_as = {run_as:?} changes nothing: only root can become another user"))
}

/// Gives up what there is to give up; most processes have nothing.
fn keep(kept: &[Capability]) -> io::Result<()> {
    if capabilities::current()?.is_empty() { Ok(()) } else { capabilities::keep(kept) }
}

fn is_root() -> bool {
    identity::effective_user() == 0
}

fn cannot(what: &str, error: &io::Error) -> Failure {
    Failure::runtime(format!("the process cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_the_program_cannot_become_is_told() {
        assert_eq!(without_effect("root", 0), None);
        assert!(without_effect("root", 1).unwrap().starts_with("run_as = \"root\" changes nothing"));
    }
}
