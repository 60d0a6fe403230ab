//! What wharf does on the wire, checked through sockets and the command line alone.
//!
//! Two kinds of rows: dialogues (`dialogues/*.txt`, see [`dialogue`]) and, where bytes must move
//! in a certain way, functions. Each row has a server and a home directory of its own. To compare
//! with another server, set `WHARF_COMPAT_ADDR` to its address and `WHARF_COMPAT_HOME` to the
//! directory that its accounts `user`/`12345` and `anonymous` see as `/`; rows that need special
//! settings are then skipped.

#![cfg(test)]

#[cfg(target_os = "linux")]
mod abort;
#[cfg(target_os = "linux")]
mod active;
#[cfg(target_os = "linux")]
mod case;
#[cfg(target_os = "linux")]
mod concurrency;
#[cfg(target_os = "linux")]
mod confinement;
#[cfg(target_os = "linux")]
mod dialogue;
#[cfg(target_os = "linux")]
mod downloads;
#[cfg(target_os = "linux")]
mod framing;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod listings;
#[cfg(target_os = "linux")]
mod logs;
#[cfg(target_os = "linux")]
mod passive;
#[cfg(target_os = "linux")]
mod permissions;
#[cfg(target_os = "linux")]
mod shutdown;
#[cfg(target_os = "linux")]
mod timers;
#[cfg(target_os = "linux")]
mod uploads;

#[cfg(target_os = "linux")]
#[path = "../support/client.rs"]
mod client;
#[cfg(target_os = "linux")]
#[path = "../support/glob.rs"]
mod glob;
#[cfg(target_os = "linux")]
#[path = "../support/row.rs"]
mod row;
#[cfg(target_os = "linux")]
#[path = "../support/server.rs"]
#[allow(dead_code, reason = "another test binary asks where TLS comes first")]
mod server;
#[cfg(target_os = "linux")]
#[path = "../support/transcript.rs"]
mod transcript;

#[cfg(target_os = "linux")]
use libtest_mimic::{Arguments, Trial};

#[cfg(target_os = "linux")]
fn main() {
    let mut arguments = Arguments::from_args();
    if server::Server::elsewhere(case::PREFIX).is_some() {
        // All rows share that server's home directory.
        arguments.test_threads = Some(1);
    }
    transcript::capture_panics();
    libtest_mimic::run(&arguments, trials()).exit();
}

#[cfg(target_os = "linux")]
fn trials() -> Vec<Trial> {
    let functions = [
        ("abort", abort::CASES),
        ("active", active::CASES),
        ("concurrency", concurrency::CASES),
        ("confinement", confinement::CASES),
        ("downloads", downloads::CASES),
        ("framing", framing::CASES),
        ("limits", limits::CASES),
        ("listings", listings::CASES),
        ("logs", logs::CASES),
        ("passive", passive::CASES),
        ("shutdown", shutdown::CASES),
        ("timers", timers::CASES),
        ("uploads", uploads::CASES),
    ];
    let functions = functions.iter().flat_map(|(topic, cases)| cases.iter().map(|case| case.row(topic)));
    functions.chain(permissions::rows()).chain(dialogue::rows()).map(row::Row::into_trial).collect()
}

#[cfg(not(target_os = "linux"))]
#[path = "../support/not_here.rs"]
mod not_here;

#[cfg(not(target_os = "linux"))]
fn main() {
    not_here::report("compat");
}
