//! A row whose check is a function.

use std::path::Path;

use crate::{
    client::Client,
    row::{Row, Verdict},
    server::{Server, eventually},
};

/// Environment variables with this prefix point the tests at another server.
pub(crate) const PREFIX: &str = "WHARF_COMPAT";

/// One check and the server that it needs.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    settings: &'static str,
    own: bool,
    requirement: Option<Requirement>,
    gap: Option<&'static str>,
    check: fn(&mut Server),
}

/// What the machine must offer, and what to say when it does not.
type Requirement = (fn() -> bool, &'static str);

impl Case {
    /// A check against a server with the settings that all tests share.
    pub(crate) const fn new(name: &'static str, check: fn(&mut Server)) -> Self {
        Self { name, settings: "", own: false, requirement: None, gap: None, check }
    }

    /// Lays TOML over the shared settings.
    pub(crate) const fn with(mut self, settings: &'static str) -> Self {
        self.settings = settings;
        self.own()
    }

    /// Says that the check looks at our program itself, not only at the wire.
    pub(crate) const fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// Skips the row, with this reason, where the machine cannot run it.
    pub(crate) const fn only_if(mut self, holds: fn() -> bool, reason: &'static str) -> Self {
        self.requirement = Some((holds, reason));
        self
    }

    /// The row that the test runner sees.
    pub(crate) fn row(self, topic: &str) -> Row {
        Row {
            name: format!("{topic}: {}", self.name),
            gap: self.gap.map(str::to_owned),
            check: Box::new(move || self.run()),
        }
    }

    fn run(self) -> Verdict {
        if let Some((holds, reason)) = self.requirement
            && !holds()
        {
            return Verdict::Skipped(reason.to_owned());
        }
        match server_for(self.settings, self.own, |_| ()) {
            Ok(mut server) => {
                (self.check)(&mut server);
                if server.is_running() {
                    assert_healthy(&server);
                }
                Verdict::Passed
            }
            Err(reason) => Verdict::Skipped(reason),
        }
    }
}

/// A server with a fresh home directory, filled by `prepare`; or why there is none.
pub(crate) fn server_for(settings: &str, own: bool, prepare: impl FnOnce(&Path)) -> Result<Server, String> {
    let Some(server) = Server::elsewhere(PREFIX) else {
        return Ok(Server::start(settings, prepare));
    };
    if own || !settings.is_empty() {
        return Err("needs a server of its own".to_owned());
    }
    server.clear_home();
    prepare(server.home());
    Ok(server)
}

/// The server still takes new sessions and forgets the old ones.
pub(crate) fn assert_healthy(server: &Server) {
    eventually("a new session is welcome", || greets(server));
    server.assert_no_leaks();
}

/// Whether a new session is welcome at this moment.
pub(crate) fn greets(server: &Server) -> bool {
    Client::open(server.address()).reply().matches("220*")
}
