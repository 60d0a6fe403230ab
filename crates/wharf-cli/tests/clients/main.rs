//! Real FTP clients against the real program: each client does each job, and what arrives is
//! compared byte for byte.
//!
//! Rows are client × scenario, and client × way of reaching the server for a round trip. A client
//! that is not installed shows as skipped rows. To drive another server, set `WHARF_CLIENTS_ADDR`
//! to its address and `WHARF_CLIENTS_HOME` to the directory that `user`/`12345` sees as `/`.
//! `WHARF_CLIENTS=skip` leaves the whole matrix out.

#![cfg(test)]

#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod job;
#[cfg(target_os = "linux")]
mod quirks;
#[cfg(target_os = "linux")]
mod scenarios;
#[cfg(target_os = "linux")]
mod tools;
#[cfg(target_os = "linux")]
mod tree;

#[cfg(target_os = "linux")]
#[path = "../support/certificate.rs"]
mod certificate;
#[cfg(target_os = "linux")]
#[path = "../support/row.rs"]
mod row;
#[cfg(target_os = "linux")]
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "the other test binary looks closer at the program")]
mod server;
#[cfg(target_os = "linux")]
#[path = "../support/transcript.rs"]
mod transcript;

#[cfg(target_os = "linux")]
use std::env;

#[cfg(target_os = "linux")]
use libtest_mimic::Arguments;

#[cfg(target_os = "linux")]
use crate::row::{Row, Verdict};

#[cfg(target_os = "linux")]
fn main() {
    let mut arguments = Arguments::from_args();
    if server::Server::elsewhere(bench::PREFIX).is_some() {
        // All rows share that server's home directory.
        arguments.test_threads = Some(1);
    }
    transcript::capture_panics();
    let rows = if env::var_os("WHARF_CLIENTS").is_some_and(|value| value == "skip") {
        vec![nothing()]
    } else {
        scenarios::rows()
    };
    let trials = rows.into_iter().map(Row::into_trial).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

#[cfg(target_os = "linux")]
/// What is left of the matrix when nobody wants it: a row that says so.
fn nothing() -> Row {
    let skipped = || Verdict::Skipped("left out on request".to_owned());
    Row { name: "all clients".to_owned(), gap: None, check: Box::new(skipped) }
}

#[cfg(not(target_os = "linux"))]
#[path = "../support/not_here.rs"]
mod not_here;

#[cfg(not(target_os = "linux"))]
fn main() {
    not_here::report("clients");
}
