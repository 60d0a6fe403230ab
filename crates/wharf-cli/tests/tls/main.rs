//! FTPS on the wire: what a client of our own making sees that does with TLS whatever it likes.
//!
//! Each row has a server and a home directory of its own.

#![cfg(test)]

mod binding;
mod case;
mod certificates;
mod client;
mod endings;
mod handshakes;
mod programs;
mod replies;

#[path = "../support/certificate.rs"]
mod certificate;
#[path = "../support/row.rs"]
mod row;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "the other test binaries look closer at other things")]
mod server;
#[path = "../support/transcript.rs"]
mod transcript;

use libtest_mimic::Arguments;

use crate::row::Row;

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
