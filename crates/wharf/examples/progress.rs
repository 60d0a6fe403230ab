//! Progress: says once a second how far each transfer is.
//!
//! `cargo run --example progress`, then
//! `head -c 5M /dev/zero | curl --limit-rate 1M -T - ftp://user:12345@localhost:2121/zeros`

#![allow(clippy::print_stdout)] // an example talks to whoever runs it

use std::time::Duration;

use wharf::Server;
use wharf::auth::VirtualUsers;
use wharf::events::{EventHandler, RunningTransfer, SessionInfo, Transfer};

struct Progress;

impl EventHandler for Progress {
    async fn on_transfer_begun(&self, session: &SessionInfo, file: &RunningTransfer) {
        // The session waits for its callbacks: what goes on while the transfer does is a task of its own.
        tokio::spawn(watch(session.id, file.clone()));
    }

    async fn on_file_received(&self, session: &SessionInfo, file: &Transfer) {
        println!("{}: {} {}: all {} bytes", session.id, file.verb, file.path, file.bytes);
    }
}

async fn watch(session: u64, file: RunningTransfer) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.tick().await; // the first is at once
    loop {
        second.tick().await;
        if file.has_ended() {
            return;
        }
        let (bytes, elapsed) = (file.bytes(), file.elapsed());
        println!("{session}: {} {}: {bytes} bytes in {elapsed:.0?}", file.verb, file.path);
    }
}

#[tokio::main]
async fn main() -> wharf::Result<()> {
    let users = VirtualUsers::new().user("user", "12345", ".", "elradfmwMT")?;

    Server::builder(users).events(Progress).bind("127.0.0.1:2121").await?.serve().await
}
