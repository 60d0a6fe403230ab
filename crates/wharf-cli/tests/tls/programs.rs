//! Programs of other TLS libraries: which versions and ciphers they can agree with us on.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::{
    certificate,
    row::{Row, Verdict},
    server::{PATIENCE, Server, USER},
    transcript,
};

/// A program with its options, and whether it can log in.
const HANDSHAKES: &[(&str, &[&str], bool)] = &[
    ("openssl", &["-tls1_3"], true),
    ("openssl", &["-tls1_2"], true),
    ("openssl", &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], false),
    ("openssl", &["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"], false),
    ("openssl", &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], true),
    ("openssl", &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], true),
    ("openssl", &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:AES128-SHA:@SECLEVEL=0"], false),
    ("openssl", &["-tls1_2", "-cipher", "NULL:eNULL:@SECLEVEL=0"], false),
    ("openssl", &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], true),
    ("openssl", &["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"], false),
    ("gnutls-cli", &["--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3"], true),
    ("gnutls-cli", &["--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2"], true),
    ("gnutls-cli", &["--priority", "LEGACY:-VERS-ALL:+VERS-TLS1.1"], false),
];

/// Keys as openssl makes them: a name, and the shell commands that write `key.pem`.
const KEYS: &[(&str, &str)] = &[
    ("RSA, PKCS#1", "openssl genrsa -traditional -out key.pem 2048"),
    ("RSA, PKCS#8", "openssl genpkey -algorithm RSA -out key.pem"),
    ("P-256, SEC1", "openssl ecparam -name prime256v1 -genkey -noout -out key.pem"),
    ("P-384, PKCS#8", "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key.pem"),
    ("Ed25519, PKCS#8", "openssl genpkey -algorithm ED25519 -out key.pem"),
];

pub(crate) fn rows() -> impl Iterator<Item = Row> {
    let handshakes = HANDSHAKES.iter().map(|&(program, options, agrees)| {
        let name = format!("programs: {program} {}", options.join(" "));
        row(name, program, move |server| log_in(server, program, options, agrees))
    });
    let renegotiation = row("programs: openssl cannot renegotiate".to_owned(), "openssl", cannot_renegotiate);
    let keys = KEYS.iter().map(|&(name, make)| {
        row(format!("programs: a key and its certificate in one file, {name}"), "openssl", move |_| {
            serve_with_key(make);
        })
    });
    handshakes.chain([renegotiation]).chain(keys)
}

fn row(name: String, program: &'static str, check: impl FnOnce(&Server) + Send + 'static) -> Row {
    let check = move || {
        let installed = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        if !installed.is_ok_and(|output| output.status.success()) {
            return Verdict::Skipped(format!("{program} is not installed"));
        }
        check(&Server::start(certificate::TLS, certificate::make));
        Verdict::Passed
    };
    Row { name, gap: None, check: Box::new(check) }
}

fn log_in(server: &Server, program: &str, options: &[&str], agrees: bool) {
    let typed = format!("USER {}\r\nPASS {}\r\nQUIT\r\n", USER.0, USER.1);
    // Without this openssl takes lines that begin with Q for its own.
    let quiet: &[&str] = if program == "openssl" { &["-ign_eof"] } else { &[] };
    let printed = converse(server, program, &[options, quiet].concat(), &typed);
    assert_eq!(printed.contains("230 "), agrees, "{printed}");
}

/// As pyftpdlib's users know it: one `keycert.pem`.
fn serve_with_key(make: &str) {
    let server = Server::start("tls.certificate = '$DIR/keycert.pem'", |home| {
        let script = format!(
            "{make} && openssl req -x509 -key key.pem -subj /CN=localhost -out cert.pem \
             && cat key.pem cert.pem > keycert.pem"
        );
        let directory = home.parent().expect("a directory around the home");
        let made = Command::new("sh").args(["-ec", &script]).current_dir(directory).output();
        let made = made.expect("a shell");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    });
    for version in ["-tls1_2", "-tls1_3"] {
        log_in(&server, "openssl", &[version], true);
    }
}

fn cannot_renegotiate(server: &Server) {
    // A line that begins with R asks for a new handshake.
    let printed = converse(server, "openssl", &["-tls1_2"], "R\n");
    assert!(printed.contains("RENEGOTIATING") && printed.contains("no renegotiation"), "{printed}");
}

/// Starts the program, types the text and returns all that it printed.
fn converse(server: &Server, program: &str, options: &[&str], typed: &str) -> String {
    let (host, port) = (server.address().ip().to_string(), server.address().port().to_string());
    let mut command = Command::new("timeout");
    command.args([&PATIENCE.as_secs().to_string(), program]);
    if program == "openssl" {
        command.args(["s_client", "-starttls", "ftp", "-connect", &format!("{host}:{port}")]);
    } else {
        command.args(["--starttls-proto=ftp", "--insecure", "--port", &port]);
    }
    command.args(options);
    if program != "openssl" {
        command.arg(&host);
    }
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is installed");
    transcript::note(&format!("{command:?}"));
    let mut pipe = child.stdin.take().expect("a pipe");
    // A program that could not shake hands does not read.
    let _ = pipe.write_all(typed.as_bytes());
    let output = child.wait_with_output().expect("our own child");
    drop(pipe);
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    transcript::note(&printed);
    printed
}
