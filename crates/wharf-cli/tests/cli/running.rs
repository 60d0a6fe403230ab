//! The program while it serves: its first line, and how signals end it.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wharf;

/// A running server, and the address in its first line.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
        let address = first.trim_end().strip_prefix("Serving FTP on ").unwrap().to_owned();
        Self { child, address }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end: the exit code, and what standard error holds.
    fn end(mut self) -> (Option<i32>, String) {
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stderr)
    }
}

#[test]
fn the_first_line_names_the_real_port() {
    let dir = tempfile::tempdir().unwrap();
    for (interface, start) in [("127.0.0.1", "127.0.0.1:"), ("0.0.0.0", "0.0.0.0:")] {
        let server = Running::start(wharf(dir.path(), ["-i", interface, "-p", "0"]));
        let port = server.address.strip_prefix(start).unwrap();
        assert!(TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
        server.signal("-TERM");
        assert_eq!(server.end().0, Some(0));
    }
}

/// People name both families, and one socket serves them.
#[test]
fn both_families_on_one_port() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: there is no IPv6 here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Another program may take a port that was free a moment ago.
    for _ in 0..10 {
        let port = TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
        let listen = format!("listen = [\"0.0.0.0:{port}\", \"[::]:{port}\"]\nanonymous.home = \".\"\n");
        std::fs::write(dir.path().join("wharf.toml"), listen).unwrap();
        let mut command = wharf(dir.path(), ["--config", "wharf.toml"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
        if first.is_empty() {
            let (_, stderr, _) = crate::written(child.wait_with_output().unwrap());
            assert!(stderr.contains(&format!("listen: [::]:{port}: address already in use")), "{stderr}");
            continue;
        }
        assert_eq!(first, format!("Serving FTP on [::]:{port}\n"));
        for host in ["127.0.0.1", "[::1]"] {
            assert!(TcpStream::connect(format!("{host}:{port}")).is_ok(), "{host}");
        }
        let server = Running { child, address: first };
        server.signal("-TERM");
        assert_eq!(server.end().0, Some(0));
        return;
    }
    panic!("no port stayed free");
}

/// What a name stands for is known only when it is looked up.
#[test]
fn a_name_beside_the_address_that_it_has() {
    let dir = tempfile::tempdir().unwrap();
    // Another program may take a port that was free a moment ago.
    for _ in 0..10 {
        let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let listen = format!("[\"localhost:{port}\", \"0.0.0.0:{port}\", \"[::ffff:127.0.0.1]:{port}\"]");
        let config = format!("listen = {listen}\nanonymous.home = \".\"\n");
        std::fs::write(dir.path().join("wharf.toml"), config).unwrap();
        let mut command = wharf(dir.path(), ["--config", "wharf.toml"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        if first.is_empty() {
            child.wait().unwrap();
            continue;
        }
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        let server = Running { child, address: first };
        server.signal("-TERM");
        assert_eq!(server.end().0, Some(0));
        return;
    }
    panic!("no start in ten");
}

#[test]
fn signals_to_stop_end_it_well() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["-TERM", "-INT"] {
        let server = Running::start(wharf(dir.path(), ["-i", "127.0.0.1", "-p", "0"]));
        server.signal(name);
        let (code, log) = server.end();
        assert_eq!(code, Some(0), "{name}");
        assert!(log.contains(" INFO  stopping"), "{log}");
    }
}

/// A pipe that is full, and that nobody reads: whoever writes on waits.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

#[test]
fn a_log_that_does_not_move_does_not_keep_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let (_reader, writer) = full_pipe();
    let mut command = wharf(dir.path(), ["-i", "127.0.0.1", "-p", "0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(writer).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let (ended, waiting) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait().unwrap().code()));
    // Long, because whoever waits here for nothing has found a defect.
    let code = waiting.recv_timeout(Duration::from_secs(60));
    if code.is_err() {
        let _ = Command::new("kill").args(["-KILL", &id]).status();
    }
    assert_eq!(code, Ok(Some(0)));
}

#[test]
fn standard_error_is_json_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = wharf(dir.path(), ["-i", "127.0.0.1", "-p", "0", "-w", "--log-format", "json"]);
    command.env("WHARF_CONCURRENCY", "pre-fork");
    let server = Running::start(command);
    server.signal("-TERM");
    let (code, log) = server.end();
    assert_eq!(code, Some(0));
    assert!(log.lines().all(|line| line.starts_with("{\"timestamp\":")), "{log}");
    assert!(
        log.contains("\"message\":\"-w without -u: ") && log.contains("WHARF_CONCURRENCY changes nothing"),
        "{log}"
    );
}

#[test]
fn a_hangup_opens_the_log_again() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        "listen = \"127.0.0.1:0\"\nlog = { file = \"log\", format = \"json\" }\nanonymous.home = \".\"\n";
    std::fs::write(dir.path().join("wharf.toml"), config).unwrap();
    let server = Running::start(wharf(dir.path(), ["--config", "wharf.toml"]));
    std::fs::rename(dir.path().join("log"), dir.path().join("log.1")).unwrap();
    server.signal("-HUP");
    // The new file is there once the signal has been dealt with.
    while !dir.path().join("log").exists() {
        std::thread::yield_now();
    }
    server.signal("-TERM");
    assert_eq!(server.end().0, Some(0));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let last = log.lines().last().unwrap();
    assert!(last.starts_with('{') && last.contains(r#""message":"stopping"#), "{log}");
    assert!(log.contains("log reopened") && !log.contains("certificates"), "{log}");
    assert!(!log.contains("has changed"), "{log}");
}

/// On Linux `/dev/full` is a disk without room.
#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let config = "listen = \"127.0.0.1:0\"\nsandbox = \"off\"\nlog.file = \"log\"\nanonymous.home = \".\"\n";
    std::fs::write(dir.path().join("wharf.toml"), config).unwrap();
    for recovers in [false, true] {
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut server = Running::start(wharf(dir.path(), ["--config", "wharf.toml"]));
        let mut stderr = BufReader::new(server.child.stderr.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            stderr.read_line(&mut line).unwrap();
            line
        };
        assert_eq!(line(), "wharf: log.file: no space left on device; records are being lost\n");
        std::fs::remove_file(&path).unwrap();
        if recovers {
            server.signal("-HUP");
            let again = line();
            let count = again.strip_prefix("wharf: log.file: works again; ").unwrap();
            let count = count.strip_suffix(" records were lost\n").unwrap();
            assert!(count.parse::<u32>().unwrap() >= 2, "{again}");
            server.signal("-TERM");
            assert_eq!(line(), "");
            let log = std::fs::read_to_string(&path).unwrap();
            assert!(log.contains(&format!("wharf: {count} log records were lost\n")), "{log}");
        } else {
            server.signal("-TERM");
            let end = line();
            assert!(end.starts_with("wharf: log.file: ") && end.ends_with(" records were lost\n"), "{end}");
            assert_eq!(line(), "");
        }
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
    }
}

/// A file that may not become longer is on a disk that is full.
#[cfg(target_os = "linux")]
#[test]
fn a_log_without_room_has_whole_records_alone() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let dir = tempfile::tempdir().unwrap();
    let config = "listen = \"127.0.0.1:0\"\nanonymous.home = \".\"\n\
                  log = { file = \"log\", format = \"json\" }\n";
    std::fs::write(dir.path().join("wharf.toml"), config).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" XFSZ; ulimit -S -f 4; exec "$0" -D --config wharf.toml"#]);
    shell.arg(env!("CARGO_BIN_EXE_wharf")).env_clear().current_dir(dir.path());
    let mut server = Running::start(shell);
    let mut stderr = BufReader::new(server.child.stderr.take().unwrap());
    let mut told = String::new();
    let mut client = BufReader::new(TcpStream::connect(&server.address).unwrap());
    let mut reply = String::new();
    client.get_mut().write_all("NOOP\r\n".repeat(100).as_bytes()).unwrap();
    stderr.read_line(&mut told).unwrap();
    assert_eq!(told, "wharf: log.file: file too large; records are being lost\n");
    let room = Rlimit { current: None, maximum: None };
    prlimit(Pid::from_raw(server.child.id().cast_signed()), Resource::Fsize, room).unwrap();
    client.get_mut().write_all(b"QUIT\r\n").unwrap();
    client.read_to_string(&mut reply).unwrap();
    stderr.read_line(&mut told).unwrap();
    assert!(told.contains("wharf: log.file: works again; "), "{told}");
    server.signal("-TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    assert!(log.contains(" log records were lost"), "{log}");
}

#[test]
fn a_hangup_tells_what_became_of_the_file() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    type Change = fn(&std::path::Path) -> std::io::Result<()>;
    let changes: [(Change, &str); 4] = [
        (
            |path| fs::write(path, "anonymous.home = \"/\"\n"),
            " has changed since the start; restart to apply it",
        ),
        (|path| fs::remove_file(path), ": no such file or directory; a restart would fail"),
        (
            |path| fs::remove_file(path).and_then(|()| fs::create_dir(path)),
            " is no longer a file; a restart would fail",
        ),
        (
            |path| fs::set_permissions(path, PermissionsExt::from_mode(0o000)),
            " has another owner or other permissions since the start; a restart must be able to read it",
        ),
    ];
    for (change, expected) in changes {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wharf.toml");
        let config = "listen = \"127.0.0.1:0\"\nlog.file = \"log\"\nanonymous.home = \".\"\n";
        fs::write(&path, config).unwrap();
        let server = Running::start(wharf(dir.path(), ["--config", "wharf.toml"]));
        let log = dir.path().join("log");
        fs::rename(&log, dir.path().join("log.1")).unwrap();
        change(&path).unwrap();
        server.signal("-HUP");
        // The new file is there while the signal is dealt with.
        while !log.exists() {
            std::thread::yield_now();
        }
        server.signal("-TERM");
        assert_eq!(server.end().0, Some(0));
        let log = fs::read_to_string(log).unwrap();
        assert!(log.contains(&format!(" WARN  wharf.toml{expected}\n")), "{log}");
    }
}

#[test]
fn the_start_says_what_is_open_to_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().canonicalize().unwrap();
    for (flags, expected) in
        [("", Some("read")), (" -w", Some("read and write in")), (" -u ann -P secret", None)]
    {
        let line = format!("-i 127.0.0.1 -p 0{flags}");
        let server = Running::start(wharf(dir.path(), line.split(' ')));
        server.signal("-TERM");
        let (_, log) = server.end();
        let expected =
            expected.map(|what| format!(" INFO  everybody who can connect may {what} {}\n", home.display()));
        match expected {
            Some(expected) => assert!(log.contains(&expected), "{log}"),
            None => assert!(!log.contains("everybody"), "{log}"),
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_log_begins_with_what_is_left_of_all_rights() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(wharf(dir.path(), ["-i", "127.0.0.1", "-p", "0"]));
    server.signal("-TERM");
    let (_, log) = server.end();
    let first = log.lines().next().unwrap();
    assert!(
        first.contains(" INFO  running as ") && first.contains(", no new privileges, Landlock: "),
        "{log}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_manager_hears_how_it_goes() {
    use std::os::unix::net::UnixDatagram;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let hears = || {
        let mut notice = [0; 64];
        let length = manager.recv(&mut notice).unwrap();
        String::from_utf8_lossy(&notice[..length]).into_owned()
    };
    let mut command = wharf(dir.path(), ["-i", "127.0.0.1", "-p", "0"]);
    command.env("NOTIFY_SOCKET", &path);
    let server = Running::start(command);
    assert_eq!(hears(), "READY=1");
    server.signal("-HUP");
    assert!(hears().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(hears(), "READY=1");
    server.signal("-TERM");
    assert_eq!(hears(), "STOPPING=1");
    assert_eq!(server.end().0, Some(0));
}
