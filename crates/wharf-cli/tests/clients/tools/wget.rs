//! wget: downloads only.

use std::{ffi::OsStr, process::Command};

use crate::{
    job::{Begin, Invocation, Job, Mode, Site, Tls, Tool, Version, join},
    server::USER,
};

pub(crate) struct Wget;

impl Tool for Wget {
    fn name(&self) -> &'static str {
        "wget"
    }

    fn invocation(&self, job: Job<'_>, site: &Site) -> Option<Invocation> {
        let mut wget = Command::new("wget");
        wget.args(["--no-config", "--no-verbose", "--tries=1", "--no-glob"]);
        wget.args(["--user", USER.0, "--password", USER.1, "--no-proxy", "--no-hsts"]);
        if site.mode == Mode::Active {
            wget.arg("--no-passive-ftp");
        }
        let url = |name: &OsStr| match site.tls {
            None => site.url(name),
            Some(_) => site.url(name).replacen("ftp:", "ftps:", 1),
        };
        if let Some(tls) = site.tls {
            protect(&mut wget, tls);
        }
        match job {
            Job::Download(copy) => {
                wget.arg("--output-document").arg(copy.local).arg(url(copy.remote));
            }
            Job::ResumeDownload(copy) => {
                wget.arg("--continue").arg("--output-document").arg(copy.local);
                wget.arg(url(copy.remote));
            }
            Job::MirrorDown(copy) => {
                // Names as they are, without the host's name above them.
                wget.args(["--recursive", "--level=inf", "--no-host-directories"]);
                wget.args(["--restrict-file-names=nocontrol", "--no-parent"]);
                wget.arg("--directory-prefix");
                wget.arg(copy.local.parent().expect("a directory inside another"));
                wget.arg(url(&join(&[copy.remote, OsStr::new("/")])));
            }
            _ => return None,
        }
        Some(wget.into())
    }
}

fn protect(wget: &mut Command, tls: Tls) {
    wget.args(["--no-check-certificate", "--secure-protocol"]);
    wget.arg(match tls.version {
        Version::Tls12 => "TLSv1_2",
        Version::Tls13 => "TLSv1_3",
    });
    if tls.begin == Begin::Implicit {
        wget.arg("--ftps-implicit");
    }
    if !tls.private_data {
        wget.arg("--ftps-clear-data-connection");
    }
}
