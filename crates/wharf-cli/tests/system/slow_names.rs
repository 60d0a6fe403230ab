//! A name service that takes its time.

use std::fs;
use std::os::unix::fs::chown;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::accounts::log_in;
use crate::case::Case;
use crate::client::lossy;
use crate::confinement::virtual_user;
use crate::row::Verdict;
use crate::server::{PRELOADED, Server, USER};

pub(crate) const CASES: &[Case] =
    &[Case::new("listings that wait for names hold up nobody", listings_wait_alone)];

/// The first id that the name service below is slow to tell about.
const FIRST_SLOW: u32 = 3_000_000;

/// How long it takes.
const SLOWNESS: Duration = Duration::from_secs(2);

/// More than the server has workers on most machines that run this.
const LISTINGS: u32 = 12;

/// Stands before the C library's own function.
const SLOW_NAME_SERVICE: &str = "
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pwd.h>
#include <unistd.h>
int getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found) {
    int (*next)(uid_t, struct passwd *, char *, size_t, struct passwd **) = dlsym(RTLD_NEXT, \"getpwuid_r\");
    if (uid >= 3000000) sleep(2);
    return next(uid, entry, buffer, size, found);
}
";

fn listings_wait_alone() -> Verdict {
    if Command::new("cc").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Verdict::Skipped("cc is missing".to_owned());
    }
    let server = Server::start(&virtual_user(""), |directory| {
        let source = directory.join("slow.c");
        fs::write(&source, SLOW_NAME_SERVICE).expect("a source file");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(directory.join(PRELOADED)).arg(source).arg("-ldl");
        assert!(compiler.status().expect("a compiler").success());
        for number in 0..LISTINGS {
            let place = directory.join("home").join(number.to_string());
            fs::create_dir_all(&place).expect("a directory");
            let file = place.join("file");
            fs::write(&file, "text").expect("a file");
            chown(file, Some(FIRST_SLOW + number), None).expect("an owner");
        }
    });
    let mut watcher = log_in(&server, USER.0, USER.1);
    thread::scope(|scope| {
        let listers: Vec<_> = (0..LISTINGS)
            .map(|number| {
                let server = &server;
                scope.spawn(move || {
                    let mut client = log_in(server, USER.0, USER.1);
                    let started = Instant::now();
                    let listing = lossy(&client.download(format!("LIST {number}")));
                    assert!(listing.contains(&(FIRST_SLOW + number).to_string()), "{listing}");
                    let first = started.elapsed();
                    assert!(first >= SLOWNESS, "nothing was slow: {first:?}");
                    let started = Instant::now();
                    client.download(format!("LIST {number}"));
                    assert!(started.elapsed() < SLOWNESS, "asked again: {:?}", started.elapsed());
                })
            })
            .collect();
        while !listers.iter().all(thread::ScopedJoinHandle::is_finished) {
            let asked = Instant::now();
            watcher.ask("NOOP", "200*");
            watcher.ask("SIZE 0/file", "213 4");
            assert!(asked.elapsed() < SLOWNESS / 2, "held up for {:?}", asked.elapsed());
            thread::yield_now();
        }
    });
    Verdict::Passed
}
