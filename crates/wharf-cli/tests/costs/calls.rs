//! System calls, as strace sees them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::certificate;
use crate::client::Client;
use crate::row::{Row, Verdict};
use crate::secured;
use crate::server::{Server, eventually};

/// The size of large transfers.
const LARGE: usize = 64 << 20;

/// How many entries the directory has that is listed.
const ENTRIES: usize = 20;

/// Calls without which there is no session.
const CONNECTION: [&str; 3] = ["accept4", "recvfrom", "sendto"];

/// How often a trace is taken, until it is as it should be.
const ATTEMPTS: usize = 5;

/// Calls that wait, or belong to the runtime, its threads and the log: how many there are depends on who else is running.
const WAITING: [&str; 14] = [
    "brk",
    "clock_nanosleep",
    "clone3",
    "epoll_wait",
    "fcntl", // how debug builds make sure that what they close is open
    "futex",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "restart_syscall",
    "rseq",
    "rt_sigprocmask",
    "sched_yield",
];

/// Something that a client does, and what it may cost.
struct Cost {
    name: &'static str,
    /// How many calls all of it may take.
    limit: usize,
    /// Calls that there must be: their absence means another way was taken.
    needs: &'static [&'static str],
    act: Act,
}

/// What a client does, in clear or under TLS.
#[derive(Clone, Copy)]
enum Act {
    Clear(fn(&mut Client)),
    Tls(fn(&mut secured::Client)),
}

const COSTS: [Cost; 8] = [
    Cost { name: "one login", limit: 26, needs: &[], act: Act::Clear(|_| {}) },
    Cost { name: "RETR of 64 MiB", limit: 600, needs: &["sendfile"], act: Act::Clear(download_large) },
    Cost { name: "STOR of 64 MiB", limit: 3_000, needs: &[], act: Act::Clear(upload_large) },
    Cost { name: "RETR of 1 KiB", limit: 48, needs: &[], act: Act::Clear(download_small) },
    // With room for a port that is taken, which costs five calls.
    Cost { name: "STOR of 1 KiB", limit: 56, needs: &[], act: Act::Clear(upload_small) },
    Cost { name: "MLSD of 20 entries", limit: 85, needs: &["getdents64"], act: Act::Clear(list) },
    Cost { name: "RETR of 64 MiB under TLS", limit: 4_000, needs: &[], act: Act::Tls(download_secured) },
    // One call for each 4 KiB would be 16,000.
    Cost { name: "STOR of 64 MiB under TLS", limit: 8_000, needs: &[], act: Act::Tls(upload_secured) },
];

pub(crate) fn rows() -> Vec<Row> {
    let row = |cost: Cost| {
        let name = format!("calls of {}", cost.name);
        Row { name, gap: None, check: Box::new(move || check(&cost)) }
    };
    COSTS.into_iter().map(row).collect()
}

fn download_large(client: &mut Client) {
    assert_eq!(client.download("RETR large").len(), LARGE);
}

fn upload_large(client: &mut Client) {
    client.upload("STOR uploaded", &vec![b'x'; LARGE]);
}

fn download_small(client: &mut Client) {
    assert_eq!(client.download("RETR small").len(), 1 << 10);
}

fn upload_small(client: &mut Client) {
    client.upload("STOR uploaded", &[b'x'; 1 << 10]);
}

fn download_secured(client: &mut secured::Client) {
    assert_eq!(client.download("RETR large").len(), LARGE);
}

fn upload_secured(client: &mut secured::Client) {
    client.upload("STOR uploaded", &vec![b'x'; LARGE]);
}

fn list(client: &mut Client) {
    let listing = client.download("MLSD few");
    assert_eq!(listing.iter().filter(|&&byte| byte == b'\n').count(), ENTRIES);
}

