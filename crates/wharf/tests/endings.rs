//! What an upload is whose client says something just before it closes. Server and client share one thread here, so that
//! the server finds both when it gets its turn.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it is a test, and panics are how it reports")]

#[path = "support/client.rs"]
#[expect(dead_code, reason = "other test binaries download")]
mod client;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn;

use wharf::auth::VirtualUsers;
use wharf::events::{Cause, Ending, EventHandler, SessionInfo, Transfer};
use wharf::{Incomplete, Server, Settings, Uploads};

use crate::client::Client;

/// One that fits a buffer, and one that the kernel moves.
const SIZES: [usize; 2] = [1000, 1 << 20];

struct Told(UnboundedSender<Transfer>);

impl EventHandler for Told {
    async fn on_file_received(&self, _: &SessionInfo, file: &Transfer) {
        self.0.send(file.clone()).unwrap();
    }

    async fn on_incomplete_file_received(&self, _: &SessionInfo, file: &Transfer) {
        self.0.send(file.clone()).unwrap();
    }
}

/// A client of a server that removes what is incomplete, its home, and what callbacks are told.
async fn world() -> (Client, TempDir, UnboundedReceiver<Transfer>) {
    let home = tempfile::tempdir().unwrap();
    let users = VirtualUsers::new().user("user", "12345", home.path(), "elradfmwMT").unwrap();
    let uploads = Uploads { incomplete: Incomplete::Delete, ..Uploads::default() };
    let (tell, told) = unbounded_channel();
    let settings = Settings { uploads, ..Settings::default() };
    let server =
        Server::builder(users).settings(settings).events(Told(tell)).bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr();
    spawn(server.serve());
    (Client::login(address).await, home, told)
}

#[tokio::test]
async fn an_abort_is_not_overtaken_by_the_end_of_the_upload() {
    let (mut client, home, mut told) = world().await;
    for (size, kind) in SIZES.iter().flat_map(|size| ["I", "A"].map(|kind| (*size, kind))) {
        assert_eq!(client.ask(&format!("TYPE {kind}")).await, "200");
        let mut data = client.start("STOR file").await;
        data.write_all(&vec![b'x'; size]).await.unwrap();
        client.send("ABOR").await;
        drop(data);
        assert_eq!(
            (client.reply().await, client.reply().await),
            ("426".into(), "226".into()),
            "{size} {kind}"
        );
        let file = told.recv().await.unwrap();
        assert_eq!((file.completed, file.ending, file.cause), (false, Ending::Aborted, Some(Cause::Abort)));
        assert!(!home.path().join("file").exists());
    }
}

#[tokio::test]
async fn what_is_no_abort_leaves_an_upload_complete() {
    let (mut client, home, mut told) = world().await;
    // Half a line, a whole one, one whose operation takes a while, and one behind which nothing is read any more.
    for (said, codes) in [
        ("NO", ["226"].as_slice()),
        ("NOOP\r\n", &["200", "226"]),
        ("MKD new\r\nNOOP\r\n", &["257", "200", "226"]),
        ("QUIT\r\nABOR\r\n", &["221", "226"]),
    ] {
        let mut data = client.start("STOR file").await;
        data.write_all(b"whole").await.unwrap();
        client.send_raw(said.as_bytes()).await;
        drop(data);
        let mut heard = Vec::new();
        for _ in codes {
            heard.push(client.reply().await);
        }
        heard.sort();
        let mut expected = codes.to_vec();
        expected.sort_unstable();
        assert_eq!(heard, expected, "{said:?}");
        assert!(told.recv().await.unwrap().completed);
        assert_eq!(std::fs::read(home.path().join("file")).unwrap(), b"whole");
        if said == "NO" {
            assert_eq!(client.ask("OP").await, "200", "the other half");
        }
    }
}
