//! Deadlines: what they say, what they leave alone, and that none can be dodged.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    case::Case,
    client::{Client, connect},
    server::{PATIENCE, Server, eventually},
};

pub(crate) const CASES: &[Case] = &[
    Case::new("an idle session", |server| {
        let mut client = Client::login(server);
        client.expect("421 Control connection timed out.");
        client.expect_end();
    })
    .with("limits.idle_timeout = '100ms'"),
    Case::new("an idle session before its login", |server| {
        let mut client = Client::connect(server);
        client.expect("421 Control connection timed out.");
        client.expect_end();
    })
    .with("limits.idle_timeout = '100ms'"),
    Case::new("commands keep a session alive", |server| {
        let mut client = Client::login(server);
        for _ in 0..10 {
            client.expect_silence(Duration::from_millis(100));
            client.ask("NOOP", "200*");
        }
    })
    .with("limits.idle_timeout = '600ms'"),
    Case::new("a transfer keeps a session alive", |server| {
        let mut client = Client::login(server);
        let mut data = client.start("STOR file");
        for _ in 0..12 {
            client.expect_silence(Duration::from_millis(50));
            data.write_all(b"x").expect("the server reads");
        }
        drop(data);
        client.expect("226*");
    })
    .with("limits.idle_timeout = '200ms'"),
    Case::new("half a line does not keep a session alive", |server| {
        let mut client = Client::login(server);
        let trickle = client.stream().try_clone().expect("a descriptor");
        thread::spawn(move || {
            while (&trickle).write_all(b"x").is_ok() {
                nap()
            }
        });
        client.expect("421*");
    })
    .with("limits.idle_timeout = '200ms'"),
    Case::new("no idle timeout", |server| {
        let mut client = Client::login(server);
        client.expect_silence(Duration::from_millis(300));
        client.ask("NOOP", "200*");
    })
    .with("limits.idle_timeout = '0s'"),
    Case::new("commands do not put the login deadline off", |server| {
        let start = Instant::now();
        let mut client = Client::connect(server);
        loop {
            client.send("NOOP");
            let reply = client.reply();
            if reply.matches("421*") {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "still welcome: {reply}");
            nap();
        }
    })
    .with("limits.login_timeout = '200ms'"),
    Case::new("a login meets the login deadline", |server| {
        let mut client = Client::login(server);
        client.expect_silence(Duration::from_millis(700));
        client.ask("NOOP", "200*");
    })
    .with("limits.login_timeout = '500ms'"),
    Case::new("nobody comes to the passive port", |server| {
        let mut client = Client::login(server);
        let address = client.passive_address();
        client.expect("421 Passive data channel timed out.");
        eventually("the port is closed", || TcpStream::connect(address).is_err());
        client.ask("NOOP", "200*");
    })
    .with("limits.passive_timeout = '100ms'"),
    Case::new("nobody comes for a transfer", |server| {
        fs::write(server.home().join("first"), "first").expect("a file");
        fs::write(server.home().join("second"), "second").expect("a file");
        let mut client = Client::login(server);
        client.passive_address();
        client.ask("RETR first", "150*");
        client.expect("42?*");
        assert_eq!(client.download("RETR second"), b"second");
    })
    .with("limits.passive_timeout = '300ms'"),
    Case::new("a data connection that nobody uses", |server| {
        let mut client = Client::login(server);
        let _data = client.passive();
        client.expect("421 Data connection timed out.");
    })
    .with("limits.data_timeout = '100ms'"),
    Case::new("an upload that stalls", |server| {
        let mut client = Client::login(server);
        let mut data = client.start("STOR file");
        data.write_all(b"x").expect("the server reads");
        client.expect("42?*");
    })
    .with("limits.data_timeout = '200ms'"),
    Case::new("a download that stalls", |server| {
        let mut client = Client::login(server);
        let (_data, _) = stalled_download(server, &mut client);
        client.expect("42?*");
    })
    .with("limits.data_timeout = '200ms'"),
    Case::new("a download that crawls is left alone", |server| {
        let mut client = Client::login(server);
        let (mut data, size) = stalled_download(server, &mut client);
        let mut received = 0;
        for _ in 0..8 {
            nap();
            received += (&data).take(2 << 20).read_to_end(&mut Vec::new()).expect("data");
        }
        received += data.read_to_end(&mut Vec::new()).expect("data");
        assert_eq!(received as u64, size);
        client.expect("226*");
    })
    .with("limits.data_timeout = '300ms'"),
    Case::new("a wrong password is answered after the delay", |server| {
        let mut client = Client::connect(server);
        client.ask("USER user", "331*");
        let start = Instant::now();
        client.ask("PASS wrong", "530*");
        assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    })
    .with("limits.failed_login_delay = '300ms'"),
    Case::new("upload rate", |server| {
        let mut client = Client::login(server);
        let start = Instant::now();
        client.upload("STOR file", &[0; 300_000]);
        assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
    })
    .with("limits.upload_rate = 200_000"),
    Case::new("download rate", |server| {
        fs::write(server.home().join("file"), [0; 300_000]).expect("a file");
        let mut client = Client::login(server);
        let start = Instant::now();
        assert_eq!(client.download("RETR file").len(), 300_000);
        assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
    })
    .with("limits.download_rate = 200_000"),
];

/// The rhythm of a client that is slow but alive.
fn nap() {
    thread::sleep(Duration::from_millis(40));
}

fn stalled_download(server: &Server, client: &mut Client) -> (TcpStream, u64) {
    let size = 64 << 20;
    let file = fs::File::create(server.home().join("big")).expect("a file");
    file.set_len(size).expect("a sparse file");
    let data = connect(client.passive_address());
    client.ask("RETR big", "1*");
    (data, size)
}
