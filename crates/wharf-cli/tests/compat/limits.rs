//! Limits on connections: the refusal is readable, and nothing else suffers.

use std::{io::Write, net::TcpStream, thread};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{
    case::{Case, greets},
    client::{Client, connect_from, reset},
    server::{Server, eventually},
};

const FULL: &str = "421 Too many connections*";
const FULL_FOR_ADDRESS: &str = "421 Too many connections from the same IP address.";

const HASHED: &str = "limits.failed_login_delay = '0s'
    [[users]]
    name = 'hashed'
    password_hash = '$argon2id$v=19$m=19456,t=2,p=1$iutGOg2TwGrXl1REdYjMQg$R9vzoefl5jAqd/l0f01bf1CIGXYCi3jJd1TiSgFEUls'
    home = '$DIR/home'";

pub(crate) const CASES: &[Case] = &[
    Case::new("connections", |server| {
        let (first, _second) = (Client::connect(server), Client::connect(server));
        assert_refused(server, FULL);
        drop(first);
        eventually("a place is free again", || greets(server));
    })
    .with("limits.max_connections = 2"),
    Case::new("connections of one address", |server| {
        let (first, _second) = (Client::connect(server), Client::connect(server));
        assert_refused(server, FULL_FOR_ADDRESS);
        let mut other = Client::over(connect_from([127, 0, 0, 2].into(), server.address()));
        other.expect("220*");
        drop((first, other));
        eventually("a place is free again", || greets(server));
    })
    .with("limits.max_connections_per_ip = 2"),
    Case::new("a refusal reaches a client that talks first", |server| {
        let _only = Client::connect(server);
        for _ in 0..50 {
            let mut client = Client::open(server.address());
            // The server may have closed already; its reply must be there all the same.
            let _ = client.stream().write_all(b"USER x\r\nPASS y\r\n");
            client.expect(FULL);
        }
    })
    .with("limits.max_connections = 1"),
    Case::new("a client that leaves before its transfer gives its place up", |server| {
        let mut client = Client::login(server);
        let _port = client.passive_address();
        client.ask("STOR file", "150*");
        client.send("QUIT");
        drop(client);
        eventually("its place is free", || greets(server));
    })
    .with("limits = { max_connections = 1, passive_timeout = '0s' }"),
    Case::new("clients that leave and stay are not many", |server| {
        let clients: Vec<Client> = (0..150)
            .map(|_| {
                let client = Client::open(server.address());
                let mut words = b"QUIT\r\n".to_vec();
                words.extend([b'x'; 6000]);
                // Once there are too many the server may have closed before all of this has left.
                let _ = client.stream().write_all(&words);
                client
            })
            .collect();
        // Four sessions and sixteen farewells, to ourselves one more; a server that let all of us stay would have 150 sockets.
        let mut another = Client::over(connect_from([127, 0, 0, 2].into(), server.address()));
        another.expect("220*");
        let sockets = server.sockets();
        assert!(sockets < 40, "{sockets} sockets");
        drop(clients);
    })
    .with("limits.max_connections_per_ip = 4"),
    Case::new("data connections do not count", |server| {
        let mut client = Client::login(server);
        assert_eq!(client.download("NLST"), b"");
        client.upload("STOR file", b"x");
    })
    .with("limits.max_connections = 1"),
    Case::new("a storm of resets on the control port", |server| {
        for _ in 0..200 {
            reset(TcpStream::connect(server.address()).expect("the server listens"));
        }
        Client::login(server).ask("QUIT", "221*");
    }),
    Case::new("a storm of resets on passive ports", |server| {
        let mut client = Client::login(server);
        for _ in 0..50 {
            reset(TcpStream::connect(client.passive_address()).expect("the server listens"));
        }
        client.upload("STOR file", b"x");
    }),
    Case::new("a storm of passive ports", |server| {
        let mut client = Client::login(server);
        for _ in 0..300 {
            client.ask("EPSV", "229*");
        }
        client.upload("STOR file", b"x");
    }),
    Case::new("parallel connections come and go", |server| {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        Client::connect(server).ask("QUIT", "221*");
                    }
                });
            }
        });
    }),
    Case::new("the memory of password hashes is given back", |server| {
        let before = server.resident_kib();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let mut client = Client::connect(server);
                        client.ask("USER hashed", "331*");
                        client.ask("PASS wrong", "530*");
                    }
                });
            }
        });
        // A hash works in 19 MiB.
        eventually("nearly all of it is given back", || {
            server.resident_kib().saturating_sub(before) < 32 << 10
        });
    })
    .with(HASHED),
    Case::new("the memory of uploads is given back", |server| {
        let before = server.resident_kib();
        let mut uploads: Vec<_> = (0..200)
            .map(|number| {
                let mut client = Client::login(server);
                let mut data = client.start(format!("STOR {number}"));
                data.write_all(&[b'x'; 200_000]).expect("the server reads");
                (client, data)
            })
            .collect();
        uploads.drain(..).for_each(|(mut client, data)| {
            drop(data);
            client.expect("226*");
        });
        // Buffers of 8 MiB are kept for the next ones.
        eventually("nearly all of it is given back", || {
            server.resident_kib().saturating_sub(before) < 16 << 10
        });
    }),
    Case::new("no file descriptors left", |server| {
        limit_descriptors(server, 40);
        let crowd: Vec<TcpStream> =
            (0..60).filter_map(|_| TcpStream::connect(server.address()).ok()).collect();
        drop(crowd);
        eventually("the server recovers", || greets(server));
        server.assert_no_leaks();
        Client::login(server).upload("STOR file", b"x");
    })
    .own(),
];

fn assert_refused(server: &Server, pattern: &str) {
    let mut client = Client::open(server.address());
    client.expect(pattern);
    client.expect_end();
}

fn limit_descriptors(server: &Server, count: u64) {
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw);
    let limit = Rlimit { current: Some(count), maximum: Some(count) };
    prlimit(pid, Resource::Nofile, limit).expect("our own child");
}
