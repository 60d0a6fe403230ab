//! One row: a server that is set up in a certain way, and what is done to it.

use crate::{
    certificate,
    row::{Row, Verdict},
    server::Server,
};

/// A name, further settings of the server, and the check.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) settings: &'static str,
    pub(crate) check: fn(&Server),
}

impl Case {
    pub(crate) fn row(&'static self, topic: &str) -> Row {
        let check = || {
            let server = Server::start(&format!("{}{}", certificate::TLS, self.settings), certificate::make);
            (self.check)(&server);
            server.assert_no_leaks();
            Verdict::Passed
        };
        Row { name: format!("{topic}: {}", self.name), gap: None, check: Box::new(check) }
    }
}
