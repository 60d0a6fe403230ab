//! FTPS as the configuration describes it, for the library.

use wharf::tls::{ClientCertificates, CloseNotify, SessionReuse, Tls, TlsError, TlsProblem};

use crate::config::{self, Certificate, raw};
use crate::failure::Failure;

/// Reads the certificates and settles the rest.
///
/// # Errors
/// When a file cannot be used; the failure names it, and its key.
pub(crate) fn load(settings: &config::Tls) -> Result<Tls, Failure> {
    let files = &settings.certificate;
    let loaded = Tls::from_pem_files(&files.chain, &files.key);
    let mut tls = loaded.map_err(|error| unusable("tls", files, &error))?;
    for (index, files) in settings.more_certificates.iter().enumerate() {
        let added = tls.add_certificate(&files.chain, &files.key);
        tls = added.map_err(|error| unusable("tls.certificates", files, &error).in_entry(index))?;
    }
    if let Some(bundle) = &settings.client_ca {
        let added = tls.client_ca(bundle);
        let unusable = |error| Failure::usage(format!("tls.client_ca: {error}{}", reader(&error)));
        tls = added.map_err(unusable)?;
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

/// Names the key of the file that something is wrong with. Where both are in one file, that is the certificate's.
fn unusable(table: &str, files: &Certificate, error: &TlsError) -> Failure {
    let is_key = files.key != files.chain && error.file() == Some(&files.key);
    let name = if is_key { "key" } else { "certificate" };
    // Whoever named no key may not know that the file was to hold it too.
    let lacks_key = files.key == files.chain && matches!(error.problem(), TlsProblem::NoKey);
    let remedy = match (lacks_key, table) {
        (true, "tls") => "; give --keyfile (tls.key)".to_owned(),
        (true, _) => format!("; give {table}.key"),
        (false, _) => reader(error),
    };
    Failure::usage(format!("{table}.{name}: {error}{remedy}"))
}

/// Who is not let in. Root can read all files and may not think of those for whom it gives that up.
#[cfg(target_os = "linux")]
fn reader(error: &TlsError) -> String {
    match error.problem() {
        TlsProblem::Unreadable(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied => {
            let uid = wharf_sys::identity::effective_user();
            let name = wharf_sys::users::user_name(uid).ok().flatten();
            let name = name.map_or_else(|| format!("user {uid}"), |name| name.to_string_lossy().into_owned());
            format!("; wharf reads it as {name}, without other rights")
        }
        _ => String::new(),
    }
}

#[cfg(not(target_os = "linux"))]
fn reader(_: &TlsError) -> String {
    String::new()
}
