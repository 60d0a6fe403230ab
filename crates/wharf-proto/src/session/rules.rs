//! What holds for all sessions of a server.

use std::time::{Duration, Instant};

use crate::CommandTable;
use crate::listing::TimeStyle;

/// What holds for all sessions of a server. A duration of zero switches its timer off.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The text of the 220.
    pub banner: String,
    /// The commands there are.
    pub commands: CommandTable,
    /// Which commands are told to callbacks and logs.
    pub report: Report,
    /// How times are printed.
    pub times: TimeStyle,
    /// Wrong passwords before the connection is closed.
    pub max_login_attempts: u32,
    /// From connecting to having logged in.
    pub login_timeout: Duration,
    /// From a wrong password to its 530.
    pub failed_login_delay: Duration,
    /// Between commands.
    pub idle_timeout: Duration,
    /// From an open data connection to the command that uses it.
    pub data_timeout: Duration,
    /// From PASV or PORT to an open data connection.
    pub passive_timeout: Duration,
    /// What PORT and EPRT may do.
    pub active: ActiveRules,
    /// What TLS is asked for; `None` when there is no certificate.
    pub tls: Option<TlsPolicy>,
}

/// Which commands become an [`Event::Command`](crate::Event::Command).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Those that change the disk, the directory or the login.
    Notable,
    /// All of them.
    All,
}

/// What PORT and EPRT may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveRules {
    /// Whether there is active mode at all.
    pub enabled: bool,
    /// Whether data connections may go to another address than the client's.
    pub permit_foreign_addresses: bool,
    /// Whether they may go to ports below 1024.
    pub permit_privileged_ports: bool,
}

/// What TLS is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsPolicy {
    /// USER and PASS are refused in clear.
    pub require_control: bool,
    /// Data connections are refused in clear.
    pub require_data: bool,
}

/// The end of a timer of `length` that began at `start`; `None` when it is switched off.
pub(super) fn deadline(start: Instant, length: Duration) -> Option<Instant> {
    if length.is_zero() { None } else { start.checked_add(length) }
}
