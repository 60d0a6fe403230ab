//! Plain settings, one struct per table of the configuration file, fields and keys spelled the same.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU16, NonZeroU64};
use std::ops::RangeInclusive;
use std::time::Duration;

/// All settings that are not users, file systems, callbacks or TLS. `Settings::default()` is what the program runs
/// with when nothing is configured.
#[doc(alias = "FTPHandler")]
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The text of the 220.
    pub banner: String,
    /// Whether times in listings and MDTM are GMT rather than the server's local time.
    pub use_gmt_times: bool,
    /// Whether small replies leave at once (TCP_NODELAY on control connections).
    pub tcp_no_delay: bool,
    /// How long running transfers may go on once the server stops.
    pub shutdown_grace: Duration,
    /// Numbers and times that bound every session.
    pub limits: Limits,
    /// How clients reach us for data.
    pub passive: Passive,
    /// How we reach clients for data.
    pub active: Active,
    /// What becomes of uploads into the homes that the server opens itself. File systems that
    /// [`ServerBuilder::filesystem`](crate::ServerBuilder::filesystem) makes are told by whoever makes them
    /// ([`JailedFs::with_uploads`](crate::fs::JailedFs::with_uploads)).
    pub uploads: Uploads,
}

/// Numbers and times that bound every session. `None`, and zero for durations, is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Control connections at once.
    #[doc(alias = "max_cons")]
    pub max_connections: Option<usize>,
    /// Control connections at once from one address.
    #[doc(alias = "max_cons_per_ip")]
    pub max_connections_per_ip: Option<usize>,
    /// Wrong passwords until the connection is closed; 0 is as 1.
    pub max_login_attempts: u32,
    /// From connecting to having logged in, whatever is sent meanwhile.
    pub login_timeout: Duration,
    /// No command on a control connection without a transfer.
    #[doc(alias = "timeout")]
    pub idle_timeout: Duration,
    /// No byte moved on a data connection, or none acknowledged at the end of a download.
    #[doc(alias = "DTPHandler")]
    pub data_timeout: Duration,
    /// From PASV or PORT to an open data connection.
    #[doc(alias = "PassiveDTP")]
    #[doc(alias = "ActiveDTP")]
    pub passive_timeout: Duration,
    /// From a wrong password to its 530.
    #[doc(alias = "auth_failed_timeout")]
    pub failed_login_delay: Duration,
    /// Bytes per second of one upload.
    #[doc(alias = "ThrottledDTPHandler")]
    #[doc(alias = "read_limit")]
    pub upload_rate: Option<NonZeroU64>,
    /// Bytes per second of one download.
    #[doc(alias = "write_limit")]
    pub download_rate: Option<NonZeroU64>,
}

/// How clients reach us for data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passive {
    /// The ports to listen on, in ranges; empty leaves the choice to the operating system.
    #[doc(alias = "passive_ports")]
    pub ports: Vec<RangeInclusive<u16>>,
    /// The address to advertise in a 227.
    pub masquerade_address: Option<MasqueradeAddress>,
    /// The address to advertise, by the address of ours that the client reached; wins over the single one.
    #[doc(alias = "masquerade_address_map")]
    pub masquerade_map: Vec<(IpAddr, Ipv4Addr)>,
    /// The address to advertise, by the network that the client is in (address and prefix length); wins over both.
    pub masquerade_clients: Vec<(IpAddr, u8, Ipv4Addr)>,
    /// What is added to one of `ports` before it is advertised, where a gateway shifts ports.
    pub port_offset: i32,
}

/// An address to advertise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasqueradeAddress {
    /// Always this one.
    Fixed(Ipv4Addr),
    /// Whatever this name resolves to, looked up again in the background.
    HostName(String),
}

/// How we reach clients for data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// Whether PORT and EPRT are allowed.
    pub enabled: bool,
    /// Whether data connections may be with another address than the client's.
    pub permit_foreign_addresses: bool,
    /// Whether we connect to ports below 1024.
    pub permit_privileged_ports: bool,
    /// The port of ours that data connections leave from: 20 where a firewall expects that; `None` lets the system
    /// choose. What is below 1024 needs a privilege that the process must keep. Two connections from it cannot lead to
    /// the same port of a client, one that was closed within the last minute counting too: the second is told 425.
    pub source_port: Option<NonZeroU16>,
}

/// What becomes of uploads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uploads {
    /// Where an upload is while it is being written.
    pub publish: Publish,
    /// What happens to an upload that did not end well.
    pub incomplete: Incomplete,
    /// Whether the file is on the disk itself before the client is told 226.
    pub sync: bool,
}

/// Where an upload is while it is being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// Under its final name, as clients that resume expect.
    #[default]
    Direct,
    /// Out of sight, and renamed when it is complete: others never see part of a file. One that has several names, or
    /// whose owner the user cannot give to another file, is overwritten then, and that is not one step.
    Staged,
}

/// What happens to an upload that did not end well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Incomplete {
    /// What came is kept, so that the client can resume.
    #[default]
    Keep,
    /// It is removed.
    Delete,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            banner: "wharf ready.".into(),
            use_gmt_times: true,
            tcp_no_delay: true,
            shutdown_grace: Duration::from_secs(30),
            limits: Limits::default(),
            passive: Passive::default(),
            active: Active::default(),
            uploads: Uploads::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: Some(512),
            max_connections_per_ip: None,
            max_login_attempts: 3,
            login_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(300),
            passive_timeout: Duration::from_secs(30),
            failed_login_delay: Duration::from_secs(3),
            upload_rate: None,
            download_rate: None,
        }
    }
}

impl Default for Active {
    fn default() -> Self {
        Self {
            enabled: true,
            permit_foreign_addresses: false,
            permit_privileged_ports: false,
            source_port: None,
        }
    }
}
