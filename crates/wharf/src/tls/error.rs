//! What can be wrong with certificates and keys.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why TLS cannot be set up: which file, and what is wrong with it.
#[derive(Debug)]
pub struct TlsError {
    file: Option<PathBuf>,
    problem: TlsProblem,
}

/// What is wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsProblem {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// It is no PEM file, or a damaged one.
    NotPem(rustls_pki_types::pem::Error),
    /// There is no certificate in it.
    NoCertificate,
    /// There is no private key in it.
    NoKey,
    /// The private key is protected by a passphrase.
    EncryptedKey,
    /// The certificate does not belong to the key.
    KeyMismatch,
    /// The certificate or the key cannot be used.
    Unusable(rustls::Error),
    /// Client certificates are asked for, but no authority is named that could have issued them.
    NoClientAuthority,
    /// Certificates or client certificates are set beside a whole configuration of rustls, which has its own.
    OwnConfig,
    /// An authority for client certificates cannot be used.
    BadClientAuthority(String),
}

impl TlsError {
    /// What is wrong.
    pub fn problem(&self) -> &TlsProblem {
        &self.problem
    }

    /// The file that it is wrong with, if it is a file.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The same error about `file`.
    pub(super) fn of(self, file: &Path) -> Self {
        Self { file: Some(file.into()), ..self }
    }
}

impl From<TlsProblem> for TlsError {
    fn from(problem: TlsProblem) -> Self {
        Self { file: None, problem }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}: {}", file.display(), self.problem),
            None => self.problem.fmt(f),
        }
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::NotPem(_) => f.write_str("is no PEM file, or a damaged one"),
            Self::NoCertificate => f.write_str("holds no certificate"),
            Self::NoKey => f.write_str("holds no private key"),
            Self::EncryptedKey => f.write_str("the private key is protected by a passphrase"),
            Self::KeyMismatch => f.write_str("the certificate does not belong to this private key"),
            Self::Unusable(error) => write!(f, "cannot be used: {error}"),
            Self::NoClientAuthority => {
                f.write_str("client certificates need the authority that issues them (client_ca)")
            }
            Self::OwnConfig => {
                f.write_str("certificates and their checks are those of the rustls configuration")
            }
            Self::BadClientAuthority(reason) => {
                write!(f, "cannot be used to check client certificates: {reason}")
            }
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            TlsProblem::Unreadable(error) => Some(error),
            TlsProblem::NotPem(error) => Some(error),
            TlsProblem::Unusable(error) => Some(error),
            _ => None,
        }
    }
}
