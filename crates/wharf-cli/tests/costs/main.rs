//! What things cost, counted and not timed, so that a busy machine makes no difference: system calls of one login,
//! transfer and listing, and the memory of sessions that do nothing.
//!
//! The limits are what was measured and some room. Whoever makes something cheaper may lower one; whoever has to raise
//! one says why.

#![cfg(test)]

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod memory;

#[cfg(target_os = "linux")]
#[path = "../support/certificate.rs"]
mod certificate;
#[cfg(target_os = "linux")]
#[path = "../support/client.rs"]
#[expect(dead_code, reason = "another test binary says more to the server")]
mod client;
#[cfg(target_os = "linux")]
#[path = "../support/glob.rs"]
mod glob;
#[cfg(target_os = "linux")]
#[path = "../support/row.rs"]
mod row;
#[cfg(target_os = "linux")]
#[path = "../tls/client.rs"]
#[expect(dead_code, reason = "another test binary does more with TLS")]
mod secured;
#[cfg(target_os = "linux")]
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "another test binary looks closer at the program")]
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
    let rows = calls::rows().into_iter().chain([memory::row()]);
    let trials = rows.map(Row::into_trial).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

#[cfg(not(target_os = "linux"))]
#[path = "../support/not_here.rs"]
mod not_here;

#[cfg(not(target_os = "linux"))]
fn main() {
    not_here::report("costs");
}
