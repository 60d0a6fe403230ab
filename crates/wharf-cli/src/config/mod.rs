//! What the program is to do, from the command line and the configuration file.
//!
//! `notation` reads values, [`raw`] holds them as typed, `flags` writes the command line over the file, and [`checked`] says
//! what it all means.

mod accounts;
mod addresses;
mod checked;
mod everybody;
mod file;
mod flags;
mod nearest;
mod notation;
mod place;
pub(crate) mod raw;
mod summary;
mod unusual;

pub(crate) use self::accounts::{ANONYMOUS, Accounts, Password, SystemUser};
pub(crate) use self::addresses::{TAKEN_BY_LISTEN, USUAL_PORT, serves};
pub(crate) use self::checked::{Certificate, Config, Log, Tls};
pub(crate) use self::file::{Source, reason};
pub(crate) use self::flags::first_line;
pub(crate) use self::nearest::nearest;
pub(crate) use self::notation::{ListenAddress, Notation, read};
pub(crate) use self::place::{in_its_line, open_again};
pub(crate) use self::raw::LogFormat;
