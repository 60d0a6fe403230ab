//! The relay of control connections: it reads along, and makes the faults.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::data::{DataRelay, Ends, Order, Terms};
use super::fault::{Action, GREETING};
use super::script::Script;
use super::secure::{Securing, Security};
use super::wire::Wire;

/// What all relays of a server share.
#[derive(Clone)]
pub(super) struct Relays {
    /// Where the server is.
    pub(super) behind: SocketAddr,
    pub(super) script: Arc<Script>,
    pub(super) security: Option<Security>,
    /// TLS begins with the first byte.
    pub(super) implicit: bool,
}

/// Relays every client to the server, until dropped.
pub(super) async fn accept_all(listener: TcpListener, relays: Relays) {
    let mut sessions = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while sessions.try_join_next().is_some() {}
        let relays = relays.clone();
        sessions.spawn(async move {
            // However a connection ends, its client knows.
            let _ = relay(client, relays).await;
        });
    }
}

/// Commands with a data connection.
const TRANSFERS: [&str; 7] = ["RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"];

/// Codes that end a transfer when other commands are being answered besides.
const TRANSFER_ENDS: [u16; 6] = [226, 426, 451, 452, 522, 552];

/// A connection that lines come from; waiting for one may be cancelled.
struct Lines {
    wire: BufReader<Wire>,
    partial: Vec<u8>,
}

/// One control connection.
struct Session {
    client: Lines,
    server: Lines,
    script: Arc<Script>,
    securing: Option<Securing>,
    /// TLS began with the first byte.
    implicit: bool,
    logged_in: bool,
    /// Data connections are under TLS.
    private: bool,
    /// Commands whose reply has not come.
    pending: VecDeque<Pending>,
    /// The command whose 125 or 150 has come, and nothing else yet.
    transfer: Option<Pending>,
    data: Option<DataRelay>,
    orders: watch::Sender<Order>,
    /// A 226 that must not overtake the bytes it is about.
    held: Option<Vec<u8>>,
}

/// What the client has been told while the server begins TLS: a fault may have changed it.
enum Told {
    ToBegin,
    Otherwise,
}

/// A command that is to be answered.
struct Pending {
    verb: String,
    /// Whether it is a PROT that asks for data connections under TLS.
    asks_for_privacy: bool,
    actions: Vec<Action>,
}

async fn relay(client: TcpStream, relays: Relays) -> io::Result<()> {
    let Relays { behind, script, security, implicit } = relays;
    let greeting = Pending::new(GREETING.to_owned(), b"", &script);
    let server = TcpStream::connect(behind).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut client, mut server) = (Wire::from(client), Wire::from(server));
    let securing = security.as_ref().map(Security::session).transpose()?;
    if let Some(securing) = securing.as_ref().filter(|_| implicit) {
        client = securing.accept(client).await?;
        server = securing.connect(server).await?;
    }
    let session = Session {
        client: Lines::new(client),
        server: Lines::new(server),
        script,
        securing,
        implicit,
        logged_in: false,
        private: implicit,
        pending: VecDeque::new(),
        transfer: None,
        data: None,
        orders: watch::Sender::default(),
        held: None,
    };
    if greeting.drops_control() {
        return Ok(());
    }
    session.run(greeting).await
}

