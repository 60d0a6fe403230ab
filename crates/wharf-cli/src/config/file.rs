//! Reading the configuration file, and saying in one line what is wrong with it and where.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use toml::de::{DeTable, DeValue};

use super::flags::no_directory;
use super::nearest::{nearest, nearest_path};
use super::place::line_of;
use super::raw;
use crate::failure::Failure;

/// The tables of the file: how messages name them, and how an entry of each begins.
const TABLES: &[(&str, &str)] = &[
    ("", ""),
    ("limits.", "[limits]"),
    ("passive.", "[passive]"),
    ("active.", "[active]"),
    ("uploads.", "[uploads]"),
    ("tls.", "[tls]"),
    ("tls.certificates.", "[[tls.certificates]]"),
    ("log.", "[log]"),
    ("auth.", "[auth]"),
    ("auth.unix.", "[auth.unix]"),
    ("auth.windows.", "[auth.windows]"),
    ("anonymous.", "[anonymous]"),
    ("anonymous.overrides.", "[anonymous]\n[[anonymous.overrides]]"),
    ("users.", "[[users]]"),
    ("users.overrides.", "[[users]]\n[[users.overrides]]"),
];

/// A configuration file as it was when it was read.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    /// `None` where it was no file: pipes are read once.
    state: Option<State>,
}

/// What can be told of a file without reading it again, for which the rights may have been given up.
#[derive(Debug, PartialEq, Eq)]
struct State {
    written: Option<SystemTime>,
    length: u64,
    /// Who may read it: permission bits, owner and group, where files have such.
    access: Option<(u32, u32, u32)>,
}

impl Source {
    /// The file at `path` as it is now.
    pub(super) fn now(path: &Path) -> Self {
        let metadata = fs::metadata(path).ok();
        Self { path: path.into(), state: metadata.as_ref().filter(|it| it.is_file()).map(State::of) }
    }

    /// Says so if somebody has changed it since. What can no longer be looked at passes: rights were given up.
    pub(crate) fn change(&self) -> Option<String> {
        let before = self.state.as_ref()?;
        let path = self.path.display();
        let now = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => State::of(&metadata),
            Ok(_) => return Some(format!("{path} is no longer a file; a restart would fail")),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
            Err(error) => return Some(format!("{path}: {}; a restart would fail", reason(&error))),
        };
        if (now.written, now.length) != (before.written, before.length) {
            return Some(format!("{path} has changed since the start; restart to apply it"));
        }
        (now.access != before.access).then(|| {
            format!("{path} has another owner or other permissions since the start; a restart must be able to read it")
        })
    }
}

impl State {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { written: metadata.modified().ok(), length: metadata.len(), access: access(metadata) }
    }
}

#[cfg(unix)]
fn access(metadata: &fs::Metadata) -> Option<(u32, u32, u32)> {
    use std::os::unix::fs::MetadataExt;

    Some((metadata.mode(), metadata.uid(), metadata.gid()))
}

#[cfg(not(unix))]
fn access(_: &fs::Metadata) -> Option<(u32, u32, u32)> {
    None
}

/// Reads the file at `path`, which the `setting` names. Relative paths in it start at its own directory.
///
/// # Errors
/// When it cannot be read, is not TOML, or holds an unknown key or a value of the wrong kind.
pub(crate) fn load(setting: &str, path: &Path) -> Result<raw::File, Failure> {
    no_directory(setting, path)?;
    let text = fs::read_to_string(path).map_err(|error| unreadable(setting, path, &error))?;
    let mut file = parse(&text).map_err(|wrong| {
        let place = wrong.line.map_or_else(String::new, |line| format!("{line}:"));
        Failure::usage(format!("{}:{place} {}", path.display(), wrong.message))
    })?;
    resolve_paths(&mut file, path.parent().unwrap_or_else(|| Path::new("")));
    Ok(file)
}

/// Says why a file or directory that `setting` names cannot be used.
pub(crate) fn unreadable(setting: &str, path: &Path, error: &std::io::Error) -> Failure {
    let meant = nearest_path(path)
        .filter(|_| error.kind() == ErrorKind::NotFound)
        .map_or_else(String::new, |meant| format!("; did you mean {}?", meant.display()));
    Failure::usage(format!("{setting}: {}: {}{meant}", path.display(), reason(error)))
}

/// What went wrong, in the words of the system but without its number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    if let Some(words) =
        error.raw_os_error().filter(|_| cfg!(windows)).and_then(|_| in_our_words(error.kind()))
    {
        return words.to_owned();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// Windows says some of it at length, in the language of the user and with a full stop.
fn in_our_words(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::NotFound => "no such file or directory",
        ErrorKind::AlreadyExists => "file exists",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::NotADirectory => "not a directory",
        ErrorKind::AddrInUse => "address already in use",
        ErrorKind::AddrNotAvailable => "cannot assign requested address",
        _ => return None,
    })
}

/// What is wrong with the text of a file.
#[derive(Debug)]
struct Wrong {
    line: Option<usize>,
    message: String,
}

