//! A server under test: the real program on a port of its own, or one that already runs elsewhere.

use std::{
    collections::HashMap,
    env, fs,
    fs::File,
    io::{BufRead, BufReader, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use toml::{Table, Value};

use crate::transcript;

/// The longest a test waits for anything; far more than a healthy server needs on a busy machine, and far less than the
/// server waits for anything in [`base_settings`].
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The account with every right, and its password.
pub(crate) const USER: (&str, &str) = ("user", "12345");

const READY: &str = "Serving FTP on ";

const READY_IMPLICIT: &str = "Serving FTPS on ";

/// A running server, its home directory, and whatever must be cleaned up after it.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    home: PathBuf,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    sockets_when_idle: usize,
    directory: TempDir,
    /// Standard output, line by line.
    lines: Mutex<mpsc::Receiver<String>>,
}

impl Server {
    /// Starts the program. `settings` is TOML laid over [`base_settings`]; `$DIR` in it is the
    /// directory that holds the home. `prepare` fills the home before anybody serves it.
    pub(crate) fn start(settings: &str, prepare: impl FnOnce(&Path)) -> Self {
        let directory = TempDir::with_prefix("wharf-test-").expect("a temporary directory");
        let home = directory.path().join("home");
        fs::create_dir(&home).expect("a home directory");
        prepare(&home);
        let mut child = spawn(directory.path(), &configuration(directory.path(), settings));
        let lines = Mutex::new(lines(&mut child));
        let process = Process { child, sockets_when_idle: 0, directory, lines };
        let mut server = Self { address: ([0, 0, 0, 0], 0).into(), home, process: Some(process) };
        server.address = server.next_address(READY);
        let sockets = server.sockets();
        if let Some(process) = &mut server.process {
            process.sockets_when_idle = sockets;
        }
        server
    }

    /// The server that `PREFIX_ADDR` points to, if it is set; `PREFIX_HOME` is the home directory it serves.
    pub(crate) fn elsewhere(prefix: &str) -> Option<Self> {
        let address = env::var(format!("{prefix}_ADDR")).ok()?;
        let address = address.parse().unwrap_or_else(|_| panic!("{prefix}_ADDR is not HOST:PORT"));
        let home = env::var_os(format!("{prefix}_HOME"))
            .unwrap_or_else(|| panic!("{prefix}_HOME must name the home directory served"));
        Some(Self { address, home: home.into(), process: None })
    }

    /// Where clients connect.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where sessions begin with TLS. Asked once, of a server that was set up so.
    pub(crate) fn implicit_address(&self) -> SocketAddr {
        self.next_address(READY_IMPLICIT)
    }

    /// The address in the next line of standard output.
    fn next_address(&self, ready: &str) -> SocketAddr {
        let process = self.process.as_ref().expect("a program of our own");
        let lines = process.lines.lock().expect("nobody panics while listening");
        let line = lines.recv_timeout(PATIENCE);
        let address = line.as_deref().ok().and_then(|line| line.strip_prefix(ready));
        let address = address.and_then(|address| address.trim().parse().ok());
        reachable(address.unwrap_or_else(|| panic!("expected `{ready}ADDR:PORT` on stdout, got {line:?}")))
    }

    /// The directory that both accounts see as `/`.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Removes everything that an earlier row left in the home directory.
    pub(crate) fn clear_home(&self) {
        for entry in fs::read_dir(&self.home).expect("the home directory").flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let path = entry.path();
            let removed = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            removed.expect("the home directory is ours to clean");
        }
    }

    /// A path beside the home directory, out of reach for clients.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.home.with_file_name(name)
    }

    /// Everything the program wrote to its log so far.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().map_or_else(String::new, |process| {
            let bytes = fs::read(process.directory.path().join("log")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }

    /// The program's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("only a server of our own has a process").child.id()
    }

    /// The memory that the process has, in KiB.
    #[allow(dead_code, reason = "not every test binary asks")]
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux");
        line.trim_end_matches("kB").trim().parse().expect("a number")
    }

    /// Whether there is still a program to ask.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| matches!(process.child.try_wait(), Ok(None)))
    }

    /// Ends the program as the kernel would: at once, without a chance to clean up.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.child.kill().expect("our own child");
            process.child.wait().expect("our own child");
        }
    }

    /// Waits for the program to end by itself and returns its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let process = self.process.as_mut().expect("only a server of our own can be waited for");
        let mut status = None;
        eventually("the program ends", || {
            status = process.child.try_wait().expect("our own child");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Checks that closed sessions left no socket behind.
    pub(crate) fn assert_no_leaks(&self) {
        let Some(process) = &self.process else { return };
        eventually("the sockets of closed sessions are gone", || self.sockets() <= process.sockets_when_idle);
    }

    /// Checks that the server has closed a port on which it listened.
    pub(crate) fn assert_refuses(&self, address: SocketAddr) {
        match TcpStream::connect(address) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            // Somebody else may have been given the port since, be it for the connection's own other end.
            Ok(_) => assert!(!self.listens_on(address.port()), "the server still listens on {address}"),
        }
    }

    /// Whether the program has a listener on the port, as far as can be told.
    fn listens_on(&self, port: u16) -> bool {
        self.process.is_none() || self.count_sockets(|socket| socket.listens && socket.port == port) > 0
    }

    /// How many TCP sockets the server has.
    pub(crate) fn sockets(&self) -> usize {
        self.count_sockets(|_| true)
    }

    /// TCP sockets only: the runtime has others of its own.
    fn count_sockets(&self, holds: impl Fn(&TcpSocket) -> bool) -> usize {
        let tcp = tcp_sockets();
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.pid())).into_iter().flatten();
        descriptors
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| tcp.get(target.to_string_lossy().as_ref()).is_some_and(&holds))
            .count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            transcript::note(&format!("--- log of the server ---\n{}", self.log()));
        }
        self.kill();
    }
}

