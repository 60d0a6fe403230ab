//! What stands for TLS in a build without it: nothing that could ever be made.

use std::io;

use super::wire::Wire;

/// TLS of a test server, if there were any.
#[derive(Clone)]
pub(super) enum Security {}

/// TLS of one control connection, if there were any.
#[derive(Clone)]
pub(super) enum Securing {}

impl Security {
    pub(super) fn session(&self) -> io::Result<Securing> {
        match *self {}
    }
}

impl Securing {
    pub(super) async fn accept(&self, _: Wire) -> io::Result<Wire> {
        match *self {}
    }

    pub(super) async fn connect(&self, _: Wire) -> io::Result<Wire> {
        match *self {}
    }

    pub(super) async fn accept_data(&self, _: Wire) -> io::Result<Wire> {
        match *self {}
    }
}
