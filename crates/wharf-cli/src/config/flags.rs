//! The command line, written over the file.

use std::fs;
use std::path::{Path, PathBuf};

use wharf::auth::LONGEST_PASSWORD;
use wharf::{Letters, Secret};

use super::accounts::ANONYMOUS;
use super::file::unreadable;
use super::notation::{ListenAddress, Several, Written};
use super::raw;
use crate::args::{Concurrency, Flags};
use crate::failure::Failure;

/// Where we listen when nobody says.
const ANY_ADDRESS: &str = "0.0.0.0";

/// Writes the flags over what the file says. Flags that describe a user replace a file without users.
///
/// # Errors
/// When flags contradict each other or the file, or name what is not there.
pub(crate) fn apply(flags: &Flags, file: &mut raw::File) -> Result<(), Failure> {
    apply_addresses(flags, file);
    apply_tls(flags, file)?;
    apply_settings(flags, file);
    apply_user(flags, file)
}

/// What the flags ask for that is worth a line on standard error.
pub(crate) fn notes(flags: &Flags) -> Vec<String> {
    let mut notes = flags.variables.notes().to_vec();
    if flags.write && flags.username.is_none() {
        let write = flags.variables.spell("-w");
        notes.push(format!(
            "{write} without -u: everybody who can connect may change, delete and upload files"
        ));
    }
    if flags.concurrency.is_some_and(|kind| kind != Concurrency::Async) {
        let concurrency = flags.variables.spell("--concurrency");
        notes.push(format!("{concurrency} changes nothing: one process serves everybody on all cores"));
    }
    if flags.disable_sendfile {
        let sendfile = flags.variables.spell("--disable-sendfile");
        notes.push(format!("{sendfile} changes nothing: wharf decides by itself when the kernel copies"));
    }
    notes
}

fn apply_addresses(flags: &Flags, file: &mut raw::File) {
    let default = || Several(vec![ListenAddress { host: ANY_ADDRESS.into(), port: None }]);
    let listen = file.listen.get_or_insert_with(default);
    for address in &mut listen.0 {
        if let Some(interface) = &flags.interface {
            address.host.clone_from(interface);
        }
        address.port = flags.port.or(address.port);
    }
    listen.0.dedup();
    if let Some(range) = &flags.range {
        file.passive.ports = Some(Several(vec![range.clone()]));
    }
    if let Some(address) = &flags.nat_address {
        file.passive.masquerade_address = Some(Written(address.clone()));
    }
}

fn apply_tls(flags: &Flags, file: &mut raw::File) -> Result<(), Failure> {
    let spell = |flag| flags.variables.spell(flag);
    if flags.tls {
        file.tls.get_or_insert_default();
    }
    let needing_tls = [
        ("--certfile", flags.certfile.is_some()),
        ("--keyfile", flags.keyfile.is_some()),
        ("--tls-control-required", flags.tls_control_required),
        ("--tls-data-required", flags.tls_data_required),
    ];
    let Some(tls) = &mut file.tls else {
        return match needing_tls.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Failure::usage(format!("{} needs --tls", spell(flag)))),
            None => Ok(()),
        };
    };
    if let Some(certificate) = &flags.certfile {
        tls.certificate = Some(readable(spell("--certfile"), certificate)?);
        tls.key = None;
    }
    if let Some(key) = &flags.keyfile {
        tls.key = Some(readable(spell("--keyfile"), key)?);
    }
    if flags.tls && tls.certificate.is_none() {
        let problem = "needs --certfile; wharf self-signed makes one to try";
        return Err(Failure::usage(format!("{} {problem}", spell("--tls"))));
    }
    tls.require_control |= flags.tls_control_required;
    tls.require_data |= flags.tls_data_required;
    Ok(())
}

fn apply_settings(flags: &Flags, file: &mut raw::File) {
    override_with(&mut file.banner, flags.banner.clone());
    override_with(&mut file.use_gmt_times, flags.use_localtime.then_some(false));
    override_with(&mut file.limits.idle_timeout, flags.timeout.map(Written));
    override_with(&mut file.limits.data_timeout, flags.timeout.map(Written));
    override_with(&mut file.limits.max_connections, flags.max_cons);
    override_with(&mut file.limits.max_connections_per_ip, flags.max_cons_per_ip);
    override_with(&mut file.limits.max_login_attempts, flags.max_login_attempts);
    override_with(&mut file.active.permit_foreign_addresses, flags.permit_foreign_addresses.then_some(true));
    override_with(&mut file.active.permit_privileged_ports, flags.permit_privileged_ports.then_some(true));
    if let Some(format) = flags.log_format {
        file.log.format = format;
    }
}

fn override_with<T>(slot: &mut Option<T>, given: Option<T>) {
    if given.is_some() {
        *slot = given;
    }
}

