//! Which parts of the file system the process can reach at all: Landlock, landlock(7).
//!
//! ```no_run
//! use wharf_sys::sandbox::{Rules, restrict};
//!
//! let rules = Rules::new().system_read_only().read_only("/srv/pub").read_write("/home");
//! println!("{}", restrict(&rules)?); // Landlock: full
//! # std::io::Result::Ok(())
//! ```
//!
//! This comes on top of all other rights and cannot be lifted again. It binds the calling thread and all that it starts, so
//! it is for the start of a program. It also takes away the [chance of new
//! privileges](crate::capabilities::no_new_privileges). Network access is not restricted.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, make_bitflags,
};

use crate::threads;

/// The version of Landlock whose rights are handled, tested with this code. Newer kernels enforce just these, older ones fewer.
const RIGHTS: ABI = ABI::V5;

/// What the name service, PAM, time zones and the C library read, programs that PAM's modules start included.
const SYSTEM: &[&str] = &[
    "/bin",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys/fs/cgroup",
    "/usr",
    "/var/db",
    "/var/lib/extrausers",
    "/var/lib/sss",
    "/var/run",
    "/var/yp",
];

/// What the same write to. Failed logins are counted in the directory, where PAM is told to do so.
const SYSTEM_WRITABLE: &[&str] = &["/dev/null", "/run/faillock", "/var/run/faillock"];

/// Files and hierarchies of the file system that stay within reach.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    path: PathBuf,
    access: BitFlags<AccessFs>,
    /// Whether the path may be missing.
    optional: bool,
}

/// How much of a sandbox the kernel provides. Displayed as one short line for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// All of it.
    Full,
    /// All but rights that the kernel is too old for: truncating files (before Linux 6.2), commands to devices (before 6.10).
    Partial,
    /// Nothing: the kernel has no Landlock, it is switched off, or it predates Linux 5.19 and would forbid renaming
    /// a file into another directory.
    Off,
}

impl Rules {
    /// Nothing stays within reach.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file, or a directory with all below it, can be read.
    #[must_use]
    pub fn read_only(self, path: impl Into<PathBuf>) -> Self {
        self.with(path.into(), reading(), false)
    }

    /// A file, or a directory with all below it, can be read and changed; directories can be made and removed, names moved.
    /// Programs there cannot be started, devices cannot be made.
    #[must_use]
    pub fn read_write(self, path: impl Into<PathBuf>) -> Self {
        self.with(path.into(), reading() | changing(), false)
    }

    /// The parts of the system that accounts, PAM and the C library need, as far as they are there. Programs can be started
    /// from them, because PAM has helpers.
    #[must_use]
    pub fn system_read_only(self) -> Self {
        let rules = SYSTEM
            .iter()
            .fold(self, |rules, path| rules.with(path.into(), reading() | AccessFs::Execute, true));
        SYSTEM_WRITABLE
            .iter()
            .fold(rules, |rules, path| rules.with(path.into(), reading() | changing(), true))
    }

    fn with(mut self, path: PathBuf, access: BitFlags<AccessFs>, optional: bool) -> Self {
        self.rules.push(Rule { path, access, optional });
        self
    }
}

/// Restricts the process to these rules, as far as the kernel can; the answer says how far.
///
/// # Errors
///
/// When a second thread is running, which would stay free; when a path of the rules cannot be opened; when the kernel
/// refuses. Nothing is restricted then.
pub fn restrict(rules: &Rules) -> io::Result<Enforcement> {
    threads::require_single()?;
    // Where the right to move names between directories is unknown, the kernel forbids it throughout.
    let Ok(ruleset) =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::Refer)
    else {
        return Ok(Enforcement::Off);
    };
    let mut ruleset = ruleset
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    for rule in &rules.rules {
        let Some(path) = open(rule)? else { continue };
        let access = if rule.path.is_dir() { rule.access } else { rule.access & AccessFs::from_file(RIGHTS) };
        ruleset = ruleset.add_rule(PathBeneath::new(path, access)).map_err(io::Error::other)?;
    }
    let status = ruleset.restrict_self().map_err(io::Error::other)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Enforcement::Full,
        RulesetStatus::PartiallyEnforced => Enforcement::Partial,
        RulesetStatus::NotEnforced => Enforcement::Off,
    })
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "Landlock: full",
            Self::Partial => "Landlock: partial (the kernel lacks its newer rights)",
            Self::Off => "Landlock: off (needs Linux 5.19 with Landlock switched on)",
        })
    }
}

fn open(rule: &Rule) -> io::Result<Option<PathFd>> {
    match PathFd::new(&rule.path) {
        Ok(path) => Ok(Some(path)),
        Err(_) if rule.optional => Ok(None),
        Err(error) => Err(named(&rule.path, error)),
    }
}

fn named(path: &Path, error: landlock::PathFdError) -> io::Error {
    let kind = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .map_or(io::ErrorKind::Other, io::Error::kind);
    io::Error::new(kind, format!("{}: {error}", path.display()))
}

fn reading() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{ReadFile | ReadDir})
}

/// Sockets, pipes and links are here because moving one to another directory counts as making it.
fn changing() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        WriteFile | Truncate | RemoveFile | RemoveDir | MakeReg | MakeDir | MakeSym | MakeFifo | MakeSock | Refer
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_thread_is_in_the_way() {
        // The test harness runs this on a thread of its own.
        assert!(restrict(&Rules::new()).unwrap_err().to_string().contains("threads are running"));
    }

    #[test]
    fn every_right_that_is_given_is_one_that_is_handled() {
        let given = reading() | changing() | AccessFs::Execute;
        assert!(AccessFs::from_all(RIGHTS).contains(given));
    }

    #[test]
    fn a_missing_home_is_named() {
        let rules = Rules::new().read_write("/no/such/home");
        let error = open(rules.rules.first().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/no/such/home"));
    }
}
