//! A raw client against the test server of `wharf::testing`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it is a test, and panics are how it reports")]

#[path = "support/client.rs"]
#[expect(dead_code, reason = "another test binary looks at the connection itself")]
mod client;

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use wharf::testing::{Fault, GREETING, TestServer, TestServerBuilder};

use crate::client::Client;

fn content() -> Vec<u8> {
    (0..1_000_000_u32).map(|n| (n % 251) as u8).collect()
}

async fn serving(faults: impl IntoIterator<Item = Fault>) -> (TestServer, Client) {
    let server = TestServer::builder().user("user", "12345").file("/big", content()).file("/dir/a", "text");
    let server = faults.into_iter().fold(server, TestServerBuilder::fault).start().await.unwrap();
    let client = Client::login(server.addr()).await;
    (server, client)
}

#[tokio::test]
async fn serves_when_nothing_is_to_fail() {
    let (server, mut client) = serving([]).await;
    let (bytes, _, end) = client.fetch("RETR big").await;
    assert!(bytes == content() && end == "226");
    let (names, _, end) = client.fetch("NLST dir").await;
    assert_eq!((names, &*end), (b"a\r\n".to_vec(), "226"));

    let mut data = client.start("STOR new").await;
    data.write_all(&content()).await.unwrap();
    drop(data);
    assert_eq!(client.reply().await, "226");
    assert!(server.files().file("/new").unwrap() == content());
    assert_eq!(server.commands().last().unwrap(), "STOR new");
    assert_eq!(client.ask("QUIT").await, "221");
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn connects_to_the_client_too() {
    let (_server, mut client) = serving([]).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let refused = client.ask("PORT 127,0,0,1,0,22").await;
    assert_eq!(refused, "501");
    for command in
        [format!("PORT 127,0,0,1,{},{}", port >> 8, port & 255), format!("EPRT |1|127.0.0.1|{port}|")]
    {
        assert_eq!(client.ask(&command).await, "200");
        assert_eq!(client.ask("RETR dir/a").await, "125");
        let mut bytes = Vec::new();
        listener.accept().await.unwrap().0.read_to_end(&mut bytes).await.unwrap();
        assert_eq!((bytes, &*client.reply().await), (b"text".to_vec(), "226"));
    }
}

#[tokio::test]
async fn lets_nobody_else_in() {
    let (server, _client) = serving([]).await;
    let mut stranger = Client::connect(server.addr()).await;
    assert_eq!(stranger.ask("USER user").await, "331");
    assert_eq!(stranger.ask("PASS guess").await, "530");
    let open = TestServer::start().await.unwrap();
    Client::login(open.addr()).await;
}

#[tokio::test]
async fn cuts_downloads() {
    let (_server, mut client) = serving([Fault::on("retr").first(2).cut_data_after(100_000)]).await;
    for _ in 0..2 {
        let (bytes, end, reply) = client.fetch("RETR big").await;
        assert!(bytes == content()[..100_000]);
        assert_eq!((end.unwrap(), &*reply), (100_000, "426"));
    }
    let (bytes, _, reply) = client.fetch("RETR big").await;
    assert_eq!((bytes.len(), &*reply), (1_000_000, "226"));
}

#[tokio::test]
async fn resets_downloads() {
    let (_server, mut client) = serving([Fault::on("RETR").reset_data_after(100_000)]).await;
    let (bytes, end, reply) = client.fetch("RETR big").await;
    assert!(bytes.len() <= 100_000 && content().starts_with(&bytes));
    assert_eq!((end.unwrap_err().kind(), &*reply), (io::ErrorKind::ConnectionReset, "426"));
}

#[tokio::test]
async fn lies_about_cut_downloads() {
    let cut = Fault::on("RETR").cut_data_after(3);
    let lie = Fault::on("RETR").replace_reply("226 Transfer complete.");
    let (_server, mut client) = serving([cut, lie]).await;
    let (bytes, _, reply) = client.fetch("RETR big").await;
    assert_eq!((bytes.len(), &*reply), (3, "226"));
}

#[tokio::test]
async fn stalls_until_the_client_gives_up() {
    let (_server, mut client) = serving([Fault::on("RETR").stall_data_after(10)]).await;
    let mut data = client.start("RETR big").await;
    data.read_exact(&mut [0; 10]).await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(50), data.read(&mut [0; 1])).await;
    assert!(silence.is_err());
    assert_eq!(client.ask("ABOR").await, "426");
    assert_eq!(client.reply().await, "226");
    assert!(!matches!(data.read(&mut [0; 1]).await, Ok(1..)));

    let mut data = client.start("RETR big").await;
    data.read_exact(&mut [0; 10]).await.unwrap();
    drop(data);
    assert_eq!(client.reply().await, "426");
}

#[tokio::test]
async fn cuts_uploads() {
    let (server, mut client) = serving([Fault::on("STOR").cut_data_after(1000)]).await;
    let mut data = client.start("STOR new").await;
    while data.write_all(&[b'x'; 4096]).await.is_ok() {}
    assert_eq!(client.reply().await, "426");
    assert!(server.files().file("/new").unwrap().len() <= 1000);
}

#[tokio::test]
async fn answers_in_the_place_of_the_server() {
    let refusal = Fault::on("PASV").first(2).answer("425 Can't open passive connection.");
    let (_server, mut client) = serving([refusal, Fault::on("DELE").nth(2).answer("450 Busy.")]).await;
    assert_eq!(client.ask("PASV").await, "425");
    assert_eq!(client.ask("PASV").await, "425");
    client.passive().await;
    client.send("DELE dir/a\r\nDELE big\r\nNOOP\r\nDELE big").await;
    for code in ["250", "450", "200", "250"] {
        assert_eq!(client.reply().await, code);
    }
}

#[tokio::test]
async fn comes_late_or_hangs_up() {
    let late = Duration::from_millis(40);
    let (server, mut client) = serving([Fault::on("PWD").delay(late), Fault::on("MKD").drop_control()]).await;
    let begun = Instant::now();
    assert_eq!(client.ask("PWD").await, "257");
    assert!(begun.elapsed() >= late);
    assert_eq!(client.ask("MKD new").await, "");
    server.heal();
    assert_eq!(Client::login(server.addr()).await.ask("CWD new").await, "550");
}

#[tokio::test]
async fn greets_as_it_is_told() {
    let (server, _client) = serving([]).await;
    server.fault(Fault::on(GREETING).first(1).answer("421 Too many connections."));
    let mut refused = Client::open(server.addr()).await;
    assert_eq!(refused.line().await, "421 Too many connections.\r\n");
    assert_eq!(refused.line().await, "");
    Client::login(server.addr()).await;
}
