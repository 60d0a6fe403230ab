//! What the sandbox closes and what it leaves open, and what the program says when it cannot do as told.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::accounts::{PASSWORD, PamService, User, log_in};
use crate::case::Case;
use crate::client::Client;
use crate::row::Verdict;
use crate::server::{Server, USER, eventually, refusal, refusal_of_check, system_users};

pub(crate) const CASES: &[Case] = &[
    Case::new("Landlock closes what no home needs", landlock_holds),
    Case::new("certificates and logs are opened again behind Landlock", reload),
    Case::new("homes of system users are all that is open", system_homes),
    Case::new("a sandbox that cannot be had ends the program", required),
    Case::new("a home that run_as cannot open ends the program", closed_home),
    Case::new("a key that run_as cannot read ends the program", closed_key),
    Case::new("root without run_as is told", root_is_told),
    Case::new("files leave by the kernel behind Landlock", kernel_route),
];

/// A configuration with the user [`USER`], whose home is `$DIR/home`.
pub(crate) fn virtual_user(settings: &str) -> String {
    let (name, password) = USER;
    format!(
        "listen = \"127.0.0.1:0\"\nlimits.failed_login_delay = \"1ms\"\n{settings}\n[[users]]\nname = {name:?}\n\
         password = {password:?}\nhome = \"$DIR/home\"\npermissions = \"elradfmwMT\""
    )
}

fn start(settings: &str) -> Server {
    Server::start(&virtual_user(settings), |directory| {
        fs::create_dir(directory.join("home")).expect("a home")
    })
}

fn is_confined(server: &Server) -> bool {
    server.says("Landlock: ");
    !server.log().contains("Landlock: off")
}

fn without_landlock() -> Verdict {
    Verdict::Skipped("the kernel has no Landlock".to_owned())
}

fn landlock_holds() -> Verdict {
    let server = start("");
    if !is_confined(&server) {
        return without_landlock();
    }
    let home = server.directory().join("home");
    fs::write(server.directory().join("outside"), "text").expect("a file");
    symlink("../outside", home.join("out")).expect("a link");
    let mut client = log_in(&server, USER.0, USER.1);
    client.upload("STOR file", b"text");
    client.ask("MKD sub", "257*");
    client.ask("RNFR file", "350*");
    client.ask("RNTO sub/file", "250*");
    assert_eq!(client.download("RETR sub/file"), b"text");
    let _data = client.passive();
    client.ask("RETR out", "550*");
    assert!(!server.log().contains("WARN  #"), "{}", server.log());

    // The rule is about the directory itself: another one of that name is as closed as everything else.
    fs::rename(&home, server.directory().join("moved")).expect("a home");
    fs::create_dir(&home).expect("a home");
    refuses_home(&server, USER.0, USER.1);
    client.ask("MKD sub/new", "257*");

    let free = start("sandbox = \"off\"");
    let home = free.directory().join("home");
    fs::rename(&home, free.directory().join("moved")).expect("a home");
    fs::create_dir(&home).expect("a home");
    log_in(&free, USER.0, USER.1).ask("MKD new", "257*");
    Verdict::Passed
}

fn reload() -> Verdict {
    let settings = "log.file = \"$DIR/logs/log\"\nlog.xferlog = \"$DIR/logs/xferlog\"\n\
                    tls = { certificate = \"$DIR/tls/cert.pem\", key = \"$DIR/tls/key.pem\" }";
    let certify = |directory: &std::path::Path| {
        let _ = fs::remove_dir_all(directory.join("new"));
        fs::create_dir(directory.join("new")).expect("a directory");
        self_signed(&directory.join("new"));
        for name in ["cert.pem", "key.pem"] {
            fs::rename(directory.join("new").join(name), directory.join("tls").join(name)).expect("a file");
        }
    };
    let server = Server::start(&virtual_user(settings), |directory| {
        for name in ["home", "logs", "tls"] {
            fs::create_dir(directory.join(name)).expect("a directory");
        }
        certify(directory);
    });
    let logs = server.directory().join("logs");
    let read = |name: &str| fs::read_to_string(logs.join(name)).unwrap_or_default();
    eventually("the log says what confines", || read("log").contains("Landlock: "));
    if read("log").contains("Landlock: off") {
        return without_landlock();
    }
    certify(server.directory());
    for name in ["log", "xferlog"] {
        fs::rename(logs.join(name), logs.join(format!("{name}.1"))).expect("a log");
    }
    let sent = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().expect("kill");
    assert!(sent.success());
    eventually("the certificates are reloaded", || read("log").contains("certificates reloaded"));
    log_in(&server, USER.0, USER.1).upload("STOR file", b"text");
    eventually("the transfer is in the new log", || read("xferlog").lines().count() == 1);
    Verdict::Passed
}

/// Makes a certificate, and a key that only root may read.
fn self_signed(directory: &std::path::Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.arg("self-signed").arg("--out").arg(directory).arg("localhost").stdout(Stdio::null());
    assert!(command.status().expect("the program under test").success());
}

fn system_homes() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    let server = Server::for_users(&service, &[&user], "");
    if !is_confined(&server) {
        return without_landlock();
    }
    let mut client = user.log_in(&server);
    client.upload("STOR file", b"text");
    fs::rename(user.home(), user.home().with_file_name("moved")).expect("a home");
    fs::create_dir(user.home()).expect("a home");
    user.own(&user.home(), 0o700);
    refuses_home(&server, &user.name, PASSWORD);
    Verdict::Passed
}

