//! lftp: a script in its own language.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    process::Command,
};

use crate::{
    job::{Invocation, Job, Mode, Site, Tls, Tool, Version, join},
    server::USER,
};

/// One try, and names as bytes: neither end recodes them.
const SETTINGS: &str = "\
    set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 120; set xfer:log no; \
    set xfer:clobber yes; set ftp:use-utf8 no; ";

pub(crate) struct Lftp;

impl Tool for Lftp {
    fn name(&self) -> &'static str {
        "lftp"
    }

    fn invocation(&self, job: Job<'_>, site: &Site) -> Option<Invocation> {
        let passive = if site.mode == Mode::Passive { "yes" } else { "no" };
        let scheme = if site.is_implicit() { "ftps" } else { "ftp" };
        let open = format!(
            "{SETTINGS}{} set ftp:passive-mode {passive}; open -u {},{} -p {} {scheme}://{}; ",
            protection(site.tls),
            USER.0,
            USER.1,
            site.port(),
            site.host(),
        );
        let mut lftp = Command::new("lftp");
        // In the C locale every byte is a character.
        lftp.env("LC_ALL", "C").args(["--norc", "-c"]).arg(join(&[OsStr::new(&open), &script(job)]));
        Some(lftp.into())
    }
}

fn protection(tls: Option<Tls>) -> String {
    let Some(tls) = tls else { return "set ftp:ssl-allow no;".to_owned() };
    let version = match tls.version {
        Version::Tls12 => "1.2",
        Version::Tls13 => "1.3",
    };
    let private = if tls.private_data { "yes" } else { "no" };
    format!(
        "set ssl:verify-certificate no; set ftp:ssl-force yes; \
         set ftp:ssl-protect-data {private}; set ftp:ssl-protect-list {private}; \
         set ssl:priority NORMAL:-VERS-ALL:+VERS-TLS{version};"
    )
}

fn script(job: Job<'_>) -> OsString {
    match job {
        Job::List(directory) => line("cls -a1", &[directory]),
        Job::Download(copy) => line("get", &[copy.remote, OsStr::new("-o"), copy.local.as_ref()]),
        Job::Upload(copy) => line("put", &[copy.local.as_ref(), OsStr::new("-o"), copy.remote]),
        Job::ResumeDownload(copy) => line("get -c", &[copy.remote, OsStr::new("-o"), copy.local.as_ref()]),
        Job::ResumeUpload(copy) => line("put -c", &[copy.local.as_ref(), OsStr::new("-o"), copy.remote]),
        Job::Rename(from, to) => line("mv", &[from, to]),
        Job::Delete(file) => line("rm", &[file]),
        Job::MakeDirectory(directory) => line("mkdir", &[directory]),
        Job::MirrorDown(copy) | Job::DownloadFifty(copy) => {
            line("mirror", &[copy.remote, copy.local.as_ref()])
        }
        Job::MirrorUp(copy) | Job::UploadFifty(copy) => {
            line("mirror -R", &[copy.local.as_ref(), copy.remote])
        }
    }
}

fn line(command: &str, words: &[&OsStr]) -> OsString {
    let mut bytes = command.as_bytes().to_vec();
    for word in words {
        bytes.extend(b" \"");
        // Not an option.
        if word.as_bytes().starts_with(b"-") && *word != "-o" {
            bytes.extend(b"./");
        }
        for byte in word.as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                bytes.push(b'\\');
            }
            bytes.push(*byte);
        }
        bytes.push(b'"');
    }
    OsString::from_vec(bytes)
}
