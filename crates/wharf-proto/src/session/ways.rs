//! Ways to a data connection: PASV, EPSV, PORT and EPRT (RFC 959 §4.1.2, RFC 2428).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::addr::{self, DataAddress};
use crate::command::EpsvArgument;
use crate::event::Event;
use crate::reply::Reply;
use crate::text;

use super::data::{Data, Way, WayKind};
use super::{Cause, DataFailure, Output, Session, Wait, rules};

impl Session {
    pub(super) fn pasv(&mut self) {
        if let Some(refusal) = self.way_refusal(true) {
            return self.finish(refusal);
        }
        if self.peer.local.is_ipv6() {
            return self.finish(text::PASV_OVER_IPV6);
        }
        self.open_way(WayKind::Listen { extended: false }, Output::Listen);
    }

    pub(super) fn epsv(&mut self, argument: EpsvArgument) {
        let refusal = match argument {
            EpsvArgument::All => {
                self.parameters.epsv_only = true;
                return self.finish(text::EPSV_ALL);
            }
            EpsvArgument::Ipv4 if self.peer.local.is_ipv6() => Some(text::USE_IPV6),
            EpsvArgument::Ipv6 if self.peer.local.is_ipv4() => Some(text::USE_IPV4),
            _ => self.way_refusal(false),
        };
        match refusal {
            Some(refusal) => self.finish(refusal),
            None => self.open_way(WayKind::Listen { extended: true }, Output::Listen),
        }
    }

    pub(super) fn port(&mut self, target: SocketAddr) {
        if self.parameters.epsv_only {
            return self.finish(text::EPSV_ALL_IN_FORCE);
        }
        self.connect(target);
    }

    pub(super) fn eprt(&mut self, address: DataAddress) {
        if self.parameters.epsv_only {
            return self.finish(text::EPSV_ALL_IN_FORCE);
        }
        match address.target(self.peer.local.ip()) {
            Ok(target) => self.connect(target),
            Err(reply) => self.finish(reply),
        }
    }

    /// Connects to where the client says it listens. `0.0.0.0` and `::` are the client itself: some clients name the
    /// address that they listen on.
    fn connect(&mut self, mut target: SocketAddr) {
        if target.ip().is_unspecified() {
            target.set_ip(self.peer.remote.ip());
        }
        let active = self.rules.active;
        let refusal = if !active.enabled {
            Some(text::ACTIVE_DISABLED)
        } else {
            let (foreign, privileged) = (active.permit_foreign_addresses, active.permit_privileged_ports);
            addr::may_connect(target, self.peer.remote.ip(), foreign, privileged).err()
        };
        match refusal.or_else(|| self.way_refusal(true)) {
            Some(refusal) => self.finish(refusal),
            None => self.open_way(WayKind::Connect, Output::Connect(target)),
        }
    }

    /// Why there may be no new way to a data connection now.
    fn way_refusal(&self, not_after_epsv_all: bool) -> Option<Reply> {
        if not_after_epsv_all && self.parameters.epsv_only {
            Some(text::EPSV_ALL_IN_FORCE)
        } else if self.data_in_clear_is_refused() {
            Some(text::TLS_REQUIRED_ON_DATA)
        } else if self.data.is_running() {
            Some(text::TRANSFER_IN_PROGRESS)
        } else {
            None
        }
    }

    /// Replaces whatever way or idle connection there was.
    fn open_way(&mut self, kind: WayKind, output: Output) {
        let way = Way { kind, until: rules::deadline(self.now, self.rules.passive_timeout) };
        if !matches!(self.data, Data::Closed | Data::Waiting { way: None, .. }) {
            self.outputs.push_back(Output::CloseData);
        }
        self.data = match std::mem::replace(&mut self.data, Data::Closed) {
            Data::Waiting { until, transfer, .. } => Data::Waiting { way: Some(way), until, transfer },
            _ => Data::Opening(way),
        };
        self.outputs.push_back(output);
        self.wait = Wait::Opening;
    }

