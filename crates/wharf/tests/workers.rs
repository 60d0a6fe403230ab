//! Sessions that are spread over runtimes.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "it is a test, and panics are how it reports")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use wharf::Server;
use wharf::auth::VirtualUsers;
use wharf::events::{EventHandler, SessionInfo};

/// How many sessions begin on each thread.
#[derive(Clone, Default)]
struct Threads(Arc<Mutex<BTreeMap<String, usize>>>);

impl EventHandler for Threads {
    async fn on_login(&self, _: &SessionInfo) {
        let name = thread::current().name().unwrap_or_default().to_owned();
        *self.0.lock().unwrap().entry(name).or_default() += 1;
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn login(address: SocketAddr) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(address).unwrap()));
        client.expect("220");
        client.ask("USER user", "331");
        client.ask("PASS 12345", "230");
        client
    }

    fn ask(&mut self, line: &str, code: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.expect(code)
    }

    fn expect(&mut self, code: &str) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with(code), "{line} rather than {code}");
        line
    }

    fn download(&mut self, name: &str) -> Vec<u8> {
        let reply = self.ask("EPSV", "229");
        let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
        let mut data = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        self.ask(&format!("RETR {name}"), "1");
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).unwrap();
        self.expect("226");
        bytes
    }
}

#[test]
fn sessions_are_spread_evenly_and_work_everywhere() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().to_owned();
    std::fs::write(home.join("file"), "text").unwrap();
    let threads = Threads::default();
    let worker = runtime();
    let handle = worker.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let working = thread::Builder::new().name("second".into()).spawn(move || {
        let _ = worker.block_on(stopped);
    });
    let (told, address) = std::sync::mpsc::channel();
    let (end, ended) = oneshot::channel::<()>();
    let events = threads.clone();
    let serving = thread::Builder::new().name("first".into()).spawn(move || {
        runtime().block_on(async {
            let users = VirtualUsers::new().user("user", "12345", home, "elr").unwrap();
            let server = Server::builder(users).events(events).workers([handle]);
            let server = server.bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            told.send(server.local_addr()).unwrap();
            let ended = async { drop(ended.await) };
            server.serve_until(ended).await.unwrap();
        });
    });
    let address = address.recv().unwrap();
    let mut clients: Vec<_> = (0..4).map(|_| Client::login(address)).collect();
    let expected = BTreeMap::from([("first".to_owned(), 2), ("second".to_owned(), 2)]);
    assert_eq!(*threads.0.lock().unwrap(), expected);
    for client in &mut clients {
        assert_eq!(client.download("file"), b"text");
    }
    // Sessions on both end with the server.
    drop(end);
    clients.iter_mut().for_each(|client| drop(client.expect("421")));
    drop(clients);
    serving.unwrap().join().unwrap();
    drop(stop);
    working.unwrap().join().unwrap();
}
