//! Listeners, what may connect to them, and how many.

mod accept;
mod limits;
mod listen;
mod masquerade;
mod passive_ports;

pub(crate) use self::accept::Acceptor;
pub(crate) use self::limits::{ConnectionLimits, LimitHit, Permit};
pub(crate) use self::listen::{canonical, listen, open};
pub(crate) use self::masquerade::MasqueradeNames;
pub(crate) use self::passive_ports::{PassivePorts, check_ports};
