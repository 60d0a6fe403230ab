//! Landlock: the files that the process can reach at all, whatever its rights.

use std::fs;
use std::path::{Path, PathBuf};

use wharf::Letters;
use wharf_sys::sandbox::{Enforcement, Rules, restrict};
use wharf_sys::users;

use crate::config::raw::{Reach, Sandbox};
use crate::config::{ANONYMOUS, Accounts, Config, SystemUser, raw};
use crate::failure::Failure;

/// A directory that users see, and whether any of them may change something there.
#[derive(Debug, PartialEq, Eq)]
struct Home {
    path: PathBuf,
    writable: bool,
}

/// Whether the configuration can be confined, whatever the kernel can do.
///
/// # Errors
/// When it requires a sandbox and does not tell for which files.
pub(super) fn judge(config: &Config) -> Result<(), Failure> {
    match config.sandbox {
        Sandbox::Require => homes(&config.accounts)
            .map(drop)
            .map_err(|open| Failure::usage(format!("sandbox = \"require\": {open}"))),
        Sandbox::Auto | Sandbox::Off => Ok(()),
    }
}

/// Confines the process to what the configuration needs, and says in words how far that went.
///
/// # Errors
/// When the configuration requires a sandbox and there is none.
pub(super) fn enter(config: &Config) -> Result<String, Failure> {
    if config.sandbox == Sandbox::Off {
        return Ok("Landlock: off (sandbox = \"off\")".into());
    }
    let entered = match homes(&config.accounts) {
        Ok(homes) => restrict(&rules(config, &homes)).map_err(|error| error.to_string()),
        Err(open) => Err(open.to_owned()),
    };
    match (entered, config.sandbox) {
        (Ok(enforcement @ Enforcement::Off), Sandbox::Require) => {
            Err(Failure::runtime(format!("sandbox = \"require\": {enforcement}")))
        }
        (Ok(enforcement), _) => Ok(enforcement.to_string()),
        (Err(why), Sandbox::Require) => Err(Failure::runtime(format!("sandbox = \"require\": {why}"))),
        (Err(why), _) => Ok(format!("Landlock: off ({why})")),
    }
}

/// The directories that users see; or why they cannot be told.
fn homes(accounts: &Accounts) -> Result<Vec<Home>, &'static str> {
    match accounts {
        Accounts::Virtual { users, anonymous, .. } => {
            let homes = users.iter().chain(anonymous).map(|account| Home {
                path: account.home.clone(),
                writable: account.permissions.writes() || writes_below(&account.overrides),
            });
            Ok(homes.collect())
        }
        Accounts::Unix { options, .. } if options.filesystem == Reach::Unix => {
            Err("auth.unix.filesystem = \"unix\" shows the whole file system")
        }
        Accounts::Unix { options, .. } if options.allowed_users.is_empty() => {
            Err("any system user may log in; auth.unix.allowed_users would tell whose homes are needed")
        }
        Accounts::Unix { options, overrides } => Ok(homes_of_system(options, overrides)),
        Accounts::Windows { .. } => Ok(Vec::new()),
    }
}

/// Homes that are not there are left out: who lives in them cannot log in.
fn homes_of_system(options: &raw::UnixAccounts, overrides: &[SystemUser]) -> Vec<Home> {
    let home = |login: &str, account: &String, letters_of_all: Letters| {
        let different = overrides.iter().find(|one| one.name == login);
        let own = || Some(users::account_by_name(account).ok()??.home);
        let path = different.and_then(|one| one.home.clone()).or_else(own)?;
        let letters = different.and_then(|one| one.permissions).unwrap_or(letters_of_all);
        let below = different.is_some_and(|one| writes_below(&one.overrides));
        path.is_dir().then_some(Home { path, writable: below || letters.writes() })
    };
    let allowed = options.allowed_users.iter().map(|name| home(name, name, options.permissions.0));
    let anonymous = options.anonymous_user.iter().map(|account| home(ANONYMOUS, account, Letters::READ_ONLY));
    allowed.chain(anonymous).flatten().collect()
}

fn writes_below(overrides: &[raw::Override]) -> bool {
    overrides.iter().any(|one| one.permissions.0.writes())
}

fn rules(config: &Config, homes: &[Home]) -> Rules {
    let rules = Rules::new().system_read_only();
    let rules = homes.iter().fold(rules, |rules, home| match home.writable {
        true => rules.read_write(&home.path),
        false => rules.read_only(&home.path),
    });
    let rules = certificate_directories(config).into_iter().fold(rules, Rules::read_only);
    // The directories, because a log that was rotated away is made again.
    let logs = config.log.file.iter().chain(&config.log.xferlog);
    logs.map(|log| directory_of(log)).fold(rules, Rules::read_write)
}

/// Where certificates are and, where those are links, where they lead: files that are replaced are read again.
fn certificate_directories(config: &Config) -> Vec<PathBuf> {
    let certificates =
        config.tls.iter().flat_map(|tls| std::iter::once(&tls.certificate).chain(&tls.more_certificates));
    let files = certificates.flat_map(|files| [&files.chain, &files.key]);
    let files = files.chain(config.tls.iter().filter_map(|tls| tls.client_ca.as_ref()));
    let with_target = |file: &PathBuf| {
        [Some(directory_of(file)), fs::canonicalize(file).ok().map(|file| directory_of(&file))]
    };
    let mut directories: Vec<PathBuf> = files.flat_map(with_target).flatten().collect();
    directories.sort();
    directories.dedup();
    directories
}

fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => ".".into(),
    }
}
