//! What is written down: transfers, one record per line, and never a password.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    case::Case,
    client::{Client, connect, connect_from, expect_closed, reset},
    server::{Server, eventually},
};

const PASSWORD: &str = "Tr0ub4dor";
const XFERLOG: &str = "log.xferlog = '$DIR/xferlog'";
const JSON: &str = "log.format = 'json'";

pub(crate) const CASES: &[Case] = &[
    Case::new("xferlog: an upload and a download", |server| {
        let mut client = Client::login(server);
        client.upload("STOR file", b"12345");
        client.download("RETR file");
        let [upload, download] = &xferlog(server, 2)[..] else { panic!("two lines") };
        assert_record(upload, &["5", &real(server, "file"), "b", "_", "i", "r", "user", "c"]);
        assert_record(download, &["5", &real(server, "file"), "b", "_", "o", "r", "user", "c"]);
    })
    .with(XFERLOG),
    Case::new("xferlog: anonymous, in ASCII", |server| {
        fs::write(server.home().join("file"), "12345").expect("a file");
        let mut client = Client::connect(server);
        client.ask("USER anonymous", "331*");
        client.ask("PASS me@example.org", "230*");
        client.download("RETR file");
        let record = &xferlog(server, 1)[0];
        assert_record(record, &["5", &real(server, "file"), "a", "_", "o", "a", "*", "c"]);
    })
    .with(XFERLOG),
    Case::new("xferlog: incomplete uploads", |server| {
        let mut client = Client::login(server);
        let data = client.begin_upload("file");
        reset(data);
        client.expect("426*");
        let record = &xferlog(server, 1)[0];
        assert_record(record, &[&stored(server), &real(server, "file"), "b", "_", "i", "r", "user", "i"]);
    })
    .with(XFERLOG),
    Case::new("xferlog: an upload that made a file and never began", |server| {
        let mut client = Client::login(server);
        let _port = client.passive_address();
        client.ask("STOR file", "150*");
        client.ask("ABOR", "426*");
        client.expect("226*");
        let record = &xferlog(server, 1)[0];
        assert_record(record, &["0", &real(server, "file"), "b", "_", "i", "r", "user", "i"]);
        eventually("the cause is in the log", || {
            server.log().lines().any(|line| {
                ["STOR", "completed=0", "bytes=0", "cause=Abort"].iter().all(|word| line.contains(word))
            })
        });
        // Lost, and nobody asks the session what is to become of the transfer.
        client.ask("STOR other", "150*");
        reset(client.stream().try_clone().expect("a handle"));
        drop(client);
        let record = &xferlog(server, 2)[1];
        assert_record(record, &["0", &real(server, "other"), "b", "_", "i", "r", "user", "i"]);
    })
    .with(XFERLOG),
    Case::new("xferlog: the user of the moment when the transfer began", |server| {
        let mut client = Client::login(server);
        let mut data = client.start("STOR file");
        data.write_all(b"123").expect("the server reads");
        client.ask("REIN", "2?0*");
        drop(data);
        client.expect("226*");
        let record = &xferlog(server, 1)[0];
        assert_record(record, &["3", &real(server, "file"), "b", "_", "i", "r", "user", "c"]);
    })
    .with(XFERLOG),
    Case::new("xferlog: a session lost in an upload", |server| {
        let mut client = Client::login(server);
        let data = client.begin_upload("file");
        drop(client);
        eventually("the transfer is recorded", || !read(&xferlog_path(server)).is_empty());
        drop(data);
        let record = &xferlog(server, 1)[0];
        assert_record(record, &[&stored(server), &real(server, "file"), "b", "_", "i", "r", "user", "i"]);
    })
    .with(XFERLOG),
    Case::new("xferlog: a name with spaces is one word", |server| {
        let mut client = Client::login(server);
        client.upload("STOR two words", b"x");
        let record = &xferlog(server, 1)[0];
        assert_record(record, &["1", &real(server, "two_words"), "b", "_", "i", "r", "user", "c"]);
    })
    .with(XFERLOG),
    Case::new("xferlog: on a full disk", |server| {
        Client::login(server).upload("STOR file", b"12345");
        let full = "the xferlog lacks lines path=/dev/full lines=1 error=No space left on device";
        eventually("the loss is logged, with its cause", || server.log().contains(full));
    })
    .with("log.xferlog = '/dev/full'")
    .only_if(|| Path::new("/dev/full").exists(), "there is no /dev/full"),
    Case::new("a transfer", |server| {
        let mut client = Client::login(server);
        client.upload("STOR file", b"12345");
        eventually("the upload is in the log", || {
            server.log().lines().any(|line| {
                ["STOR", "file", "completed=1", "bytes=5", "seconds=", "user", "127.0.0.1"]
                    .iter()
                    .all(|word| line.contains(word))
            })
        });
    })
    .own(),
    Case::new("why a session was closed", |server| {
        let mut client = Client::login(server);
        let _data = client.passive();
        client.expect("421*");
        client.expect_end();
        eventually("the reason is in the log", || {
            server
                .log()
                .lines()
                .any(|line| line.contains("421 Data connection timed out.") && line.contains("user"))
        });
    })
    .with("limits.data_timeout = '100ms'"),
    Case::new("a transfer that begins after QUIT is its user's", |server| {
        let mut client = Client::login(server);
        let address = client.passive_address();
        client.ask("STOR file", "1*");
        client.ask("QUIT", "221*");
        connect(address).write_all(b"12345").expect("the server reads");
        client.expect("226*");
        client.expect_end();
        let record = &xferlog(server, 1)[0];
        assert_record(record, &["5", &real(server, "file"), "b", "_", "i", "r", "user", "c"]);
        eventually("the transfer is logged", || server.log().contains("STOR"));
        let log = server.log();
        let record = log.lines().find(|line| line.contains(" STOR ")).expect("a transfer");
        assert!(record.contains(" [user]@"), "{record}");
    })
    .with(XFERLOG),
    Case::new("what changes something", |server| {
        fs::write(server.home().join("file"), "x").expect("a file");
        let mut client = Client::login(server);
        for command in ["MKD dir", "CWD dir", "CDUP", "NOOP", "MDTM file", "MDTM 20200102030405 file"] {
            client.ask(command, "2*");
        }
        client.ask("MFMT 20200102030405 file", "213*");
        client.ask("QUIT", "221*");
        let log = whole_log(server);
        for line in ["MKD /dir 257", "CWD /dir 250", "CDUP / 250", "MDTM /file 213", "MFMT /file 213"] {
            assert_eq!(log.matches(&format!(" {line}\n")).count(), 1, "{line}: {log}");
        }
        assert!(!log.contains("NOOP"), "{log}");
    })
    .own(),
    Case::new("REIN is its user's", |server| {
        let mut client = Client::login(server);
        client.ask("REIN", "230*");
        client.ask("QUIT", "221*");
        let log = whole_log(server);
        let record = log.lines().find(|line| line.contains("REIN 230")).expect("a record");
        assert!(record.contains(" [user]@"), "{record}");
    })
    .own(),
    Case::new("a name that is too long for one", |server| {
        let mut client = Client::connect(server);
        client.ask(format!("USER {}", "x".repeat(6000)), "331*");
        client.ask("PASS wrong", "530*");
        client.ask("QUIT", "221*");
        let log = whole_log(server);
        assert!(log.contains(&format!("USER '{}…' failed login.", "x".repeat(64))), "{log}");
    })
    .with("limits.failed_login_delay = '0s'"),
    Case::new("a stranger on a data port", |server| {
        let mut client = Client::login(server);
        let address = client.passive_address();
        expect_closed(connect_from([127, 0, 0, 2].into(), address));
        expect_warning(server, &format!("to port {} refused", address.port()));
    })
    .own(),
    Case::new("no password", |server| {
        type_passwords(server);
        assert!(!whole_log(server).contains(PASSWORD), "a password is in the log");
    })
    .own(),
    Case::new("no password in JSON", |server| {
        type_passwords(server);
        assert!(!whole_log(server).contains(PASSWORD), "a password is in the log");
        assert_json(server);
    })
    .with(JSON),
    Case::new("what is counted of a transfer has names in JSON", |server| {
        let mut client = Client::login(server);
        client.upload("STOR file", b"12345");
        client.ask("QUIT", "221*");
        client.expect_end();
        eventually("the transfer is logged", || server.log().contains("STOR"));
        let log = server.log();
        let mut records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let record = records.find(|record| record["target"] == "wharf::transfer").expect("a transfer");
        assert_eq!(record["message"], format!("STOR {}", real(server, "file")));
        assert!(record["completed"] == 1 && record["bytes"] == 5, "{record}");
        assert!(record["seconds"].is_number() && record["user"] == "user", "{record}");
    })
    .with(JSON),
    Case::new("one record per line, whatever the name", |server| {
        let hostile = "\"},\n{\r\n\u{2028}\\\x1b[31m\tx";
        fs::write(server.home().join(hostile), "x").expect("a file");
        let mut client = Client::login(server);
        client.download("LIST");
        for name in ["a\"b\\c\t\x1b[2J", "\u{202e}\u{2028}x", "{}", "%s%n"] {
            client.upload(format!("STOR {name}"), b"x");
            client.ask(format!("DELE {name}"), "250*");
        }
        client.upload(b"STOR \xfe\x80".as_slice(), b"x");
        client.ask("QUIT", "221*");
        client.expect_end();
        assert_json(server);
    })
    .with(JSON),
    Case::new("no control characters in text", |server| {
        let mut client = Client::login(server);
        client.ask("MKD \x1b[31mred\x07", "257*");
        client.ask("FOO\x1b[31m", "500*");
        client.ask("RMD \x1b[31mred\x07", "250*");
        client.ask("QUIT", "221*");
        client.expect_end();
        let log = whole_log(server);
        assert!(!log.contains('\x07') && !log.contains("\x1b[31mred"), "{log:?}");
    })
    .own(),
];

