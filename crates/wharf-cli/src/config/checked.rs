//! What the settings mean, once everything about them is known to be right.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use wharf::{Incomplete, MasqueradeAddress, Publish, Settings};

use super::accounts::{Accounts, accounts};
use super::addresses::{needed, refuse_conflicts};
use super::file::{self, Source};
use super::flags::{self, no_directory, readable};
use super::notation::{ListenAddress, Network, Notation, Several, Written};
use super::raw::{self, ClientCertificates, CloseNotify, LogFormat, Sandbox, SessionReuse};
use crate::args::Flags;
use crate::failure::Failure;

/// All that the program is to do.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file it comes from, if from any.
    pub(crate) source: Option<Source>,
    /// Where to listen; at least one address.
    pub(crate) listen: Vec<ListenAddress>,
    /// What the library takes as it is.
    pub(crate) settings: Settings,
    /// Who may log in.
    pub(crate) accounts: Accounts,
    /// FTPS, if there is any.
    pub(crate) tls: Option<Tls>,
    /// What is written down, and where.
    pub(crate) log: Log,
    /// The user to become after binding.
    pub(crate) run_as: Option<String>,
    /// The permission bits that new files do not get; `None` leaves it to whoever starts the program.
    pub(crate) umask: Option<u32>,
    /// Whether the kernel confines the process.
    pub(crate) sandbox: Sandbox,
    /// What is worth a line on standard error before anything starts.
    pub(crate) notes: Vec<String>,
}

/// FTPS.
#[derive(Debug)]
pub(crate) struct Tls {
    /// The certificate for clients that ask for no name, or for one that nobody has.
    pub(crate) certificate: Certificate,
    /// Certificates for clients that ask for one of their names.
    pub(crate) more_certificates: Vec<Certificate>,
    /// Whether clients show certificates, and the file of the authorities that sign them.
    pub(crate) client_certificates: ClientCertificates,
    /// Those authorities (PEM); there unless client certificates are off.
    pub(crate) client_ca: Option<PathBuf>,
    /// Whether logins need TLS.
    pub(crate) require_control: bool,
    /// Whether data connections need TLS.
    pub(crate) require_data: bool,
    /// Whether data connections must resume their control connection's session.
    pub(crate) session_reuse: SessionReuse,
    /// What an upload means that ends without TLS's own ending.
    pub(crate) close_notify: CloseNotify,
    /// Where TLS comes first.
    pub(crate) implicit_listen: Vec<ListenAddress>,
}

/// A certificate chain and its key, in PEM files that could be read.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The chain.
    pub(crate) chain: PathBuf,
    /// The key; the same file where none is named.
    pub(crate) key: PathBuf,
}

/// What is written down, and where.
#[derive(Debug)]
pub(crate) struct Log {
    /// The log; `None` is standard error.
    pub(crate) file: Option<PathBuf>,
    /// How its records are written.
    pub(crate) format: LogFormat,
    /// Whether commands and replies are logged.
    pub(crate) debug: bool,
    /// The list of transfers in wu-ftpd's format.
    pub(crate) xferlog: Option<PathBuf>,
}

impl Log {
    /// Whether standard error holds JSON objects, one per line.
    pub(crate) fn is_json_on_stderr(&self) -> bool {
        self.file.is_none() && self.format == LogFormat::Json
    }
}

impl Config {
    /// What these flags, and the file that they name, ask for.
    ///
    /// # Errors
    /// When any of it is wrong.
    pub(crate) fn load(flags: &Flags) -> Result<Self, Failure> {
        let setting = flags.variables.spell("--config");
        // Before it is read: what is written meanwhile is a change.
        let source = flags.config.as_deref().map(Source::now);
        let file = flags.config.as_deref().map(|path| file::load(setting, path)).transpose()?;
        let mut file = file.unwrap_or_default();
        flags::apply(flags, &mut file)?;
        let mut notes = flags::notes(flags);
        notes.extend(unlikely_address(&file.passive));
        pam_service_is_a_name(&file.auth.unix.pam_service)?;
        notes.extend(missing_pam_file(&file.auth));
        let log_file = file.log.file.take().filter(|path| path.as_os_str() != "-");
        for (setting, path) in [("log.file", &log_file), ("log.xferlog", &file.log.xferlog)] {
            path.as_deref().map_or(Ok(()), |path| can_be_a_file(setting, path))?;
        }
        let settings = settings(&mut file)?;
        let accounts = accounts(file.auth, file.users, file.anonymous)?;
        let listen = needed(at_least_one("listen", file.listen)?);
        let tls = file.tls.map(tls).transpose()?;
        refuse_conflicts(&settings, &listen, tls.as_ref().map_or(&[], |tls| &tls.implicit_listen))?;
        // Of -w there is a line already.
        notes.extend(accounts.open_to_changes().filter(|_| !flags.write));
        Ok(Self {
            source,
            settings,
            accounts,
            listen,
            tls,
            log: Log {
                file: log_file,
                format: file.log.format,
                debug: flags.debug,
                xferlog: file.log.xferlog,
            },
            run_as: file.run_as,
            umask: file.umask.map(|written| written.0.0),
            sandbox: file.sandbox,
            notes,
        })
    }
}

