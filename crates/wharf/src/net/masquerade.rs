//! The address that a 227 advertises, when it is known by a host name.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tracing::{info, warn};
use wharf_proto::{Masquerade, Network};

use crate::config::{MasqueradeAddress, Passive};
use crate::error::{Error, ErrorKind, Result};

/// How often a host name is looked up again.
const REFRESH: Duration = Duration::from_secs(60);

/// What PASV advertises. A host name is looked up in the background, so no PASV waits for it.
#[derive(Debug)]
pub(crate) struct MasqueradeNames {
    current: RwLock<Masquerade>,
    host_name: Option<String>,
}

impl MasqueradeNames {
    /// # Errors
    /// When a client network has more bits than its family.
    pub(crate) fn new(settings: &Passive) -> Result<Self> {
        let by_client = settings.masquerade_clients.iter().map(|&(address, prefix, advertised)| {
            let network = Network::new(address, prefix).ok_or_else(|| {
                let what = format!("passive.masquerade_clients: {address}/{prefix} is no network");
                Error::new(ErrorKind::Setting, what)
            })?;
            Ok((network, advertised))
        });
        let (address, host_name) = match &settings.masquerade_address {
            None => (None, None),
            Some(MasqueradeAddress::Fixed(address)) => (Some(*address), None),
            Some(MasqueradeAddress::HostName(name)) => (None, Some(name.clone())),
        };
        let current = Masquerade {
            address,
            by_local: settings.masquerade_map.iter().copied().collect(),
            by_client: by_client.collect::<Result<_>>()?,
            port_offset: settings.port_offset,
        };
        Ok(Self { current: RwLock::new(current), host_name })
    }

    /// What to advertise to a client at `peer` that reached us at `local`, for a listener on `port`.
    pub(crate) fn advertised(&self, local: IpAddr, peer: IpAddr, port: u16) -> (Option<Ipv4Addr>, u16) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (current.advertised(local, peer), current.advertised_port(port).unwrap_or(port))
    }

    /// Looks the host name up, now and again, for as long as it is polled. Returns at once when there is none.
    pub(crate) async fn keep_current(&self) {
        let Some(name) = &self.host_name else { return };
        loop {
            self.look_up(name).await;
            tokio::time::sleep(REFRESH).await;
        }
    }

    /// Looks the host name up once. An address that was found stays in force when the name cannot be resolved later.
    pub(crate) async fn look_up(&self, name: &str) {
        let found = match tokio::net::lookup_host((name, 0)).await {
            Ok(mut addresses) => addresses.find_map(|address| match address.ip() {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            }),
            Err(error) => return self.not_found(name, &error),
        };
        let Some(found) = found else {
            return self.not_found(name, &"it has no IPv4 address, which PASV needs");
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.address.replace(found) != Some(found) {
            info!(name, address = %found, "passive.masquerade_address resolved");
        }
    }

    /// Says what clients are told meanwhile.
    fn not_found(&self, name: &str, error: &dyn Display) {
        match self.current.read().unwrap_or_else(PoisonError::into_inner).address {
            Some(last) => {
                warn!(name, %error, "passive.masquerade_address cannot be resolved; clients are still told {last}");
            }
            None => {
                warn!(name, %error, "passive.masquerade_address cannot be resolved; clients are told the own address");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passive(address: &str) -> Passive {
        Passive {
            masquerade_address: Some(MasqueradeAddress::HostName(address.into())),
            ..Passive::default()
        }
    }

    #[tokio::test]
    async fn a_host_name_is_resolved_and_kept() {
        let names = MasqueradeNames::new(&passive("localhost")).unwrap();
        let local = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(names.advertised(local, local, 5).0, Some([10, 0, 0, 1].into()));
        names.look_up("localhost").await;
        assert_eq!(names.advertised(local, local, 5), (Some(Ipv4Addr::LOCALHOST), 5));
        names.look_up("no-such-host.invalid").await;
        assert_eq!(names.advertised(local, local, 5).0, Some(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn refuses_networks_that_are_none() {
        let mut settings = Passive::default();
        settings.masquerade_clients.push(([10, 0, 0, 0].into(), 33, Ipv4Addr::LOCALHOST));
        assert!(MasqueradeNames::new(&settings).is_err());
    }
}
