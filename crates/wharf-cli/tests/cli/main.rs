//! The program from outside: what it prints, where, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod commands;
mod configuration;
mod refusals;
mod running;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

/// The program in an empty environment, started in `directory`.
fn wharf(directory: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.env_clear().current_dir(directory).args(arguments);
    command
}

/// What the program wrote, and its exit code.
fn written(output: Output) -> (String, String, Option<i32>) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// A file of the project's documents.
fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    std::fs::read_to_string(path).unwrap()
}
