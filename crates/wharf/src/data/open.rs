//! Making data connections: a listener that waits for one client, or a connection to it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::num::NonZeroU16;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use wharf_proto::DataFailure;

use super::lazy::Lazy;
use super::stream::DataStream;
use crate::net::{PassivePorts, canonical};

/// One client comes; strangers that come before it are turned away and find room to wait for that.
const BACKLOG: i32 = 16;

/// A passive listener, for one session.
#[derive(Debug)]
pub(crate) struct PassiveListener {
    socket: Lazy<StdListener, TcpListener>,
    port: u16,
    /// Whom it waits for; `None` is anybody.
    client: Option<IpAddr>,
    strangers: u64,
}

/// Who came to a passive listener.
#[derive(Debug)]
pub(crate) enum Comer {
    Client(DataStream),
    Stranger(Stranger),
}

/// Somebody who was turned away from a passive listener.
#[derive(Debug)]
pub(crate) struct Stranger {
    pub(crate) from: SocketAddr,
    pub(crate) port: u16,
    /// How many there have been by now.
    pub(crate) count: u64,
}

/// Why there is no active connection, and what the operating system says of it.
pub(crate) type NotConnected = (DataFailure, io::Error);

/// Why there is no listener, and what the operating system says of it.
pub(crate) type NoListener = (DataFailure, Option<io::Error>);

impl PassiveListener {
    /// Listens on the address `local` that the client reached, on a free one of `ports`, for a connection from
    /// `client`, or from anybody when that is `None`. Both addresses are canonical.
    ///
    /// # Errors
    /// [`DataFailure::PortsExhausted`] when all of `ports` are taken, [`DataFailure::Listen`] for any other trouble.
    pub(crate) fn open(
        local: IpAddr,
        ports: &PassivePorts,
        client: Option<IpAddr>,
    ) -> Result<Self, NoListener> {
        let (listener, port) = first_free(local, ports)?;
        Ok(Self { socket: Lazy::Unwatched(listener), port, client, strangers: 0 })
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the client. Others are turned away and told of: all of the first few, then ever fewer.
    ///
    /// # Errors
    /// What the operating system says, such as having no descriptors left; the listener stays usable.
    pub(crate) fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Comer>> {
        loop {
            let (stream, from) = ready!(self.poll_anybody(context))?;
            let from = canonical(from);
            if self.client.is_none_or(|client| client == from.ip()) {
                return Poll::Ready(Ok(Comer::Client(stream)));
            }
            drop(stream);
            self.strangers += 1;
            if self.strangers.is_power_of_two() {
                let stranger = Stranger { from, port: self.port, count: self.strangers };
                return Poll::Ready(Ok(Comer::Stranger(stranger)));
            }
        }
    }

    fn poll_anybody(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(DataStream, SocketAddr)>> {
        if let Lazy::Unwatched(listener) = &self.socket {
            match accept(listener) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return Poll::Ready(accepted.map(|(stream, from)| (stream.into(), from))),
            }
        }
        let listener = self.socket.watch(TcpListener::from_std)?;
        listener.poll_accept(context).map_ok(|(stream, from)| (stream.into(), from))
    }
}

/// Connects to the client at `remote`, from the address `local` that it reached, and from this port of it, if one is
/// given. Both addresses are canonical. How long that may take is for the caller to say.
///
/// # Errors
/// [`DataFailure::SourcePort`] when the connection cannot leave from that port, [`DataFailure::Connect`] when the client
/// is not reached.
pub(crate) async fn connect(
    local: IpAddr,
    source_port: Option<NonZeroU16>,
    remote: SocketAddr,
) -> Result<TcpStream, NotConnected> {
    let not_reached = |error| (DataFailure::Connect, error);
    let socket = if local.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(not_reached)?;
    let Some(port) = source_port else {
        socket.bind((local, 0).into()).map_err(not_reached)?;
        return socket.connect(remote).await.map_err(not_reached);
    };
    // Many connections share the port, those in TIME_WAIT among them; only the other end tells them apart.
    let bound = socket.set_reuseaddr(true).and_then(|()| socket.bind((local, port.get()).into()));
    bound.map_err(|error| (DataFailure::SourcePort, error))?;
    socket.connect(remote).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => {
            (DataFailure::SourcePort, doubled(&error))
        }
        _ => not_reached(error),
    })
}

