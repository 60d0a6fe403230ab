//! FTPS (RFC 4217): certificates, what is required of clients, and the handshakes.
//!
//! TLS 1.2 and 1.3, explicit (AUTH TLS) and implicit. Data connections are bound to their control connection by session
//! resumption: a client that resumes proves that it is the one that logged in.
//!
//! ```no_run
//! use wharf::tls::{ClientCertificates, SessionReuse, Tls};
//!
//! let tls = Tls::from_pem_files("cert.pem", "key.pem")?
//!     .require_control(true)
//!     .session_reuse(SessionReuse::Require)
//!     .client_ca("staff-ca.pem")?
//!     .client_certificates(ClientCertificates::Optional);
//! # Ok::<(), wharf::tls::TlsError>(())
//! ```

mod certificates;
mod error;
#[cfg(any(test, fuzzing))]
#[allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "it is for tests")]
pub mod fuzzing;
mod handshake;
#[cfg(any(test, fuzzing))]
#[allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "it is for tests")]
mod puppet;
mod record;
mod reuse;
mod stream;
#[cfg(test)]
mod tests;
mod traffic;
mod upgrade;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

pub use self::certificates::Certificates;
pub use self::error::{TlsError, TlsProblem};
pub(crate) use self::stream::TlsStream;
pub(crate) use self::traffic::Traffic;
pub(crate) use self::upgrade::{Acceptor, LONGEST_HANDSHAKE, TlsSession};

/// The protocol name that clients may offer (RFC 7301). A list that lacks it is refused, so that nobody who wants to
/// talk to a web or mail server under the same name can be led here (the ALPACA attack).
const PROTOCOL: &[u8] = b"ftp";

/// Everything about TLS that is settled before the server starts.
#[derive(Clone, Debug)]
#[doc(alias = "TLS_FTPHandler")]
#[doc(alias = "certfile")]
#[doc(alias = "keyfile")]
pub struct Tls {
    origin: Origin,
    client_ca: RootCertStore,
    client_certificates: ClientCertificates,
    policy: Policy,
}

/// Where certificates come from.
#[derive(Clone, Debug)]
enum Origin {
    Certificates(Certificates),
    Config(Arc<ServerConfig>),
}

/// What is required of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// No login without TLS on the control connection.
    pub(crate) require_control: bool,
    /// No transfer without TLS on the data connection.
    pub(crate) require_data: bool,
    /// What becomes of data connections that do not resume the control connection's session.
    pub(crate) session_reuse: SessionReuse,
    /// What becomes of uploads that end without `close_notify`.
    pub(crate) close_notify: CloseNotify,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Off,
    /// They may show one; if they do, it has to be good.
    Optional,
    /// No handshake succeeds without a good one.
    Required,
}

/// What becomes of data connections that do not resume the TLS session of their control connection, and could therefore
/// be anybody's who got to the port first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionReuse {
    /// Nobody looks.
    Off,
    /// They are served, and the log says which client software it was.
    #[default]
    Report,
    /// They are refused.
    Require,
}

/// What becomes of uploads whose TLS ends without `close_notify`, and which could therefore have been cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseNotify {
    /// They succeed, flagged as unproven in callbacks and log: many real clients close that way.
    #[default]
    Report,
    /// They fail.
    Require,
}