fn parse(text: &str) -> Result<raw::File, Wrong> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map(|span| span.start);
        let line = start.map(|start| line_of(text, start));
        let key = start.and_then(|start| key_at(DeTable::parse(text).ok()?.get_ref(), start));
        Wrong { line, message: explain(error.message(), key.as_deref()) }
    })
}

/// The full name of the key at this position of the text.
fn key_at(table: &DeTable<'_>, position: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let inner = match value.get_ref() {
            DeValue::Table(inner) => key_at(inner, position),
            DeValue::Array(items) => {
                items.iter().find_map(|item| key_at(item.get_ref().as_table()?, position))
            }
            _ => None,
        };
        match inner {
            Some(inner) => Some(format!("{}.{inner}", key.get_ref())),
            None if key.span().contains(&position) || value.span().contains(&position) => {
                Some(key.get_ref().to_string())
            }
            None => None,
        }
    })
}

/// Turns the parser's message into one that names the key and the nearest right word.
fn explain(message: &str, key: Option<&str>) -> String {
    let message = message.trim().replace('\n', " ");
    let key = key.unwrap_or_default();
    let mut words = message.split('`').skip(1).step_by(2);
    let typed = words.next().unwrap_or_default();
    let allowed: Vec<&str> = words.collect();
    if message.starts_with("unknown field") {
        return format!("unknown key {key}; {}", right_key(key, typed, &allowed));
    }
    if message.starts_with("unknown variant") {
        let hint = nearest(typed, allowed.iter().copied());
        let hint = hint.map_or_else(String::new, |meant| format!("; did you mean {meant:?}?"));
        return format!("{key}: {typed:?}: expected {}{hint}", allowed.join(", "));
    }
    if let Some(header) = header_of(key).filter(|_| message.starts_with("invalid type")) {
        return format!("{key}: expected a table: {header}");
    }
    let message = plain(&message);
    if key.is_empty() { message } else { format!("{key}: {message}") }
}

/// The parser's message in the words of people who do not write Rust.
fn plain(message: &str) -> String {
    match message.rsplit_once("expected ") {
        Some((start, "usize" | "u64" | "u32")) => {
            format!("{start}expected a whole number, 0 or more")
        }
        Some((start, "i32")) => format!("{start}expected a whole number"),
        Some((start, "a boolean")) => format!("{start}expected true or false"),
        Some((start, "a string")) => format!("{start}expected a text in quotes"),
        Some((start, "path string")) => format!("{start}expected a path in quotes"),
        Some((start, "a sequence")) => format!("{start}expected a list such as [\"ann\", \"bob\"]"),
        Some((start, "a map")) => {
            format!("{start}expected a table such as {{ \"10.0.0.2\" = \"203.0.113.7\" }}")
        }
        _ if message == "wanted string or table" => "expected a word in quotes".to_owned(),
        _ => message.to_owned(),
    }
}

/// How a table begins, if `key` names one.
fn header_of(key: &str) -> Option<&'static str> {
    let (_, header) = TABLES.iter().find(|(prefix, _)| prefix.strip_suffix('.') == Some(key))?;
    header.lines().last()
}

/// The key that was meant: one of the same table if any is near, else one of the whole file.
fn right_key(key: &str, typed: &str, same_table: &[&str]) -> String {
    let table = key.strip_suffix(typed).unwrap_or_default();
    let all = keys();
    let name = |full: &'_ str| full.rsplit('.').next().unwrap_or_default().to_owned();
    match nearest(typed, same_table.iter().copied()) {
        Some(meant) => format!("did you mean {table}{meant}?"),
        None => match nearest(
            typed,
            all.iter().map(|full| name(full)).collect::<Vec<_>>().iter().map(String::as_str),
        ) {
            Some(meant) => {
                let full = all.iter().find(|full| name(full) == meant);
                format!("did you mean {}?", full.map_or(meant, String::as_str))
            }
            None => format!("the keys here are {}", same_table.join(", ")),
        },
    }
}

/// The full names of all keys. The parser knows them: each of its tables lists them when it meets a stranger.
fn keys() -> Vec<String> {
    TABLES
        .iter()
        .flat_map(|(prefix, header)| {
            let stranger = toml::from_str::<raw::File>(&format!("{header}\n\"?\" = 0"));
            let message = stranger.err().map(|error| error.message().to_owned()).unwrap_or_default();
            let names: Vec<String> =
                message.split('`').skip(3).step_by(2).map(|key| format!("{prefix}{key}")).collect();
            names
        })
        .collect()
}