impl Session {
    async fn run(mut self, greeting: Pending) -> io::Result<()> {
        self.pending.push_back(greeting);
        let mut reply = Vec::new();
        loop {
            // What comes in clear behind AUTH is for nobody.
            let is_securing = self.pending.iter().any(|pending| pending.verb == "AUTH");
            tokio::select! {
                biased;
                () = delivered(&mut self.data), if self.held.is_some() => self.release().await?,
                line = self.server.next(), if self.held.is_none() => {
                    let Some(line) = line? else { return self.client.wire.shutdown().await };
                    reply.extend_from_slice(&line);
                    if is_last(&reply, &line)
                        && let Some(told) = self.replied(std::mem::take(&mut reply)).await?
                    {
                        self = self.secured(told).await?;
                    }
                }
                line = self.client.next(), if !is_securing => match line? {
                    Some(line) => self.commanded(line).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// The server begins TLS, and so does a client that has been `told`.
    async fn secured(self, told: Told) -> io::Result<Self> {
        let Some(securing) = &self.securing else { return Ok(self) };
        let server = securing.connect(self.server.wire.into_inner()).await?;
        let client = match told {
            Told::ToBegin => Lines::new(securing.accept(self.client.wire.into_inner()).await?),
            Told::Otherwise => self.client,
        };
        Ok(Self { client, server: Lines::new(server), ..self })
    }

    /// The client sent a command.
    async fn commanded(&mut self, line: Vec<u8>) -> io::Result<()> {
        self.script.heard(&line);
        let pending = Pending::new(verb_of(&line), &line, &self.script);
        if pending.drops_control() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if pending.canned().is_some() {
            self.pending.push_back(pending);
            return self.say_canned().await;
        }
        if TRANSFERS.contains(&&*pending.verb) {
            self.orders.send_replace(pending.order());
        }
        if pending.verb == "ABOR" && self.held.is_some() {
            self.data = None;
            self.release().await?;
        }
        let line = match target_of(&line) {
            Some(target) => self.relay_active(target).await.unwrap_or(line),
            None => line,
        };
        self.pending.push_back(pending);
        self.server.send(&line).await
    }

    /// The server sent a reply. If it begins TLS now, the answer is what the client has been told.
    async fn replied(&mut self, reply: Vec<u8>) -> io::Result<Option<Told>> {
        let code = code_of(&reply);
        let ends_transfer =
            self.transfer.is_some() && (self.pending.is_empty() || TRANSFER_ENDS.contains(&code));
        let answered = if ends_transfer { self.transfer.take() } else { self.pending.pop_front() };
        let Some(answered) = answered else { return self.client.send(&reply).await.map(|()| None) };
        // The delay is before the first reply, and that of a transfer has come already when it ends.
        if !ends_transfer {
            answered.wait().await;
        }
        if (100..200).contains(&code) {
            self.client.send(&reply).await?;
            self.transfer = Some(answered);
            return self.say_canned().await.map(|()| None);
        }
        self.note(&answered, code);
        if answered.verb == "PORT" && code >= 400 {
            self.data = None;
        }
        let reply = match (answered.replacement(), code) {
            (Some(text), _) => with_line_end(text),
            (None, 227 | 229) => self.relay_passive(&reply, code).await?,
            (None, _) => reply,
        };
        let aborting = self.pending.iter().any(|pending| pending.verb == "ABOR");
        if ends_transfer && code == 226 && !aborting && self.data.is_some() {
            self.held = Some(reply);
            return Ok(None);
        }
        if ends_transfer {
            self.data = None;
        }
        self.say(&reply).await?;
        self.say_canned().await?;
        let told = if code_of(&reply) == 234 { Told::ToBegin } else { Told::Otherwise };
        Ok((answered.verb == "AUTH" && code == 234).then_some(told))
    }

    /// Keeps in mind whether data connections are under TLS (RFC 4217 §9). Whoever leaves takes that along.
    fn note(&mut self, answered: &Pending, code: u16) {
        match (&*answered.verb, code) {
            ("PROT", 200) => self.private = answered.asks_for_privacy,
            ("PASS", 230) => self.logged_in = true,
            ("AUTH", 234) | ("REIN", 200..300) => self.forget(),
            ("USER", 200..400) if self.logged_in => self.forget(),
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.logged_in = false;
        self.private = self.implicit;
    }

    /// Sends a reply; a 421 is the last (RFC 959 §4.2.1).
    async fn say(&mut self, reply: &[u8]) -> io::Result<()> {
        if TRANSFER_ENDS.contains(&code_of(reply)) {
            self.client.wire.get_mut().repeat_ticket();
        }
        self.client.send(reply).await?;
        if code_of(reply) == 421 { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// The bytes have arrived, so the 226 about them may.
    async fn release(&mut self) -> io::Result<()> {
        if let Some(reply) = self.held.take() {
            self.say(&reply).await?;
        }
        self.say_canned().await
    }

    /// Answers commands that the server never heard of, once it is their turn.
    async fn say_canned(&mut self) -> io::Result<()> {
        while self.held.is_none()
            && let Some(text) = self.pending.front().and_then(Pending::canned)
        {
            let reply = with_line_end(text);
            if let Some(answered) = self.pending.pop_front() {
                answered.wait().await;
            }
            self.say(&reply).await?;
        }
        Ok(())
    }

    /// Puts a port of ours in the place of the server's.
    async fn relay_passive(&mut self, reply: &[u8], code: u16) -> io::Result<Vec<u8>> {
        let Some(port) = passive_port(reply) else { return Ok(reply.to_vec()) };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let ours = listener.local_addr()?.port();
        let ends = Ends::Passive { server: (Ipv4Addr::LOCALHOST, port).into() };
        self.data = Some(DataRelay::start(listener, ends, self.terms()));
        Ok(with_line_end(&match code {
            227 => format!("227 Entering passive mode (127,0,0,1,{},{}).", ours >> 8, ours & 255),
            _ => format!("229 Entering extended passive mode (|||{ours}|)."),
        }))
    }

    /// What there is to know for the relay of a new data connection.
    fn terms(&self) -> Terms {
        let is_ordered =
            self.transfer.is_some() || self.pending.iter().any(|pending| TRANSFERS.contains(&&*pending.verb));
        let securing = self.securing.clone().filter(|_| self.private);
        Terms { orders: self.orders.subscribe(), is_ordered, securing }
    }

    /// Connects to the client, and answers with the command that makes the server connect to us. A client that
    /// cannot be reached is left to the server.
    async fn relay_active(&mut self, target: SocketAddrV4) -> io::Result<Vec<u8>> {
        let client = TcpStream::connect(target).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        self.data = Some(DataRelay::start(listener, Ends::Active { client }, self.terms()));
        Ok(with_line_end(&format!("PORT 127,0,0,1,{},{}", port >> 8, port & 255)))
    }
}

impl Pending {
    /// What befalls the command in `line`.
    fn new(verb: String, line: &[u8], script: &Script) -> Self {
        let argument = line.split(|&byte| byte == b' ').nth(1).and_then(|argument| argument.first());
        let asks_for_privacy =
            verb == "PROT" && argument.is_some_and(|level| level.eq_ignore_ascii_case(&b'P'));
        Self { actions: script.meet(&verb), verb, asks_for_privacy }
    }

    /// What a transfer command orders.
    fn order(&self) -> Order {
        let failure = self.actions.iter().find_map(|action| match action {
            Action::Break(failure) => Some(*failure),
            _ => None,
        });
        Order { failure }
    }

    fn drops_control(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::DropControl))
    }

    /// The answer that is given without asking the server. The greeting is never asked for: it comes by itself.
    fn canned(&self) -> Option<&str> {
        self.actions.iter().find_map(|action| match action {
            Action::Answer(text) if self.verb != GREETING => Some(text.as_str()),
            _ => None,
        })
    }

    /// What is said instead of the server's last reply.
    fn replacement(&self) -> Option<&str> {
        self.actions.iter().find_map(|action| match action {
            Action::ReplaceReply(text) => Some(text.as_str()),
            Action::Answer(text) if self.verb == GREETING => Some(text.as_str()),
            _ => None,
        })
    }

    /// Waits as long as the faults say.
    async fn wait(&self) {
        for action in &self.actions {
            if let Action::Delay(time) = action {
                tokio::time::sleep(*time).await;
            }
        }
    }
}

impl Lines {
    fn new(wire: Wire) -> Self {
        Self { wire: BufReader::new(wire), partial: Vec::new() }
    }

    /// The next line with its end; `None` after the last.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.wire.read_until(b'\n', &mut self.partial).await?;
        let line = std::mem::take(&mut self.partial);
        Ok((!line.is_empty()).then_some(line))
    }

    /// Sends lines the other way.
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes).await?;
        self.wire.flush().await
    }
}

/// Waits until the client has what the data connection brought; for ever, if there is none.
async fn delivered(data: &mut Option<DataRelay>) {
    if let Some(data) = data {
        data.delivered().await;
    }
}

/// The verb of a line in capitals, Telnet signals left out.
fn verb_of(line: &[u8]) -> String {
    let letters = line.iter().skip_while(|byte| !byte.is_ascii_alphabetic());
    letters
        .take_while(|byte| byte.is_ascii_alphabetic())
        .map(|byte| byte.to_ascii_uppercase() as char)
        .collect()
}

/// The code of a reply; 0 when there is none.
fn code_of(reply: &[u8]) -> u16 {
    let digits = reply.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Whether `line` ends `reply`: it begins with the same code, and no hyphen follows (RFC 959 §4.2).
fn is_last(reply: &[u8], line: &[u8]) -> bool {
    reply.get(..3) == line.get(..3) && line.get(3) != Some(&b'-')
}

fn with_line_end(text: &str) -> Vec<u8> {
    format!("{text}\r\n").into_bytes()
}

/// The numbers in a text, in order.
fn numbers(text: &[u8]) -> impl Iterator<Item = u16> {
    let words = text.split(|byte| !byte.is_ascii_digit());
    words.filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
}

/// The port in a 227 or 229: the last two numbers are its bytes, or the last one is the port.
fn passive_port(reply: &[u8]) -> Option<u16> {
    let numbers: Vec<_> = numbers(reply).collect();
    match *numbers.as_slice() {
        [229, port] => Some(port),
        [227, .., high, low] => Some(high << 8 | low),
        _ => None,
    }
}

/// Where PORT or EPRT asks the server to connect, when that is a place on this machine which the server would not refuse.
fn target_of(line: &[u8]) -> Option<SocketAddrV4> {
    let (verb, numbers) = (verb_of(line), numbers(line).collect::<Vec<_>>());
    let port = match (&*verb, numbers.as_slice()) {
        ("PORT", [127, 0, 0, 1, high, low]) => high << 8 | low,
        ("EPRT", [1, 127, 0, 0, 1, port]) => *port,
        _ => return None,
    };
    (port >= 1024).then_some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}