impl Tls {
    /// TLS with a certificate (and its chain) and its key from PEM files; both may be in one file. Keys may be RSA,
    /// ECDSA or Ed25519, as PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    /// When a file cannot be read or holds something else, or the key is not the certificate's.
    pub fn from_pem_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        Certificates::from_pem_files(certificate, key).map(Self::from)
    }

    /// TLS with a certificate (and its chain) and its key from PEM text that holds them all.
    ///
    /// # Errors
    /// When one of them is missing or broken, or the key is not the certificate's.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        Certificates::from_pem(pem).map(Self::from)
    }

    /// TLS as a configuration of rustls says. Certificates, their choice and the check of clients are its own;
    /// session resumption is replaced by wharf's, and the protocol name `ftp` is set where it has none. Its cipher suites must
    /// give out their keys, as those of rustls do; `max_fragment_size` concerns the handshake alone.
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self::with(Origin::Config(config))
    }

    fn with(origin: Origin) -> Self {
        let client_ca = RootCertStore::empty();
        Self {
            origin,
            client_ca,
            client_certificates: ClientCertificates::default(),
            policy: Policy::default(),
        }
    }

    /// Adds another certificate, for clients that ask for a name it is made out to.
    ///
    /// # Errors
    /// As [`from_pem_files`](Self::from_pem_files), and after [`from_config`](Self::from_config).
    pub fn add_certificate(
        self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        match &self.origin {
            Origin::Certificates(certificates) => certificates.add_pem_files(certificate, key)?,
            Origin::Config(_) => return Err(TlsProblem::OwnConfig.into()),
        }
        Ok(self)
    }

    /// A handle to reload the certificates while the server runs; none after [`from_config`](Self::from_config).
    pub fn certificates(&self) -> Option<&Certificates> {
        match &self.origin {
            Origin::Certificates(certificates) => Some(certificates),
            Origin::Config(_) => None,
        }
    }

    /// The authorities whose certificates clients may show, from a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read, holds no certificate or one that cannot be used.
    pub fn client_ca(mut self, bundle: impl AsRef<Path>) -> Result<Self, TlsError> {
        let bundle = bundle.as_ref();
        let text = std::fs::read(bundle).map_err(TlsProblem::Unreadable);
        let result = text.map_err(TlsError::from).and_then(|text| add_roots(&mut self.client_ca, &text));
        result.map(|()| self).map_err(|error| error.of(bundle))
    }

    /// Whether clients have to show a certificate.
    pub fn client_certificates(self, client_certificates: ClientCertificates) -> Self {
        Self { client_certificates, ..self }
    }

    /// Whether there is no login without TLS on the control connection.
    #[doc(alias = "tls_control_required")]
    pub fn require_control(mut self, required: bool) -> Self {
        self.policy.require_control = required;
        self
    }

    /// Whether there is no transfer without TLS on the data connection.
    #[doc(alias = "tls_data_required")]
    pub fn require_data(mut self, required: bool) -> Self {
        self.policy.require_data = required;
        self
    }

    /// What becomes of data connections that do not resume the session of their control connection.
    pub fn session_reuse(mut self, session_reuse: SessionReuse) -> Self {
        self.policy.session_reuse = session_reuse;
        self
    }

    /// What becomes of uploads that end without `close_notify`.
    pub fn close_notify(mut self, close_notify: CloseNotify) -> Self {
        self.policy.close_notify = close_notify;
        self
    }

    /// What the server accepts connections with.
    ///
    /// # Errors
    /// When client certificates are asked for, but there is no authority to check them, or after
    /// [`from_config`](Self::from_config).
    pub(crate) fn acceptor(&self) -> Result<Acceptor, TlsError> {
        let mut config = match &self.origin {
            Origin::Certificates(certificates) => self.server_config(certificates)?,
            Origin::Config(_) if self.client_certificates != ClientCertificates::Off => {
                return Err(TlsProblem::OwnConfig.into());
            }
            Origin::Config(config) => ServerConfig::clone(config),
        };
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![PROTOCOL.to_vec()];
        }
        config.max_early_data_size = 0;
        // rustls shakes hands; what follows is done here.
        config.enable_secret_extraction = true;
        Ok(Acceptor::new(config, self.policy))
    }

    fn server_config(&self, certificates: &Certificates) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsProblem::Unusable)?;
        let builder = match self.client_verifier()? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        Ok(builder.with_cert_resolver(certificates.resolver()))
    }

    fn client_verifier(&self) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        if self.client_certificates == ClientCertificates::Off {
            return Ok(None);
        }
        if self.client_ca.is_empty() {
            return Err(TlsProblem::NoClientAuthority.into());
        }
        let roots = Arc::new(self.client_ca.clone());
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::new(aws_lc_rs::default_provider()));
        if self.client_certificates == ClientCertificates::Optional {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder.build().map_err(|error| TlsProblem::BadClientAuthority(error.to_string()))?;
        Ok(Some(verifier))
    }
}

impl From<Certificates> for Tls {
    fn from(certificates: Certificates) -> Self {
        Self::with(Origin::Certificates(certificates))
    }
}

/// Adds the certificates in a PEM text to `roots`.
fn add_roots(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsError> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(TlsProblem::NotPem)?;
        roots.add(certificate).map_err(|error| TlsProblem::BadClientAuthority(error.to_string()))?;
    }
    if roots.len() > before { Ok(()) } else { Err(TlsProblem::NoCertificate.into()) }
}