/// Makes the one user that flags can describe, or without any and without a file, the anonymous one.
fn apply_user(flags: &Flags, file: &mut raw::File) -> Result<(), Failure> {
    let spell = |flag| flags.variables.spell(flag);
    let describing = [
        ("-u", flags.username.is_some()),
        ("-P", flags.password.is_some()),
        ("--password-file", flags.password_file.is_some()),
        ("-d", flags.directory.is_some()),
        ("-w", flags.write),
    ];
    let described = describing.into_iter().find_map(|(flag, given)| given.then_some(flag));
    let file_has_users =
        !file.users.is_empty() || file.anonymous.is_some() || file.auth.kind != raw::AuthKind::Virtual;
    match (described, &flags.config) {
        (None, _) if file_has_users => return Ok(()),
        (None, Some(config)) => {
            let problem = "nobody could log in: add [[users]] or [anonymous], or give -d or -u";
            return Err(Failure::usage(format!("{}: {problem}", config.display())));
        }
        (Some(flag), Some(config)) if file_has_users => {
            return Err(Failure::usage(format!(
                "{} and the users of {} exclude each other",
                spell(flag),
                config.display()
            )));
        }
        _ => {}
    }
    let home = match &flags.directory {
        Some(directory) => directory_of(spell("-d"), directory)?,
        None => current_directory()?,
    };
    let permissions = Some(Written(if flags.write { Letters::ALL } else { Letters::READ_ONLY }));
    let user_needs = |what: &str| Failure::usage(format!("{} needs {what}", spell("-u")));
    match (flags.username.as_deref(), password(flags)?) {
        (Some(ANONYMOUS), _) => {
            let problem = "\"anonymous\" needs no password: leave it out, and everybody is let in";
            return Err(Failure::usage(format!("{}: {problem}", spell("-u"))));
        }
        (Some(""), _) => return Err(user_needs("a name that is not empty")),
        (Some(_), Some(password)) if password.expose().is_empty() => {
            return Err(user_needs("a password that is not empty"));
        }
        (Some(_), Some(password)) if password.expose().len() > LONGEST_PASSWORD => {
            return Err(user_needs(&format!("a password of at most {LONGEST_PASSWORD} bytes")));
        }
        (Some(name), Some(password)) => file.users.push(raw::User {
            name: name.into(),
            password: Some(raw::Password(password)),
            home: Some(home),
            permissions,
            ..raw::User::default()
        }),
        (None, None) => {
            file.anonymous = Some(raw::Anonymous { home, permissions, ..raw::Anonymous::default() })
        }
        (Some(_), None) => {
            return Err(user_needs("a password: -P, --password-file or WHARF_PASSWORD"));
        }
        (None, Some(_)) => {
            return Err(Failure::usage("a password (-P or --password-file) needs a user: -u"));
        }
    }
    Ok(())
}

/// The directory that nobody named. Services and containers start in `/`, and nobody means all of that who says nothing.
fn current_directory() -> Result<PathBuf, Failure> {
    let current = std::env::current_dir().map_err(|error| unreadable("-d", Path::new("."), &error))?;
    if current.parent().is_some() {
        return Ok(current);
    }
    let all = current.display();
    let problem = format!("the current directory is {all}: give the one to serve, or -d {all} for all of it");
    Err(Failure::usage(format!("-d (or WHARF_DIRECTORY): {problem}")))
}

/// The password of the flags, wherever it is.
fn password(flags: &Flags) -> Result<Option<Secret>, Failure> {
    let Some(path) = &flags.password_file else {
        return Ok(flags.password.clone());
    };
    if flags.password.is_some() {
        let [password, file] = ["-P", "--password-file"].map(|flag| flags.variables.spell(flag));
        return Err(Failure::usage(format!("{password} and {file} exclude each other")));
    }
    let text =
        fs::read(path).map_err(|error| unreadable(flags.variables.spell("--password-file"), path, &error))?;
    let text = Secret::new(text);
    Ok(Some(Secret::new(first_line(text.expose()))))
}

/// What stands before the first line end. A password is bytes, as clients send it, and need not be UTF-8.
pub(crate) fn first_line(text: &[u8]) -> &[u8] {
    text.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default()
}

/// A file that can be read.
///
/// # Errors
/// When it cannot: the failure names the `setting` that asks for it.
pub(crate) fn readable(setting: &str, path: &Path) -> Result<PathBuf, Failure> {
    no_directory(setting, path)?;
    fs::File::open(path).map_err(|error| unreadable(setting, path, &error))?;
    Ok(path.to_owned())
}

/// Refuses a directory where a file is meant, and no name at all. Not every system says so itself when it is opened.
///
/// # Errors
/// When it is one: the failure names the `setting` that asks for a file.
pub(crate) fn no_directory(setting: &str, path: &Path) -> Result<(), Failure> {
    not_empty(setting, path)?;
    match path.is_dir() {
        true => Err(Failure::usage(format!("{setting}: {}: is a directory", path.display()))),
        false => Ok(()),
    }
}

fn not_empty(setting: &str, path: &Path) -> Result<(), Failure> {
    match path.as_os_str().is_empty() {
        true => Err(Failure::usage(format!("{setting}: \"\": expected a path"))),
        false => Ok(()),
    }
}

/// A directory that can be listed, by its absolute path.
///
/// # Errors
/// When it cannot: the failure names the `setting` that asks for it.
pub(crate) fn directory_of(setting: &str, path: &Path) -> Result<PathBuf, Failure> {
    not_empty(setting, path)?;
    let found = fs::canonicalize(path).map_err(|error| unreadable(setting, path, &error))?;
    if !found.is_dir() {
        return Err(Failure::usage(format!("{setting}: {}: not a directory", path.display())));
    }
    fs::read_dir(&found).map_err(|error| unreadable(setting, path, &error))?;
    Ok(found)
}
