//! Deadlines: what they say, and that each has its key. What puts them off, and what does not, is tested on a clock of
//! the tests' own, in `wharf`.

use std::{
    fs,
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    case::Case,
    client::{Client, connect},
    server::eventually,
};

pub(crate) const CASES: &[Case] = &[
    Case::new("an idle session before its login", |server| {
        let mut client = Client::connect(server);
        client.expect("421 Control connection timed out.");
        client.expect_end();
    })
    .with("limits.idle_timeout = '100ms'"),
    Case::new("a session without a login", |server| {
        let mut client = Client::connect(server);
        client.expect("421 *");
        client.expect_end();
    })
    .with("limits.login_timeout = '100ms'"),
    Case::new("nobody comes to the passive port", |server| {
        let mut client = Client::login(server);
        let address = client.passive_address();
        client.expect("421 Passive data channel timed out.");
        eventually("the port is closed", || TcpStream::connect(address).is_err());
        client.ask("NOOP", "200*");
    })
    .with("limits.passive_timeout = '100ms'"),
    Case::new("a data connection that nobody uses", |server| {
        let mut client = Client::login(server);
        let _data = client.passive();
        client.expect("421 Data connection timed out.");
    })
    .with("limits.data_timeout = '100ms'"),
    Case::new("an upload that stalls", |server| {
        let mut client = Client::login(server);
        let _data = start_late(&mut client, "STOR file");
        client.expect("426*");
        client.ask("NOOP", "200*");
    })
    .with("limits.data_timeout = '200ms'"),
    Case::new("a download that stalls", |server| {
        let file = fs::File::create(server.home().join("big")).expect("a file");
        file.set_len(64 << 20).expect("a sparse file");
        let mut client = Client::login(server);
        let _data = start_late(&mut client, "RETR big");
        client.expect("426*");
        client.ask("NOOP", "200*");
    })
    .with("limits.data_timeout = '200ms'"),
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

/// Starts a transfer before its data connection is there, so that this has no time to be found unused.
fn start_late(client: &mut Client, command: &str) -> TcpStream {
    let address = client.passive_address();
    client.ask(command, "150*");
    connect(address)
}
