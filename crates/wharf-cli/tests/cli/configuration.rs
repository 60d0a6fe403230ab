//! Files that are right, and the documents about them.

use std::fs;

use crate::{document, wharf, written};

#[test]
fn the_example_file_is_accepted_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (_, stderr, code) =
        written(wharf(dir.path(), ["self-signed", "--out", ".", "ftp.example.org"]).output().unwrap());
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    for (name, copy) in [("cert.pem", "other-cert.pem"), ("key.pem", "other-key.pem")] {
        fs::copy(dir.path().join(name), dir.path().join(copy)).unwrap();
    }
    for name in ["public", "public/incoming", "ann", "ann/archive"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("wharf.toml"), document("docs/wharf.toml")).unwrap();
    let (stdout, stderr, code) =
        written(wharf(dir.path(), ["check", "--config", "wharf.toml"]).output().unwrap());
    let incoming = "wharf: anonymous.overrides: everybody who can connect may change files in /incoming\n";
    assert_eq!((stderr.as_str(), code), (incoming, Some(0)));
    for line in
        ["listen          0.0.0.0:2121\n", "passive ports   60000-65535\n", "tls             offered; "]
    {
        assert!(stdout.contains(line), "{stdout}");
    }
    // Whoever takes the file as it is would send clients to a stranger.
    assert!(!stdout.contains("masquerade"), "{stdout}");
}

#[test]
fn flags_win_over_variables_and_both_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("wharf.toml"),
        "listen = \"127.0.0.1:1\"\n[limits]\nmax_connections = 1\n[active]\nsource_port = 20\n[anonymous]\nhome = \".\"\n",
    )
    .unwrap();
    let mut command = wharf(dir.path(), ["check", "--config", "wharf.toml", "-p", "3"]);
    command.env("WHARF_PORT", "2").env("WHARF_MAX_CONS", "2");
    let (stdout, ..) = written(command.output().unwrap());
    assert!(stdout.contains("active          from port 20\n"), "{stdout}");
    assert!(stdout.contains("listen          127.0.0.1:3\n"), "{stdout}");
    assert!(stdout.contains("connections     2, of one address no limit\n"), "{stdout}");
}

#[test]
fn a_password_from_a_file_lets_a_user_in() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "12345\n").unwrap();
    let mut command = wharf(dir.path(), ["check", "-w"]);
    command.env("WHARF_USERNAME", "ann").env("WHARF_PASSWORD_FILE", "secret");
    let (stdout, stderr, code) = written(command.output().unwrap());
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    assert!(
        stdout.contains("user            ann: ") && stdout.contains("elradfmwMT, password in clear\n"),
        "{stdout}"
    );
    assert!(!stdout.contains("12345"));
}

#[test]
fn what_is_odd_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for (line, expected) in [
        ("check -w", "wharf: -w without -u: everybody who can connect may change, delete and upload files\n"),
        ("check -w -u ann -P a", ""),
        ("check --concurrency async", ""),
        (
            "check --concurrency pre-fork",
            "wharf: --concurrency changes nothing: one process serves everybody on all cores\n",
        ),
        (
            "check -n 256.1.1.1",
            "wharf: passive.masquerade_address: 256.1.1.1 is no IPv4 address; it is taken for a host name\n",
        ),
    ] {
        let (_, stderr, code) = written(wharf(dir.path(), line.split(' ')).output().unwrap());
        assert_eq!((stderr.as_str(), code), (expected, Some(0)), "{line}");
    }
}

#[test]
fn what_is_not_as_usual_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let check = |settings: &str| {
        fs::write(dir.path().join("wharf.toml"), format!("anonymous.home = \".\"\n{settings}")).unwrap();
        let output = wharf(dir.path(), ["check", "--config", "wharf.toml"]).output().unwrap();
        let (stdout, stderr, code) = written(output);
        assert_eq!((stderr.as_str(), code), ("", Some(0)), "{settings}");
        stdout
    };
    let usual = check("");
    for (settings, expected) in [
        ("banner = \"Hello.\"", "banner          \"Hello.\""),
        ("use_gmt_times = false", "times           local"),
        ("tcp_no_delay = false", "tcp_no_delay    off"),
        ("shutdown_grace = \"5m\"", "shutdown grace  300s"),
        ("limits.max_login_attempts = 1", "limits          max_login_attempts 1"),
        (
            "limits = { login_timeout = \"1s\", idle_timeout = \"0s\", data_timeout = \"100ms\" }",
            "limits          login_timeout 1s, idle_timeout 0s, data_timeout 100ms",
        ),
        (
            "limits = { passive_timeout = \"1h\", failed_login_delay = \"0s\" }",
            "limits          passive_timeout 3600s, failed_login_delay 0s",
        ),
        (
            "limits = { upload_rate = 1, download_rate = 1000 }",
            "limits          uploads 1 bytes/s, downloads 1000 bytes/s",
        ),
        ("passive.masquerade_address = \"203.0.113.7\"", "masquerade      203.0.113.7"),
        ("passive.masquerade_address = \"ftp.example.org\"", "masquerade      ftp.example.org, looked up"),
        (
            "passive.masquerade_map = { \"10.0.0.2\" = \"203.0.113.7\" }",
            "masquerade      203.0.113.7 to those who reached 10.0.0.2",
        ),
        (
            "passive.masquerade_clients = { \"192.168.0.0/16\" = \"10.0.0.2\" }",
            "masquerade      10.0.0.2 to clients of 192.168.0.0/16",
        ),
        ("passive = { ports = \"60000\", port_offset = -5 }", "port offset     -5"),
        ("active.enabled = false", "active          off"),
        ("active.permit_privileged_ports = true", "active          to ports below 1024 too"),
        ("active.permit_foreign_addresses = true", "data            with any address, not only the client's"),
        (
            "uploads = { publish = \"staged\", incomplete = \"delete\", sync = true }",
            "uploads         staged, deleted when incomplete, synced",
        ),
    ] {
        assert!(check(settings).lines().any(|line| line == expected), "{settings}: {}", check(settings));
        let title = expected.split("  ").next().unwrap();
        assert!(!usual.contains(&format!("\n{title} ")), "{title}: {usual}");
    }
}