/// Logs in, does what is to be done and leaves, all of which is counted.
fn check(cost: &Cost) -> Verdict {
    let settings = format!("log.file = \"$DIR/log\"\n{}", certificate::TLS);
    let server = Server::start(&settings, prepare);
    // Threads, buffers and caches that every first session makes.
    session(&server, cost.act);
    let Some(calls) = traced(&server, cost) else {
        return Verdict::Skipped("strace is not installed, or may not trace".to_owned());
    };
    let total = total(&calls);
    assert!(total <= cost.limit, "{total} calls, {} are allowed: {calls:?}", cost.limit);
    for &name in CONNECTION.iter().chain(cost.needs) {
        assert!(calls.contains_key(name), "no {name} among {calls:?}");
    }
    Verdict::Passed
}

/// How many calls were work.
fn total(calls: &BTreeMap<String, usize>) -> usize {
    calls.iter().filter(|(name, _)| !WAITING.contains(&name.as_str())).map(|(_, count)| count).sum()
}

/// The calls of one session; `None` when they cannot be counted here.
///
/// strace looks up the threads of the server only once, and on a busy machine it has been seen to miss some; and where
/// the two ends of a transfer get their turns late, it moves in more and smaller pieces. A trace without the calls that
/// there must be, or with too many, is taken again, a few times.
fn traced(server: &Server, cost: &Cost) -> Option<BTreeMap<String, usize>> {
    let mut calls = BTreeMap::new();
    for _ in 0..ATTEMPTS {
        let trace = Trace::start(server)?;
        session(server, cost.act);
        server.assert_no_leaks();
        calls = trace.stop();
        let is_whole = CONNECTION.iter().chain(cost.needs).all(|&call| calls.contains_key(call));
        if is_whole && total(&calls) <= cost.limit {
            break;
        }
    }
    Some(calls)
}

fn session(server: &Server, act: Act) {
    match act {
        Act::Clear(act) => {
            let mut client = Client::login(server);
            act(&mut client);
            client.ask("QUIT", "221*");
            client.expect_end();
        }
        Act::Tls(act) => {
            let config = secured::config(server, &secured::VERSIONS);
            let mut client = secured::Client::protected(server, &config);
            act(&mut client);
            client.ask("QUIT", "221");
            client.expect_end();
        }
    }
}

fn prepare(home: &Path) {
    certificate::make(home);
    fs::write(home.join("large"), vec![b'x'; LARGE]).expect("the home is ours");
    fs::write(home.join("small"), [b'x'; 1 << 10]).expect("the home is ours");
    fs::create_dir(home.join("few")).expect("the home is ours");
    for number in 0..ENTRIES {
        fs::write(home.join("few").join(number.to_string()), b"x").expect("the home is ours");
    }
}

/// strace, at work on a server.
struct Trace {
    strace: Child,
    file: PathBuf,
}

impl Trace {
    /// Begins to count; `None` when that cannot be done here.
    fn start(server: &Server) -> Option<Self> {
        let (file, said) = (server.outside("calls"), server.outside("strace"));
        let mut strace = Command::new("strace")
            .args(["-f", "-o"])
            .arg(&file)
            .args(["-p", &server.pid().to_string()])
            .stdin(Stdio::null())
            // A file: it goes on to tell of new threads, and a pipe that nobody reads would end it.
            .stderr(File::create(&said).expect("the directory is ours"))
            .spawn()
            .ok()?;
        let mut attached = false;
        // It says so once it has all threads, or ends because it cannot.
        eventually("strace is attached", || {
            attached = fs::read_to_string(&said).is_ok_and(|said| said.contains("attached"));
            attached || matches!(strace.try_wait(), Ok(Some(_)))
        });
        attached.then_some(Self { strace, file })
    }

    /// How often each call was made.
    fn stop(mut self) -> BTreeMap<String, usize> {
        let strace = Pid::from_child(&self.strace);
        kill_process(strace, Signal::INT).expect("our own child");
        eventually("strace ends", || matches!(self.strace.try_wait(), Ok(Some(_))));
        let trace = fs::read_to_string(&self.file).expect("strace has written it");
        let mut calls = BTreeMap::new();
        for name in trace.lines().filter_map(called) {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
        calls
    }
}

/// The name of the call in a line such as `1234  recvfrom(5, …`. The second half of a call that was interrupted by another
/// has none.
fn called(line: &str) -> Option<&str> {
    let (_, call) = line.split_once(' ')?;
    let (name, _) = call.trim_start().split_once('(')?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}
