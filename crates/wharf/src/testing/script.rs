//! The faults of a test server, and what it has heard.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::{Action, Fault};

/// The faults that are still to come, and the commands that came.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    faults: Vec<Armed>,
    commands: Vec<String>,
}

/// A fault, and how often its verb has come.
#[derive(Debug)]
struct Armed {
    fault: Fault,
    met: u64,
}

impl Script {
    pub(super) fn add(&self, fault: Fault) {
        self.lock().faults.push(Armed { fault, met: 0 });
    }

    pub(super) fn clear(&self) {
        self.lock().faults.clear();
    }

    pub(super) fn commands(&self) -> Vec<String> {
        self.lock().commands.clone()
    }

    /// Notes a line that a client sent.
    pub(super) fn heard(&self, line: &[u8]) {
        self.lock().commands.push(String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']).to_owned());
    }

    /// What befalls `verb`, which came once more.
    pub(super) fn meet(&self, verb: &str) -> Vec<Action> {
        let mut state = self.lock();
        let concerned = state.faults.iter_mut().filter(|armed| armed.fault.occasion.verb == verb);
        let strike = concerned.filter_map(|armed| {
            armed.met += 1;
            armed.fault.occasion.includes(armed.met).then(|| armed.fault.action.clone())
        });
        strike.collect()
    }

    /// The state; every change to it is a single step, so a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