/// What systems mean by these two words of theirs.
fn doubled(error: &io::Error) -> io::Error {
    let meaning = "another connection leads to the same port of the client, or did a minute ago";
    io::Error::new(error.kind(), format!("{meaning} ({error})"))
}

/// Listens on the first port that nobody else has.
fn first_free(local: IpAddr, ports: &PassivePorts) -> Result<(StdListener, u16), NoListener> {
    let mut failure = None;
    for port in ports.candidates() {
        match listen(local, port) {
            Ok(listener) => return Ok((listener, port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            // One port may be privileged and the next not; all other trouble is the same for each.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => failure = Some(error),
            Err(error) => return Err(refused(error)),
        }
    }
    if ports.any() {
        return listen(local, 0).and_then(with_port).map_err(refused);
    }
    Err(failure.map_or((DataFailure::PortsExhausted, None), refused))
}

/// Listens on one port.
///
/// On Unix a port may be taken again while old connections from it linger in TIME_WAIT, or a small range would be used
/// up within a minute. Two listeners never share one: the kernel refuses the second `listen`.
/// Keep-alive probes are not needed on what is accepted: the data timeout ends dead connections.
fn listen(local: IpAddr, port: u16) -> io::Result<StdListener> {
    let address = SocketAddr::new(local, port);
    let socket = unblocking(Domain::for_address(address))?;
    #[cfg(unix)]
    if port != 0 {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A TCP socket that never blocks, made in one call where the system can.
#[cfg(target_os = "linux")]
fn unblocking(domain: Domain) -> io::Result<Socket> {
    Socket::new_raw(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))
}

#[cfg(not(target_os = "linux"))]
fn unblocking(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Accepts one connection, which never blocks, if there is one.
#[cfg(target_os = "linux")]
fn accept(listener: &StdListener) -> io::Result<(StdStream, SocketAddr)> {
    use rustix::net::{SocketFlags, acceptfrom_with};

    let (stream, from) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let from = from.and_then(|from| SocketAddr::try_from(from).ok());
    Ok((stream.into(), from.ok_or(io::ErrorKind::InvalidData)?))
}

#[cfg(not(target_os = "linux"))]
fn accept(listener: &StdListener) -> io::Result<(StdStream, SocketAddr)> {
    let (stream, from) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, from))
}

fn with_port(listener: StdListener) -> io::Result<(StdListener, u16)> {
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

fn refused(error: io::Error) -> NoListener {
    (DataFailure::Listen, Some(error))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    #[cfg(unix)]
    use tokio::io::AsyncReadExt;

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    #[cfg(target_os = "linux")]
    const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    #[cfg(unix)]
    async fn accept(listener: &mut PassiveListener) -> io::Result<StdStream> {
        loop {
            let comer = std::future::poll_fn(|context| listener.poll_accept(context)).await?;
            if let Comer::Client(DataStream::Plain(mut stream)) = comer {
                return stream.unwatched();
            }
        }
    }

    /// How often a port that was just closed may have gone to somebody else in the meantime.
    const ATTEMPTS: usize = 100;

    /// A range of one port that nobody else has, and a listener on it.
    fn one_port() -> (PassivePorts, PassiveListener) {
        loop {
            let port = std::net::TcpListener::bind((LOCAL, 0)).unwrap().local_addr().unwrap().port();
            let ports = PassivePorts::new(&[port..=port]);
            // Free a moment ago, it may have been given to somebody else.
            if let Ok(listener) = PassiveListener::open(LOCAL, &ports, Some(LOCAL)) {
                return (ports, listener);
            }
        }
    }

    fn open_again(ports: &PassivePorts) -> Result<PassiveListener, DataFailure> {
        PassiveListener::open(LOCAL, ports, Some(LOCAL)).map_err(|(failure, _)| failure)
    }

    #[tokio::test]
    #[cfg(target_os = "linux")] // elsewhere 127.0.0.2 is not an address of this machine
    async fn a_hundred_strangers_do_not_keep_the_client_out() {
        let mut listener = PassiveListener::open(LOCAL, &PassivePorts::new(&[]), Some(LOCAL)).unwrap();
        let address = SocketAddr::new(LOCAL, listener.port());
        let clients = async {
            for _ in 0..100 {
                let mut stranger = connect(STRANGER, None, address).await.unwrap();
                assert!(matches!(stranger.read(&mut [0]).await, Ok(0) | Err(_)));
            }
            connect(LOCAL, None, address).await.unwrap()
        };
        let (accepted, client) = tokio::join!(accept(&mut listener), clients);
        assert_eq!(accepted.unwrap().peer_addr().unwrap(), client.local_addr().unwrap());
        assert_eq!(listener.strangers, 100);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn anybody_may_come_where_that_is_permitted() {
        let mut listener = PassiveListener::open(LOCAL, &PassivePorts::new(&[]), None).unwrap();
        let address = SocketAddr::new(LOCAL, listener.port());
        let (accepted, client) = tokio::join!(accept(&mut listener), connect(STRANGER, None, address));
        assert_eq!(accepted.unwrap().peer_addr().unwrap(), client.unwrap().local_addr().unwrap());
    }

    #[tokio::test]
    async fn two_sessions_never_share_a_port() {
        let is_free_afterwards = |_| {
            let (ports, first) = one_port();
            assert_eq!(open_again(&ports).unwrap_err(), DataFailure::PortsExhausted);
            drop(first);
            open_again(&ports).is_ok()
        };
        assert!((0..ATTEMPTS).any(is_free_afterwards));
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn a_port_is_free_again_while_its_old_connection_lingers() {
        for _ in 0..ATTEMPTS {
            let (ports, mut listener) = one_port();
            let address = SocketAddr::new(LOCAL, listener.port());
            let (accepted, client) = tokio::join!(accept(&mut listener), connect(LOCAL, None, address));
            // The side that closes first, as in a download, is the one that lingers.
            drop(accepted.unwrap());
            assert_eq!(client.unwrap().read(&mut [0]).await.unwrap(), 0);
            drop(listener);
            if open_again(&ports).is_ok() {
                return;
            }
        }
        panic!("a port in TIME_WAIT cannot be listened on");
    }

    #[tokio::test]
    async fn a_client_that_does_not_listen_is_not_reached() {
        // It is held, so that nobody can begin to listen there.
        let held = TcpSocket::new_v4().unwrap();
        held.bind((LOCAL, 0).into()).unwrap();
        assert!(connect(LOCAL, None, held.local_addr().unwrap()).await.is_err());
    }

    /// A port that is bound, so that nobody else is given it, but may be shared by those who say so.
    #[cfg(target_os = "linux")]
    fn shared_port() -> (TcpSocket, Option<NonZeroU16>) {
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind((LOCAL, 0).into()).unwrap();
        let port = NonZeroU16::new(held.local_addr().unwrap().port());
        (held, port)
    }

    #[tokio::test]
    #[cfg(target_os = "linux")] // others do not let the port be held
    async fn connections_share_the_port_they_leave_from() {
        let (_held, port) = shared_port();
        let clients = [(); 3].map(|()| StdListener::bind((LOCAL, 0)).unwrap());
        let [first, second, third] = clients.each_ref().map(|client| client.local_addr().unwrap());
        let (one, two) = tokio::join!(connect(LOCAL, port, first), connect(LOCAL, port, second));
        let (one, two) = (one.unwrap(), two.unwrap());
        for connection in [&one, &two] {
            assert_eq!(NonZeroU16::new(connection.local_addr().unwrap().port()), port);
        }
        // To the same port of a client there can be one only.
        let (failure, error) = connect(LOCAL, port, first).await.unwrap_err();
        assert_eq!((failure, error.kind()), (DataFailure::SourcePort, io::ErrorKind::AddrNotAvailable));
        // The side that closes first is the one that lingers.
        drop(one);
        let (mut accepted, _) = clients[0].accept().unwrap();
        assert_eq!(io::Read::read(&mut accepted, &mut [0]).unwrap(), 0);
        drop(accepted);
        connect(LOCAL, port, third).await.unwrap();
        drop(two);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_port_that_somebody_listens_on_is_nothing_to_leave_from() {
        let taken = StdListener::bind((LOCAL, 0)).unwrap();
        let port = NonZeroU16::new(taken.local_addr().unwrap().port());
        let client = StdListener::bind((LOCAL, 0)).unwrap();
        let (failure, error) = connect(LOCAL, port, client.local_addr().unwrap()).await.unwrap_err();
        assert_eq!((failure, error.kind()), (DataFailure::SourcePort, io::ErrorKind::AddrInUse));
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_client_that_refuses_is_not_the_fault_of_the_port() {
        let (_held, port) = shared_port();
        let deaf = TcpSocket::new_v4().unwrap();
        deaf.bind((LOCAL, 0).into()).unwrap();
        let (failure, _) = connect(LOCAL, port, deaf.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(failure, DataFailure::Connect);
    }
}
