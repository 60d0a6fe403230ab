//! The server's certificates: loading, choosing by name, replacing while the server runs.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::{MissedTickBehavior, interval};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::{TlsError, TlsProblem};

/// The certificates that a server shows, with their keys. Cloning gives another handle on the same ones, to
/// [`reload`](Self::reload) them while the server runs.
///
/// A client that asks for a name gets the certificate made out to it, exactly or by a wildcard (`*.example.org`); all
/// others get the first one.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sources: Mutex<Sources>,
    table: RwLock<Arc<Table>>,
}

/// Where the certificates come from, and what the files looked like when they were read.
#[derive(Debug, Default)]
struct Sources {
    list: Vec<Source>,
    stamp: Stamp,
}

#[derive(Clone, Debug)]
enum Source {
    /// Two PEM files, which may be one and the same.
    Files { certificate: PathBuf, key: PathBuf },
    /// A certificate that was handed over; it stays.
    Fixed(Arc<CertifiedKey>),
}

/// When each file was last changed and how long it is; `None` where it is missing.
type Stamp = Vec<Option<(SystemTime, u64)>>;

/// The certificates, ready to be chosen from.
#[derive(Debug, Default)]
struct Table {
    default: Option<Arc<CertifiedKey>>,
    /// By name in lower case; wildcards as they are written.
    names: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// A certificate with its chain, and its key, from PEM files. Both may be in one file.
    ///
    /// # Errors
    /// When a file cannot be read or holds something else, or the key is not the certificate's.
    pub fn from_pem_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        Self::from_source(Source::Files { certificate: certificate.into(), key: key.into() })
    }

    /// A certificate with its chain and its key, from PEM text that holds them all.
    ///
    /// # Errors
    /// When one of them is missing or broken, or the key is not the certificate's.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let certified = certify(parse_chain(pem)?, parse_key(pem)?)?;
        Self::from_source(Source::Fixed(Arc::new(certified)))
    }

    /// Adds another certificate, for the names that it is made out to.
    ///
    /// # Errors
    /// As [`from_pem_files`](Self::from_pem_files). The others are unharmed.
    pub fn add_pem_files(
        &self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<(), TlsError> {
        self.load(Some(Source::Files { certificate: certificate.into(), key: key.into() }))
    }

    /// Reads all files again. New connections see what is in them now, open ones keep what they have. Looks at the
    /// disk.
    ///
    /// # Errors
    /// When one of the files is not usable. All certificates are then left as they were.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.load(None)
    }

    /// Reloads whenever the files have changed and then stayed the same for one `period`, so that a certificate and
    /// its key that are replaced one after the other are taken together. What comes of it is logged. It never ends:
    /// spawn it.
    pub async fn watch(self, period: Duration) {
        let mut ticks = interval(period.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut previous, mut judged) = (None, None);
        loop {
            ticks.tick().await;
            let this = self.clone();
            let Ok((now, loaded)) = tokio::task::spawn_blocking(move || this.look()).await else {
                return;
            };
            let settled = previous.replace(now.clone()).as_ref() == Some(&now);
            if settled && judged.as_ref() != Some(&now) {
                if now != loaded {
                    self.reload_and_log().await;
                }
                judged = Some(now);
            }
        }
    }

    async fn reload_and_log(&self) {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || this.reload()).await {
            Ok(Ok(())) => tracing::info!("certificates reloaded"),
            Ok(Err(error)) => {
                tracing::error!("certificates not reloaded, the old ones stay: {error}")
            }
            Err(_) => {}
        }
    }

    fn from_source(source: Source) -> Result<Self, TlsError> {
        let this = Self(Arc::new(Inner { sources: Mutex::default(), table: RwLock::default() }));
        this.load(Some(source))?;
        Ok(this)
    }

    /// Loads all sources, `new` included, and puts them into service only if all are sound.
    fn load(&self, new: Option<Source>) -> Result<(), TlsError> {
        let mut sources = self.sources();
        let list: Vec<_> = sources.list.iter().cloned().chain(new).collect();
        let stamp = stamp(&list);
        let table = Table::new(list.iter().map(Source::load).collect::<Result<_, _>>()?);
        *sources = Sources { list, stamp };
        *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        Ok(())
    }

    fn sources(&self) -> std::sync::MutexGuard<'_, Sources> {
        self.0.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the files look like now, and what they looked like when they were last read with success.
    fn look(&self) -> (Stamp, Stamp) {
        let sources = self.sources();
        (stamp(&sources.list), sources.stamp.clone())
    }

    /// What rustls asks for certificates.
    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.0) as _
    }
}

impl ResolvesServerCert for Inner {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        table.choose(hello.server_name())
    }
}

impl Source {
    fn load(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let (certificate, key) = match self {
            Self::Fixed(certified) => return Ok(Arc::clone(certified)),
            Self::Files { certificate, key } => (certificate, key),
        };
        let chain =
            read(certificate).and_then(|text| parse_chain(&text)).map_err(|error| error.of(certificate))?;
        let secret = read(key).and_then(|text| parse_key(&text)).map_err(|error| error.of(key))?;
        certify(chain, secret).map(Arc::new).map_err(|error| error.of(certificate))
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let files = match self {
            Self::Files { certificate, key } => [Some(&**certificate), Some(&**key)],
            Self::Fixed(_) => [None, None],
        };
        files.into_iter().flatten()
    }
}

impl Table {
    fn new(all: Vec<Arc<CertifiedKey>>) -> Self {
        let mut names = HashMap::new();
        for certified in &all {
            for name in certified.cert.first().map(dns_names).unwrap_or_default() {
                names.entry(name).or_insert_with(|| Arc::clone(certified));
            }
        }
        Self { default: all.into_iter().next(), names }
    }

    /// The certificate for `name`: made out to it, or to a wildcard in place of its first label, or else the first.
    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}")).unwrap_or_default();
        self.names.get(&name).or_else(|| self.names.get(&wildcard)).or(self.default.as_ref()).cloned()
    }
}

fn stamp(sources: &[Source]) -> Stamp {
    let look = |path: &Path| fs::metadata(path).and_then(|it| Ok((it.modified()?, it.len()))).ok();
    sources.iter().flat_map(Source::files).map(look).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsProblem::Unreadable(error).into())
}

fn parse_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain =
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(TlsProblem::NotPem)?;
    if chain.is_empty() { Err(TlsProblem::NoCertificate.into()) } else { Ok(chain) }
}

fn parse_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    if is_encrypted(pem) {
        return Err(TlsProblem::EncryptedKey.into());
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsProblem::NoKey.into(),
        error => TlsProblem::NotPem(error).into(),
    })
}

/// The chain with its key, if they belong together.
fn certify(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, TlsError> {
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsProblem::KeyMismatch.into(),
        error => TlsProblem::Unusable(error).into(),
    })
}

/// Whether a PEM text says of its key that it is encrypted, in the new way or the old.
fn is_encrypted(key: &[u8]) -> bool {
    let text = String::from_utf8_lossy(key);
    text.contains("ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
}

/// The DNS names that a certificate is made out to, in lower case.
fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let parsed = Certificate::from_der(certificate).ok();
    let names =
        parsed.as_ref().and_then(|it| it.tbs_certificate().get_extension::<SubjectAltName>().ok().flatten());
    let names = names.map(|(_, names)| names.0).unwrap_or_default();
    let of_hosts = names.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    });
    of_hosts.collect()
}
