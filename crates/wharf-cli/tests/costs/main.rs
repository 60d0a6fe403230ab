//! What things cost, counted and not timed, so that a busy machine makes no difference: system calls of one login,
//! transfer and listing, and the memory of sessions that do nothing.
//!
//! The limits are what was measured and some room. Whoever makes something cheaper may lower one; whoever has to raise
//! one says why.

#![cfg(test)]

mod calls;
mod memory;

#[path = "../support/client.rs"]
#[expect(dead_code, reason = "another test binary says more to the server")]
mod client;
#[path = "../support/glob.rs"]
mod glob;
#[path = "../support/row.rs"]
mod row;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "another test binary looks closer at the program")]
mod server;
#[path = "../support/transcript.rs"]
mod transcript;

use libtest_mimic::Arguments;

use crate::row::Row;

fn main() {
    let arguments = Arguments::from_args();
    transcript::capture_panics();
    let rows = calls::rows().into_iter().chain([memory::row()]);
    let trials = rows.map(Row::into_trial).collect();
    libtest_mimic::run(&arguments, trials).exit();
}
