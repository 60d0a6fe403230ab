//! The protocols of service managers, from the side of the service.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wharf_sys::daemon;
use wharf_sys::service::{self, Notice};

use crate::rows::{Needs, Place, Row, child, succeed};

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row { name: "notices_reach_the_service_manager",         needs: Needs::Nothing, place: Place::Thread,  run: notices_reach_the_service_manager },
    Row { name: "notify",                                    needs: Needs::Nothing, place: Place::Helper,  run: notify },
    Row { name: "without_a_service_manager_nothing_happens", needs: Needs::Nothing, place: Place::Process, run: without_a_service_manager_nothing_happens },
    Row { name: "inherited_sockets_are_served",              needs: Needs::Nothing, place: Place::Thread,  run: inherited_sockets_are_served },
    Row { name: "serve",                                     needs: Needs::Nothing, place: Place::Helper,  run: serve },
    Row { name: "other_inherited_descriptors_are_refused",   needs: Needs::Nothing, place: Place::Thread,  run: other_inherited_descriptors_are_refused },
    Row { name: "refuse",                                    needs: Needs::Nothing, place: Place::Helper,  run: refuse },
    Row { name: "the_open_files_limit_is_raised",            needs: Needs::Nothing, place: Place::Process, run: the_open_files_limit_is_raised },
    Row { name: "the_umask_is_set",                          needs: Needs::Nothing, place: Place::Process, run: the_umask_is_set },
];

fn notices_reach_the_service_manager() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    succeed(child("notify").env("NOTIFY_SOCKET", &path)).unwrap();
    let mut buffer = [0; 64];
    let length = manager.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"READY=1");
}

fn notify() {
    assert!(service::notify(Notice::Ready).unwrap());
}

fn without_a_service_manager_nothing_happens() {
    assert!(!service::notify(Notice::Ready).unwrap());
    assert!(service::inherited_listeners().unwrap().is_empty());
}

/// A child whose third descriptor is this one, told so as a service manager does.
fn activated(role: &str, socket: OwnedFd) -> Command {
    let test = child(role);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", r#"LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=ftp exec "$0" 3<&0"#])
        .arg(test.get_program());
    shell.envs(test.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::from(socket));
    shell
}

fn inherited_sockets_are_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = activated("serve", listener.into()).spawn().unwrap();
    let mut greeting = String::new();
    TcpStream::connect(address).unwrap().read_to_string(&mut greeting).unwrap();
    assert_eq!(greeting, "ftp");
    assert!(server.wait().unwrap().success());
}

fn serve() {
    let inherited = service::inherited_listeners().unwrap();
    assert_eq!(inherited.len(), 1);
    let flags = rustix::io::fcntl_getfd(&inherited[0].listener).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    let (mut client, _) = inherited[0].listener.accept().unwrap();
    client.write_all(inherited[0].name.as_bytes()).unwrap();
    assert!(service::inherited_listeners().unwrap().is_empty(), "they are handed out once");
}

fn other_inherited_descriptors_are_refused() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    succeed(&mut activated("refuse", socket.into())).unwrap();
}

fn refuse() {
    assert_eq!(service::inherited_listeners().unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}

fn the_open_files_limit_is_raised() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(32), maximum }).unwrap();
    assert_eq!(daemon::raise_open_files_limit().unwrap(), maximum.unwrap_or(u64::MAX));
    assert_eq!(getrlimit(Resource::Nofile).current, maximum);
}

fn the_umask_is_set() {
    daemon::set_umask(0o027);
    assert_eq!(daemon::set_umask(0o022), 0o027);
}
