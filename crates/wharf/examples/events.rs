//! Callbacks: greets those who log in, and removes what is left of uploads that were cut.
//!
//! `cargo run --example events`, then `curl -T Cargo.toml ftp://drop:box@localhost:2121/copy`

#![allow(clippy::print_stdout)] // an example talks to whoever runs it

use wharf::auth::VirtualUsers;
use wharf::events::{EventHandler, SessionInfo, Transfer};
use wharf::{Server, Settings};

struct Janitor;

impl EventHandler for Janitor {
    async fn on_login(&self, session: &SessionInfo) {
        println!("{} logged in as {}", session.peer, session.user.as_deref().unwrap_or("nobody"));
    }

    async fn on_file_received(&self, _: &SessionInfo, file: &Transfer) {
        println!("received {} ({} bytes in {:?})", file.path, file.bytes, file.elapsed);
    }

    async fn on_incomplete_file_received(&self, session: &SessionInfo, file: &Transfer) {
        println!("{} gave up on {} after {} bytes: {:?}", session.peer, file.path, file.bytes, file.cause);
        if let Some(part) = &file.local_path
            && let Err(error) = tokio::fs::remove_file(part).await
        {
            println!("{} stays: {error}", part.display());
        }
    }
}

#[tokio::main]
async fn main() -> wharf::Result<()> {
    let users = VirtualUsers::new().user("drop", "box", ".", "elrw")?;
    let settings = Settings { banner: "Drop your files here.".into(), ..Settings::default() };

    Server::builder(users).settings(settings).events(Janitor).bind("127.0.0.1:2121").await?.serve().await
}
