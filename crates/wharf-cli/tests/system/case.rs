//! A row whose check is a function that needs root.

use std::path::Path;

use crate::row::{Row, Verdict};

/// The tools that make, change and remove accounts.
const TOOLS: [&str; 5] = ["useradd", "usermod", "userdel", "chpasswd", "chage"];

/// One check. It fails by panicking.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    check: fn() -> Verdict,
}

impl Case {
    pub(crate) const fn new(name: &'static str, check: fn() -> Verdict) -> Self {
        Self { name, check }
    }

    pub(crate) fn row(self, topic: &str) -> Row {
        let check = move || match missing() {
            Some(reason) => Verdict::Skipped(reason),
            None => (self.check)(),
        };
        Row { name: format!("{topic}: {}", self.name), gap: None, check: Box::new(check) }
    }
}

fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let is_installed = |tool: &str| {
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .iter()
            .any(|directory| Path::new(directory).join(tool).exists())
    };
    TOOLS.iter().find(|tool| !is_installed(tool)).map(|tool| format!("{tool} is missing"))
}