#[test]
fn misspelt_variables_are_told() {
    let dir = tempfile::tempdir().unwrap();
    for (name, value, expected) in [
        ("WHARF_MAX_CONS", "3", ""),
        (
            "WHARF_TLS_CONTROL_REQUIERD",
            "1",
            "wharf: unknown variable WHARF_TLS_CONTROL_REQUIERD; did you mean WHARF_TLS_CONTROL_REQUIRED?\n",
        ),
        (
            "WHARF_PASSWROD",
            "secret",
            "wharf: unknown variable WHARF_PASSWROD; did you mean WHARF_PASSWORD?\n",
        ),
        ("WHARF_FROBNICATE", "", "wharf: unknown variable WHARF_FROBNICATE; wharf --help lists them\n"),
        // What Kubernetes sets for services called wharf, wharf-files and so on.
        ("WHARF_SERVICE_HOST", "10.0.0.1", ""),
        ("WHARF_SERVICE_PORT_FTP", "21", ""),
        ("WHARF_PORT_21_TCP", "tcp://10.0.0.1:21", ""),
        ("WHARF_PORT_21_TCP_ADDR", "10.0.0.1", ""),
        ("WHARF_FILES_PORT", "tcp://10.0.0.1:21", ""),
        ("WHARF_FILES_SERVICE_HOST", "10.0.0.1", ""),
        ("WHARF_FILES_PORT_21_TCP_PROTO", "tcp", ""),
    ] {
        let output = wharf(dir.path(), ["check"]).env(name, value).output().unwrap();
        let (_, stderr, code) = written(output);
        assert_eq!((stderr.as_str(), code), (expected, Some(0)), "{name}");
    }
}

#[test]
fn files_that_everybody_may_change_are_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    for (rest, expected) in [
        ("", ""),
        ("permissions = \"el\"", ""),
        (
            "permissions = \"elrw\"",
            "wharf: anonymous.permissions: \"elrw\": everybody who can connect may change files\n",
        ),
        ("[[anonymous.overrides]]\ndirectory = \"in\"\npermissions = \"el\"", ""),
        (
            "[[anonymous.overrides]]\ndirectory = \"in\"\npermissions = \"w\"",
            "wharf: anonymous.overrides: everybody who can connect may change files in /in\n",
        ),
    ] {
        fs::write(dir.path().join("wharf.toml"), format!("[anonymous]\nhome = \".\"\n{rest}\n")).unwrap();
        let output = wharf(dir.path(), ["check", "--config", "wharf.toml"]).output().unwrap();
        let (_, stderr, code) = written(output);
        assert_eq!((stderr.as_str(), code), (expected, Some(0)), "{rest}");
    }
}

/// No test builds the image.
#[test]
fn the_variables_of_the_image_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let image = document("dist/Dockerfile");
    let words = image.split_whitespace().filter_map(|word| word.split_once('='));
    let variables: Vec<_> = words.filter(|(name, _)| name.starts_with("WHARF_")).collect();
    assert_eq!(variables.len(), 3);
    let mut command = wharf(dir.path(), ["check"]);
    command.envs(variables).env("WHARF_DIRECTORY", ".");
    let (stdout, stderr, code) = written(command.output().unwrap());
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    assert!(stdout.contains(":2121\n") && stdout.contains("passive ports   60000-60099\n"), "{stdout}");
    assert!(image.contains("\nEXPOSE 2121 60000-60099\n"), "{image}");
}

#[test]
fn the_reference_names_every_flag_and_variable() {
    let dir = tempfile::tempdir().unwrap();
    let (help, ..) = written(wharf(dir.path(), ["--help"]).output().unwrap());
    let reference = document("docs/configuration.md");
    let word = |text: &str| {
        text.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).next().unwrap().to_owned()
    };
    let flags = help.match_indices("--").map(|(at, _)| word(&help[at..]));
    let variables = help.match_indices("WHARF_").map(|(at, _)| word(&help[at..]));
    let names: Vec<String> = flags.chain(variables).collect();
    assert!(names.len() > 50);
    for name in names {
        assert!(reference.contains(&format!("`{name}")), "{name}");
    }
}