/// A home that the sandbox has not heard of is not served, and the log says why.
fn refuses_home(server: &Server, name: &str, password: &str) {
    let mut client = Client::connect(server);
    client.ask(format!("USER {name}"), "331*");
    client.ask(format!("PASS {password}"), "421*");
    client.expect_end();
    server.says(
        "the sandbox knows the directory that was here at the start, not this one: restart to serve it",
    );
}

fn required() -> Verdict {
    let service = PamService::shipped();
    for (settings, why) in [
        ("", "any system user may log in; auth.unix.allowed_users would tell whose homes are needed"),
        ("filesystem = \"unix\"", "auth.unix.filesystem = \"unix\" shows the whole file system"),
    ] {
        let configuration = format!("sandbox = \"require\"\n{}", system_users(&service, settings));
        let expected = (Some(2), format!("wharf: sandbox = \"require\": {why}\n"));
        assert_eq!(refusal(&configuration, |_| ()), expected);
        assert_eq!(refusal_of_check(&configuration, |_| ()), expected);
    }
    // A directory that is to stay open, and that the user of run_as cannot reach.
    let user = User::new();
    let settings = format!(
        "sandbox = \"require\"\nrun_as = {:?}\nlog.xferlog = \"$DIR/closed/logs/xferlog\"",
        user.name
    );
    let (code, said) = refusal(&virtual_user(&settings), |directory| {
        fs::create_dir(directory.join("home")).expect("a home");
        user.own(&directory.join("home"), 0o700);
        fs::create_dir_all(directory.join("closed/logs")).expect("a directory");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(directory.join("closed"), mode).expect("a mode");
    });
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("wharf: sandbox = \"require\": /") && said.contains("/closed/logs: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    Verdict::Passed
}

fn closed_home() -> Verdict {
    let user = User::new();
    let configuration = virtual_user(&format!("run_as = {:?}", user.name));
    let close = |directory: &std::path::Path| {
        let home = directory.join("home");
        fs::create_dir(&home).expect("a home");
        fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("a mode");
    };
    for (code, said) in [refusal(&configuration, close), refusal_of_check(&configuration, close)] {
        assert_eq!(code, Some(2));
        let start = format!("wharf: run_as: {} cannot open the home /", user.name);
        assert!(said.starts_with(&start) && said.ends_with("/home: permission denied\n"), "{said}");
    }
    Verdict::Passed
}

fn closed_key() -> Verdict {
    let user = User::new();
    let settings = format!(
        "run_as = {:?}\ntls = {{ certificate = \"$DIR/tls/cert.pem\", key = \"$DIR/tls/key.pem\" }}",
        user.name
    );
    let close = |directory: &std::path::Path| {
        fs::create_dir(directory.join("home")).expect("a home");
        user.own(&directory.join("home"), 0o700);
        self_signed(&directory.join("tls"));
    };
    let configuration = virtual_user(&settings);
    for (code, said) in [refusal(&configuration, close), refusal_of_check(&configuration, close)] {
        assert_eq!(code, Some(2));
        let end = format!(
            "/tls/key.pem: cannot be read: Permission denied (os error 13); wharf reads it as {}, without other \
             rights\n",
            user.name
        );
        assert!(said.starts_with("wharf: tls.key: /") && said.ends_with(&end), "{said}");
    }
    Verdict::Passed
}

fn root_is_told() -> Verdict {
    let server = start("");
    server.says("running as root with all capabilities, no new privileges, Landlock: ");
    server.says("run_as in the configuration names another user");
    Verdict::Passed
}

/// Watches the system calls of the server while it sends a file.
fn kernel_route() -> Verdict {
    let is_there = |tool: &str| Command::new(tool).arg("-V").stdout(Stdio::null()).status().is_ok();
    if !is_there("strace") {
        return Verdict::Skipped("strace is missing".to_owned());
    }
    let (service, user) = (PamService::shipped(), User::new());
    let server = Server::for_users(&service, &[&user], "");
    user.keep("large", &"x".repeat(4 << 20));
    let mut trace = String::new();
    // strace may miss a thread that begins just when it does.
    for _ in 0..5 {
        match traced_download(&server, &user) {
            Some(taken) => trace = taken,
            None => return Verdict::Skipped("strace may not watch here".to_owned()),
        }
        if trace.contains("sendfile(") {
            return Verdict::Passed;
        }
    }
    panic!("no sendfile: {trace}");
}

/// What strace saw of a download; `None` when it may not look.
fn traced_download(server: &Server, user: &User) -> Option<String> {
    let trace = server.directory().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=sendfile", "-p", &server.pid().to_string(), "-o"]).arg(&trace);
    let mut strace = command.stderr(Stdio::null()).spawn().expect("strace");
    eventually("strace watches", || {
        let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
        status.contains(&format!("TracerPid:\t{}", strace.id()))
            || strace.try_wait().is_ok_and(|ended| ended.is_some())
    });
    if strace.try_wait().expect("our own child").is_some() {
        return None;
    }
    assert_eq!(user.log_in(server).download("RETR large").len(), 4 << 20);
    let interrupted = Command::new("kill").args(["-INT", &strace.id().to_string()]).status().expect("kill");
    assert!(interrupted.success());
    strace.wait().expect("our own child");
    Some(fs::read_to_string(&trace).expect("a trace"))
}
