//! What needs root: accounts of the system, their rights, and what the server gives up of its own.
//!
//! Accounts and PAM services are made for the purpose, with names that nobody has, and removed in the end. Rows that
//! cannot run are reported as ignored, by name: without root, without the tools for accounts, without Landlock.

#![cfg(test)]

#[cfg(target_os = "linux")]
mod accounts;
#[cfg(target_os = "linux")]
mod case;
#[cfg(target_os = "linux")]
#[path = "../support/client.rs"]
#[expect(dead_code, reason = "the other test binary says more on the wire")]
mod client;
#[cfg(target_os = "linux")]
mod confinement;
#[cfg(target_os = "linux")]
#[path = "../support/glob.rs"]
mod glob;
#[cfg(target_os = "linux")]
mod isolation;
#[cfg(target_os = "linux")]
mod logins;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
#[path = "../support/row.rs"]
mod row;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod slow_names;
#[cfg(target_os = "linux")]
mod source_port;
#[cfg(target_os = "linux")]
mod threads;
#[cfg(target_os = "linux")]
#[path = "../support/transcript.rs"]
mod transcript;

#[cfg(target_os = "linux")]
fn main() {
    let tables = [
        ("confinement", confinement::CASES),
        ("isolation", isolation::CASES),
        ("logins", logins::CASES),
        ("options", options::CASES),
        ("slow names", slow_names::CASES),
        ("source port", source_port::CASES),
        ("threads", threads::CASES),
    ];
    let rows = tables.iter().flat_map(|(topic, cases)| cases.iter().map(|case| case.row(topic)));
    transcript::capture_panics();
    let trials = rows.map(row::Row::into_trial).collect();
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit();
}

#[cfg(not(target_os = "linux"))]
#[path = "../support/not_here.rs"]
mod not_here;

#[cfg(not(target_os = "linux"))]
fn main() {
    not_here::report("system");
}
