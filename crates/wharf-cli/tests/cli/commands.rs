//! The commands that do not serve.

use std::io::Write;
use std::process::Stdio;

use argon2::Argon2;
use argon2::password_hash::{PasswordVerifier, phc::PasswordHash};

use crate::{document, wharf, written};

#[test]
fn the_version() {
    let dir = tempfile::tempdir().unwrap();
    let expected = format!("wharf {}\n", env!("CARGO_PKG_VERSION"));
    for flag in ["-v", "-V", "--version"] {
        let (stdout, stderr, code) = written(wharf(dir.path(), [flag]).output().unwrap());
        assert_eq!((stdout, stderr.as_str(), code), (expected.clone(), "", Some(0)), "{flag}");
    }
}

#[test]
fn a_hash_fits_its_password() {
    let dir = tempfile::tempdir().unwrap();
    for (typed, password) in [
        ("pass wörd\r\nnot this\n".as_bytes(), "pass wörd".as_bytes()),
        (b"in Latin-1: \xe4", b"in Latin-1: \xe4"),
    ] {
        let mut command = wharf(dir.path(), ["hash-password"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed).unwrap();
        let (stdout, stderr, code) = written(child.wait_with_output().unwrap());
        assert_eq!((stderr.as_str(), code), ("", Some(0)));
        let hash = PasswordHash::new(stdout.trim_end()).unwrap();
        assert!(stdout.starts_with("$argon2id$"));
        assert!(Argon2::default().verify_password(password, &hash).is_ok());
        assert!(Argon2::default().verify_password(b"other", &hash).is_err());
    }
}

#[test]
fn no_password_has_no_hash() {
    let dir = tempfile::tempdir().unwrap();
    let output = wharf(dir.path(), ["hash-password"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(written(output), (String::new(), "wharf: the password is empty\n".into(), Some(2)));
}

#[test]
fn a_password_that_opens_nothing_has_no_hash() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "x".repeat(512)).unwrap();
    let password = std::fs::File::open(dir.path().join("password")).unwrap();
    let output = wharf(dir.path(), ["hash-password"]).stdin(password).output().unwrap();
    let expected = "wharf: the password is longer than 511 bytes\n";
    assert_eq!(written(output), (String::new(), expected.into(), Some(2)));
}

#[test]
fn a_certificate_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let make = || {
        written(
            wharf(dir.path(), ["self-signed", "--out", "tls", "localhost", "127.0.0.1"]).output().unwrap(),
        )
    };
    let separator = std::path::MAIN_SEPARATOR;
    let made = format!("tls{separator}cert.pem\ntls{separator}key.pem\n");
    assert_eq!(make(), (made, String::new(), Some(0)));
    let text = |name| std::fs::read_to_string(dir.path().join("tls").join(name)).unwrap();
    assert!(text("cert.pem").starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(text("key.pem").starts_with("-----BEGIN PRIVATE KEY-----"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(dir.path().join("tls/key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let refused = |name| (String::new(), format!("wharf: tls{separator}{name}: file exists\n"), Some(2));
    assert_eq!(make(), refused("cert.pem"));
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| dir.path().join("tls").join(name));
    std::fs::rename(&key, dir.path().join("tls").join("old")).unwrap();
    assert_eq!(make(), refused("cert.pem"));
    assert!(!key.exists(), "a key without its certificate");
    std::fs::rename(&certificate, &key).unwrap();
    assert_eq!(make(), refused("key.pem"));
}

#[test]
fn names_that_no_client_compares_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name| {
        written(wharf(dir.path(), ["self-signed", "--out", "tls", "localhost", name]).output().unwrap())
    };
    for name in
        ["a b", "", "localhost:21", "[::1]", "256.1.1.1", "a..b", "x.*.org", "ftp://localhost", "bücher.de"]
    {
        let problem = "expected a host name such as \"ftp.example.org\", or an IP address";
        let expected = format!("wharf: <NAME>: {name:?}: {problem}\n");
        assert_eq!(make(name), (String::new(), expected, Some(2)), "{name}");
    }
    assert!(!dir.path().join("tls").exists());
    for name in ["ftp.example.org", "::1", "10.0.0.1", "*.example.org", "xn--bcher-kva.de", "a_b"] {
        let (_, stderr, code) = make(name);
        assert_eq!((stderr.as_str(), code), ("", Some(0)), "{name}");
        std::fs::remove_dir_all(dir.path().join("tls")).unwrap();
    }
}

#[test]
fn a_certificate_without_its_key_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let made = wharf(dir.path(), ["self-signed", "--out", ".", "localhost"]).output().unwrap();
    assert_eq!(made.status.code(), Some(0));
    let output = wharf(dir.path(), ["check", "--tls", "--certfile", "cert.pem"]).output().unwrap();
    let expected = "wharf: tls.certificate: cert.pem: holds no private key; give --keyfile (tls.key)\n";
    assert_eq!(written(output), (String::new(), expected.into(), Some(2)));
}

#[test]
fn variables_of_the_server_do_not_matter_to_other_commands() {
    let dir = tempfile::tempdir().unwrap();
    for line in ["man", "completions bash", "self-signed --out tls localhost", "--help", "--version"] {
        let mut command = wharf(dir.path(), line.split(' '));
        command.env("WHARF_PORT", "tcp://10.0.0.1:21").env("WHARF_WRITE", "perhaps");
        let (_, stderr, code) = written(command.output().unwrap());
        assert_eq!((stderr.as_str(), code), ("", Some(0)), "{line}");
    }
    let mut command = wharf(dir.path(), ["hash-password"]);
    let output = command.env("WHARF_PORT", "tcp://10.0.0.1:21").stdin(Stdio::null()).output().unwrap();
    assert_eq!(written(output).1, "wharf: the password is empty\n");
}

#[test]
fn completions_and_manual_page_know_the_flags() {
    let dir = tempfile::tempdir().unwrap();
    for line in [
        "completions bash",
        "completions zsh",
        "completions fish",
        "completions powershell",
        "completions elvish",
        "man",
    ] {
        let (stdout, stderr, code) = written(wharf(dir.path(), line.split(' ')).output().unwrap());
        assert_eq!((stderr.as_str(), code), ("", Some(0)), "{line}");
        assert!(stdout.replace('\\', "").contains("max-cons-per-ip"), "{line}");
    }
}

#[test]
fn the_manual_page_has_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let (page, ..) = written(wharf(dir.path(), ["man"]).output().unwrap());
    let (_, configuration) = page.split_once("\n.SH CONFIGURATION\n").unwrap();
    let reference = document("docs/configuration.md");
    let (_, keys) = reference.split_once("\n## Keys\n").unwrap();
    let keys: Vec<&str> =
        keys.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(keys.len() > 70, "{keys:?}");
    for key in keys {
        assert!(configuration.contains(&format!("\n\\fB{}\\fR (", key.replace('-', "\\-"))), "{key}");
    }
    assert!(!configuration.contains("](") && !configuration.contains('`'), "{configuration}");
}
