//! The end of the program: sessions are told, transfers may finish.

use std::{fs, io::Write, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::{case::Case, client::Client, server::Server};

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
        client.expect_silence(Duration::from_millis(100));
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
        client.expect_silence(Duration::from_millis(100));
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

/// Runs the program to its end; `timeout` is for the day when it starts to serve instead.
fn signal(server: &Server, signal: Signal) {
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("our own child");
}
