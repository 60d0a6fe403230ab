//! A certificate to try TLS with. Nobody vouches for it, so clients must be told to trust it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use crate::config::reason;
use crate::failure::Failure;
use crate::output;

/// Writes `cert.pem` and `key.pem` for these host names and addresses into a directory, and overwrites neither.
///
/// # Errors
/// When a name is none, or a file cannot be made.
pub(crate) fn create(directory: &Path, names: &[String]) -> Result<(), Failure> {
    if let Some(name) = names.iter().find(|name| !is_name(name)) {
        let expected = "expected a host name such as \"ftp.example.org\", or an IP address";
        return Err(Failure::usage(format!("<NAME>: {name:?}: {expected}")));
    }
    let (text, secret) = make(names).map_err(|error| {
        Failure::usage(format!("{}: no certificate can be made: {error}", names.join(", ")))
    })?;
    let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let cannot = |path: &Path, error: &std::io::Error| {
        Failure::usage(format!("{}: {}", path.display(), reason(error)))
    };
    fs::create_dir_all(directory).map_err(|error| cannot(directory, &error))?;
    // Of two files that belong together, a new one beside an old one is worse than none.
    if certificate.exists() {
        return Err(Failure::usage(format!("{}: file exists", certificate.display())));
    }
    write_new(&key, &secret, Readers::Owner).map_err(|error| cannot(&key, &error))?;
    write_new(&certificate, &text, Readers::Everybody).map_err(|error| cannot(&certificate, &error))?;
    output::say(&format!("{}\n{}", certificate.display(), key.display()))
}

/// Whether a client can compare what it connects to with this: `*` stands for one label, the first.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let host = name.strip_prefix("*.").unwrap_or(name);
    // Four numbers are an address, or a slip in one.
    let is_number =
        host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.parse::<IpAddr>().is_ok() || (host.split('.').all(is_label) && !is_number)
}

/// A certificate and its key (PEM). Clients that ask whether to trust it show its subject, which is the first name.
fn make(names: &[String]) -> Result<(String, String), rcgen::Error> {
    let mut described = CertificateParams::new(names)?;
    described.distinguished_name = DistinguishedName::new();
    if let Some(name) = names.first() {
        described.distinguished_name.push(DnType::CommonName, name.as_str());
    }
    let key = KeyPair::generate()?;
    Ok((described.self_signed(&key)?.pem(), key.serialize_pem()))
}

enum Readers {
    Owner,
    Everybody,
}

fn write_new(path: &Path, text: &str, readers: Readers) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(match readers {
            Readers::Owner => 0o600,
            Readers::Everybody => 0o644,
        });
    }
    #[cfg(not(unix))]
    drop(readers);
    options.open(path)?.write_all(text.as_bytes())
}
