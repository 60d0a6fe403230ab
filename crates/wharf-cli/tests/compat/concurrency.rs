//! Commands while a transfer runs, and sessions beside each other.

use std::{fs, io::Write, net::TcpStream};

use crate::{
    case::Case,
    client::{Client, read_to_end},
    server::{Server, USER, eventually},
};

/// More than the kernel buffers, so that the transfer waits for its client.
const SIZE: usize = 32 << 20;

pub(crate) const CASES: &[Case] = &[
    Case::new("commands are answered during a download", |server| {
        let mut transfer = Download::start(server);
        let client = &mut transfer.client;
        client.ask("NOOP", "200*");
        client.ask("STAT", "211*");
        client.ask("PWD", "257*");
        client.ask("CWD /", "250*");
        client.ask("SIZE big", &format!("213 {SIZE}"));
        client.ask("TYPE A", "200*");
        client.ask("MLST big", "250*");
        client.ask("FOO", "500*");
        transfer.finish();
    }),
    Case::new("commands are answered during an upload", |server| {
        let mut client = Client::login(server);
        let mut data = client.start("STOR file");
        data.write_all(b"first ").expect("the server reads");
        client.ask("NOOP", "200*");
        client.ask("STAT", "211*");
        client.ask("TYPE A", "200*");
        data.write_all(b"second\r\n").expect("the server reads");
        drop(data);
        client.expect("226*");
        assert_eq!(fs::read(server.home().join("file")).expect("a file"), b"first second\r\n");
    }),
    Case::new("a second transfer is refused and the first unharmed", |server| {
        fs::write(server.home().join("other"), "other").expect("a file");
        let mut transfer = Download::start(server);
        for command in ["RETR other", "STOR new", "APPE new", "STOU", "LIST", "NLST", "MLSD"] {
            transfer.client.ask(command, "425*");
        }
        assert!(!server.home().join("new").exists());
        transfer.finish();
    }),
    Case::new("no new data port during a transfer", |server| {
        let mut transfer = Download::start(server);
        let (_listener, eprt) = transfer.client.active();
        for command in ["PASV", "EPSV", "PORT 127,0,0,1,200,200", &eprt] {
            transfer.client.ask(command, "425*");
        }
        transfer.finish();
    }),
    Case::new("REIN during a download", |server| {
        let mut transfer = Download::start(server);
        transfer.client.ask("REIN", "2?0*");
        transfer.client.ask("PWD", "530*");
        transfer.client.log_in();
        transfer.client.ask("PWD", "257*");
        transfer.finish();
    }),
    Case::new("USER during a download", |server| {
        let mut transfer = Download::start(server);
        transfer.client.ask(format!("USER {}", USER.0), "331*");
        transfer.client.ask(format!("PASS {}", USER.1), "230*");
        transfer.finish();
    }),
    Case::new("QUIT during an upload", |server| {
        let mut client = Client::login(server);
        let mut data = client.start("STOR file");
        data.write_all(b"before").expect("the server reads");
        client.ask("QUIT", "221*");
        data.write_all(b" and after").expect("the server reads");
        drop(data);
        client.expect("226*");
        client.expect_end();
        assert_eq!(fs::read(server.home().join("file")).expect("a file"), b"before and after");
    }),
    Case::new("QUIT during a download", |server| {
        let Download { mut client, data, content } = Download::start(server);
        client.ask("QUIT", "221*");
        assert!(read_to_end(data) == content, "the file changed on its way");
        client.expect("226*");
        client.expect_end();
    }),
    Case::new("a session counts until its transfer has ended", |server| {
        fs::write(server.home().join("big"), vec![0; SIZE]).expect("a file");
        let guest = |password: &str| {
            let mut client = Client::connect(server);
            client.ask("USER anonymous", "331*");
            client.ask("PASS guest", password);
            client
        };
        for (command, answer) in [("QUIT", "221*"), ("REIN", "230*")] {
            let mut client = guest("230*");
            let data = client.start("RETR big");
            eventually("the first byte arrives", || data.peek(&mut [0; 1]).is_ok());
            client.ask(command, answer);
            guest("530 Too many sessions*");
            assert_eq!(read_to_end(data).len(), SIZE);
            client.expect("226*");
            guest("230*").ask("QUIT", "221*");
        }
    })
    .with("anonymous.max_sessions = 1"),
    Case::new("a stalled client does not slow another", |server| {
        let stalled = Download::start(server);
        let mut client = Client::login(server);
        assert!(client.download("RETR big") == stalled.content, "the file changed on its way");
        stalled.finish();
    }),
    Case::new("forty sessions at once", |server| {
        let mut clients: Vec<Client> = (0..40).map(|_| Client::login(server)).collect();
        let mut uploads: Vec<TcpStream> = clients
            .iter_mut()
            .enumerate()
            .map(|(index, client)| client.start(format!("STOR file{index}")))
            .collect();
        for (index, data) in uploads.iter_mut().enumerate() {
            write!(data, "content {index}").expect("the server reads");
        }
        drop(uploads);
        for (index, client) in clients.iter_mut().enumerate() {
            client.expect("226*");
            let content = client.download(format!("RETR file{index}"));
            assert_eq!(content, format!("content {index}").into_bytes());
        }
    }),
];

/// A download that is under way and whose data nobody reads yet.
struct Download {
    client: Client,
    data: TcpStream,
    content: Vec<u8>,
}

impl Download {
    fn start(server: &Server) -> Self {
        let content: Vec<u8> = (0..SIZE).map(|at| (at / 251 + at) as u8).collect();
        fs::write(server.home().join("big"), &content).expect("a file");
        let mut client = Client::login(server);
        let data = client.start("RETR big");
        // Before its first byte a transfer counts as unused and would go with the login.
        eventually("the first byte arrives", || data.peek(&mut [0; 1]).is_ok());
        Self { client, data, content }
    }

    fn finish(mut self) {
        let received = read_to_end(self.data);
        assert!(received == self.content, "the file changed on its way");
        self.client.expect("226*");
        self.client.ask("NOOP", "200*");
    }
}
