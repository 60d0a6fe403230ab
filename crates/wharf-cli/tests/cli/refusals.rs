//! Whatever is wrong: exit code 2, nothing on standard output, and one line that says it.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use tempfile::TempDir;

use crate::{wharf, written};

#[track_caller]
fn refused(command: &mut Command, expected: &str) {
    let (stdout, stderr, code) = written(command.output().unwrap());
    assert_eq!((stdout.as_str(), stderr, code), ("", format!("wharf: {expected}\n"), Some(2)));
}

/// A directory with what the rows below name.
fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("public")).unwrap();
    for name in ["cert.pem", "ca.pem", "file"] {
        fs::write(dir.path().join(name), "text").unwrap();
    }
    fs::write(dir.path().join("empty"), "\nnot this").unwrap();
    dir
}

#[test]
fn flags() {
    let dir = place();
    for (line, expected) in [
        ("--prot 2121", "unknown flag --prot; did you mean --port?"),
        ("-z", "unknown flag -z; wharf --help lists them"),
        ("chekc", r#"unknown command "chekc"; did you mean wharf check?"#),
        ("public", r#"unknown command "public"; a directory to serve is given by -d"#),
        ("check public", r#"unexpected word "public"; wharf --help says what goes where"#),
        ("-p 2121 check", "flags go after the command: wharf check ..."),
        ("-p", "--port needs a value"),
        ("-p 65536", r#"--port: "65536": expected a port from 0 to 65535"#),
        ("-p -1", r#"--port: "-1": expected a port from 0 to 65535"#),
        ("-p ftp", r#"--port: "ftp": expected a port from 0 to 65535"#),
        (
            "-i localhost:2121",
            r#"--interface: "localhost:2121": expected an address or a host name; -p gives the port"#,
        ),
        (
            "-i [::1]:2121",
            r#"--interface: "[::1]:2121": expected an address or a host name; -p gives the port"#,
        ),
        ("-r 60010-60000", r#"--range: "60010-60000": the range is reversed; did you mean 60000-60010?"#),
        ("-r 1-99999", r#"--range: "1-99999": ports are numbers from 1 to 65535"#),
        ("-r x", r#"--range: "x": expected a port range such as "60000-65535", or a port"#),
        ("-n ::1", r#"--nat-address: "::1": expected an IPv4 address such as "203.0.113.7", or a host name"#),
        ("-d publik", "-d: publik: no such file or directory; did you mean public?"),
        ("-d file", "-d: file: not a directory"),
        ("-u ann", "-u needs a password: -P, --password-file or WHARF_PASSWORD"),
        ("-P secret", "a password (-P or --password-file) needs a user: -u"),
        ("-u ann -P a --password-file file", "-P and --password-file exclude each other"),
        ("-u ann --password=", "-u needs a password that is not empty"),
        ("-u anonymous -P a", "-u: \"anonymous\" needs no password: leave it out, and everybody is let in"),
        ("--tls --certfile cert.pem", "tls.certificate: cert.pem: holds no certificate"),
        ("-u ann --password-file empty", "-u needs a password that is not empty"),
        (&format!("-u ann -P {}", "x".repeat(512)), "-u needs a password of at most 511 bytes"),
        (
            "-u ann --password-file nofile",
            "--password-file: nofile: no such file or directory; did you mean file?",
        ),
        ("--max-cons -1", r#"--max-cons: "-1": expected a whole number, 0 or more"#),
        ("--max-login-attempts x", r#"--max-login-attempts: "x": expected a whole number, 0 or more"#),
        (
            "--timeout soon",
            r#"--timeout: "soon": expected a duration such as "300s", "100ms", "5m" or "1h" ("0s" is off)"#,
        ),
        (
            "--timeout -5",
            r#"--timeout: "-5": expected a duration such as "300s", "100ms", "5m" or "1h" ("0s" is off)"#,
        ),
        (
            "--encoding latin-1",
            "--encoding: \"latin-1\": only utf-8: names are bytes and reach clients as they are on the disk, \
             whatever their encoding",
        ),
        (
            "--concurrency multi-threads",
            r#"--concurrency: "multi-threads": expected async, multi-thread, multi-proc, pre-fork; did you mean multi-thread?"#,
        ),
        ("--log-format xml", r#"--log-format: "xml": expected text, json"#),
        ("--tls", "--tls needs --certfile; wharf self-signed makes one to try"),
        ("--certfile cert.pem", "--certfile needs --tls"),
        ("--tls-data-required", "--tls-data-required needs --tls"),
        (
            "--tls --certfile crt.pem",
            "--certfile: crt.pem: no such file or directory; did you mean cert.pem?",
        ),
        ("--tls --certfile cert.pem --keyfile public", "--keyfile: public: is a directory"),
        ("--config public", "--config: public: is a directory"),
        ("--config none.toml", "--config: none.toml: no such file or directory"),
        ("completions klingon", r#"<SHELL>: "klingon": expected bash, elvish, fish, powershell, zsh"#),
        ("self-signed localhost", "--out <DIR> must be given"),
    ] {
        println!("{line}");
        refused(&mut wharf(dir.path(), line.split(' ')), expected);
    }
}

/// Services and containers start there.
#[cfg(unix)]
#[test]
fn the_root_of_all_files_that_nobody_named() {
    let root = std::path::Path::new("/");
    let expected =
        "-d (or WHARF_DIRECTORY): the current directory is /: give the one to serve, or -d / for all of it";
    for line in ["check", "check -w", "check -u ann -P a", "-i 127.0.0.1 -p 0"] {
        refused(&mut wharf(root, line.split(' ')), expected);
    }
    for line in ["check -d /", "check -d ."] {
        assert_eq!(written(wharf(root, line.split(' ')).output().unwrap()).2, Some(0), "{line}");
    }
    let mut named = wharf(root, ["check"]);
    assert_eq!(written(named.env("WHARF_DIRECTORY", "/").output().unwrap()).2, Some(0));
}

#[test]
fn variables() {
    let dir = place();
    for (name, value, expected) in [
        ("WHARF_WRITE", "perhaps", r#"WHARF_WRITE: "perhaps": expected true or false"#),
        ("WHARF_LOG_FORMAT", "xml", r#"WHARF_LOG_FORMAT: "xml": expected text, json"#),
        ("WHARF_DIRECTORY", "file", "WHARF_DIRECTORY: file: not a directory"),
        ("WHARF_CERTFILE", "cert.pem", "WHARF_CERTFILE needs --tls"),
        ("WHARF_TLS", "yes", "WHARF_TLS needs --certfile; wharf self-signed makes one to try"),
        ("WHARF_USERNAME", "ann", "WHARF_USERNAME needs a password: -P, --password-file or WHARF_PASSWORD"),
        ("WHARF_CONFIG", "none.toml", "WHARF_CONFIG: none.toml: no such file or directory"),
        (
            "WHARF_PORT",
            "tcp://10.0.0.1:21",
            "WHARF_PORT: \"tcp://10.0.0.1:21\": Kubernetes sets WHARF_PORT to this for a service called wharf; \
             set enableServiceLinks: false, or give the service another name",
        ),
    ] {
        refused(wharf(dir.path(), ["check"]).env(name, value), expected);
        refused(wharf(dir.path(), [""; 0]).env(name, value), expected);
    }
    // The line is told by its flags, whatever variables are there besides.
    for (line, name, value, expected) in [
        ("-p x", "WHARF_PORT", "y", r#"--port: "x": expected a port from 0 to 65535"#),
        ("-p x", "WHARF_RANGE", "y", r#"--port: "x": expected a port from 0 to 65535"#),
        (
            "-p 2121 -d publik",
            "WHARF_DIRECTORY",
            "public",
            "-d: publik: no such file or directory; did you mean public?",
        ),
        ("--tls-data-required", "WHARF_TLS", "no", "--tls-data-required needs --tls"),
    ] {
        refused(wharf(dir.path(), line.split(' ')).env(name, value), expected);
    }
}

#[cfg(unix)]
#[test]
fn values_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;

    let dir = place();
    let wrong = std::ffi::OsStr::from_bytes(b"\xff");
    let line = |line: &str| {
        let words = line.split(' ').map(|word| word.as_bytes().to_vec());
        let words =
            words.map(|word| word.into_iter().map(|byte| if byte == b'?' { 0xff } else { byte }).collect());
        let words: Vec<Vec<u8>> = words.collect();
        wharf(dir.path(), words.iter().map(|word| std::ffi::OsStr::from_bytes(word)))
    };
    for (words, expected) in [
        ("check --banner ?", "--banner: the value is not UTF-8"),
        ("check --banner=a?b", "--banner: the value is not UTF-8"),
        ("check -d ? -u ?", "--username: the value is not UTF-8"),
        ("-u ann -Psecret?", "--password: the value is not UTF-8"),
        ("-wu?", "--username: the value is not UTF-8"),
        ("-w -u ann -P secret?", "--password: the value is not UTF-8"),
        ("self-signed --out tls ?", "a word is not UTF-8; wharf --help says what goes where"),
    ] {
        println!("{words}");
        refused(&mut line(words), expected);
    }
    let mut command = line("check -d public");
    refused(
        command.env("WHARF_DIRECTORY", wrong).env("WHARF_PASSWORD", wrong),
        "WHARF_PASSWORD: the value is not UTF-8",
    );
}

#[test]
fn a_port_that_is_taken() {
    let dir = place();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let expected =
        format!("listen: 127.0.0.1:{port}: address already in use (another program listens there)");
    refused(&mut wharf(dir.path(), ["-i", "127.0.0.1", "-p", &port]), &expected);
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_for_implicit_ftps_without_a_certificate() {
    let dir = place();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=implicit exec "$0" 3<&0"#]);
    shell.arg(env!("CARGO_BIN_EXE_wharf")).env_clear().current_dir(dir.path());
    shell.stdin(std::os::fd::OwnedFd::from(listener));
    refused(&mut shell, "a socket of the service manager is called \"implicit\", which needs [tls]");
}

/// What the parser alone can tell is tested beside it; this is about what files mean.
#[test]
fn files() {
    let dir = place();
    let user = "[[users]]\nname = \"ann\"\nhome = \"public\"\n";
    let user_with_password = format!("{user}password = \"a\"\n");
    let public = "[anonymous]\nhome = \"public\"\n";
    for (text, expected) in [
        ("listen", "{file}:1: "),
        (
            "[limits]\nidle_timeot = \"1s\"",
            "{file}:2: unknown key limits.idle_timeot; did you mean limits.idle_timeout?",
        ),
        ("banner = \"hello\"", "{file}: nobody could log in: add [[users]] or [anonymous], or give -d or -u"),
        (
            "[anonymous]\nhome = \"publik\"",
            "{file}:2: anonymous.home: {dir}/publik: no such file or directory; did you mean {dir}/public?",
        ),
        (user, "{file}:1: users.password of \"ann\": a user needs this or password_hash"),
        (
            &format!("{user_with_password}{user_with_password}"),
            "{file}:6: users.name: \"ann\" is there twice",
        ),
        (
            &format!("{user_with_password}password_hash = \"$6$x\""),
            "{file}:1: users of \"ann\": password and password_hash exclude each other",
        ),
        (
            &format!("{user}password = \"\""),
            "{file}:4: users.password of \"ann\": expected a password that is not empty",
        ),
        (
            &format!("{user_with_password}\n{}password = \"\"", user.replace("ann", "bob")),
            "{file}:9: users.password of \"bob\": expected a password that is not empty",
        ),
        (
            &format!("{user}password_hash = \"secret\""),
            "{file}:4: users.password_hash of \"ann\": not a password hash; argon2, bcrypt, $5$, $6$ and $y$ hashes are known; \
             wharf hash-password makes one",
        ),
        (
            &format!("{user}password = \"{}\"", "x".repeat(512)),
            "{file}:4: users.password of \"ann\": expected a password of at most 511 bytes",
        ),
        ("[[users]]\nname = \"ann\"\npassword = \"a\"", "{file}:1: users.home of \"ann\": is missing"),
        (
            "[[users]]\nname = \"anonymous\"",
            "{file}:2: users.name: \"anonymous\" has a table of its own: [anonymous]",
        ),
        ("[[users]]\nname = \"\"", "{file}:2: users.name: \"\": expected a name, in one line"),
        (
            &format!("listen = []\n{public}"),
            "{file}:1: listen: expected an address and a port such as \"0.0.0.0:2121\" or \"[::]:2121\"",
        ),
        (
            &format!("[passive]\nmasquerade_map = {{ \"10.0.0\" = \"1.2.3.4\" }}\n{public}"),
            "{file}:2: passive.masquerade_map: \"10.0.0\": expected an IP address such as \"10.0.0.2\"",
        ),
        (
            &format!("[passive]\nports = \"60000-65535\"\nport_offset = 1\n{public}"),
            "{file}:3: passive.port_offset: moves passive.ports out of 1 to 65535",
        ),
        (
            &format!("log.xferlog = \"logs/xferlog\"\n{public}"),
            "{file}:1: log.xferlog: {dir}/logs: no such directory",
        ),
        (
            &format!("[passive]\nport_offset = 1\n{public}"),
            "{file}:2: passive.port_offset: needs passive.ports",
        ),
        (
            &format!("[passive]\nports = []\n{public}"),
            "{file}:2: passive.ports: expected a port range such as \"60000-65535\", or a port",
        ),
        (
            &format!("[passive]\nports = \"2000-3000\"\n[active]\nsource_port = 2020\n{public}"),
            "{file}:4: active.source_port: 2020 is among passive.ports",
        ),
        (
            &format!("listen = \"[::]:2121\"\n[active]\nsource_port = 2121\n{public}"),
            "{file}:3: active.source_port: wharf listens on port 2121 itself",
        ),
        (
            &format!("listen = [\"[::]:21\", \"[::]:22\"]\n[passive]\nports = [\"22\", \"21\"]\n{public}"),
            "{file}:3: passive.ports: wharf listens there itself, so no port is left for data",
        ),
        (
            &format!("[passive]\nports = \"21\"\n{public}"),
            "{file}:2: passive.ports: wharf listens there itself, so no port is left for data",
        ),
        (
            &format!("[active]\nsource_port = 21\n{public}"),
            "{file}:2: active.source_port: wharf listens on port 21 itself",
        ),
        (
            &format!(
                "listen = \"127.0.0.1:990\"\n[tls]\ncertificate = \"cert.pem\"\nimplicit_listen = \"[::]:990\"\n{public}"
            ),
            "{file}:4: tls.implicit_listen: [::]:990: wharf listens there itself (listen)",
        ),
        (
            &format!("[active]\nsource_port = 70000\n{public}"),
            "{file}:2: active.source_port: 70000: ports are numbers from 0 to 65535",
        ),
        (
            &format!("[tls]\n{public}"),
            "{file}:1: tls.certificate: is missing; wharf self-signed makes one to try",
        ),
        (
            &format!("[tls]\ncertificate = \"crt.pem\"\n{public}"),
            "{file}:2: tls.certificate: {dir}/crt.pem: no such file or directory; did you mean {dir}/cert.pem?",
        ),
        (
            &format!("[tls]\ncertificate = \"cert.pem\"\nclient_certificates = \"required\"\n{public}"),
            "{file}:3: tls.client_certificates: needs tls.client_ca",
        ),
        (
            &format!("[tls]\ncertificate = \"cert.pem\"\nclient_ca = \"ca.pem\"\n{public}"),
            "{file}:3: tls.client_ca: means nothing while tls.client_certificates is \"off\"; did you mean \"optional\"?",
        ),
        (
            &format!("[tls]\ncertificate = \"cert.pem\"\n{public}"),
            "{file}:2: tls.certificate: {dir}/cert.pem: holds no certificate",
        ),
        (
            &format!("{public}[[anonymous.overrides]]\ndirectory = \"none\"\npermissions = \"el\"\n"),
            "{file}:3: anonymous.overrides: no such directory: ",
        ),
        ("[anonymous]\nhome = \"\"", "{file}:2: anonymous.home: \"\": expected a path"),
        (&format!("[log]\nfile = \"\"\n{public}"), "{file}:2: log.file: \"\": expected a path"),
        (
            &format!("[log]\nfile = \"none/log\"\n{public}"),
            "{file}:2: log.file: {dir}/none: no such directory",
        ),
        (&format!("[log]\nfile = \"public\"\n{public}"), "{file}:2: log.file: {dir}/public: is a directory"),
        (
            &format!("[log]\nxferlog = \"none/xferlog\"\n{public}"),
            "{file}:2: log.xferlog: {dir}/none: no such directory",
        ),
        (
            &format!("[log]\nxferlog = \"public\"\n{public}"),
            "{file}:2: log.xferlog: {dir}/public: is a directory",
        ),
        (
            &format!("run_as = \"no such user\"\n{public}"),
            "{file}:1: run_as: there is no user \"no such user\"",
        ),
        (
            &format!("[auth]\nkind = \"unix\"\n{public}"),
            "{file}:3: [anonymous] is for virtual users; system users have anonymous_user in [auth.unix] or [auth.windows], \
             and [[users]] with name = \"anonymous\"",
        ),
        (
            "[auth]\nkind = \"unix\"\nunix.pam_service = \"\"",
            "{file}:3: auth.unix.pam_service: \"\": expected the name of a file in /etc/pam.d such as \"wharf\"",
        ),
        (
            "[auth]\nkind = \"unix\"\nunix.pam_service = \"../x\"",
            "{file}:3: auth.unix.pam_service: \"../x\": expected the name of a file in /etc/pam.d such as \"wharf\"",
        ),
        ("[auth]\nkind = \"windows\"", "{file}:2: auth.kind = \"windows\" works on Windows only"),
    ] {
        if !cfg!(target_os = "linux") && (text.starts_with("run_as") || text.starts_with("[auth]")) {
            continue; // there is a word of its own for each of them where it cannot work
        }
        println!("{text}");
        let file = dir.path().join("wharf.toml");
        fs::write(&file, text).unwrap();
        let fill = |line: &str| {
            let place = format!("{}{}", dir.path().display(), std::path::MAIN_SEPARATOR);
            line.replace("{file}", file.to_str().unwrap()).replace("{dir}/", &place)
        };
        let mut command = wharf(dir.path(), ["check", "--config"]);
        command.arg(&file);
        if let Some(start) = expected.strip_suffix(": ") {
            let (_, stderr, code) = written(command.output().unwrap());
            assert!(stderr.starts_with(&fill(&format!("wharf: {start}: "))), "{stderr}");
            assert_eq!((stderr.lines().count(), code), (1, Some(2)));
        } else {
            refused(&mut command, &fill(expected));
        }
    }
}

#[test]
fn entries_of_lists_are_told_by_their_lines() {
    let dir = place();
    let made = wharf(dir.path(), ["self-signed", "--out", "tls", "localhost"]).output().unwrap();
    assert_eq!(made.status.code(), Some(0));
    let public = "anonymous.home = \"public\"\n";
    let files = "certificate = \"tls/cert.pem\"\nkey = \"tls/key.pem\"\n";
    let tls = format!("{public}[tls]\n{files}[[tls.certificates]]\n{files}[[tls.certificates]]\n");
    let user = |name: &str| format!("[[users]]\nname = {name:?}\npassword = \"a\"\nhome = \".\"\n");
    let below = |directory: &str, list: &str| {
        format!("[[{list}.overrides]]\ndirectory = {directory:?}\npermissions = \"el\"\n")
    };
    let (fine, wrong) = (below("public", "users"), below("none", "users"));
    for (text, line, start) in [
        (format!("{tls}certificate = \"none.pem\""), 9, "tls.certificates.certificate: "),
        (format!("{tls}certificate = \"cert.pem\"\nkey = \"none.pem\""), 10, "tls.certificates.key: "),
        (format!("{tls}certificate = \"ca.pem\""), 9, "tls.certificates.certificate: "),
        (format!("{}{fine}{wrong}", user("ann")), 8, "users.overrides of \"ann\": no such directory: "),
        (
            format!("{}{fine}{fine}{}{fine}{wrong}", user("bob"), user("ann")),
            18,
            "users.overrides of \"ann\": no such directory: ",
        ),
        (format!("{}{fine}{}", user("ann"), below(".", "users")), 8, "users.overrides of \"ann\": "),
        (
            format!(
                "[anonymous]\nhome = \".\"\n{}{}",
                below("/tls", "anonymous"),
                below("/tls/x", "anonymous")
            ),
            6,
            "anonymous.overrides: no such directory: ",
        ),
        // Both are meant.
        (
            format!("auth.kind = \"unix\"\n[[users]]\nname = \"ann\"\n{fine}{fine}"),
            4,
            "users.overrides of \"ann\": overrides need permissions",
        ),
    ] {
        println!("{text}");
        fs::write(dir.path().join("wharf.toml"), text).unwrap();
        let output = wharf(dir.path(), ["check", "--config", "wharf.toml"]).output().unwrap();
        let (stdout, stderr, code) = written(output);
        assert!(stderr.starts_with(&format!("wharf: wharf.toml:{line}: {start}")), "{stderr}");
        assert_eq!((stdout.as_str(), stderr.lines().count(), code), ("", 1, Some(2)));
    }
}

#[test]
fn users_of_flags_and_of_a_file() {
    let dir = place();
    fs::write(dir.path().join("wharf.toml"), "[anonymous]\nhome = \"public\"\n").unwrap();
    let expected = "-d and the users of wharf.toml exclude each other";
    refused(&mut wharf(dir.path(), ["--config", "wharf.toml", "-d", "public"]), expected);
}
