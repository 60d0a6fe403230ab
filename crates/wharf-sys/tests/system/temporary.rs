//! Accounts and PAM services that last as long as a test.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::rows::succeed;

pub(crate) const PASSWORD: &str = "correct horse";

/// An account with [`PASSWORD`] as its password, removed when dropped.
pub(crate) struct User {
    pub(crate) name: String,
}

impl User {
    pub(crate) fn new() -> Self {
        let user = Self { name: format!("wharf-{}", suffix()) };
        user.tool("useradd", &["--no-create-home", "--groups", "users", "--shell", "/bin/sh"]);
        let mut chpasswd = Command::new("chpasswd").stdin(Stdio::piped()).spawn().unwrap();
        writeln!(chpasswd.stdin.take().unwrap(), "{}:{PASSWORD}", user.name).unwrap();
        assert!(chpasswd.wait().unwrap().success());
        user
    }

    /// Runs one of the tools for accounts on this one.
    pub(crate) fn tool(&self, program: &str, arguments: &[&str]) {
        succeed(Command::new(program).args(arguments).arg(&self.name)).unwrap();
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.tool("userdel", &[]);
    }
}

/// A PAM service with these rules, removed when dropped.
pub(crate) struct PamService {
    pub(crate) name: String,
}

impl PamService {
    pub(crate) fn new(rules: &str) -> Self {
        let service = Self { name: format!("wharf-test-{}", suffix()) };
        fs::write(service.file(), rules).unwrap();
        service
    }

    fn file(&self) -> PathBuf {
        PathBuf::from("/etc/pam.d").join(&self.name)
    }
}

impl Drop for PamService {
    fn drop(&mut self) {
        fs::remove_file(self.file()).unwrap();
    }
}

fn suffix() -> String {
    format!("{:08x}", RandomState::new().hash_one(0) & 0xffff_ffff)
}
