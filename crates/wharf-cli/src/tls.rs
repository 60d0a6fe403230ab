//! FTPS as the configuration describes it, for the library.

use wharf::tls::{ClientCertificates, CloseNotify, SessionReuse, Tls, TlsError};

use crate::config::{self, raw};

/// Reads the certificates and settles the rest.
///
/// # Errors
/// When a file cannot be used; the error names it.
pub(crate) fn load(settings: &config::Tls) -> Result<Tls, TlsError> {
    let config::Certificate { chain, key } = &settings.certificate;
    let mut tls = Tls::from_pem_files(chain, key)?;
    for config::Certificate { chain, key } in &settings.more_certificates {
        tls = tls.add_certificate(chain, key)?;
    }
    if let Some(bundle) = &settings.client_ca {
        tls = tls.client_ca(bundle)?;
    }
    Ok(tls
        .client_certificates(match settings.client_certificates {
            raw::ClientCertificates::Off => ClientCertificates::Off,
            raw::ClientCertificates::Optional => ClientCertificates::Optional,
            raw::ClientCertificates::Required => ClientCertificates::Required,
        })
        .session_reuse(match settings.session_reuse {
            raw::SessionReuse::Off => SessionReuse::Off,
            raw::SessionReuse::Report => SessionReuse::Report,
            raw::SessionReuse::Require => SessionReuse::Require,
        })
        .close_notify(match settings.close_notify {
            raw::CloseNotify::Report => CloseNotify::Report,
            raw::CloseNotify::Require => CloseNotify::Require,
        })
        .require_control(settings.require_control)
        .require_data(settings.require_data))
}
