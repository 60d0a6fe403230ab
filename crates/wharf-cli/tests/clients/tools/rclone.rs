//! rclone: the server is a remote called `site`. It knows no active mode.

use std::{ffi::OsStr, process::Command};

use crate::{
    job::{Invocation, Job, Mode, Site, Tls, Tool, Version, join},
    server::USER,
};

/// The password of [`USER`] as `rclone obscure` writes it.
const PASSWORD: &str = "eY8Bvyh9j2n4OH-0fSKB4yfdW4op";

pub(crate) struct Rclone;

impl Tool for Rclone {
    fn name(&self) -> &'static str {
        "rclone"
    }

    fn invocation(&self, job: Job<'_>, site: &Site) -> Option<Invocation> {
        if site.mode == Mode::Active || site.tls.is_some_and(|tls| !tls.private_data) {
            return None;
        }
        let mut rclone = Command::new("rclone");
        let remote = |name: &OsStr| join(&[OsStr::new("site:"), name]);
        match job {
            Job::List(directory) => rclone.arg("lsf").arg(remote(directory)),
            Job::Download(copy) => rclone.arg("copyto").arg(remote(copy.remote)).arg(copy.local),
            Job::Upload(copy) => rclone.arg("copyto").arg(copy.local).arg(remote(copy.remote)),
            Job::Rename(from, to) => rclone.arg("moveto").arg(remote(from)).arg(remote(to)),
            Job::Delete(file) => rclone.arg("deletefile").arg(remote(file)),
            Job::MakeDirectory(directory) => rclone.arg("mkdir").arg(remote(directory)),
            Job::MirrorDown(copy) | Job::DownloadFifty(copy) => {
                rclone.arg("sync").arg(remote(copy.remote)).arg(copy.local)
            }
            Job::MirrorUp(copy) | Job::UploadFifty(copy) => {
                rclone.arg("sync").arg(copy.local).arg(remote(copy.remote))
            }
            Job::ResumeDownload(_) | Job::ResumeUpload(_) => return None,
        };
        configure(&mut rclone, site);
        if let Some(tls) = site.tls {
            protect(&mut rclone, site, tls);
        }
        Some(rclone.into())
    }
}

fn configure(rclone: &mut Command, site: &Site) {
    let host = if site.address.is_ipv6() { format!("[{}]", site.host()) } else { site.host() };
    rclone
        .args(["--config", "/dev/null", "--retries", "1", "--low-level-retries", "1"])
        .env("RCLONE_CREATE_EMPTY_SRC_DIRS", "true")
        .env("RCLONE_CONFIG_SITE_TYPE", "ftp")
        // It joins host and port without a look at what the host is.
        .env("RCLONE_CONFIG_SITE_HOST", host)
        .env("RCLONE_CONFIG_SITE_PORT", site.port())
        .env("RCLONE_CONFIG_SITE_USER", USER.0)
        .env("RCLONE_CONFIG_SITE_PASS", PASSWORD)
        // The server takes every name; only `/` cannot be one.
        .env("RCLONE_CONFIG_SITE_ENCODING", "Slash,InvalidUtf8");
}

/// Its transfers run four at a time, each in a session of its own. All of them share one place for a ticket, so where a
/// ticket must be that of the session there can be but one.
fn protect(rclone: &mut Command, site: &Site, tls: Tls) {
    let begin = if site.is_implicit() { "RCLONE_CONFIG_SITE_TLS" } else { "RCLONE_CONFIG_SITE_EXPLICIT_TLS" };
    let old = tls.version == Version::Tls12;
    rclone
        .env(begin, "true")
        .env("RCLONE_CONFIG_SITE_NO_CHECK_CERTIFICATE", "true")
        .env("RCLONE_CONFIG_SITE_DISABLE_TLS13", old.to_string());
    if tls.bound {
        rclone.args(["--transfers", "1", "--checkers", "1"]).env("RCLONE_CONFIG_SITE_CONCURRENCY", "1");
    }
}
