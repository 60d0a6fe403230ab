//! FTPS on the wire: what a client of our own making sees that does with TLS whatever it likes.
//!
//! Each row has a server and a home directory of its own.

#![cfg(test)]

#[cfg(target_os = "linux")]
mod binding;
#[cfg(target_os = "linux")]
mod case;
#[cfg(target_os = "linux")]
mod certificates;
#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod endings;
#[cfg(target_os = "linux")]
mod handshakes;
#[cfg(target_os = "linux")]
mod programs;
#[cfg(target_os = "linux")]
mod replies;

#[cfg(target_os = "linux")]
#[path = "../support/certificate.rs"]
mod certificate;
#[cfg(target_os = "linux")]
#[path = "../support/row.rs"]
mod row;
#[cfg(target_os = "linux")]
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "the other test binaries look closer at other things")]
mod server;
#[cfg(target_os = "linux")]
#[path = "../support/transcript.rs"]
mod transcript;

#[cfg(target_os = "linux")]
use libtest_mimic::Arguments;

#[cfg(target_os = "linux")]
use crate::row::Row;

#[cfg(target_os = "linux")]
fn main() {
    let arguments = Arguments::from_args();
    transcript::capture_panics();
    let functions = [
        ("binding", binding::CASES),
        ("certificates", certificates::CASES),
        ("endings", endings::CASES),
        ("handshakes", handshakes::CASES),
        ("replies", replies::CASES),
    ];
    let functions = functions.iter().flat_map(|(topic, cases)| cases.iter().map(|case| case.row(topic)));
    let trials = functions.chain(programs::rows()).map(Row::into_trial).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

#[cfg(not(target_os = "linux"))]
#[path = "../support/not_here.rs"]
mod not_here;

#[cfg(not(target_os = "linux"))]
fn main() {
    not_here::report("tls");
}
