//! Python's own FTP client, driven by a small script.

use std::{
    ffi::{OsStr, OsString},
    process::Command,
};

use crate::{
    job::{Begin, Copy, Invocation, Job, Mode, Site, Tool, Version},
    server::USER,
};

pub(crate) struct Ftplib;

impl Tool for Ftplib {
    fn name(&self) -> &'static str {
        "ftplib"
    }

    fn program(&self) -> &'static str {
        "python3"
    }

    fn invocation(&self, job: Job<'_>, site: &Site) -> Option<Invocation> {
        let words = words(job)?;
        let mut python = Command::new("python3");
        python.arg("-c").arg(include_str!("ftplib.py"));
        python.args([&site.host(), &site.port(), USER.0, USER.1]);
        python.arg(if site.mode == Mode::Passive { "passive" } else { "active" });
        python.arg(protection(site)).args(words);
        Some(python.into())
    }
}

/// When TLS begins, its version and the argument of PROT; or `clear`.
fn protection(site: &Site) -> String {
    let Some(tls) = site.tls else { return "clear".to_owned() };
    let begin = if tls.begin == Begin::Implicit { "implicit" } else { "explicit" };
    let version = if tls.version == Version::Tls12 { "TLSv1_2" } else { "TLSv1_3" };
    let data = if tls.private_data { "P" } else { "C" };
    format!("{begin}:{version}:{data}")
}

/// The name of the job in the script, and its arguments.
fn words(job: Job<'_>) -> Option<Vec<OsString>> {
    let copy = |name: &'static str, Copy { remote, local }: Copy<'_>| {
        vec![name.into(), remote.to_owned(), local.into()]
    };
    let plain = |name: &'static str, remote: &OsStr| vec![name.into(), remote.to_owned()];
    Some(match job {
        Job::List(directory) => plain("list", directory),
        Job::Download(ends) => copy("download", ends),
        Job::Upload(ends) => copy("upload", ends),
        Job::ResumeDownload(ends) => copy("resume_download", ends),
        Job::ResumeUpload(ends) => copy("resume_upload", ends),
        Job::Rename(from, to) => vec!["rename".into(), from.to_owned(), to.to_owned()],
        Job::Delete(file) => plain("delete", file),
        Job::MakeDirectory(directory) => plain("make_directory", directory),
        Job::DownloadFifty(ends) => copy("download_fifty", ends),
        Job::UploadFifty(ends) => copy("upload_fifty", ends),
        Job::MirrorDown(_) | Job::MirrorUp(_) => return None,
    })
}
