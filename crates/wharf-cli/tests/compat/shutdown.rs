//! The end of the program: sessions are told, transfers may finish.

use std::{fs, io::Write};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    case::Case,
    client::Client,
    server::{Server, eventually},
};

pub(crate) const CASES: &[Case] = &[
    Case::new("SIGTERM says goodbye", |server| {
        let mut client = Client::login(server);
        signal(server, Signal::TERM);
        client.expect("421*");
        client.expect_end();
        assert_eq!(server.wait(), Some(0));
    })
    .own(),
    Case::new("SIGINT says goodbye", |server| {
        let mut client = Client::connect(server);
        signal(server, Signal::INT);
        client.expect("421*");
        assert_eq!(server.wait(), Some(0));
    })
    .own(),
    Case::new("SIGTERM lets a transfer finish", |server| {
        let mut client = Client::login(server);
        let mut data = client.start("STOR file");
        data.write_all(b"before").expect("the server reads");
        signal(server, Signal::TERM);
        eventually("the server is stopping", || is_stopping(server));
        data.write_all(b" and after").expect("the server reads");
        drop(data);
        client.expect("226*");
        assert_eq!(fs::read(server.home().join("file")).expect("a file"), b"before and after");
        assert_eq!(server.wait(), Some(0));
    })
    .own(),
    Case::new("a second signal stops at once", |server| {
        let mut client = Client::login(server);
        let _data = client.start("STOR file");
        signal(server, Signal::TERM);
        // Sent at once, the second could become one with the first.
        eventually("the server is stopping", || is_stopping(server));
        signal(server, Signal::TERM);
        server.wait();
    })
    .own(),
    Case::new("the grace of a shutdown has an end", |server| {
        let mut client = Client::login(server);
        let _data = client.start("STOR file");
        signal(server, Signal::TERM);
        server.wait();
    })
    .with("shutdown_grace = '200ms'"),
];

/// Whether the server has heard of the first signal.
fn is_stopping(server: &Server) -> bool {
    server.log().contains(" INFO  stopping")
}

fn signal(server: &Server, signal: Signal) {
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("our own child");
}
