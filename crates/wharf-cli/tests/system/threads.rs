//! The running process as the kernel sees it: the rights of each of its threads, idle and at work.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::accounts::{PamService, User, log_in};
use crate::case::Case;
use crate::row::Verdict;
use crate::server::{Server, USER, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::new("for system users three capabilities are kept", kept_for_system_users),
    Case::new("threads at work have the rights of users or of the server", at_work),
    Case::new("run_as leaves nothing of root", run_as),
];

/// What `/proc/PID/task/TID/status` says of the rights of a thread.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rights {
    /// Real, effective, saved and file system's user id.
    uids: String,
    gids: String,
    groups: String,
    /// Permitted, effective, inheritable, bounding, ambient.
    capabilities: [u64; 5],
    no_new_privileges: bool,
}

/// `CAP_SETGID`, `CAP_SETUID` and `CAP_AUDIT_WRITE`.
const KEPT: u64 = 1 << 6 | 1 << 7 | 1 << 29;

/// The different rights that the threads of a server have at the moment.
fn rights(server: &Server) -> BTreeSet<Rights> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("a running program");
    // A thread may end while we look.
    tasks
        .flatten()
        .filter_map(|task| Some(parse(&fs::read_to_string(task.path().join("status")).ok()?)))
        .collect()
}

fn parse(status: &str) -> Rights {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.expect("a field").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let capabilities = ["CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb"];
    Rights {
        uids: field("Uid"),
        gids: field("Gid"),
        groups: field("Groups"),
        capabilities: capabilities.map(|name| u64::from_str_radix(&field(name), 16).expect("a number")),
        no_new_privileges: field("NoNewPrivs") == "1",
    }
}

fn only(server: &Server) -> Rights {
    let mut found = Vec::new();
    eventually("all threads have the same rights", || {
        found = rights(server).into_iter().collect();
        found.len() == 1
    });
    found.remove(0)
}

fn kept_for_system_users() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    let server = Server::for_users(&service, &[&user], "");
    server.says("running as root with cap_setgid cap_setuid cap_audit_write, no new privileges, Landlock: ");
    let before = only(&server);
    assert_eq!(before.uids, "0 0 0 0");
    assert_eq!(before.capabilities, [KEPT, KEPT, 0, KEPT, 0]);
    assert!(before.no_new_privileges);

    let mut client = user.log_in(&server);
    client.upload("STOR file", b"text");
    client.download("LIST");
    drop(client);
    assert_eq!(only(&server), before, "every thread is what it was");
    Verdict::Passed
}

fn at_work() -> Verdict {
    let service = PamService::shipped();
    let users = [User::new(), User::new()];
    let server = Server::for_users(&service, &[&users[0], &users[1]], "");
    let idle = only(&server);
    let (busy, seen) = (AtomicBool::new(true), Mutex::default());
    thread::scope(|scope| {
        let workers: Vec<_> =
            users.iter().map(|user| scope.spawn(|| work_until_seen(&server, user, &seen))).collect();
        let watcher = scope.spawn(|| {
            while busy.load(Ordering::Relaxed) {
                let now = rights(&server);
                seen.lock().expect("nobody panics meanwhile").extend(now);
            }
        });
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        busy.store(false, Ordering::Relaxed);
        watcher.join().expect("only files of /proc are read");
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    });
    let seen = seen.into_inner().expect("nobody panicked");
    for rights in &seen {
        let ids: Vec<u32> = rights.uids.split(' ').map(|id| id.parse().expect("a number")).collect();
        assert_eq!(
            (ids[0], ids[2]),
            (0, 0),
            "real and saved ids stay, and with them the way back: {rights:?}"
        );
        assert_eq!(ids[1], ids[3], "files are opened as the effective user: {rights:?}");
        assert!(ids[1] == 0 || users.iter().any(|user| user.uid == ids[1]), "{rights:?}");
        if let Some(user) = users.iter().find(|user| user.uid == ids[1]) {
            assert_eq!(rights.gids, format!("0 {0} 0 {0}", user.gid));
            assert_eq!(rights.groups, user.gid.to_string());
        }
    }
    assert_eq!(only(&server), idle);
    Verdict::Passed
}

/// Works as `user`, until a thread that does has been seen.
fn work_until_seen(server: &Server, user: &User, seen: &Mutex<BTreeSet<Rights>>) {
    let mut client = user.log_in(server);
    let mut make_and_remove = || {
        client.ask("MKD made", "257*");
        client.ask("RMD made", "250*");
    };
    (0..150).for_each(|_| make_and_remove());
    eventually("a thread has the rights of the user", || {
        make_and_remove();
        seen.lock().expect("nobody panics meanwhile").iter().any(|rights| are_lent(rights, user))
    });
    let mut data = client.start("STOR large");
    (0..64).for_each(|_| data.write_all(&[7; 65_536]).expect("the server reads"));
    drop(data);
    client.expect("226*");
    assert_eq!(client.download("RETR large").len(), 64 * 65_536);
}

/// The ids change one system call before the capabilities do, so only this much can be seen from outside.
fn are_lent(rights: &Rights, user: &User) -> bool {
    rights.uids.starts_with(&format!("0 {} ", user.uid)) && rights.capabilities[1] == 0
}

fn run_as() -> Verdict {
    let user = User::new();
    user.keep("theirs", "text");
    let (name, password) = USER;
    let configuration = format!(
        "listen = \"127.0.0.1:0\"\nrun_as = {:?}\nlog.xferlog = \"$DIR/logs/xferlog\"\n\
         [[users]]\nname = {name:?}\npassword = {password:?}\nhome = {:?}\npermissions = \"elradfmwMT\"",
        user.name,
        user.home(),
    );
    let server = Server::start(&configuration, |directory| {
        let logs = directory.join("logs");
        fs::create_dir(&logs).expect("a directory");
        user.own(&logs, 0o700);
    });
    server.says(&format!("running as {} with no capabilities, no new privileges, Landlock: ", user.name));
    let found = only(&server);
    let four = |id: u32| [id; 4].map(|id| id.to_string()).join(" ");
    assert_eq!((found.uids, found.gids), (four(user.uid), four(user.gid)));
    assert_eq!(found.groups, user.gid.to_string());
    assert_eq!(found.capabilities, [0; 5]);
    assert!(found.no_new_privileges);

    let mut client = log_in(&server, name, password);
    client.upload("STOR mine", b"text");
    assert_eq!(client.download("RETR theirs"), b"text");
    eventually("a line in the transfer log", || {
        fs::read_to_string(server.directory().join("logs/xferlog")).is_ok_and(|log| log.lines().count() == 2)
    });
    Verdict::Passed
}
