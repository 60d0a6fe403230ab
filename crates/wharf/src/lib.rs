//! An FTP and FTPS server to embed.
//!
//! A [`Server`] is set up with an [`Authorizer`](auth::Authorizer), which says who may log in, and bound to an address.
//! What else there is has a default: every user sees the own home and nothing outside it, and [`Settings`] are those
//! of a small public server.
//!
//! ```
//! use wharf::{Server, auth::VirtualUsers};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> wharf::Result<()> {
//! # let home = std::env::temp_dir();
//! let users = VirtualUsers::new().user("user", "12345", &home, "elradfmwMT")?.anonymous(&home)?;
//!
//! let server = Server::builder(users).bind("127.0.0.1:0").await?;
//! println!("serving on {}", server.local_addr());
//! server.serve_until(async { /* a signal, say */ }).await
//! # }
//! ```
//!
//! * [`auth`]: users. [`VirtualUsers`](auth::VirtualUsers) is a table of them; an [`Authorizer`](auth::Authorizer) of
//!   your own asks elsewhere.
//! * [`fs`]: files. [`JailedFs`](fs::JailedFs) is a directory that nobody leaves; a [`FileSystem`](fs::FileSystem) of
//!   your own may be anything.
//! * [`events`]: callbacks, and logs.
//! * [`command`]: commands of your own.
#![cfg_attr(feature = "tls", doc = "* [`tls`] is FTPS.")]
#![cfg_attr(feature = "testing", doc = "* [`testing`] is a server for tests of FTP clients.")]
//!
//! A session is one task. It never waits for a disk: what may block runs on tokio's blocking pool, with the rights of
//! the user. The server runs on the tokio runtime that [`serve`](Server::serve) is called on, and several may run in one
//! process.
//!
//! Those who come from pyftpdlib may search for its names: they lead here.
//!
//! # Features
//!
//! * `tls` (default): FTPS.
//! * `testing`: a server for tests of FTP clients, and files in memory.
//! * `conformance`: the suite that every file system must pass.

#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;

pub mod auth;
pub mod command;
mod config;
mod connection;
mod data;
mod error;
pub mod events;
pub mod fs;
mod net;
mod server;
mod shutdown;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;

pub use config::{Active, Incomplete, Limits, MasqueradeAddress, Passive, Publish, Settings, Uploads};
pub use error::{Error, ErrorKind, Result};
pub use server::{Handle, Server, ServerBuilder};
pub use wharf_proto::{Letter, Letters, Permissions, Secret, VPath};
pub use wharf_sys::Identity;

/// A future in a box, as the object-safe twins of the contracts return it.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The code in the documents, compiled as tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/guide/embedding.md")]
    struct Embedding;
    #[doc = include_str!("../../../docs/migrating.md")]
    struct Migrating;
}