/// Polls until the condition holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A row of `/proc/net/tcp`.
struct TcpSocket {
    port: u16,
    listens: bool,
}

/// Every TCP socket of the machine, by its name in `/proc/PID/fd`.
fn tcp_sockets() -> HashMap<String, TcpSocket> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| {
            let rows = fs::read_to_string(table).unwrap_or_default();
            rows.lines().filter_map(tcp_socket).collect::<Vec<_>>()
        })
        .collect()
}

/// `sl local_address rem_address st … inode`, numbers in hexadecimal but for the inode; 0A is LISTEN.
fn tcp_socket(row: &str) -> Option<(String, TcpSocket)> {
    let words: Vec<&str> = row.split_whitespace().collect();
    let (_, port) = words.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((format!("socket:[{}]", words.get(9)?), TcpSocket { port, listens: words.get(3) == Some(&"0A") }))
}

fn spawn(directory: &Path, configuration: &str) -> Child {
    let file = directory.join("wharf.toml");
    fs::write(&file, configuration).expect("a configuration file");
    let log = File::create(directory.join("log")).expect("a log file");
    Command::new(env!("CARGO_BIN_EXE_wharf"))
        .arg("--config")
        .arg(file)
        .current_dir(directory)
        // Five hours east, so that GMT and local time are never the same.
        .env("TZ", "TST-5")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the program under test")
}

/// The lines of standard output, read as they come, so that the program never blocks on them.
fn lines(child: &mut Child) -> mpsc::Receiver<String> {
    let output = BufReader::new(child.stdout.take().expect("standard output was piped"));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // Nobody may be left to listen.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// A server that listens on all addresses is reached by the loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn configuration(directory: &Path, settings: &str) -> String {
    let mut base = parse(&base_settings(&directory.join("home")));
    // A row names files beside the home without knowing where the home is.
    let settings = settings.replace("$DIR", &directory.to_string_lossy());
    overlay(&mut base, parse(&settings));
    base.to_string()
}

/// Both accounts of the upstream test suites in one home, no waiting after a wrong password, and no deadline that a slow
/// machine could miss or that a row could be saved by.
fn base_settings(home: &Path) -> String {
    let (user, password) = USER;
    let home = home.to_string_lossy();
    format!(
        r#"
        listen = "127.0.0.1:0"
        shutdown_grace = "1h"
        limits.failed_login_delay = "1ms"
        limits.login_timeout = "1h"
        limits.idle_timeout = "1h"
        limits.data_timeout = "1h"
        limits.passive_timeout = "1h"
        anonymous = {{ home = "{home}", permissions = "elr" }}
        [[users]]
        name = "{user}"
        password = "{password}"
        home = "{home}"
        permissions = "elradfmwMT"
        "#
    )
}

fn parse(text: &str) -> Table {
    text.parse().unwrap_or_else(|error| panic!("settings of a test: {error}\n{text}"))
}

fn overlay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            (_, value) => drop(base.insert(key, value)),
        }
    }
}