/// The log warns of this, and says in which session and of whom.
pub(crate) fn expect_warning(server: &Server, text: &str) {
    eventually("a warning", || server.log().contains(text));
    let log = server.log();
    let mut lines = log.lines().filter(|line| line.contains(text));
    assert!(lines.all(|line| line.contains(" WARN  #1 [user]@127.0.0.1:")), "{log}");
}

/// Every way in which a password may be typed, right and wrong.
fn type_passwords(server: &Server) {
    let mut client = Client::connect(server);
    client.ask("USER user", "331*");
    client.ask(format!("PASS {PASSWORD}"), "530*");
    client.ask(format!("PASS{PASSWORD}"), "500*");
    client.ask(format!(" PASS {PASSWORD}"), "500*");
    client.ask(format!("pass {PASSWORD}"), "503*");
    client.ask(format!("PAS {PASSWORD}"), "500*");
    client.ask(PASSWORD, "500*");
    client.log_in();
    client.ask(format!("PASS {PASSWORD}"), "503*");
    client.ask("QUIT", "221*");
    client.expect_end();
}

/// The log up to the end of the only session.
fn whole_log(server: &Server) -> String {
    let mut log = String::new();
    eventually("the end of the session is logged", || {
        log = server.log();
        log.contains("session closed") && log.ends_with('\n')
    });
    log
}

