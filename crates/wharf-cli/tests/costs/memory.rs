//! The memory of sessions that do nothing.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::Client;
use crate::row::{Row, Verdict};
use crate::server::{Server, USER};

/// Sessions that are open at once, if there are descriptors enough.
const SESSIONS: u64 = 10_000;

/// What one of them may take of the server's memory in a development build, in bytes. Measured: 2,629.
const LIMIT: u64 = 3 << 10;

/// Sessions that make the server do everything once, before its memory is looked at.
const WARM_UP: u64 = 100;

pub(crate) fn row() -> Row {
    Row { name: "memory of idle sessions".to_owned(), gap: None, check: Box::new(check) }
}

fn check() -> Verdict {
    let Some(descriptors) = raise_limit() else {
        return Verdict::Skipped("the limit of open files is unknown".to_owned());
    };
    let sessions = if descriptors > SESSIONS + 100 { SESSIONS } else { 1_000.min(descriptors / 2) };
    let server = Server::start("limits.max_connections = 0", |_| {});
    drop(open(&server, WARM_UP));
    let before = memory(server.pid());
    let mut clients = open(&server, sessions);
    let each = memory(server.pid()).saturating_sub(before) / sessions;
    clients.iter_mut().step_by(100).for_each(|client| drop(client.ask("NOOP", "200*")));
    assert!(each <= LIMIT, "each of {sessions} idle sessions takes {each} bytes; {LIMIT} are allowed");
    Verdict::Passed
}

/// Sessions that are logged in.
fn open(server: &Server, count: u64) -> Vec<Client> {
    let login = format!("USER {}\r\nPASS {}\r\n", USER.0, USER.1);
    let clients = (0..count).map(|_| {
        let mut client = Client::connect(server);
        client.send_raw(login.as_bytes());
        client.expect("331*");
        client.expect("230*");
        client
    });
    clients.collect()
}

/// As many descriptors as there may be, here and in programs started from here.
fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum?;
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) }).ok()?;
    Some(most)
}

/// The memory of a process in bytes; what it shares counts in parts.
fn memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("our own child");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a line of its own");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kibibytes << 10
}
