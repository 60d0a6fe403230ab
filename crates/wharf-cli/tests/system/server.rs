//! The program under test, started as root with a configuration of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::accounts::{PamService, User, open_directory};
use crate::transcript;

/// The longest a row waits for anything; far more than a healthy server needs on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The account of virtual users.
pub(crate) const USER: (&str, &str) = ("user", "12345");

/// A library of this name in the directory of a row is loaded into the program before all others.
pub(crate) const PRELOADED: &str = "preloaded.so";

/// The program, ended when dropped. Its umask is 027.
pub(crate) struct Server {
    address: SocketAddr,
    child: Child,
    directory: TempDir,
}

impl Server {
    /// Starts the program. `$DIR` in the configuration is a directory for whatever the row needs, `prepare`d before.
    pub(crate) fn start(configuration: &str, prepare: impl FnOnce(&Path)) -> Self {
        let directory = open_directory();
        prepare(directory.path());
        let mut child = spawn(&[], directory.path(), configuration);
        let mut ready = String::new();
        let output = child.stdout.as_mut().expect("standard output was piped");
        BufReader::new(output).read_line(&mut ready).expect("text");
        let address = ready.strip_prefix("Serving FTP on ").and_then(|address| address.trim().parse().ok());
        let log = || fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        let address = address.unwrap_or_else(|| panic!("no first line: {ready:?}\n{}", log()));
        Self { address, child, directory }
    }

    /// Starts it for users of the system, checked by this PAM service, with these keys of `[auth.unix]` and whatever follows.
    pub(crate) fn for_system_users(service: &PamService, settings: &str) -> Self {
        Self::start(&system_users(service, settings), |_| ())
    }

    /// As [`for_system_users`](Self::for_system_users), for these alone.
    pub(crate) fn for_users(service: &PamService, users: &[&User], settings: &str) -> Self {
        let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
        Self::for_system_users(service, &format!("allowed_users = {names:?}\n{settings}"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Everything the program wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory().join("log")).unwrap_or_default()
    }

    /// Waits until the log holds the text.
    pub(crate) fn says(&self, text: &str) {
        eventually(text, || self.log().contains(text));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            transcript::note(&format!("--- log of the server ---\n{}", self.log()));
        }
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }
}

/// A configuration for users of the system.
pub(crate) fn system_users(service: &PamService, settings: &str) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\nlimits.failed_login_delay = \"1ms\"\nauth.kind = \"unix\"\n\
         [auth.unix]\npam_service = {:?}\n{settings}",
        service.name
    )
}

/// The program must not start: its exit code, and what it says.
pub(crate) fn refusal(configuration: &str, prepare: impl FnOnce(&Path)) -> (Option<i32>, String) {
    refused(&[], configuration, prepare)
}

/// The same of `wharf check`, which begins nothing.
pub(crate) fn refusal_of_check(configuration: &str, prepare: impl FnOnce(&Path)) -> (Option<i32>, String) {
    refused(&["check"], configuration, prepare)
}

fn refused(command: &[&str], configuration: &str, prepare: impl FnOnce(&Path)) -> (Option<i32>, String) {
    let directory = open_directory();
    prepare(directory.path());
    let mut child = spawn(command, directory.path(), configuration);
    let mut output = String::new();
    child.stdout.take().expect("standard output was piped").read_to_string(&mut output).expect("text");
    let status = child.wait().expect("our own child");
    assert_eq!(output, "");
    let log = fs::read_to_string(directory.path().join("log")).expect("a log");
    (status.code(), without_place(&log))
}

/// A refusal without the file and line in which its cause is.
pub(crate) fn without_place(said: &str) -> String {
    let place = said.strip_prefix("wharf: ").and_then(|said| said.split_once("/wharf.toml:"));
    let rest = place.and_then(|(_, rest)| rest.split_once(": "));
    match rest {
        Some((line, problem)) if line.parse::<usize>().is_ok() => format!("wharf: {problem}"),
        _ => said.to_owned(),
    }
}

/// Polls until the condition holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn spawn(command: &[&str], directory: &Path, configuration: &str) -> Child {
    let file = directory.join("wharf.toml");
    let configuration = configuration.replace("$DIR", &directory.to_string_lossy());
    fs::write(&file, format!("umask = \"027\"\n{configuration}")).expect("a configuration file");
    let log = File::create(directory.join("log")).expect("a log file");
    let preloaded = Some(directory.join(PRELOADED)).filter(|library| library.exists());
    Command::new(env!("CARGO_BIN_EXE_wharf"))
        .envs(preloaded.map(|library| ("LD_PRELOAD", library)))
        .args(command)
        .arg("--config")
        .arg(file)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the program under test")
}