/// Logs are opened late, and not by `wharf check`, so what is in their way is looked for now.
fn can_be_a_file(setting: &str, path: &Path) -> Result<(), Failure> {
    no_directory(setting, path)?;
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() && !directory.is_dir() => {
            Err(Failure::usage(format!("{setting}: {}: no such directory", directory.display())))
        }
        _ => Ok(()),
    }
}

fn settings(file: &mut raw::File) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    set(&mut settings.banner, file.banner.take());
    set(&mut settings.use_gmt_times, file.use_gmt_times);
    set(&mut settings.tcp_no_delay, file.tcp_no_delay);
    set_written(&mut settings.shutdown_grace, file.shutdown_grace.take());
    set_limits(&mut settings.limits, std::mem::take(&mut file.limits));
    set_passive(&mut settings.passive, std::mem::take(&mut file.passive))?;
    set(&mut settings.active.enabled, file.active.enabled);
    set(&mut settings.active.permit_foreign_addresses, file.active.permit_foreign_addresses);
    set(&mut settings.active.permit_privileged_ports, file.active.permit_privileged_ports);
    set(&mut settings.active.source_port, file.active.source_port.take().map(|written| written.0.0));
    set(&mut settings.uploads.publish, file.uploads.publish.map(Publish::from));
    set(&mut settings.uploads.incomplete, file.uploads.incomplete.map(Incomplete::from));
    set(&mut settings.uploads.sync, file.uploads.sync);
    Ok(settings)
}

fn set_limits(limits: &mut wharf::Limits, typed: raw::Limits) {
    let number = |number: usize| Some(number).filter(|number| *number != 0);
    set(&mut limits.max_connections, typed.max_connections.map(number));
    set(&mut limits.max_connections_per_ip, typed.max_connections_per_ip.map(number));
    set(&mut limits.max_login_attempts, typed.max_login_attempts);
    set_written(&mut limits.login_timeout, typed.login_timeout);
    set_written(&mut limits.idle_timeout, typed.idle_timeout);
    set_written(&mut limits.data_timeout, typed.data_timeout);
    set_written(&mut limits.passive_timeout, typed.passive_timeout);
    set_written(&mut limits.failed_login_delay, typed.failed_login_delay);
    set(&mut limits.upload_rate, typed.upload_rate.map(NonZeroU64::new));
    set(&mut limits.download_rate, typed.download_rate.map(NonZeroU64::new));
}

fn set_passive(passive: &mut wharf::Passive, typed: raw::Passive) -> Result<(), Failure> {
    let ports = typed.ports.map(|ports| at_least_one("passive.ports", Some(ports))).transpose()?;
    set(&mut passive.ports, ports);
    set(&mut passive.masquerade_address, typed.masquerade_address.map(|written| Some(written.0)));
    set(&mut passive.port_offset, typed.port_offset);
    for (address, public) in typed.masquerade_map {
        let address: IpAddr = key("passive.masquerade_map", &address)?;
        passive.masquerade_map.push((address, public.0));
    }
    for (network, public) in typed.masquerade_clients {
        let network: Network = key("passive.masquerade_clients", &network)?;
        passive.masquerade_clients.push((network.address, network.prefix, public.0));
    }
    if passive.port_offset != 0 && passive.ports.is_empty() {
        return Err(Failure::usage("passive.port_offset: needs passive.ports"));
    }
    let shifted = |port: u16| (1..=65_535).contains(&(i64::from(port) + i64::from(passive.port_offset)));
    match passive.ports.iter().all(|range| shifted(*range.start()) && shifted(*range.end())) {
        true => Ok(()),
        false => Err(Failure::usage("passive.port_offset: moves passive.ports out of 1 to 65535")),
    }
}

fn set<T>(slot: &mut T, typed: Option<T>) {
    if let Some(value) = typed {
        *slot = value;
    }
}

fn set_written<T>(slot: &mut T, typed: Option<Written<T>>) {
    set(slot, typed.map(|written| written.0));
}

/// Reads a key that is a value itself.
fn key<T: Notation>(table: &str, text: &str) -> Result<T, Failure> {
    T::read(text).map_err(|reason| Failure::usage(format!("{table}: {text:?}: {reason}")))
}

