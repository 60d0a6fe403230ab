//! The settings that are not as they usually are, in words: part of what `wharf check` shows.

use std::fmt::{self, Display, Formatter};
use std::num::NonZeroU64;
use std::time::Duration;

use wharf::{Active, Incomplete, Limits, MasqueradeAddress, Passive, Publish, Settings, Uploads};

/// The lines about what differs from [`Settings::default`].
pub(super) struct Unusual<'a>(pub(super) &'a Settings);

impl Display for Unusual<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let usual = Settings::default();
        let Settings {
            banner,
            use_gmt_times,
            tcp_no_delay,
            shutdown_grace,
            limits,
            passive,
            active,
            uploads,
        } = self.0;
        named_addresses(f, passive)?;
        data_connections(f, active)?;
        stored(f, *uploads)?;
        let differing = [bounds(limits, &usual.limits), rates(limits)].concat();
        if !differing.is_empty() {
            writeln!(f, "limits          {}", differing.join(", "))?;
        }
        if *shutdown_grace != usual.shutdown_grace {
            writeln!(f, "shutdown grace  {}", Time(*shutdown_grace))?;
        }
        if *banner != usual.banner {
            writeln!(f, "banner          {banner:?}")?;
        }
        if !use_gmt_times {
            writeln!(f, "times           local")?;
        }
        if !tcp_no_delay {
            writeln!(f, "tcp_no_delay    off")?;
        }
        Ok(())
    }
}

/// What clients are told where to connect to.
fn named_addresses(f: &mut Formatter<'_>, passive: &Passive) -> fmt::Result {
    match &passive.masquerade_address {
        Some(MasqueradeAddress::Fixed(address)) => writeln!(f, "masquerade      {address}")?,
        Some(MasqueradeAddress::HostName(name)) => writeln!(f, "masquerade      {name}, looked up")?,
        None => {}
    }
    for (own, named) in &passive.masquerade_map {
        writeln!(f, "masquerade      {named} to those who reached {own}")?;
    }
    for (network, prefix, named) in &passive.masquerade_clients {
        writeln!(f, "masquerade      {named} to clients of {network}/{prefix}")?;
    }
    match passive.port_offset {
        0 => Ok(()),
        offset => writeln!(f, "port offset     {offset}"),
    }
}

fn data_connections(f: &mut Formatter<'_>, active: &Active) -> fmt::Result {
    if !active.enabled {
        writeln!(f, "active          off")?;
    }
    active.source_port.iter().try_for_each(|port| writeln!(f, "active          from port {port}"))?;
    if active.permit_privileged_ports {
        writeln!(f, "active          to ports below 1024 too")?;
    }
    if active.permit_foreign_addresses {
        writeln!(f, "data            with any address, not only the client's")?;
    }
    Ok(())
}

fn stored(f: &mut Formatter<'_>, uploads: Uploads) -> fmt::Result {
    let words = [
        (uploads.publish == Publish::Staged, "staged"),
        (uploads.incomplete == Incomplete::Delete, "deleted when incomplete"),
        (uploads.sync, "synced"),
    ];
    let words: Vec<_> = words.into_iter().filter_map(|(holds, word)| holds.then_some(word)).collect();
    if words.is_empty() { Ok(()) } else { writeln!(f, "uploads         {}", words.join(", ")) }
}

/// Times and numbers that are not the usual ones, by their keys. Those of connections have a line of their own.
fn bounds(limits: &Limits, usual: &Limits) -> Vec<String> {
    let times = [
        ("login_timeout", limits.login_timeout, usual.login_timeout),
        ("idle_timeout", limits.idle_timeout, usual.idle_timeout),
        ("data_timeout", limits.data_timeout, usual.data_timeout),
        ("passive_timeout", limits.passive_timeout, usual.passive_timeout),
        ("failed_login_delay", limits.failed_login_delay, usual.failed_login_delay),
    ];
    let times = times.into_iter().filter(|(_, time, usual)| time != usual);
    let times = times.map(|(key, time, _)| format!("{key} {}", Time(time)));
    let attempts = Some(limits.max_login_attempts).filter(|attempts| *attempts != usual.max_login_attempts);
    attempts.map(|attempts| format!("max_login_attempts {attempts}")).into_iter().chain(times).collect()
}

fn rates(limits: &Limits) -> Vec<String> {
    let rate = |what: &str, rate: Option<NonZeroU64>| rate.map(|rate| format!("{what} {rate} bytes/s"));
    [rate("uploads", limits.upload_rate), rate("downloads", limits.download_rate)]
        .into_iter()
        .flatten()
        .collect()
}

/// A duration as the file writes it; none at all is what switches timers off.
struct Time(Duration);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}
