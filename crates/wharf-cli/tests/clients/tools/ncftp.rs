//! ncftp: one small program per direction. It knows no IPv6.

use std::{ffi::OsStr, process::Command};

use crate::{
    job::{Invocation, Job, Mode, Site, Tool, join},
    server::USER,
};

pub(crate) struct Ncftp;

impl Tool for Ncftp {
    fn name(&self) -> &'static str {
        "ncftp"
    }

    fn program(&self) -> &'static str {
        "ncftpget"
    }

    fn invocation(&self, job: Job<'_>, site: &Site) -> Option<Invocation> {
        let fifty = matches!(job, Job::DownloadFifty(_) | Job::UploadFifty(_));
        if site.address.is_ipv6() || site.tls.is_some() || fifty {
            return None;
        }
        Some(command(job, site).into())
    }
}

fn command(job: Job<'_>, site: &Site) -> Command {
    let host = site.host();
    match job {
        Job::List(directory) => {
            let mut list = program("ncftpls", site);
            list.args(["-1", "-a", &site.url(&join(&[directory, OsStr::new("/")]))]);
            list
        }
        Job::Download(copy) => {
            let mut get = program("ncftpget", site);
            get.args(["-V", "-Z", "-C", &host]).arg(copy.remote).arg(copy.local);
            get
        }
        Job::ResumeDownload(copy) => {
            let mut get = program("ncftpget", site);
            get.args(["-V", "-z", "-C", &host]).arg(copy.remote).arg(copy.local);
            get
        }
        Job::Upload(copy) => {
            let mut put = program("ncftpput", site);
            put.args(["-V", "-Z", "-C", &host]).arg(copy.local).arg(copy.remote);
            put
        }
        Job::ResumeUpload(copy) => {
            // Its sendfile starts at the beginning of the file; -s does without.
            let mut put = program("ncftpput", site);
            put.args(["-V", "-z", "-s", "-C", &host]).arg(copy.local).arg(copy.remote);
            put
        }
        Job::Rename(from, to) => raw(site, &[("RNFR ", from), ("RNTO ", to)]),
        Job::Delete(file) => raw(site, &[("DELE ", file)]),
        Job::MakeDirectory(directory) => raw(site, &[("MKD ", directory)]),
        Job::MirrorDown(copy) | Job::DownloadFifty(copy) => {
            let parent = copy.local.parent().expect("a directory inside another");
            let mut get = program("ncftpget", site);
            get.args(["-V", "-R", "-T", &host]).arg(parent).arg(copy.remote);
            get
        }
        Job::MirrorUp(copy) | Job::UploadFifty(copy) => {
            let mut put = program("ncftpput", site);
            put.args(["-V", "-R", &host, "/"]).arg(copy.local);
            put
        }
    }
}

fn program(name: &str, site: &Site) -> Command {
    let mut command = Command::new(name);
    command.args(["-u", USER.0, "-p", USER.1, "-P", &site.port(), "-t", "120", "-r", "0"]);
    command.arg(if site.mode == Mode::Passive { "-F" } else { "-E" });
    command
}

/// Commands of the protocol itself, sent before a listing.
fn raw(site: &Site, commands: &[(&str, &OsStr)]) -> Command {
    let mut list = program("ncftpls", site);
    for (verb, name) in commands {
        list.arg("-W").arg(join(&[OsStr::new(verb), name]));
    }
    list.arg(site.url(OsStr::new("")));
    list
}
