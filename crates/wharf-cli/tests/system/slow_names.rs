//! A name service that takes its time.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::accounts::log_in;
use crate::case::Case;
use crate::client::lossy;
use crate::confinement::virtual_user;
use crate::row::Verdict;
use crate::server::{PRELOADED, Server, USER, eventually};

pub(crate) const CASES: &[Case] =
    &[Case::new("listings that wait for names hold up nobody", listings_wait_alone)];

/// The first id that the name service below is slow to tell about.
const FIRST_SLOW: u32 = 3_000_000;

/// More than the server has workers on most machines that run this.
const LISTINGS: u32 = 12;

/// Stands before the C library's own function. Each question leaves a byte in `asked` and waits until there is a file
/// `go`; both are in the home, which is all that the sandbox leaves open.
const SLOW_NAME_SERVICE: &str = "
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>
int getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found) {
    int (*next)(uid_t, struct passwd *, char *, size_t, struct passwd **) = dlsym(RTLD_NEXT, \"getpwuid_r\");
    if (uid >= 3000000) {
        int asked = open(HOME \"/asked\", O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (write(asked, \".\", 1) != 1) _exit(1);
        close(asked);
        while (access(HOME \"/go\", F_OK) != 0) usleep(1000);
    }
    return next(uid, entry, buffer, size, found);
}
";

fn listings_wait_alone() -> Verdict {
    if Command::new("cc").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Verdict::Skipped("cc is missing".to_owned());
    }
    let server = Server::start(&virtual_user(""), prepare);
    let home = server.directory().join("home");
    let asked = || fs::read(home.join("asked")).unwrap_or_default().len();
    let mut watcher = log_in(&server, USER.0, USER.1);
    thread::scope(|scope| {
        for number in 0..LISTINGS {
            let server = &server;
            scope.spawn(move || {
                let mut client = log_in(server, USER.0, USER.1);
                // Once it waits for the name, and once it knows it.
                for _ in 0..2 {
                    let listing = lossy(&client.download(format!("LIST {number}")));
                    assert!(listing.contains(&(FIRST_SLOW + number).to_string()), "{listing}");
                }
            });
        }
        eventually("all listings wait", || asked() == LISTINGS as usize);
        watcher.ask("NOOP", "200*");
        watcher.ask("SIZE 0/file", "213 4");
        log_in(&server, USER.0, USER.1).ask("QUIT", "221*");
        fs::write(home.join("go"), "").expect("a file");
    });
    assert_eq!(asked(), LISTINGS as usize, "no name is asked for twice");
    Verdict::Passed
}

/// Makes the name service, and files of owners whom it has to be asked about.
fn prepare(directory: &Path) {
    let (home, source) = (directory.join("home"), directory.join("slow.c"));
    fs::write(&source, SLOW_NAME_SERVICE).expect("a source file");
    let mut compiler = Command::new("cc");
    compiler.arg(format!("-DHOME={:?}", home.to_str().expect("a path in UTF-8")));
    compiler.args(["-shared", "-fPIC", "-o"]).arg(directory.join(PRELOADED)).arg(source).arg("-ldl");
    assert!(compiler.status().expect("a compiler").success());
    for number in 0..LISTINGS {
        let place = home.join(number.to_string());
        fs::create_dir_all(&place).expect("a directory");
        let file = place.join("file");
        fs::write(&file, "text").expect("a file");
        chown(file, Some(FIRST_SLOW + number), None).expect("an owner");
    }
}
