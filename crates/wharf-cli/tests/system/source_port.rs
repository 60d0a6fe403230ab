//! Active mode from port 20, and the one right that it takes.

use std::fs;
use std::net::{TcpListener, TcpStream};

use crate::accounts::{PamService, User, log_in};
use crate::case::Case;
use crate::client::{Client, read_to_end};
use crate::confinement::virtual_user;
use crate::row::Verdict;
use crate::server::{Server, USER, without_place};

pub(crate) const CASES: &[Case] = &[
    Case::new("system users: active connections leave from port 20", system_users),
    Case::new("run_as keeps the right to port 20 and no other", run_as),
    Case::new("a source port that is not privileged keeps nothing", unprivileged),
    Case::new("privileged data ports without the right to them end the program", without_right),
];

fn system_users() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    let server = Server::for_users(&service, &[&user], "[active]\nsource_port = 20");
    server.says("running as root with cap_setgid cap_setuid cap_net_bind_service cap_audit_write, ");
    let mut client = user.log_in(&server);
    let (data, _listener) = connect(&mut client);
    assert_eq!(from(&data), 20);
    Verdict::Passed
}

fn run_as() -> Verdict {
    let user = User::new();
    let server = start_as(&user, 20);
    server.says(&format!("running as {} with cap_net_bind_service, no new privileges, ", user.name));
    let log_in = || log_in(&server, USER.0, USER.1);
    let (mut first, mut second) = (log_in(), log_in());

    // Both are open at once.
    let (data, listener) = connect(&mut first);
    let (other, _other_listener) = connect(&mut second);
    assert_eq!([from(&data), from(&other)], [20, 20]);

    // The server closes first, so its end lingers; the next leads to another port of the client.
    first.ask("NLST", "1*");
    assert_eq!(read_to_end(data), b"");
    first.expect("226*");
    let (_data, listening) = connect(&mut first);

    // One that leads where another leads already cannot be told from it.
    let port = listening.local_addr().expect("a bound socket").port();
    let refused = "425 Can't open active connection: the server's data port cannot be used for it now.";
    second.ask(format!("EPRT |1|127.0.0.1|{port}|"), refused);
    server.says("the client cannot be connected to from active.source_port: another connection leads to the same port");
    connect(&mut second);
    drop(listener);
    Verdict::Passed
}

fn unprivileged() -> Verdict {
    let user = User::new();
    let server = start_as(&user, 1024);
    server.says(&format!("running as {} with no capabilities, ", user.name));
    Verdict::Passed
}

fn without_right() -> Verdict {
    let free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if free.trim().parse::<u16>().is_ok_and(|first| first <= 20) {
        return Verdict::Skipped(
            "port 20 needs no right here (net.ipv4.ip_unprivileged_port_start)".to_owned(),
        );
    }
    let user = User::new();
    for (settings, expected) in [
        ("active.source_port = 20", "active.source_port: 20"),
        ("passive.ports = \"10-20\"", "passive.ports: 20"),
    ] {
        let output = user.run(env!("CARGO_BIN_EXE_wharf"), &virtual_user(settings).replace("$DIR/home", "/"));
        let said = without_place(&String::from_utf8_lossy(&output.stderr));
        let hint = "permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)";
        assert_eq!(
            (output.status.code(), &*said),
            (Some(2), format!("wharf: {expected}: {hint}\n").as_str())
        );
    }
    Verdict::Passed
}

/// A server of virtual users that becomes this user.
fn start_as(user: &User, source_port: u16) -> Server {
    let settings = format!("run_as = {:?}\nactive.source_port = {source_port}", user.name);
    Server::start(&virtual_user(&settings), |directory| {
        fs::create_dir(directory.join("home")).expect("a home");
        user.own(&directory.join("home"), 0o700);
    })
}

fn connect(client: &mut Client) -> (TcpStream, TcpListener) {
    let (listener, command) = client.active();
    client.ask(command, "200*");
    (listener.accept().expect("the server connects").0, listener)
}

/// The port of the server's end.
fn from(data: &TcpStream) -> u16 {
    data.peer_addr().expect("a connected socket").port()
}
