//! The FTP protocol as values and a state machine: no I/O, no clock, no threads.
//!
//! [`Session`] is one control connection as a value. It is handed bytes and the time, and answers with what is to
//! be done: replies to send, operations to perform, data connections to open. The rest of the crate are the
//! words it is written in: [`Command`], [`Reply`], [`VPath`], [`Permissions`], listings.

#![forbid(unsafe_code)]

mod addr;
mod ascii;
mod command;
mod event;
mod line;
pub mod listing;
mod metadata;
mod pace;
mod permissions;
mod reply;
mod secret;
mod session;
mod text;
mod vpath;

pub use addr::{DataAddress, InvalidNetwork, Masquerade, Network};
pub use ascii::{FromWire, ToWire};
pub use command::{
    Argument, Command, CommandTable, EpsvArgument, ListArgument, Mechanism, Protection, Row, TableError,
    TransferType, Verb,
};
pub use event::{Event, WrongProtocol};
pub use line::{LineDecoder, LineError};
pub use metadata::{FileKind, FsErrorKind, Metadata, Timestamp};
pub use pace::TokenBucket;
pub use permissions::{Letter, Letters, LettersInside, Permissions, UnknownLetter, Verdict};
pub use reply::{Code, Reply};
pub use secret::Secret;
pub use session::{
    Account, ActiveRules, Cause, DataFailure, Denied, Direction, Done, Ending, Input, ListSubject, Listing,
    LoginInfo, Op, Output, Peer, Report, Rules, Session, TlsPolicy, TransferEnd, TransferPlan, WriteMode,
};
pub use text::Escaped;
pub use vpath::{BadPath, VPath};