/// Makes the paths of the file start at its own directory, wherever the program was started. What is empty stays so,
/// and is refused later.
fn resolve_paths(file: &mut raw::File, directory: &Path) {
    let log_file = file.log.file.as_mut().filter(|path| path.as_os_str() != "-");
    let anonymous = file.anonymous.as_mut().map(|anonymous| &mut anonymous.home);
    let homes = file.users.iter_mut().filter_map(|user| user.home.as_mut());
    let tls = file.tls.iter_mut().flat_map(|tls| {
        let single = [&mut tls.certificate, &mut tls.key, &mut tls.client_ca].into_iter().flatten();
        let more =
            tls.certificates.iter_mut().flat_map(|files| [Some(&mut files.certificate), files.key.as_mut()]);
        single.chain(more.flatten())
    });
    let paths =
        log_file.into_iter().chain(file.log.xferlog.as_mut()).chain(anonymous).chain(homes).chain(tls);
    let paths = paths.filter(|path: &&mut PathBuf| !path.as_os_str().is_empty());
    paths.for_each(|path| *path = directory.join(&*path));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (text, line, message) in [
            (
                "\n[limits]\nidle_timeot = 3",
                3,
                "unknown key limits.idle_timeot; did you mean limits.idle_timeout?",
            ),
            ("idle_timeout = \"3s\"", 1, "unknown key idle_timeout; did you mean limits.idle_timeout?"),
            ("[[users]]\nname = \"a\"\nhom = \"/\"", 3, "unknown key users.hom; did you mean users.home?"),
            (
                "[uploads]\nfrobnicate = 1",
                2,
                "unknown key uploads.frobnicate; the keys here are publish, incomplete, sync",
            ),
            (
                "[limits]\nidle_timeout = 300",
                2,
                r#"limits.idle_timeout: 300: expected a duration such as "300s", "100ms", "5m" or "1h" ("0s" is off)"#,
            ),
            (
                "[limits]\n\nmax_connections = \"many\"",
                3,
                r#"limits.max_connections: invalid type: string "many", expected a whole number, 0 or more"#,
            ),
            (
                "[passive]\nports = [\"60000\", \"7-3\"]",
                2,
                r#"passive.ports: "7-3": the range is reversed; did you mean 3-7?"#,
            ),
            (
                "[active]\nsource_port = 65536",
                2,
                "active.source_port: 65536: ports are numbers from 0 to 65535",
            ),
            ("[active]\nsource_port = -1", 2, "active.source_port: -1: ports are numbers from 0 to 65535"),
            (
                "[active]\nsource_port = \"ftp-data\"",
                2,
                r#"active.source_port: "ftp-data": expected a port such as 20, or 0 for the system's choice"#,
            ),
            (
                "umask = \"028\"",
                1,
                r#"umask: "028": expected up to four octal digits in quotes such as "022" or "0027""#,
            ),
            (
                "umask = 0o27",
                1,
                r#"umask: 23: expected up to four octal digits in quotes such as "022" or "0027""#,
            ),
            (
                "[tls]\nsession_reuse = \"requier\"",
                2,
                r#"tls.session_reuse: "requier": expected off, report, require; did you mean "require"?"#,
            ),
            (
                "[anonymous]\nhome = \"/\"\npermissions = \"xyz\"",
                3,
                r#"anonymous.permissions: "xyz": expected permission letters out of "elradfmwMT""#,
            ),
            ("[[users]]\nname = \"a\"\npassword = 12345", 3, "users.password: expected a text in quotes"),
            ("[[users]]\nhome = \"/\"", 1, "users: missing field `name`"),
            ("[users]\nname = \"a\"", 1, "users: expected a table: [[users]]"),
            ("[[anonymous]]\nhome = \"/\"", 1, "anonymous: expected a table: [anonymous]"),
            ("uploads = \"staged\"", 1, "uploads: expected a table: [uploads]"),
            ("[uploads]\npublish = true", 2, "uploads.publish: expected a word in quotes"),
            ("[log]\nfile = 1", 2, "log.file: invalid type: integer `1`, expected a path in quotes"),
            (
                "[auth.unix]\nallowed_users = \"ann\"",
                2,
                r#"auth.unix.allowed_users: invalid type: string "ann", expected a list such as ["ann", "bob"]"#,
            ),
            (
                "[passive]\nmasquerade_map = \"10.0.0.2\"",
                2,
                r#"passive.masquerade_map: invalid type: string "10.0.0.2", expected a table such as { "10.0.0.2" = "203.0.113.7" }"#,
            ),
        ] {
            let wrong = parse(text).unwrap_err();
            assert_eq!((wrong.line, wrong.message.as_str()), (Some(line), message), "{text}");
        }
    }

    #[test]
    fn all_tables_tell_their_keys() {
        let keys = keys();
        for (prefix, _) in TABLES {
            assert!(
                keys.iter().any(|key| key.strip_prefix(prefix).is_some_and(|key| !key.contains('.'))),
                "{prefix}"
            );
        }
        for key in ["listen", "limits.idle_timeout", "tls.certificates.key", "users.overrides.recursive"] {
            assert!(keys.iter().any(|known| known == key), "{key}");
        }
    }

    #[test]
    fn the_documents_name_every_key() {
        let reference = include_str!("../../../../docs/configuration.md");
        let example = include_str!("../../../../docs/wharf.toml");
        for key in keys() {
            let name = key.rsplit('.').next().unwrap();
            let is_table = TABLES.iter().any(|(prefix, _)| prefix.strip_suffix('.') == Some(key.as_str()));
            assert!(is_table || reference.contains(&format!("| `{key}` |")), "{key}");
            assert!(is_table || example.contains(&format!("{name} = ")), "{key}");
        }
    }
}
