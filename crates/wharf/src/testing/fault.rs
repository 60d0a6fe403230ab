//! What a test server does wrong, and when.

use std::time::Duration;

/// The name of the occasion on which a client connects: the greeting is the reply to it.
pub const GREETING: &str = "CONNECT";

/// Something that a [`TestServer`](super::TestServer) does wrong. Several may befall one command.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::{Fault, GREETING};
///
/// // The second download ends after 1000 bytes, and yet the server says that all is well.
/// let cut = Fault::on("RETR").nth(2).cut_data_after(1000);
/// let lie = Fault::on("RETR").nth(2).replace_reply("226 Transfer complete.");
///
/// let no_ports = Fault::on("PASV").first(3).answer("425 Can't open passive connection.");
/// let slow = Fault::on("LIST").delay(Duration::from_millis(200));
/// let full = Fault::on(GREETING).answer("421 Too many connections.");
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) occasion: Occasion,
    pub(super) action: Action,
}

/// When a [`Fault`] strikes: at a command, always unless [`nth`](Self::nth) or [`first`](Self::first) is said.
/// Commands are counted over all connections.
#[derive(Clone, Debug)]
#[must_use = "say what happens on this occasion"]
pub struct Occasion {
    pub(super) verb: String,
    which: Which,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    All,
    First(u64),
    Nth(u64),
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    /// The server never hears of the command.
    Answer(String),
    /// The last reply to the command is another.
    ReplaceReply(String),
    /// The first reply to the command comes late.
    Delay(Duration),
    /// The control connection ends instead of a reply.
    DropControl,
    /// The data connection of the command fails.
    Break(Break),
}

/// A failure of a data connection, once `after` bytes of content have moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) after: u64,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Close,
    Reset,
    Stall,
}

impl Fault {
    /// Begins to describe a fault that strikes at the command `verb`, in capitals or not, or at the [`GREETING`].
    pub fn on(verb: &str) -> Occasion {
        Occasion { verb: verb.to_ascii_uppercase(), which: Which::All }
    }
}

impl Occasion {
    /// Only the first `times` times.
    pub fn first(self, times: u64) -> Self {
        Self { which: Which::First(times), ..self }
    }

    /// Only one time, the `number`th, counted from 1.
    pub fn nth(self, number: u64) -> Self {
        Self { which: Which::Nth(number), ..self }
    }

    /// `reply` is the answer, and the command is not carried out. A reply of several lines holds `\r\n` between
    /// them. After a 421 the connection is closed.
    pub fn answer(self, reply: &str) -> Fault {
        self.fault(Action::Answer(reply.to_owned()))
    }

    /// The command is carried out, but `reply` is said about it; about a transfer, at its end.
    pub fn replace_reply(self, reply: &str) -> Fault {
        self.fault(Action::ReplaceReply(reply.to_owned()))
    }

    /// The reply comes late by `time`. Commands sent meanwhile wait.
    pub fn delay(self, time: Duration) -> Fault {
        self.fault(Action::Delay(time))
    }

    /// The control connection is closed when the command comes. It is not carried out.
    pub fn drop_control(self) -> Fault {
        self.fault(Action::DropControl)
    }

    /// The data connection is closed (FIN) after `bytes` bytes, and the server says 426.
    pub fn cut_data_after(self, bytes: u64) -> Fault {
        self.fault(Action::Break(Break { after: bytes, how: How::Close }))
    }

    /// The data connection is reset (RST) after `bytes` bytes, and the server says 426.
    pub fn reset_data_after(self, bytes: u64) -> Fault {
        self.fault(Action::Break(Break { after: bytes, how: How::Reset }))
    }

    /// Nothing moves any more after `bytes` bytes, and nobody says so. ABOR ends it, as does the client by closing
    /// the connection.
    pub fn stall_data_after(self, bytes: u64) -> Fault {
        self.fault(Action::Break(Break { after: bytes, how: How::Stall }))
    }

    /// Whether this is the one, when the verb comes for the `number`th time.
    pub(super) fn includes(&self, number: u64) -> bool {
        match self.which {
            Which::All => true,
            Which::First(times) => number <= times,
            Which::Nth(nth) => number == nth,
        }
    }

    fn fault(self, action: Action) -> Fault {
        Fault { occasion: self, action }
    }
}
