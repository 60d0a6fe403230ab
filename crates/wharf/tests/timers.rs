//! Deadlines of sessions and transfers, on a clock that only the tests move: how fast the machine is makes no difference.
//!
//! What each deadline says is tested in `wharf-proto`; this is about who sets it, who puts it off, and who does not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it is a test, and panics are how it reports")]

#[path = "support/client.rs"]
#[expect(dead_code, reason = "another test binary downloads more")]
mod client;

use std::fs::File;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn, spawn_blocking, yield_now};
use tokio::time::{Instant, advance};

use wharf::auth::VirtualUsers;
use wharf::events::{Cause, Direction, EventHandler, RunningTransfer, SessionInfo, Transfer};
use wharf::{Limits, Server, Settings};

use crate::client::Client;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// More than the kernel holds between the two ends of a connection.
const BEYOND_BUFFERS: usize = 16 << 20;

/// A server whose clock stands still, and its home.
///
/// tokio moves a paused clock on by itself when nothing is left to do but wait, and for a kernel that has not brought
/// bytes over yet it does just that. It does not while a thread is at work for it, so one is.
struct World {
    address: SocketAddr,
    home: TempDir,
    at_work: mpsc::Sender<()>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<wharf::Result<()>>,
}

impl World {
    async fn new(limits: Limits) -> Self {
        Self::with(Settings { limits, ..Settings::default() }, ()).await
    }

    async fn with(settings: Settings, events: impl EventHandler) -> Self {
        let (at_work, work) = mpsc::channel();
        drop(spawn_blocking(move || work.recv()));
        let home = tempfile::tempdir().unwrap();
        let users = VirtualUsers::new().user("user", "12345", home.path(), "elradfmwMT").unwrap();
        let server =
            Server::builder(users).settings(settings).events(events).bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let serving = spawn(server.serve_until(async { stopped.await.unwrap_or_default() }));
        Self { address, home, at_work, stop, serving }
    }

    /// Makes a file that no buffer holds.
    fn big_file(&self, name: &str) {
        File::create(self.home.path().join(name)).unwrap().set_len(16 * BEYOND_BUFFERS as u64).unwrap();
    }
}

/// What a callback is told of a transfer's time.
struct Stopwatch(UnboundedSender<Duration>);

impl EventHandler for Stopwatch {
    async fn on_file_received(&self, _: &SessionInfo, file: &Transfer) {
        self.0.send(file.elapsed).unwrap();
    }
}

/// Keeps hold of each transfer that begins.
struct Onlooker(UnboundedSender<RunningTransfer>);

impl EventHandler for Onlooker {
    async fn on_transfer_begun(&self, _: &SessionInfo, file: &RunningTransfer) {
        self.0.send(file.clone()).unwrap();
    }
}

/// Keeps hold of each upload that begins, and of how it ends.
struct Witness(UnboundedSender<RunningTransfer>, UnboundedSender<Transfer>);

impl EventHandler for Witness {
    async fn on_transfer_begun(&self, _: &SessionInfo, file: &RunningTransfer) {
        self.0.send(file.clone()).unwrap();
    }

    async fn on_file_received(&self, _: &SessionInfo, file: &Transfer) {
        self.1.send(file.clone()).unwrap();
    }

    async fn on_incomplete_file_received(&self, _: &SessionInfo, file: &Transfer) {
        self.1.send(file.clone()).unwrap();
    }
}

/// The next reply, however many steps of the clock it takes.
async fn reply_in_time(client: &mut Client, step: Duration) -> String {
    let mut reply = pin!(client.reply());
    loop {
        tokio::select! {
            biased;
            reply = &mut reply => return reply,
            () = advance(step) => {}
        }
    }
}

/// The server has said 421 and nothing else, and has closed the connection.
async fn expect_farewell(client: &mut Client) {
    assert_eq!(client.reply().await, "421");
    assert_eq!(client.line().await, "");
}

