//! A real Unix FTP server: users of the system, each with the own rights, on the whole file system from `/` on.
//!
//! As root, with `dist/pam.d/wharf` copied to `/etc/pam.d`: `cargo run --example unix_server`

#[cfg(target_os = "linux")]
#[tokio::main]
async fn main() -> wharf::Result<()> {
    use wharf::{Server, auth::UnixUsers, fs::UnixFs};

    let users = UnixUsers::builder().rejected_users(["root"]).require_valid_shell(true).build()?;

    Server::builder(users).filesystem(UnixFs::open).bind("0.0.0.0:21").await?.serve().await
}

#[cfg(not(target_os = "linux"))]
fn main() {}
