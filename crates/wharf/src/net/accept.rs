//! An accept loop that nothing stops.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use super::{canonical, listen::set_control_options};

/// How long to wait when the system is out of something, so as not to spin until there is some again.
const BREATH: Duration = Duration::from_millis(100);

/// Accepts control connections from one listener, whatever goes wrong meanwhile.
///
/// When the process is out of descriptors a connection that is not accepted stays ready, and an accept loop that only
/// retries spins. So one descriptor is kept in reserve: it is given up to accept the connection, which is refused and
/// closed, and taken back.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: TcpListener,
    refusal: &'static [u8],
    reserve: Option<File>,
    shed: u64,
    no_delay: bool,
}

/// Whether an accepted socket has the options of its listener, which saves setting them for each client.
const OPTIONS_ARE_INHERITED: bool = cfg!(target_os = "linux");

impl Acceptor {
    /// Accepts from `listener`; `refusal` is what a client reads for whom no descriptor is left.
    pub(crate) fn new(listener: TcpListener, refusal: &'static [u8]) -> Self {
        Self { listener, refusal, reserve: reserve(), shed: 0, no_delay: true }
    }

    /// Makes connections send small replies at once (`tcp_no_delay`), or not, and sets their other options.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn set_options(&mut self, no_delay: bool) -> io::Result<()> {
        self.no_delay = no_delay;
        set_control_options(SockRef::from(&self.listener), no_delay)
    }

    /// The next connection and its canonical address. Cancelling it loses nothing.
    pub(crate) async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    if !OPTIONS_ARE_INHERITED {
                        // A client that is gone already is noticed soon enough.
                        let _ = set_control_options(SockRef::from(&stream), self.no_delay);
                    }
                    return (stream, canonical(from));
                }
                Err(error) => self.recover(&error).await,
            }
        }
    }

    /// Does what the failure of an accept calls for.
    async fn recover(&mut self, error: &io::Error) {
        match shortage(error) {
            Shortage::Descriptors => {
                if self.shed.is_power_of_two() || self.shed == 0 {
                    warn!(%error, refused = self.shed, "no descriptors left for new connections; raise the limit of open files");
                }
                self.shed().await;
            }
            Shortage::Other => {
                warn!(%error, "cannot accept connections");
                tokio::time::sleep(BREATH).await;
            }
            Shortage::None => {}
        }
    }

    /// Refuses all connections that wait, by means of the descriptor in reserve, then waits.
    async fn shed(&mut self) {
        while self.reserve.take().is_some() {
            let Ok(accepted) = tokio::time::timeout(Duration::ZERO, self.listener.accept()).await else {
                break;
            };
            let Ok((stream, _)) = accepted else { break };
            self.shed += 1;
            // Best effort: a new connection has room for one line.
            let _ = stream.try_write(self.refusal);
            drop(stream);
            self.reserve = reserve();
        }
        self.reserve = self.reserve.take().or_else(reserve);
        tokio::time::sleep(BREATH).await;
    }
}

/// A descriptor that can be given up.
fn reserve() -> Option<File> {
    File::open(if cfg!(windows) { "NUL" } else { "/dev/null" }).ok()
}

/// What the system was out of.
enum Shortage {
    /// Nothing: that one connection was gone before it was accepted.
    None,
    Descriptors,
    Other,
}

#[cfg(unix)]
fn shortage(error: &io::Error) -> Shortage {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE) => Shortage::Descriptors,
        // accept(2): errors that were already pending on the new connection, to be treated like "try again".
        Some(
            Errno::CONNABORTED
            | Errno::INTR
            | Errno::PROTO
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP,
        ) => Shortage::None,
        _ => Shortage::Other,
    }
}

#[cfg(not(unix))]
fn shortage(error: &io::Error) -> Shortage {
    /// Too many open sockets, as Windows says it.
    const WSAEMFILE: i32 = 10_024;

    match error.kind() {
        _ if error.raw_os_error() == Some(WSAEMFILE) => Shortage::Descriptors,
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => Shortage::None,
        _ => Shortage::Other,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::net::Ipv4Addr;
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;
    use crate::net::listen;

    #[tokio::test]
    async fn connections_have_the_options_of_their_listener() {
        for no_delay in [true, false] {
            let mut acceptor = Acceptor::new(listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap(), b"");
            acceptor.set_options(no_delay).unwrap();
            let _client = std::net::TcpStream::connect(acceptor.listener.local_addr().unwrap()).unwrap();
            let (stream, _) = acceptor.accept().await;
            let socket = SockRef::from(&stream);
            assert!(socket.out_of_band_inline().unwrap() && socket.keepalive().unwrap());
            assert_eq!(socket.tcp_nodelay().unwrap(), no_delay);
        }
    }

    const CHILD: &str = "WHARF_TEST_OUT_OF_DESCRIPTORS";

    /// The limit is the process's own, so the test proper runs in a process of its own.
    #[test]
    fn a_client_for_whom_no_descriptor_is_left_is_told_so() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "net::accept::tests::out_of_descriptors"])
            .env(CHILD, "1")
            .status()
            .unwrap();
        assert!(status.success());
    }

    #[tokio::test]
    #[ignore = "run by a_client_for_whom_no_descriptor_is_left_is_told_so"]
    async fn out_of_descriptors() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let mut acceptor = Acceptor::new(listener, b"421 no\r\n");
        let address = acceptor.listener.local_addr().unwrap();
        let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let limits = getrlimit(Resource::Nofile);
        let mut hoard = Vec::new();
        setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: limits.maximum }).unwrap();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        let reading = tokio::task::spawn_blocking(move || {
            for mut client in clients {
                let mut text = String::new();
                client.read_to_string(&mut text).unwrap();
                assert_eq!(text, "421 no\r\n");
            }
        });
        tokio::select! {
            _ = acceptor.accept() => panic!("there was no descriptor for it"),
            read = reading => read.unwrap(),
        }
        drop(hoard);
        let client = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(acceptor.accept().await.1, client.local_addr().unwrap());
    }
}