    pub(super) fn listening(&mut self, port: u16, address: Option<Ipv4Addr>) {
        let local = self.peer.local.ip();
        let Some(way) = self.data.way_mut() else { return };
        let WayKind::Listen { extended } = way.kind else { return };
        way.kind = WayKind::Listening;
        let reply = match (extended, address, local) {
            (true, ..) => addr::extended_passive_reply(port),
            (false, Some(address), _) | (false, None, IpAddr::V4(address)) => {
                addr::passive_reply(SocketAddrV4::new(address, port))
            }
            (false, None, IpAddr::V6(_)) => text::PASV_OVER_IPV6,
        };
        self.wait_is_over();
        self.finish(reply);
    }

    pub(super) fn data_opened(&mut self) {
        match self.data.way().map(|way| way.kind) {
            None | Some(WayKind::Listen { .. }) => return,
            Some(WayKind::Connect) => {
                self.wait_is_over();
                self.finish(text::ACTIVE_ESTABLISHED);
            }
            Some(WayKind::Listening) => {}
        }
        self.active = self.now;
        match std::mem::replace(&mut self.data, Data::Closed) {
            Data::Waiting { transfer, .. } => self.start(transfer),
            _ => {
                self.data = Data::Open {
                    until: rules::deadline(self.now, self.rules.data_timeout),
                    half_closed: false,
                }
            }
        }
    }

    pub(super) fn data_half_closed(&mut self) {
        if let Data::Open { half_closed, .. } = &mut self.data {
            *half_closed = true;
            self.active = self.now;
        }
    }

    pub(super) fn data_failed(&mut self, failure: DataFailure) {
        if self.data.way().is_none() {
            return;
        }
        let reply = match failure {
            DataFailure::PortsExhausted => text::PORTS_EXHAUSTED,
            DataFailure::Listen => text::CANNOT_LISTEN,
            DataFailure::Connect => text::CANNOT_CONNECT,
            DataFailure::SourcePort => text::NO_SOURCE_PORT,
        };
        self.way_ended(reply, Cause::Peer);
    }

    /// Nobody came, or somebody came and did nothing.
    pub(super) fn data_timed_out(&mut self) {
        match (&self.data, self.data.way().map(|way| way.kind)) {
            // A client that opens a data connection and then says nothing is an idle client.
            (Data::Open { .. }, _) => self.say_and_close(text::DATA_TIMED_OUT),
            (_, Some(WayKind::Connect)) => self.way_ended(text::ACTIVE_TIMED_OUT, Cause::Timeout),
            (_, Some(WayKind::Listen { .. })) => self.way_ended(text::CANNOT_LISTEN, Cause::Timeout),
            (Data::Opening(_), Some(WayKind::Listening)) => {
                self.emit(Event::ClientNeverCame);
                self.drop_data(Cause::Timeout);
                self.say(text::PASSIVE_TIMED_OUT);
            }
            (_, Some(WayKind::Listening)) => {
                self.emit(Event::ClientNeverCame);
                self.transfer_stays_alone();
            }
            (_, None) => self.transfer_stays_alone(),
        }
    }

    /// There will be no data connection this way: `reply` answers the command that asked for it, if it has not been
    /// answered.
    fn way_ended(&mut self, reply: Reply, cause: Cause) {
        let has_transfer = self.data.has_transfer();
        self.drop_data(cause);
        if matches!(self.wait, Wait::Opening) {
            self.wait_is_over();
            self.finish(reply);
        }
        if has_transfer {
            self.say(text::NO_DATA_CONNECTION);
            self.transfer_is_over();
        }
    }

    /// No data connection has come for a transfer.
    fn transfer_stays_alone(&mut self) {
        self.give_up_waiting(Cause::Timeout);
        self.transfer_is_over();
    }

    fn wait_is_over(&mut self) {
        if matches!(self.wait, Wait::Opening) {
            self.wait = Wait::Nothing;
        }
    }
}
