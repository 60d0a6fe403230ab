//! Speed limits: 30 KiB/s up and 300 KiB/s down for each transfer, and less for guests.
//!
//! `cargo run --example throttled`, then `curl -T Cargo.lock ftp://user:12345@localhost:2121/copy`

use std::num::NonZeroU64;

use wharf::auth::{UserLimits, VirtualUser, VirtualUsers};
use wharf::{Limits, Server, Settings};

#[tokio::main]
async fn main() -> wharf::Result<()> {
    let mut guests = UserLimits::default();
    guests.download_rate = NonZeroU64::new(50 * 1024);

    let users = VirtualUsers::new().user("user", "12345", ".", "elradfmwMT")?;
    users.add(VirtualUser::anonymous(".").limits(guests))?;

    let limits = Limits {
        upload_rate: NonZeroU64::new(30 * 1024),
        download_rate: NonZeroU64::new(300 * 1024),
        ..Limits::default()
    };
    let settings = Settings { limits, ..Settings::default() };

    Server::builder(users).settings(settings).bind("127.0.0.1:2121").await?.serve().await
}
