//! How transfers end: with `close_notify`, without, or not at all.

use std::{
    fs,
    io::{Read, Write},
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use crate::{
    case::Case,
    client::{Client, VERSIONS, config, connect, goodbye},
    server::{Server, eventually},
};

pub(crate) const CASES: &[Case] = &[
    Case { name: "cut uploads are reported", settings: "", check: |server| cut(server, "226", true) },
    Case {
        name: "cut uploads are refused",
        settings: "tls.close_notify = 'require'",
        check: |server| cut(server, "426", true),
    },
    Case {
        name: "cut uploads are refused and deleted",
        settings: "tls.close_notify = 'require'\nuploads.incomplete = 'delete'",
        check: |server| cut(server, "426", false),
    },
    Case {
        name: "cut uploads are not published",
        settings: "uploads.publish = 'staged'",
        check: |server| cut(server, "426 TLS ended without close_notify", false),
    },
    Case {
        name: "cut uploads are refused and not published",
        settings: "tls.close_notify = 'require'\nuploads.publish = 'staged'",
        check: |server| cut(server, "426", false),
    },
    Case { name: "uploads of killed clients", settings: "uploads.incomplete = 'delete'", check: killed },
    Case { name: "uploads cut within a record are refused", settings: "", check: cut_within_a_record },
    Case { name: "whole uploads", settings: "tls.close_notify = 'require'", check: whole },
    Case { name: "no ticket on an upload", settings: "", check: no_ticket },
    Case { name: "downloads end with close_notify", settings: "", check: download },
    Case { name: "dead clients cost nothing", settings: "", check: dead_clients },
];

const SIZES: [usize; 3] = [0, 1000, 3_000_000];

/// An upload that ends with a bare FIN.
fn cut(server: &Server, reply: &str, stays: bool) {
    let file = server.home().join("file");
    for (version, size) in VERSIONS.iter().flat_map(|version| SIZES.map(|size| (version, size))) {
        let mut client = Client::protected(server, &config(server, &[version]));
        let bytes = vec![7; size];
        // One that brings nothing would leave it.
        let _ = fs::remove_file(&file);
        let mut data = client.start("STOR file");
        data.write_all(&bytes).expect("the server reads");
        data.sock.shutdown(Shutdown::Write).expect("an open socket");
        client.expect(reply);
        assert_eq!(fs::read(&file).ok(), stays.then_some(bytes));
        client.ask("QUIT", "221");
        client.expect_end();
    }
    eventually("each is logged", || {
        let log = server.log();
        let told = log.lines().filter(|line| line.contains("STOR ") && line.contains("cause=NoCloseNotify"));
        told.count() == 2 * SIZES.len()
    });
}

/// Uploads whose clients are killed, to which nobody says 226.
fn killed(server: &Server) {
    for (version, level) in VERSIONS.iter().flat_map(|version| ["P", "C"].map(|level| (version, level))) {
        let mut client = Client::protected(server, &config(server, &[version]));
        client.ask(&format!("PROT {level}"), "200");
        let name = format!("{:?}-{level}", version.version);
        let command = format!("STOR {name}");
        let mut data: Box<dyn Write> = if level == "P" {
            Box::new(client.start(&command))
        } else {
            let data = client.passive();
            client.ask(&command, "1");
            Box::new(data)
        };
        data.write_all(&[7; 1000]).expect("the server reads");
        eventually("all of it is received", || client.ask("STAT", "211").contains("received: 1000"));
        // One after the other, as the system closes what a process had open.
        drop((client, data));
        let logged = format!("{name} completed=0 bytes=1000 ");
        eventually("the upload is logged", || {
            server.log().lines().any(|line| line.contains(&logged) && line.contains("cause=ControlLost"))
        });
        assert!(!server.home().join(name).exists());
    }
}

/// An upload that ends within a record: no client means to end there, whatever it thinks of `close_notify`.
fn cut_within_a_record(server: &Server) {
    let file = server.home().join("file");
    for (version, size) in VERSIONS.iter().flat_map(|version| SIZES.map(|size| (version, size))) {
        let mut client = Client::protected(server, &config(server, &[version]));
        // One that brings nothing would leave it.
        let _ = fs::remove_file(&file);
        let mut data = client.start("STOR file");
        data.write_all(&vec![7; size]).expect("the server reads");
        data.conn.writer().write_all(&[7; 100]).expect("room for a record");
        let mut record = Vec::new();
        data.conn.write_tls(&mut record).expect("memory");
        record.pop();
        data.sock.write_all(&record).expect("the server reads");
        data.sock.shutdown(Shutdown::Write).expect("an open socket");
        client.expect("426");
        assert_eq!(fs::metadata(&file).expect("what came").len(), size as u64);
    }
}

fn whole(server: &Server) {
    for (version, size) in VERSIONS.iter().flat_map(|version| SIZES.map(|size| (version, size))) {
        let mut client = Client::protected(server, &config(server, &[version]));
        client.upload("STOR file", &vec![7; size]);
        assert_eq!(fs::metadata(server.home().join("file")).expect("a file").len(), size as u64);
    }
}

/// A client that never reads closes without a reset: there is nothing that it has not read.
fn no_ticket(server: &Server) {
    for version in VERSIONS {
        let mut client = Client::protected(server, &config(server, &[version]));
        for _ in 0..5 {
            let mut data = client.start("STOR file");
            data.write_all(&[7; 300_000]).expect("the server reads");
            data.conn.send_close_notify();
            data.flush().expect("the server reads");
            drop(data);
            client.expect("226");
            assert_eq!(fs::metadata(server.home().join("file")).expect("a file").len(), 300_000);
        }
    }
}

fn download(server: &Server) {
    for (version, size) in VERSIONS.iter().flat_map(|version| SIZES.map(|size| (version, size))) {
        let content = vec![7; size];
        fs::write(server.home().join("file"), &content).expect("a file");
        let mut client = Client::protected(server, &config(server, &[version]));
        // Reading to the end is an error without close_notify.
        assert!(client.download("RETR file") == content, "{size}");
        let mut polite = client.start("RETR file");
        let mut bytes = Vec::new();
        polite.read_to_end(&mut bytes).expect("data up to close_notify");
        goodbye(&mut polite);
        client.expect("226");
    }
}

/// Clients that die in the handshake, in the data and in the farewell.
fn dead_clients(server: &Server) {
    fs::write(server.home().join("file"), vec![7; 50_000_000]).expect("a file");
    let config = config(server, &VERSIONS);
    let mut silent = Vec::new();
    for _ in 0..5 {
        // Gone, with a reset or without, at each stage; and there, but mute.
        let mut client = Client::protected(server, &config);
        let handshaking = client.passive();
        client.ask("RETR file", "1");
        silent.push((client, None, Some(handshaking)));
        let mut client = Client::protected(server, &config);
        let mut data = client.start("RETR file");
        data.read_exact(&mut [0; 100_000]).expect("data");
        silent.push((client, Some(data), None));
        let mut client = Client::protected(server, &config);
        drop(client.start("RETR file"));
        let mut client = Client::protected(server, &config);
        let mut data = client.start("STOR other");
        data.write_all(&[7; 1000]).expect("the server reads");
        data.sock.shutdown(Shutdown::Write).expect("an open socket");
        silent.push((client, Some(data), None));
        let mut half = connect(server.address());
        half.write_all(b"AUTH TLS\r\n\x16\x03").expect("the server reads");
    }
    eventually("the processor is idle", || {
        let before = ticks(server.pid());
        let begun = Instant::now();
        thread::sleep(Duration::from_millis(500));
        // One tick is 10 ms; a task that spins takes 50 of them.
        ticks(server.pid()) - before <= 1 && begun.elapsed() < Duration::from_secs(5)
    });
}

/// The processor time that a process has used.
fn ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    let fields = text.rsplit(')').next().expect("fields behind the name").split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}
