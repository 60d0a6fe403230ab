//! ABOR in each state, plain and as Telnet clients send it.

use std::{fs, io::Read, net::TcpStream};

use crate::{
    case::Case,
    client::{Client, PARTIAL, expect_closed},
    server::Server,
};

/// Larger than what the kernel buffers between the two ends.
const BIG: u64 = 64 << 20;

pub(crate) const CASES: &[Case] = &[
    Case::new("nothing to abort", |server| {
        let mut client = Client::login(server);
        client.ask("ABOR", "225 No transfer to abort.");
        client.ask("abor", "225 No transfer to abort.");
    }),
    Case::new("a waiting passive port is closed", |server| {
        let mut client = Client::login(server);
        let address = client.passive_address();
        client.ask("ABOR", "225*");
        server.assert_refuses(address);
    }),
    Case::new("an unused data connection is closed", |server| {
        let mut client = Client::login(server);
        let data = client.passive();
        client.ask("NOOP", "200*");
        client.ask("ABOR", "225*");
        expect_closed(data);
    }),
    Case::new("a transfer without a data connection is forgotten", |server| {
        fs::write(server.home().join("first"), "first").expect("a file");
        fs::write(server.home().join("second"), "second").expect("a file");
        let mut client = Client::login(server);
        client.passive_address();
        client.ask("RETR first", "150*");
        abort(&mut client);
        assert_eq!(client.download("RETR second"), b"second");
    }),
    Case::new("an upload before its first byte", |server| {
        let mut client = Client::login(server);
        let data = client.start("STOR file");
        abort(&mut client);
        expect_closed(data);
        client.upload("STOR file", b"now");
    }),
    Case::new("a download", |server| {
        let (mut client, data) = start_download(server);
        client.send("ABOR");
        assert_aborted(&mut client, data);
    }),
    Case::new("a download, by Telnet IP and Synch as urgent data", |server| {
        let (mut client, data) = start_download(server);
        client.send_raw(b"\xff\xf4\xff");
        client.send_urgent(0xf2);
        client.send("ABOR");
        assert_aborted(&mut client, data);
    }),
    Case::new("a download, by in-line Telnet bytes", |server| {
        let (mut client, data) = start_download(server);
        client.send_raw(b"\xff\xf4\xff\xf2ABOR\r\n");
        assert_aborted(&mut client, data);
    }),
    Case::new("an upload keeps what has arrived", |server| {
        let mut client = Client::login(server);
        let data = client.begin_upload("file");
        abort(&mut client);
        drop(data);
        let kept = fs::metadata(server.home().join("file")).expect("kept").len();
        assert!(kept <= PARTIAL as u64, "{kept} bytes");
        client.ask("NOOP", "200*");
    }),
    Case::new("urgent bytes of an idle session", |server| {
        let mut client = Client::login(server);
        client.send_urgent(0xf4);
        client.send_urgent(0xff);
        client.ask("abor", "225*");
        client.ask("NOOP", "200*");
    }),
    Case::new("twice", |server| {
        let (mut client, data) = start_download(server);
        client.send_raw(b"ABOR\r\nABOR\r\nNOOP\r\n");
        assert_aborted(&mut client, data);
        client.expect("225*");
        client.expect("200*");
    }),
];

fn start_download(server: &Server) -> (Client, TcpStream) {
    let file = fs::File::create(server.home().join("big")).expect("a file");
    file.set_len(BIG).expect("a sparse file");
    let mut client = Client::login(server);
    let mut data = client.start("RETR big");
    data.read_exact(&mut [0; 1000]).expect("the transfer runs");
    (client, data)
}

/// 426 for the transfer, 226 for the command; the data connection ends early.
fn assert_aborted(client: &mut Client, mut data: TcpStream) {
    client.expect("426*");
    client.expect("226*");
    let mut rest = Vec::new();
    // Whether by close or by reset makes no difference to an aborted download.
    let _ = data.read_to_end(&mut rest);
    assert!((rest.len() as u64) < BIG - 1000, "the whole file arrived");
}

/// The reference answers 225 while no byte has moved, else 426 and 226.
fn abort(client: &mut Client) {
    client.send("ABOR");
    let reply = client.reply();
    if reply.matches("426*") {
        client.expect("226*");
    } else {
        assert!(reply.matches("225*"), "{reply}");
    }
}
