//! The configuration file as it was typed: one struct per table, one field per key, all of them optional.
//!
//! Nothing is decided here but the notation of each value; [`checked`](super::checked) says what it means. The flags of the
//! command line are written over this, so that both go through the same checks.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use wharf::{Letters, MasqueradeAddress, Secret, VPath};

use super::notation::{ListenAddress, Several, SourcePort, Umask, Written};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    pub(crate) listen: Option<Several<ListenAddress>>,
    pub(crate) banner: Option<String>,
    pub(crate) use_gmt_times: Option<bool>,
    pub(crate) tcp_no_delay: Option<bool>,
    pub(crate) shutdown_grace: Option<Written<Duration>>,
    pub(crate) run_as: Option<String>,
    pub(crate) umask: Option<Written<Umask>>,
    pub(crate) sandbox: Sandbox,
    pub(crate) limits: Limits,
    pub(crate) passive: Passive,
    pub(crate) active: Active,
    pub(crate) uploads: Uploads,
    pub(crate) tls: Option<Tls>,
    pub(crate) log: Log,
    pub(crate) auth: Auth,
    pub(crate) anonymous: Option<Anonymous>,
    pub(crate) users: Vec<User>,
}

/// Numbers are 0 and durations `"0s"` for no limit, but for `max_login_attempts`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_connections_per_ip: Option<usize>,
    pub(crate) max_login_attempts: Option<u32>,
    pub(crate) login_timeout: Option<Written<Duration>>,
    pub(crate) idle_timeout: Option<Written<Duration>>,
    pub(crate) data_timeout: Option<Written<Duration>>,
    pub(crate) passive_timeout: Option<Written<Duration>>,
    pub(crate) failed_login_delay: Option<Written<Duration>>,
    pub(crate) upload_rate: Option<u64>,
    pub(crate) download_rate: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Passive {
    pub(crate) ports: Option<Several<RangeInclusive<u16>>>,
    pub(crate) masquerade_address: Option<Written<MasqueradeAddress>>,
    pub(crate) masquerade_map: BTreeMap<String, Written<Ipv4Addr>>,
    pub(crate) masquerade_clients: BTreeMap<String, Written<Ipv4Addr>>,
    pub(crate) port_offset: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Active {
    pub(crate) enabled: Option<bool>,
    pub(crate) permit_foreign_addresses: Option<bool>,
    pub(crate) permit_privileged_ports: Option<bool>,
    pub(crate) source_port: Option<Written<SourcePort>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Uploads {
    pub(crate) publish: Option<Publish>,
    pub(crate) incomplete: Option<Incomplete>,
    pub(crate) sync: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Publish {
    Direct,
    Staged,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Incomplete {
    Keep,
    Delete,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) certificates: Vec<CertificateFiles>,
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) client_certificates: ClientCertificates,
    pub(crate) require_control: bool,
    pub(crate) require_data: bool,
    pub(crate) session_reuse: SessionReuse,
    pub(crate) close_notify: CloseNotify,
    pub(crate) implicit_listen: Option<Several<ListenAddress>>,
}

/// One more certificate, for clients that ask for one of its names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: Option<PathBuf>,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientCertificates {
    #[default]
    Off,
    Optional,
    Required,
}

/// Whether data connections must resume the TLS session of their control connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SessionReuse {
    Off,
    #[default]
    Report,
    Require,
}

/// What an upload means that ends without TLS's own ending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CloseNotify {
    #[default]
    Report,
    Require,
}

/// Whether the kernel confines the process to the files it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sandbox {
    #[default]
    Auto,
    Off,
    Require,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) file: Option<PathBuf>,
    pub(crate) format: LogFormat,
    pub(crate) xferlog: Option<PathBuf>,
}

/// How log records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    pub(crate) kind: AuthKind,
    pub(crate) unix: UnixAccounts,
    pub(crate) windows: WindowsAccounts,
}

/// Where users come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuthKind {
    /// From this file.
    #[default]
    Virtual,
    /// From the system, and `[[users]]` changes some of them.
    Unix,
    /// From Windows, likewise.
    Windows,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UnixAccounts {
    pub(crate) allowed_users: Vec<String>,
    pub(crate) rejected_users: Vec<String>,
    pub(crate) require_valid_shell: bool,
    pub(crate) anonymous_user: Option<String>,
    pub(crate) permissions: Written<Letters>,
    pub(crate) passwords: Passwords,
    pub(crate) pam_service: String,
    pub(crate) filesystem: Reach,
}

impl Default for UnixAccounts {
    fn default() -> Self {
        Self {
            allowed_users: Vec::new(),
            rejected_users: Vec::new(),
            require_valid_shell: true,
            anonymous_user: None,
            permissions: Written(Letters::ALL),
            passwords: Passwords::Pam,
            pam_service: "wharf".into(),
            filesystem: Reach::Home,
        }
    }
}

/// Who knows the passwords of system users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Passwords {
    /// PAM.
    #[default]
    Pam,
    /// The shadow database, without PAM.
    Shadow,
}

/// How far system users can go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reach {
    /// Their home.
    #[default]
    Home,
    /// The whole file system, as far as their rights go.
    Unix,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WindowsAccounts {
    pub(crate) allowed_users: Vec<String>,
    pub(crate) rejected_users: Vec<String>,
    pub(crate) anonymous_user: Option<String>,
    pub(crate) anonymous_password: Option<Password>,
    pub(crate) permissions: Written<Letters>,
}

impl Default for WindowsAccounts {
    fn default() -> Self {
        Self {
            allowed_users: Vec::new(),
            rejected_users: Vec::new(),
            anonymous_user: None,
            anonymous_password: None,
            permissions: Written(Letters::ALL),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Anonymous {
    pub(crate) home: PathBuf,
    pub(crate) permissions: Option<Written<Letters>>,
    pub(crate) login_message: Option<String>,
    pub(crate) quit_message: Option<String>,
    #[serde(default)]
    pub(crate) overrides: Vec<Override>,
    pub(crate) max_sessions: Option<usize>,
    pub(crate) upload_rate: Option<u64>,
    pub(crate) download_rate: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: Option<Password>,
    pub(crate) password_hash: Option<Password>,
    pub(crate) home: Option<PathBuf>,
    pub(crate) permissions: Option<Written<Letters>>,
    pub(crate) login_message: Option<String>,
    pub(crate) quit_message: Option<String>,
    #[serde(default)]
    pub(crate) overrides: Vec<Override>,
    pub(crate) max_sessions: Option<usize>,
    pub(crate) upload_rate: Option<u64>,
    pub(crate) download_rate: Option<u64>,
}

/// Other rights in one directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Override {
    pub(crate) directory: Written<VPath>,
    pub(crate) permissions: Written<Letters>,
    #[serde(default)]
    pub(crate) recursive: bool,
}

/// A password or its hash. No message repeats it, not even one about its type.
#[derive(Debug)]
pub(crate) struct Password(pub(crate) Secret);

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(Secret::new(text))),
            _ => Err(D::Error::custom("expected a text in quotes")),
        }
    }
}
