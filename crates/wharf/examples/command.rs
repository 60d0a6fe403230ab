//! Commands of one's own: SITE COUNT tells how many things are in a directory, and DELE is taken away.
//!
//! `cargo run --example command`, then `lftp -c 'open user:12345@localhost:2121; quote SITE COUNT /'`

use wharf::auth::VirtualUsers;
use wharf::command::{Argument, Call, Code, Reply, Row};
use wharf::fs::{Detail, FileSystem, FsResult};
use wharf::{Letter, Server};

async fn count(call: Call) -> Reply {
    match things_in(&call).await {
        Ok(number) => Reply::new(Code::new(200), format!("{number} things.")),
        Err(error) => Reply::new(Code::new(550), format!("{}.", error.kind())),
    }
}

async fn things_in(call: &Call) -> FsResult<usize> {
    let (Some(files), Some(path)) = (&call.files, &call.path) else { return Ok(0) };
    let mut entries = files.list(path, Detail::Names).await?;
    let mut number = 0;
    while let Some(batch) = entries.next_batch().await {
        number += batch?.len();
    }
    Ok(number)
}

#[tokio::main]
async fn main() -> wharf::Result<()> {
    let users = VirtualUsers::new().user("user", "12345", ".", "elradfmwMT")?;
    let row = Row::new("SITE COUNT", Argument::Optional)
        .letter(Letter::List)
        .help("Syntax: SITE COUNT [<SP> path].");

    let server = Server::builder(users).command(row, count)?.without_command("DELE")?;
    server.bind("127.0.0.1:2121").await?.serve().await
}
