//! The table of tests, and how a row is run.

use std::env;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::thread;

use libtest_mimic::{Arguments, Failed, Trial};

/// Names the row that a child process is to run.
const ROLE: &str = "WHARF_SYS_TEST_ROLE";

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) place: Place,
    pub(crate) run: fn(),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    Root,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A thread of its own in the test program.
    Thread,
    /// The only thread of a process of its own.
    Process,
    /// As `Process`, but started by another row alone.
    Helper,
}

pub(crate) fn run(tables: &[&'static [Row]]) {
    let rows = || tables.iter().copied().flatten();
    if let Ok(role) = env::var(ROLE) {
        return (rows().find(|row| row.name == role).unwrap().run)();
    }
    let is_root = rustix::process::geteuid().is_root();
    let trials = rows().filter(|row| row.place != Place::Helper).map(|row| trial(row, is_root)).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// This program again, to run one row.
pub(crate) fn child(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(ROLE, name).stdin(Stdio::null());
    command
}

/// Runs the command and fails with what it wrote when it fails.
pub(crate) fn succeed(command: &mut Command) -> Result<String, Failed> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

fn trial(row: &'static Row, is_root: bool) -> Trial {
    let skip = row.needs == Needs::Root && !is_root;
    if skip {
        eprintln!("skipped: {}: needs root", row.name);
    }
    let run = || match row.place {
        // A new one each, because some leave it with fewer rights.
        Place::Thread => thread::spawn(row.run).join().map_err(|panic| resume_unwind(panic)),
        Place::Process | Place::Helper => succeed(&mut child(row.name)).map(drop),
    };
    Trial::test(row.name, run).with_ignored_flag(skip)
}
