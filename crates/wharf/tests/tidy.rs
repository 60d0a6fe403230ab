//! What can be read off the sources: who may use whom, how long a file may be, which old names are found, and that documents
//! quote what exists.
#![allow(clippy::unwrap_used, clippy::panic, reason = "it is a test, and panics are how it reports")]

use std::fs;
use std::path::{Path, PathBuf};

/// Names of pyftpdlib that the search of the documentation must find, as items of their own or as aliases.
const OLD_NAMES: &[&str] = &[
    "AbstractedFS",
    "ActiveDTP",
    "AuthorizerError",
    "DTPHandler",
    "DummyAuthorizer",
    "FTPHandler",
    "FTPServer",
    "PassiveDTP",
    "TLS_FTPHandler",
    "ThrottledDTPHandler",
    "UnixAuthorizer",
    "UnixFilesystem",
    "WindowsAuthorizer",
    "abstracted_fs",
    "add_anonymous",
    "add_user",
    "allowed_users",
    "anonymous_user",
    "authorizer",
    "banner",
    "certfile",
    "chdir",
    "chmod",
    "close_all",
    "format_list",
    "format_mlsx",
    "fs2ftp",
    "ftp2fs",
    "ftpnorm",
    "get_elapsed_time",
    "get_group_by_gid",
    "get_home_dir",
    "get_msg_login",
    "get_msg_quit",
    "get_perms",
    "get_transmitted_bytes",
    "get_user_by_uid",
    "getmtime",
    "getsize",
    "global_perm",
    "has_perm",
    "has_user",
    "impersonate_user",
    "isdir",
    "isfile",
    "islink",
    "keyfile",
    "lexists",
    "listdir",
    "log_cmd",
    "log_transfer",
    "logerror",
    "logline",
    "lstat",
    "masquerade_address",
    "masquerade_address_map",
    "max_cons",
    "max_cons_per_ip",
    "max_login_attempts",
    "mkdir",
    "mkstemp",
    "msg_login",
    "msg_quit",
    "on_connect",
    "on_disconnect",
    "on_file_received",
    "on_file_sent",
    "on_incomplete_file_received",
    "on_incomplete_file_sent",
    "on_login",
    "on_login_failed",
    "on_logout",
    "open",
    "override_perm",
    "override_user",
    "passive_ports",
    "permit_foreign_addresses",
    "permit_privileged_ports",
    "proto_cmds",
    "read_limit",
    "readlink",
    "rejected_users",
    "remote_ip",
    "remote_port",
    "remove",
    "remove_user",
    "rename",
    "require_valid_shell",
    "rmdir",
    "serve_forever",
    "stat",
    "tcp_no_delay",
    "terminate_impersonation",
    "timeout",
    "tls_control_required",
    "tls_data_required",
    "tot_bytes_received",
    "tot_bytes_sent",
    "transfer_finished",
    "use_gmt_times",
    "username",
    "utime",
    "validate_authentication",
    "validpath",
    "write_limit",
];

/// The longest that a file may be, in lines, tests included.
const MOST_LINES: usize = 600;

/// Words that mark what is not finished. They are put together here, so that this file does not hold them.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files below `directory`, with their text; paths are seen from the root.
fn sources(directory: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string().replace('\\', "/");
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn all_sources() -> Vec<(String, String)> {
    ["crates", "fuzz/fuzz_targets"].into_iter().flat_map(sources).collect()
}

/// Fails with all complaints at once.
fn none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<_> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Blocks of code in a document that begin with the given fence.
fn blocks<'a>(document: &'a str, fence: &str) -> Vec<&'a str> {
    let begin = format!("```{fence}\n");
    document.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn contracts_know_nothing_of_the_server() {
    none(["auth", "events", "fs"].into_iter().flat_map(|contract| {
        let text = read(format!("crates/wharf/src/{contract}/mod.rs"));
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let uses =
            code.lines().filter(|line| !line.trim_start().starts_with("//") && line.contains("crate::"));
        let above = uses.filter(|line| {
            ["connection", "data", "net", "server", "shutdown", "tls"]
                .iter()
                .any(|module| line.contains(&format!("crate::{module}")))
        });
        above.map(|line| format!("{contract}/mod.rs: {line}")).collect::<Vec<_>>()
    }));
}

#[test]
fn files_are_one_idea() {
    none(all_sources().into_iter().filter_map(|(name, text)| {
        let lines = text.lines().count();
        (lines > MOST_LINES).then(|| format!("{name}: {lines} lines, more than {MOST_LINES}"))
    }));
}

#[test]
fn unsafe_code_is_in_one_crate() {
    none(all_sources().into_iter().filter_map(|(name, text)| {
        let elsewhere = !name.starts_with("crates/wharf-sys/");
        let words = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let mut words = words.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
        let keyword = concat!("un", "safe");
        (elsewhere && words.any(|word| word == keyword)).then(|| format!("{name}: {keyword}"))
    }));
    for root in ["wharf/src/lib.rs", "wharf-proto/src/lib.rs", "wharf-cli/src/main.rs"] {
        let forbidden = concat!("#![forbid(un", "safe_code)]");
        assert!(read(format!("crates/{root}")).contains(forbidden), "{root} lacks {forbidden}");
    }
}

#[test]
fn nothing_is_left_for_later() {
    none(all_sources().into_iter().flat_map(|(name, text)| {
        let marked =
            text.lines().enumerate().filter(|(_, line)| UNFINISHED.iter().any(|word| line.contains(word)));
        marked.map(|(number, line)| format!("{name}:{}: {}", number + 1, line.trim())).collect::<Vec<_>>()
    }));
}

#[test]
fn old_names_are_found() {
    let library = ["crates/wharf/src", "crates/wharf-proto/src"].into_iter().flat_map(sources);
    let library: String = library.map(|(_, text)| text).collect();
    none(OLD_NAMES.iter().filter_map(|name| {
        let alias = format!("#[doc(alias = \"{name}\")]");
        let item = [format!("pub {name}: "), format!("pub fn {name}("), format!("    fn {name}(")];
        let found = library.contains(&alias) || item.iter().any(|item| library.contains(item));
        (!found).then(|| format!("nothing is called {name}, now or before"))
    }));
}

#[test]
fn public_modules_begin_with_an_example() {
    let library = read("crates/wharf/src/lib.rs");
    let modules = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    none(modules.filter_map(|module| {
        let path = format!("crates/wharf/src/{module}");
        let alone = root().join(format!("{path}.rs"));
        let text = if alone.exists() { read(alone) } else { read(format!("{path}/mod.rs")) };
        let head: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        (!head.contains("```")).then(|| format!("{module} opens without an example"))
    }));
}

#[test]
fn the_readme_shows_an_example_that_is_there() {
    let example = read("crates/wharf/examples/hello.rs");
    let code = example.split_once("\n\n").unwrap().1;
    assert_eq!(blocks(&read("README.md"), "rust,no_run"), [code]);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/compatibility.md",
        "docs/configuration.md",
        "docs/migrating.md",
        "docs/trust.md",
        "docs/guide/embedding.md",
        "docs/guide/operate.md",
    ];
    none(documents.into_iter().flat_map(|document| {
        let text = read(document);
        let here = root().join(document);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files =
            targets.filter(|target| !target.contains("://")).filter_map(|target| target.split('#').next());
        let broken = files.filter(|file| !file.is_empty() && !here.parent().unwrap().join(file).exists());
        broken.map(|file| format!("{document}: {file}")).collect::<Vec<_>>()
    }));
}
