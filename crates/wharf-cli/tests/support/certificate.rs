//! A certificate for the server under test, as the program itself makes them.

use std::{path::Path, process::Command};

/// Settings that serve FTPS with it.
pub(crate) const TLS: &str = "\
    tls.certificate = '$DIR/cert.pem'\n\
    tls.key = '$DIR/key.pem'\n";

/// Makes a certificate beside the home directory, for the loopback address.
pub(crate) fn make(home: &Path) {
    let directory = home.parent().expect("a directory around the home");
    let made = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["self-signed", "--out"])
        .arg(directory)
        .args(["localhost", "127.0.0.1", "::1"])
        .output()
        .expect("the program under test");
    assert!(made.status.success(), "no certificate: {}", String::from_utf8_lossy(&made.stderr));
}
