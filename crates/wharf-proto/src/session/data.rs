//! The data connection and what it is for (RFC 959 §3.2).
//!
//! ```text
//!              PASV, EPSV, PORT, EPRT          connected
//!   ┌▶ Closed ─────────────────────▶ Opening ───────────▶ Open
//!   │    │ RETR, STOR, LIST … (150)     │ (150)              │ (125)
//!   │    ▼                              ▼                    ▼
//!   │  Waiting{no way} ── PASV … ─▶ Waiting{way} ───────▶ Running
//!   └────────────────── 226, 425, 426 ─────────────────────┘
//! ```
//!
//! There is one data connection and one transfer. While a transfer is waiting or running a second one is refused, and
//! while it is running so is another way to a data connection: nothing touches what is under way but ABOR.

use std::time::{Duration, Instant};

use crate::TransferType;

use super::{Direction, Op, TransferPlan, WriteMode};

/// The data connection and what it is for.
#[derive(Debug)]
pub(super) enum Data {
    /// There is none, and no way to one.
    Closed,
    /// A listener waits for the client, or the client is being connected to.
    Opening(Way),
    /// It is there and no command has used it. `half_closed`: the client will send no more than it has.
    Open { until: Option<Instant>, half_closed: bool },
    /// A command has been answered 150; there may be a way to a data connection, or the client may yet make one.
    Waiting { way: Option<Way>, until: Option<Instant>, transfer: Box<Transfer> },
    /// Bytes move.
    Running(Box<Transfer>),
}

/// How a data connection comes about, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) kind: WayKind,
    pub(super) until: Option<Instant>,
}

/// How a data connection comes about. Those that have a reply outstanding come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WayKind {
    /// PASV, EPSV: the listener is being opened.
    Listen { extended: bool },
    /// PORT, EPRT: the client is being connected to.
    Connect,
    /// The listener is open, the client knows where.
    Listening,
}

/// A transfer command under way.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) verb: &'static str,
    /// The offset of REST.
    pub(super) offset: u64,
    pub(super) plan: TransferPlan,
    /// When it was answered 125 or 150.
    pub(super) begun: Option<Instant>,
    bytes: u64,
}

impl Transfer {
    /// The transfer that begins with `op`, which opens its file or listing.
    pub(super) fn new(verb: &'static str, op: &Op, transfer_type: TransferType, protected: bool) -> Self {
        let (direction, offset) = match *op {
            Op::OpenRead { offset, .. } => (Direction::Send, offset),
            Op::OpenWrite { mode: WriteMode::At(offset), .. } => (Direction::Receive, offset),
            Op::OpenWrite { .. } | Op::OpenUnique { .. } => (Direction::Receive, 0),
            _ => (Direction::List, 0),
        };
        Self {
            verb,
            offset,
            plan: TransferPlan { direction, transfer_type, protected },
            begun: None,
            bytes: 0,
        }
    }
}

impl Data {
    /// Whether a transfer command has been answered 150 or 125 and not yet finally.
    pub(super) fn has_transfer(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Running(_))
    }

    /// Whether bytes move.
    pub(super) fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    /// Whether a transfer waits for its data connection.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. })
    }

    /// Whether a transfer waits for a connection that nothing leads to yet.
    pub(super) fn waits_for_a_way(&self) -> bool {
        matches!(self, Self::Waiting { way: None, .. })
    }

    /// The way that is being opened or waited on.
    pub(super) fn way(&self) -> Option<&Way> {
        match self {
            Self::Opening(way) => Some(way),
            Self::Waiting { way, .. } => way.as_ref(),
            Self::Closed | Self::Open { .. } | Self::Running(_) => None,
        }
    }

    /// The same, to go on with it.
    pub(super) fn way_mut(&mut self) -> Option<&mut Way> {
        match self {
            Self::Opening(way) => Some(way),
            Self::Waiting { way, .. } => way.as_mut(),
            Self::Closed | Self::Open { .. } | Self::Running(_) => None,
        }
    }

    /// Whether the client is being connected to.
    pub(super) fn is_connecting(&self) -> bool {
        self.way().is_some_and(|way| way.kind == WayKind::Connect)
    }

    /// Whether something is under way that is timed by itself.
    pub(super) fn suspends_idle_timer(&self) -> bool {
        match self {
            Self::Running(_) => true,
            Self::Waiting { .. } | Self::Open { .. } => self.deadline().is_some(),
            Self::Closed | Self::Opening(_) => false,
        }
    }

    /// When what is waited for is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Closed | Self::Running(_) | Self::Open { half_closed: true, .. } => None,
            Self::Opening(way) => way.until,
            Self::Open { until, .. } => *until,
            Self::Waiting { way, until, .. } => way.map_or(*until, |way| way.until),
        }
    }

    /// After an operation that took longer than an open connection may lie idle: it may again, until `fresh`.
    pub(super) fn use_again(&mut self, fresh: Option<Instant>, now: Instant) {
        if let Self::Open { until, .. } = self
            && until.is_some_and(|until| until <= now)
        {
            *until = fresh;
        }
    }

    pub(super) fn set_progress(&mut self, bytes: u64) {
        if let Self::Running(transfer) = self {
            transfer.bytes = bytes;
        }
    }

    /// What STAT says about it.
    pub(super) fn describe(&self, now: Instant) -> Vec<String> {
        match self {
            Self::Closed => vec!["Data connection closed.".to_owned()],
            Self::Opening(way) | Self::Waiting { way: Some(way), .. } => vec![match way.kind {
                WayKind::Connect => "Active data connection being opened.".to_owned(),
                _ => "Passive data channel waiting for connection.".to_owned(),
            }],
            Self::Waiting { way: None, .. } => vec!["Transfer waiting for a data connection.".to_owned()],
            Self::Open { .. } => vec!["Data connection open.".to_owned()],
            Self::Running(transfer) => {
                let elapsed = transfer.begun.map_or(Duration::ZERO, |begun| now.duration_since(begun));
                let (sent, received) = match transfer.plan.direction {
                    Direction::Receive => (0, transfer.bytes),
                    Direction::Send | Direction::List => (transfer.bytes, 0),
                };
                vec![
                    "Data connection open:".to_owned(),
                    format!("Total bytes sent: {sent}"),
                    format!("Total bytes received: {received}"),
                    format!("Transfer elapsed time: {:.3} seconds", elapsed.as_secs_f64()),
                ]
            }
        }
    }
}
