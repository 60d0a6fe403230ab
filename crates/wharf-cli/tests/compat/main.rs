//! What wharf does on the wire, checked through sockets and the command line alone.
//!
//! Two kinds of rows: dialogues (`dialogues/*.txt`, see [`dialogue`]) and, where bytes must move
//! in a certain way, functions. Each row has a server and a home directory of its own. To compare
//! with another server, set `WHARF_COMPAT_ADDR` to its address and `WHARF_COMPAT_HOME` to the
//! directory that its accounts `user`/`12345` and `anonymous` see as `/`; rows that need special
//! settings are then skipped.

#![cfg(test)]

mod abort;
mod active;
mod case;
mod concurrency;
mod confinement;
mod dialogue;
mod downloads;
mod framing;
mod limits;
mod listings;
mod logs;
mod passive;
mod permissions;
mod shutdown;
mod timers;
mod uploads;

#[path = "../support/client.rs"]
mod client;
#[path = "../support/glob.rs"]
mod glob;
#[path = "../support/row.rs"]
mod row;
#[path = "../support/server.rs"]
#[allow(dead_code, reason = "another test binary asks where TLS comes first")]
mod server;
#[path = "../support/transcript.rs"]
mod transcript;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    if server::Server::elsewhere(case::PREFIX).is_some() {
        // All rows share that server's home directory.
        arguments.test_threads = Some(1);
    }
    transcript::capture_panics();
    libtest_mimic::run(&arguments, trials()).exit();
}

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