fn at_least_one<T: Notation>(setting: &str, values: Option<Several<T>>) -> Result<Vec<T>, Failure> {
    match values {
        Some(Several(values)) if !values.is_empty() => Ok(values),
        _ => Err(Failure::usage(format!("{setting}: expected {}", T::EXPECTED))),
    }
}

fn tls(tls: raw::Tls) -> Result<Tls, Failure> {
    let first = tls
        .certificate
        .ok_or_else(|| Failure::usage("tls.certificate: is missing; wharf self-signed makes one to try"))?;
    let more = tls.certificates.into_iter().enumerate();
    let more = more.map(|(index, files)| {
        let read = certificate("tls.certificates", files.certificate, files.key);
        read.map_err(|failure| failure.in_entry(index))
    });
    match (tls.client_certificates, &tls.client_ca) {
        (ClientCertificates::Off, Some(_)) => {
            let problem = "means nothing while tls.client_certificates is \"off\"";
            return Err(Failure::usage(format!("tls.client_ca: {problem}; did you mean \"optional\"?")));
        }
        (ClientCertificates::Optional | ClientCertificates::Required, None) => {
            return Err(Failure::usage("tls.client_certificates: needs tls.client_ca"));
        }
        (_, Some(ca)) => drop(readable("tls.client_ca", ca)?),
        (ClientCertificates::Off, None) => {}
    }
    let implicit_listen =
        tls.implicit_listen.map(|several| at_least_one("tls.implicit_listen", Some(several)));
    Ok(Tls {
        certificate: certificate("tls", first, tls.key)?,
        more_certificates: more.collect::<Result<_, _>>()?,
        client_certificates: tls.client_certificates,
        client_ca: tls.client_ca,
        require_control: tls.require_control,
        require_data: tls.require_data,
        session_reuse: tls.session_reuse,
        close_notify: tls.close_notify,
        implicit_listen: needed(implicit_listen.transpose()?.unwrap_or_default()),
    })
}

fn certificate(table: &str, chain: PathBuf, key: Option<PathBuf>) -> Result<Certificate, Failure> {
    let chain = readable(&format!("{table}.certificate"), &chain)?;
    let key = key.map_or_else(|| Ok(chain.clone()), |key| readable(&format!("{table}.key"), &key))?;
    Ok(Certificate { chain, key })
}

/// A slip in an IPv4 address makes it a host name, which no resolver will ever know.
fn unlikely_address(passive: &raw::Passive) -> Option<String> {
    match passive.masquerade_address.as_ref().map(|written| &written.0) {
        Some(MasqueradeAddress::HostName(name)) if name.chars().all(|c| c == '.' || c.is_ascii_digit()) => {
            Some(format!(
                "passive.masquerade_address: {name} is no IPv4 address; it is taken for a host name"
            ))
        }
        Some(MasqueradeAddress::Fixed(address)) if *address == Ipv4Addr::UNSPECIFIED => {
            Some("passive.masquerade_address: no client can reach 0.0.0.0".into())
        }
        _ => None,
    }
}

/// PAM looks for a file of this name in its own directory, and would be led out of it by a path.
fn pam_service_is_a_name(service: &str) -> Result<(), Failure> {
    let is_name = !service.is_empty()
        && service.chars().all(|c| c.is_ascii_graphic() && c != '/')
        && !service.starts_with('.');
    match is_name {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "auth.unix.pam_service: {service:?}: expected the name of a file in /etc/pam.d such as \"wharf\""
        ))),
    }
}

/// Without a file of its own a service goes by the rules of PAM's file `other`, which often let nobody in.
fn missing_pam_file(auth: &raw::Auth) -> Option<String> {
    let service = &auth.unix.pam_service;
    let asks_pam = auth.kind == raw::AuthKind::Unix && auth.unix.passwords == raw::Passwords::Pam;
    let is_missing = |directory: &&str| !Path::new(directory).join(service).exists();
    let missing = asks_pam && ["/etc/pam.d", "/usr/lib/pam.d"].iter().all(is_missing);
    missing.then(|| {
        format!(
            "auth.unix.pam_service: there is no /etc/pam.d/{service}, so the rules of /etc/pam.d/other apply"
        )
    })
}

impl From<raw::Publish> for Publish {
    fn from(typed: raw::Publish) -> Self {
        match typed {
            raw::Publish::Direct => Self::Direct,
            raw::Publish::Staged => Self::Staged,
        }
    }
}

impl From<raw::Incomplete> for Incomplete {
    fn from(typed: raw::Incomplete) -> Self {
        match typed {
            raw::Incomplete::Keep => Self::Keep,
            raw::Incomplete::Delete => Self::Delete,
        }
    }
}
