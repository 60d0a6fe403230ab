//! Lines: how they may arrive, how long they may be, and what may be in them.

use std::{fs, io::Write, net::Shutdown, thread};

use crate::{
    case::Case,
    client::{Client, lossy},
};

pub(crate) const CASES: &[Case] = &[
    Case::new("byte by byte", |server| {
        let mut client = Client::connect(server);
        for byte in b"NOOP\r\nNOOP\r\n" {
            client.send_raw(&[*byte]);
        }
        client.expect("200*");
        client.expect("200*");
    }),
    Case::new("a split between CR and LF", |server| {
        let mut client = Client::connect(server);
        client.send_raw(b"NOOP\r");
        client.send_raw(b"\nNOOP\r\n");
        client.expect("200*");
        client.expect("200*");
    }),
    Case::new("ten thousand commands in order", |server| {
        let mut client = Client::connect(server);
        let lines: String = (0..10_000).map(|number| format!("FOO{number}\r\n")).collect();
        send_beside(&client, lines.into_bytes());
        for number in 0..10_000 {
            client.expect(&format!("500 *FOO{number}\"*"));
        }
    }),
    Case::new("ten thousand NOOPs", |server| {
        let mut client = Client::connect(server);
        send_beside(&client, b"NOOP\r\n".repeat(10_000));
        for _ in 0..10_000 {
            client.expect("200*");
        }
        client.ask("SYST", "215*");
    }),
    Case::new("a hundred thousand empty lines", |server| {
        let mut client = Client::connect(server);
        send_beside(&client, b"\r\n".repeat(100_000));
        for _ in 0..100_000 {
            client.expect("500*");
        }
        client.ask("NOOP", "200*");
    }),
    Case::new("a client that never reads is not buffered for", |server| {
        let before = server.resident_kib();
        let mut client = Client::connect(server);
        client.stream().set_nonblocking(true).expect("a socket option");
        let lines = b"HELP\r\n".repeat(10_000);
        let mut stream = client.stream();
        // The server stops reading once its replies are not taken.
        let sent: usize = (0..100).map_while(|_| stream.write(&lines).ok()).sum();
        client.stream().set_nonblocking(false).expect("a socket option");
        let grown = server.resident_kib().saturating_sub(before);
        assert!(grown < 64 << 10, "{sent} bytes of commands made it grow by {grown} KiB");
        client.expect("214*");
    })
    .own(),
    Case::new("long replies that nobody reads are not made", |server| {
        // A packet of commands whose replies are a hundred megabytes.
        const STATUS: &[u8] = b"STAT /\r\n";
        for number in 0..1_000 {
            fs::write(server.home().join(format!("{number:0>200}")), "").expect("a file");
        }
        let mut client = Client::login(server);
        let mut other = Client::login(server);
        other.ask("STAT /", "213*");
        let before = server.resident_kib();
        client.stream().write_all(&STATUS.repeat(400)).expect("the server reads");
        // It takes turns with the other, so by now it would have been answered as often.
        for _ in 0..150 {
            other.ask("STAT /", "213*");
        }
        let grown = server.resident_kib().saturating_sub(before);
        assert!(grown < 16 << 10, "400 commands made it grow by {grown} KiB");
        for _ in 0..400 {
            client.expect("213*");
        }
        client.ask("NOOP", "200*");
    })
    .own(),
    Case::new("an over-long line is answered once", |server| {
        let mut client = Client::connect(server);
        client.send("A".repeat(20_000));
        client.expect("500*");
        client.ask("NOOP", "200*");
    }),
    Case::new("the third over-long line ends the session", |server| {
        let mut client = Client::connect(server);
        for _ in 0..2 {
            client.send("A".repeat(10_000));
            client.expect("500*");
        }
        client.send("A".repeat(10_000));
        client.expect("421*");
        client.expect_end();
    }),
    Case::new("a long line within the limit", |server| {
        let mut client = Client::connect(server);
        for _ in 0..5 {
            client.ask("A".repeat(8_000), "500 *not understood*");
        }
        client.ask("NOOP", "200*");
    }),
    Case::new("an endless line takes no memory", |server| {
        let before = server.resident_kib();
        let mut client = Client::connect(server);
        for _ in 0..32 {
            client.send_raw(&[b'A'; 1 << 20]);
        }
        client.send("");
        client.expect("500*");
        let grown = server.resident_kib().saturating_sub(before);
        assert!(grown < 8 << 10, "an endless line made it grow by {grown} KiB");
        client.ask("NOOP", "200*");
    })
    .own(),
    Case::new("a bare LF or CR does not end a line", |server| {
        let mut client = Client::connect(server);
        client.send_raw(b"NOOP\nNOOP\r\n");
        client.expect("50?*");
        client.send_raw(b"NOOP\rNOOP\r\n");
        client.expect("50?*");
        client.ask("NOOP", "200*");
    }),
    Case::new("NUL in a verb", |server| {
        let mut client = Client::connect(server);
        client.ask("NO\0OP", "50?*");
        client.ask("\0", "50?*");
        client.ask("NOOP", "200*");
    }),
    Case::new("a reply never repeats raw bytes of the client", |server| {
        let mut client = Client::connect(server);
        let reply = client.ask("FOO\x1b[31m\x07", "500*");
        assert!(!reply.bytes.contains(&0x1b) && !reply.bytes.contains(&7), "{reply}");
        let reply = client.ask("FOO\n200 spoofed", "50?*");
        assert!(!reply.bytes.contains(&b'\n'), "{reply}");
    }),
    Case::new("Telnet commands are taken out", |server| {
        let mut client = Client::connect(server);
        client.ask(b"\xff\xf1NOOP", "200*");
        client.ask(b"NO\xff\xf1OP", "200*");
        client.ask(b"\xff\xfb\x01NOOP", "200*");
        client.ask(b"\xff\xfd\x18NOOP", "200*");
    }),
    Case::new("a doubled IAC is the byte 255", |server| {
        let mut client = Client::login(server);
        client.ask(b"MKD \xff\xff", "257*");
        let names: Vec<_> = fs::read_dir(server.home()).expect("a directory").flatten().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].file_name().as_encoded_bytes(), b"\xff");
    }),
    Case::new("Telnet commands in a name belong to it", |server| {
        let mut client = Client::login(server);
        for name in [b"\xff\xfe".as_slice(), b"a\xff\xf4b", b"\xff\xfax"] {
            client.ask([b"MKD ", name].concat(), "257*");
            assert_eq!(client.download("NLST"), [name, b"\r\n"].concat());
            client.ask([b"RMD ", name].concat(), "250*");
        }
    }),
    Case::new("what was said before the client half-closed is answered", |server| {
        let mut client = Client::connect(server);
        client.send_raw(b"NOOP\r\nSYST\r\nNOO");
        client.stream().shutdown(Shutdown::Write).expect("a connected socket");
        client.expect("200*");
        client.expect("215*");
        client.expect_end();
    }),
    Case::new("a banner", |server| {
        let mut client = Client::open(server.address());
        client.expect("220 Hello there.");
    })
    .with("banner = 'Hello there.'"),
    Case::new("a banner longer than 75 characters has two lines", |server| {
        let mut client = Client::open(server.address());
        let reply = client.reply();
        assert_eq!(lossy(&reply.bytes), format!("220-{}\r\n220 ", "x".repeat(76)));
    })
    .with("banner = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'"),
];

/// Writes while the test reads: neither side can hold this much.
fn send_beside(client: &Client, bytes: Vec<u8>) {
    let mut stream = client.stream().try_clone().expect("a descriptor");
    // A failed write shows as a missing reply.
    thread::spawn(move || drop(stream.write_all(&bytes)));
}
