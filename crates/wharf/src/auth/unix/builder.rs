//! Setting up the accounts of a Unix system.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use wharf_proto::{Letters, Secret};
use wharf_sys::Identity;
use wharf_sys::pam::Service;

use super::super::even_pace::{EvenPace, Work};
use super::super::system_users::{Options, common_options};
use super::super::{SystemUsersError, UserOverride};
use super::passwords::{Decoy, Passwords};
use super::{Inner, SystemAccounts, UnixUsers};

/// The service name under which PAM is asked when nobody names another.
const PAM_SERVICE: &str = "wharf";

/// The user and group that are nobody's, to try whether an identity can be taken on at all.
const NOBODY: u32 = 65_534;

/// Which accounts of the system may log in, and how.
#[must_use = "a builder does nothing until `build` is called"]
pub struct UnixUsersBuilder {
    options: Options,
    accounts: SystemAccounts,
    passwords: Passwords,
}

impl Default for UnixUsersBuilder {
    fn default() -> Self {
        Self {
            options: Options::default(),
            accounts: SystemAccounts::WithValidShell,
            passwords: Passwords::Pam(Service::new(PAM_SERVICE)),
        }
    }
}

impl UnixUsersBuilder {
    common_options!("the system");

    /// Whether users need a login shell that `/etc/shells` lists. They do, if nothing else is said.
    pub fn require_valid_shell(mut self, required: bool) -> Self {
        self.accounts =
            if required { SystemAccounts::WithValidShell } else { SystemAccounts::WhateverTheShell };
        self
    }

    /// The account that `anonymous` works as, without a password, and looking and fetching only (`elr`) unless an override
    /// of `anonymous` says more.
    pub fn anonymous_user(mut self, name: impl Into<String>) -> Self {
        self.options.anonymous_user = Some(name.into());
        self
    }

    /// What is different for one user, or for `anonymous`. A later override of the same user replaces an earlier one whole.
    pub fn override_user(mut self, one: UserOverride) -> Self {
        self.options.overrides.push(one);
        self
    }

    /// Asks PAM under this service name, a file of `/etc/pam.d`. It is `wharf`, if nothing else is said.
    pub fn pam_service(mut self, name: impl Into<String>) -> Self {
        self.passwords = Passwords::Pam(Service::new(name));
        self
    }

    /// Checks passwords and expiry dates against `/etc/shadow` and leaves PAM alone.
    pub fn without_pam(mut self) -> Self {
        self.passwords = Passwords::Shadow;
        self
    }

    /// Checks all of it against the accounts that there are. Asks the name service and computes a hash, so it may block.
    ///
    /// # Errors
    /// When the process cannot take on the rights of others, or the options name what is not there or contradict each other.
    pub fn build(self) -> Result<UnixUsers, SystemUsersError> {
        require_rights(&self.passwords).map_err(SystemUsersError::NotPrivileged)?;
        let Self { options, accounts, passwords } = self;
        let policy = options.settle(&accounts)?;
        let decoy = Decoy::of_system();
        let pace = pace(&passwords, &decoy);
        Ok(UnixUsers(Arc::new(Inner { policy, accounts, passwords, decoy, pace })))
    }
}

/// A pace that begins with what one check of a hash takes: the first refusals are to tell as little as later ones.
pub(super) fn pace(passwords: &Passwords, decoy: &Decoy) -> EvenPace {
    let since = Instant::now();
    decoy.check(&Secret::new("a guess"));
    EvenPace::of(match passwords {
        Passwords::Pam(_) => Work::Asking,
        Passwords::Shadow => Work::Computing,
    })
    .beginning_with(since.elapsed())
}

fn require_rights(passwords: &Passwords) -> io::Result<()> {
    drop(Identity::user(NOBODY, NOBODY, Vec::new()).enter()?);
    passwords.require_readable()
}

impl fmt::Debug for UnixUsersBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixUsersBuilder").field("passwords", &self.passwords).finish_non_exhaustive()
    }
}
