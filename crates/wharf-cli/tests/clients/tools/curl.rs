//! curl: one URL per job, anything else by `--quote`.

use std::{ffi::OsStr, process::Command};

use crate::{
    job::{Begin, Invocation, Job, Mode, Site, Tls, Tool, Version, join},
    server::USER,
};

pub(crate) struct Curl;

impl Tool for Curl {
    fn name(&self) -> &'static str {
        "curl"
    }

    fn invocation(&self, job: Job<'_>, site: &Site) -> Option<Invocation> {
        let mut curl = Command::new("curl");
        curl.args(["-q", "--silent", "--show-error", "--user", &format!("{}:{}", USER.0, USER.1)]);
        if site.mode == Mode::Active {
            curl.args(["--ftp-port", "-"]);
        }
        if let Some(tls) = site.tls {
            protect(&mut curl, tls);
        }
        match job {
            Job::List(directory) => {
                curl.args(["--list-only", &site.url(&join(&[directory, OsStr::new("/")]))]);
            }
            Job::Download(copy) => {
                curl.arg(site.url(copy.remote)).arg("--output").arg(copy.local);
            }
            Job::ResumeDownload(copy) => {
                curl.arg(site.url(copy.remote)).args(["-C", "-", "--output"]).arg(copy.local);
            }
            Job::Upload(copy) => {
                curl.arg(site.url(copy.remote)).arg("--upload-file").arg(copy.local);
            }
            Job::ResumeUpload(copy) => {
                curl.arg(site.url(copy.remote)).args(["-C", "-", "--upload-file"]).arg(copy.local);
            }
            Job::Rename(from, to) => {
                quote(&mut curl, site, "RNFR ", from);
                quote(&mut curl, site, "RNTO ", to);
            }
            Job::Delete(file) => quote(&mut curl, site, "DELE ", file),
            Job::MakeDirectory(directory) => quote(&mut curl, site, "MKD ", directory),
            Job::DownloadFifty(copy) => {
                curl.arg(site.url(&join(&[copy.remote, OsStr::new("/")])) + "file-[0-49]");
                curl.arg("--output").arg(copy.local.join("file-#1"));
            }
            Job::UploadFifty(copy) => {
                curl.arg(site.url(&join(&[copy.remote, OsStr::new("/")])));
                curl.arg("--upload-file").arg(copy.local.join("file-[0-49]"));
            }
            Job::MirrorDown(_) | Job::MirrorUp(_) => return None,
        }
        Some(curl.into())
    }
}

fn protect(curl: &mut Command, tls: Tls) {
    curl.args(["--insecure", "--max-time", "240"]);
    curl.args(match tls.version {
        Version::Tls12 => ["--tlsv1.2", "--tls-max", "1.2"],
        Version::Tls13 => ["--tlsv1.3", "--tls-max", "1.3"],
    });
    match (tls.begin, tls.private_data) {
        (Begin::Implicit, _) => {}
        (Begin::Explicit, true) => drop(curl.arg("--ssl-reqd")),
        (Begin::Explicit, false) => drop(curl.arg("--ftp-ssl-control")),
    }
}

/// A raw command before a directory is listed. Its listing is of no interest.
fn quote(curl: &mut Command, site: &Site, verb: &str, name: &OsStr) {
    curl.arg("--quote").arg(join(&[OsStr::new(verb), name]));
    if !curl.get_args().any(|argument| argument == "--head") {
        curl.args(["--head", &site.url(OsStr::new(""))]);
    }
}
