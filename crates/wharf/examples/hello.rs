//! A server with one user and an anonymous one, on port 2121.
//!
//! `cargo run --example hello`, then `curl ftp://user:12345@localhost:2121/`

use wharf::{Server, auth::VirtualUsers};

#[tokio::main]
async fn main() -> wharf::Result<()> {
    let users = VirtualUsers::new().user("user", "12345", ".", "elradfmwMT")?.anonymous(".")?;

    Server::builder(users).bind("127.0.0.1:2121").await?.serve().await
}