#[tokio::test(start_paused = true)]
async fn commands_keep_a_session_alive_and_half_a_line_does_not() {
    let world = World::new(Limits::default()).await;
    let mut client = Client::login(world.address).await;
    for _ in 0..10 {
        advance(299 * SECOND).await;
        assert_eq!(client.ask("NOOP").await, "200");
    }
    for _ in 0..300 {
        client.send_raw(b"x").await;
        advance(SECOND).await;
    }
    expect_farewell(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn without_an_idle_timeout_a_session_lives_for_ever() {
    let world = World::new(Limits { idle_timeout: Duration::ZERO, ..Limits::default() }).await;
    let mut client = Client::login(world.address).await;
    advance(10_000_000 * SECOND).await;
    assert_eq!(client.ask("NOOP").await, "200");
}

#[tokio::test(start_paused = true)]
async fn a_transfer_keeps_a_session_alive() {
    let world = World::new(Limits { data_timeout: Duration::ZERO, ..Limits::default() }).await;
    let mut client = Client::login(world.address).await;
    let mut data = client.start("STOR file").await;
    for _ in 0..3 {
        advance(1_000 * SECOND).await;
        assert_eq!(client.ask("NOOP").await, "200");
        data.write_all(b"x").await.unwrap();
    }
    advance(1_000 * SECOND).await;
    drop(data);
    assert_eq!(reply_in_time(&mut client, MILLISECOND).await, "226");
}

#[tokio::test(start_paused = true)]
async fn commands_do_not_put_the_login_deadline_off() {
    let world = World::new(Limits::default()).await;
    let mut client = Client::connect(world.address).await;
    for _ in 0..59 {
        advance(SECOND).await;
        assert_eq!(client.ask("NOOP").await, "200");
    }
    advance(SECOND).await;
    expect_farewell(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_login_meets_the_login_deadline() {
    let world = World::new(Limits::default()).await;
    let mut client = Client::connect(world.address).await;
    advance(59 * SECOND).await;
    client.log_in().await;
    advance(299 * SECOND).await;
    assert_eq!(client.ask("NOOP").await, "200");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_refusal_holds_up_nobody_else() {
    let world = World::new(Limits::default()).await;
    let mut slow = Client::connect(world.address).await;
    assert_eq!(slow.ask("USER user").await, "331");
    slow.send("PASS wrong").await;
    assert_eq!(Client::login(world.address).await.ask("QUIT").await, "221");
    assert!(slow.is_silent());
    assert_eq!(reply_in_time(&mut slow, 3 * SECOND).await, "530");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_come_for_its_transfer_may_come_for_the_next() {
    let world = World::new(Limits::default()).await;
    std::fs::write(world.home.path().join("file"), "text").unwrap();
    let mut client = Client::login(world.address).await;
    client.passive_address().await;
    assert_eq!(client.ask("RETR file").await, "150");
    advance(30 * SECOND).await;
    assert_eq!(client.reply().await, "425");
    let mut data = client.start("RETR file").await;
    let mut text = String::new();
    data.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "text");
}

#[tokio::test(start_paused = true)]
async fn a_download_that_crawls_is_left_alone_and_one_that_stalls_is_not() {
    let world = World::new(Limits::default()).await;
    world.big_file("big");
    let mut client = Client::login(world.address).await;
    let mut data = client.start("RETR big").await;
    let mut piece = vec![0; BEYOND_BUFFERS];
    for _ in 0..4 {
        data.read_exact(&mut piece).await.unwrap();
        advance(299 * SECOND).await;
        assert_eq!(client.ask("NOOP").await, "200");
    }
    assert_eq!(reply_in_time(&mut client, 300 * SECOND).await, "426");
    assert_eq!(client.ask("NOOP").await, "200");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stalls_is_given_up() {
    let world = World::new(Limits::default()).await;
    let mut client = Client::login(world.address).await;
    let mut data = client.start("STOR file").await;
    data.write_all(b"x").await.unwrap();
    assert_eq!(reply_in_time(&mut client, 300 * SECOND).await, "426");
    assert_eq!(client.ask("NOOP").await, "200");
}

#[tokio::test(start_paused = true)]
async fn clients_that_do_not_close_hold_up_nothing_once_the_grace_is_over() {
    let limits = Limits { max_connections: Some(1), ..Limits::default() };
    let world = World::with(Settings { limits, shutdown_grace: SECOND, ..Settings::default() }, ()).await;
    let mut client = Client::login(world.address).await;
    let mut refused = Client::open(world.address).await;
    expect_farewell(&mut refused).await;
    let begun = Instant::now();
    world.stop.send(()).unwrap();
    expect_farewell(&mut client).await;
    // From now on the clock moves to whatever is waited for: the end of the grace, or one that comes later.
    drop(world.at_work);
    world.serving.await.unwrap().unwrap();
    assert!(begun.elapsed() < 2 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_transfer_begins_with_its_first_reply() {
    let (told, mut elapsed) = unbounded_channel();
    let world = World::with(Settings::default(), Stopwatch(told)).await;
    let mut client = Client::login(world.address).await;
    let address = client.passive_address().await;
    assert_eq!(client.ask("STOR file").await, "150");
    advance(5 * SECOND).await;
    drop(TcpStream::connect(address).await.unwrap());
    assert_eq!(client.reply().await, "226");
    assert_eq!(elapsed.recv().await, Some(5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_running_upload_says_how_far_it_is_and_then_how_it_ended() {
    let (told, mut begun) = unbounded_channel();
    let world = World::with(Settings::default(), Onlooker(told)).await;
    let mut client = Client::login(world.address).await;
    let mut data = client.start("STOR file").await;
    let file = begun.recv().await.unwrap();
    assert_eq!((file.verb, file.path.to_string()), ("STOR", "/file".to_owned()));
    assert_eq!((file.direction, file.protected), (Direction::Receive, false));
    assert_eq!((file.bytes(), file.elapsed(), file.has_ended()), (0, Duration::ZERO, false));
    // A client that is silent at first is taken for a slow one, whose bytes are counted one by one.
    advance(SECOND).await;
    for (second, bytes) in [(2, 5), (3, 10)] {
        data.write_all(b"bytes").await.unwrap();
        while file.bytes() != bytes {
            yield_now().await;
        }
        advance(SECOND).await;
        assert_eq!((file.elapsed(), file.has_ended()), (second * SECOND, false));
    }
    drop(data);
    assert_eq!(reply_in_time(&mut client, MILLISECOND).await, "226");
    let took = file.elapsed();
    assert!(took >= 3 * SECOND, "{took:?}");
    advance(SECOND).await;
    assert_eq!((file.bytes(), file.elapsed(), file.has_ended()), (10, took, true));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_lose_its_control_connection_a_little_later_than_its_upload() {
    let (told, mut begun) = unbounded_channel();
    let (told_too, mut ended) = unbounded_channel();
    let world = World::with(Settings::default(), Witness(told, told_too)).await;
    let mut client = Client::login(world.address).await;
    let mut data = client.start("STOR file").await;
    let file = begun.recv().await.unwrap();
    data.write_all(b"half").await.unwrap();
    while file.bytes() != 4 {
        advance(100 * MILLISECOND).await;
    }
    advance(SECOND).await;
    drop(data);
    // The server sees that, and would make up its mind.
    for _ in 0..1_000 {
        yield_now().await;
    }
    drop(client);
    let ended = loop {
        match ended.try_recv() {
            Ok(ended) => break ended,
            Err(_) => advance(MILLISECOND).await,
        }
    };
    assert_eq!((ended.completed, ended.cause, ended.bytes), (false, Some(Cause::ControlLost), 4));
}

#[tokio::test(start_paused = true)]
async fn a_running_download_says_how_far_it_is_and_then_how_it_ended() {
    let (told, mut begun) = unbounded_channel();
    let world = World::with(Settings::default(), Onlooker(told)).await;
    world.big_file("big");
    let mut client = Client::login(world.address).await;
    // A listing is no file.
    drop(client.start("LIST").await);
    client.reply().await;
    let mut data = client.start("RETR big").await;
    let file = begun.recv().await.unwrap();
    assert_eq!((file.verb, file.direction), ("RETR", Direction::Send));
    let mut piece = vec![0; BEYOND_BUFFERS];
    for second in 1..=2 {
        data.read_exact(&mut piece).await.unwrap();
        while file.bytes() < u64::from(second) * BEYOND_BUFFERS as u64 {
            yield_now().await;
        }
        advance(SECOND).await;
        assert_eq!((file.elapsed(), file.has_ended()), (second * SECOND, false));
    }
    drop(data);
    assert_eq!(client.reply().await, "426");
    advance(SECOND).await;
    assert_eq!((file.elapsed(), file.has_ended()), (2 * SECOND, true));
    assert!(file.bytes() < 16 * BEYOND_BUFFERS as u64, "{}", file.bytes());
}

#[tokio::test(start_paused = true)]
async fn a_transfer_whose_server_is_dropped_has_ended() {
    let (told, mut begun) = unbounded_channel();
    let world = World::with(Settings::default(), Onlooker(told)).await;
    let mut client = Client::login(world.address).await;
    let _data = client.start("STOR file").await;
    let file = begun.recv().await.unwrap();
    assert!(!file.has_ended());
    world.serving.abort();
    assert!(world.serving.await.is_err());
    while !file.has_ended() {
        yield_now().await;
    }
}
