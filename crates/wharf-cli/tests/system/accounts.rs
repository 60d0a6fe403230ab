//! Accounts and PAM services that last as long as a row.

use std::collections::hash_map::RandomState;
use std::fs::{self, Permissions};
use std::hash::BuildHasher;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;
use wharf_sys::users::account_by_name;

use crate::client::Client;
use crate::server::Server;

/// The password of every account.
pub(crate) const PASSWORD: &str = "correct horse";

/// The tools lock the same files and do not wait long for each other.
static TOOLS: Mutex<()> = Mutex::new(());

/// An account with [`PASSWORD`], a valid shell and a private home, removed when dropped.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    directory: TempDir,
}

impl User {
    pub(crate) fn new() -> Self {
        let name = format!("wharf-{}", suffix());
        let directory = open_directory();
        let home = directory.path().join("home");
        let added =
            ["--no-create-home", "--home-dir", home.to_str().expect("a path in UTF-8"), "--shell", "/bin/sh"];
        run("useradd", &added, &name, "");
        run("chpasswd", &[], "", &format!("{name}:{PASSWORD}\n"));
        let account = account_by_name(&name).expect("a name service").expect("the new account");
        let user = Self { name, uid: account.uid, gid: account.gid, directory };
        fs::create_dir(&home).expect("a home");
        user.own(&home, 0o700);
        user
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// Writes a file into the home that only its user can read.
    pub(crate) fn keep(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home().join(name);
        fs::write(&path, text).expect("a file");
        self.own(&path, 0o600);
        path
    }

    pub(crate) fn own(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
        chown(path, Some(self.uid), Some(self.gid)).expect("an owner");
    }

    /// Runs one of the tools for accounts on this one.
    pub(crate) fn tool(&self, program: &str, arguments: &[&str]) {
        run(program, arguments, &self.name, "");
    }

    /// Runs the program as this user, with a configuration, until it ends.
    pub(crate) fn run(&self, program: &str, configuration: &str) -> Output {
        let (copy, file) = (self.directory.path().join("program"), self.directory.path().join("wharf.toml"));
        // The program may lie where only we can go.
        fs::copy(program, &copy).expect("a copy of the program");
        fs::write(&file, configuration).expect("a configuration file");
        let mut command = Command::new(copy);
        command.arg("--config").arg(file).current_dir("/").uid(self.uid).gid(self.gid);
        command.output().expect("the program under test")
    }

    pub(crate) fn log_in(&self, server: &Server) -> Client {
        log_in(server, &self.name, PASSWORD)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.tool("userdel", &[]);
    }
}

/// The PAM service that comes with wharf, under a name of its own, removed when dropped.
pub(crate) struct PamService {
    pub(crate) name: String,
}

impl PamService {
    pub(crate) fn shipped() -> Self {
        Self::with(|rules| rules)
    }

    /// With other rules, made from the ones that are shipped.
    pub(crate) fn with(change: impl FnOnce(String) -> String) -> Self {
        let service = Self { name: format!("wharf-test-{}", suffix()) };
        let rules = include_str!("../../../../dist/pam.d/wharf").to_owned();
        fs::write(service.file(), change(rules)).expect("a PAM service");
        service
    }

    fn file(&self) -> PathBuf {
        Path::new("/etc/pam.d").join(&self.name)
    }
}

impl Drop for PamService {
    fn drop(&mut self) {
        fs::remove_file(self.file()).expect("our own file");
    }
}

/// A temporary directory that all users can enter.
pub(crate) fn open_directory() -> TempDir {
    let directory = TempDir::with_prefix("wharf-test-").expect("a temporary directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("a mode");
    directory
}

/// A client that has logged in and works in binary type.
pub(crate) fn log_in(server: &Server, name: &str, password: &str) -> Client {
    let mut client = Client::connect(server);
    client.ask(format!("USER {name}"), "331*");
    client.ask(format!("PASS {password}"), "230*");
    client.ask("TYPE I", "200*");
    client
}

/// The login must fail, and tell nothing.
pub(crate) fn refuse(server: &Server, name: &str, password: &str) {
    let mut client = Client::connect(server);
    client.ask(format!("USER {name}"), "331*");
    client.ask(format!("PASS {password}"), "530 Authentication failed.");
}

fn run(program: &str, arguments: &[&str], name: &str, input: &str) {
    let _alone = TOOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(program);
    command.args(arguments).args(Some(name).filter(|name| !name.is_empty()));
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a tool");
    child.stdin.take().expect("it was piped").write_all(input.as_bytes()).expect("the tool reads");
    let output = child.wait_with_output().expect("the tool ends");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn suffix() -> String {
    format!("{:08x}", RandomState::new().hash_one(0) & 0xffff_ffff)
}