fn assert_json(server: &Server) {
    let log = whole_log(server);
    for line in log.lines() {
        let record: Result<Value, _> = serde_json::from_str(line);
        assert!(record.is_ok_and(|record| record.is_object()), "not a record: {line}");
    }
}

/// The lines, split into words, once there are as many as expected.
fn xferlog(server: &Server, count: usize) -> Vec<Vec<String>> {
    let path = xferlog_path(server);
    eventually("the transfer is recorded", || read(&path).lines().count() >= count);
    let text = read(&path);
    assert_eq!(text.lines().count(), count, "{text}");
    text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

/// `Ddd Mmm dd hh:mm:ss yyyy seconds peer size file type flag direction access user ftp 0 * end`,
/// a day below ten with two spaces before it.
fn assert_record(words: &[String], expected: &[&str; 8]) {
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
    assert_eq!(words.len(), 18, "{words:?}");
    assert_eq!((words[6], &words[14..17]), ("127.0.0.1", ["ftp", "0", "*"].as_slice()));
    let [size, file, kind, flag, direction, access, user, end] = *expected;
    assert_eq!(words[7..13], [size, file, kind, flag, direction, access]);
    assert!(user == "*" || words[13] == user, "{words:?}");
    assert_eq!(words[17], end);
}

/// How much of an incomplete upload was kept.
fn stored(server: &Server) -> String {
    fs::metadata(server.home().join("file")).expect("kept").len().to_string()
}

fn xferlog_path(server: &Server) -> PathBuf {
    server.outside("xferlog")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// How a file is called in the log: by its path on the machine.
fn real(server: &Server, name: &str) -> String {
    server.home().join(name).to_string_lossy().into_owned()
}
