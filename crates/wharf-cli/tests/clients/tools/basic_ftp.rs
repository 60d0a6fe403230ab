//! basic-ftp, the client of Node programs: fetched by npm once, driven by a small script. It knows no active mode.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use crate::{
    job::{Begin, Copy, Invocation, Job, Mode, Site, Tool, Version},
    server::USER,
};

/// The version that the tests were written with.
const PACKAGE: &str = "basic-ftp@5";

/// Where the package is; `None` where it cannot be had.
static MODULES: LazyLock<Option<PathBuf>> = LazyLock::new(fetch);

pub(crate) struct BasicFtp;

impl Tool for BasicFtp {
    fn name(&self) -> &'static str {
        "basic-ftp"
    }

    fn program(&self) -> &'static str {
        "node"
    }

    fn is_missing(&self) -> Option<String> {
        MODULES.is_none().then(|| "basic-ftp cannot be fetched: no node, no npm or no network".to_owned())
    }

    fn invocation(&self, job: Job<'_>, site: &Site) -> Option<Invocation> {
        if site.mode == Mode::Active || site.tls.is_some_and(|tls| !tls.private_data) {
            return None;
        }
        let words = words(job)?;
        let mut node = Command::new("node");
        node.args(["-e", include_str!("basic_ftp.js"), "--"]);
        node.args([&site.host(), &site.port(), USER.0, USER.1, protection(site)]).args(words);
        if let Some(modules) = MODULES.as_ref() {
            node.env("NODE_PATH", modules);
        }
        Some(node.into())
    }
}

/// When TLS begins and its version; or `clear`.
fn protection(site: &Site) -> &'static str {
    match site.tls.map(|tls| (tls.begin, tls.version)) {
        None => "clear",
        Some((Begin::Explicit, Version::Tls12)) => "explicit:TLSv1.2",
        Some((Begin::Explicit, Version::Tls13)) => "explicit:TLSv1.3",
        Some((Begin::Implicit, Version::Tls12)) => "implicit:TLSv1.2",
        Some((Begin::Implicit, Version::Tls13)) => "implicit:TLSv1.3",
    }
}

/// The name of the job in the script, and its arguments. Names are UTF-8 to this client.
fn words(job: Job<'_>) -> Option<Vec<OsString>> {
    let copy = |name: &str, Copy { remote, local }: Copy<'_>| {
        remote.to_str().map(|remote| vec![name.into(), remote.into(), local.into()])
    };
    let plain = |name: &str, remote: &OsStr| vec![name.into(), remote.to_owned()];
    Some(match job {
        Job::List(directory) => plain("list", directory),
        Job::Download(ends) => copy("download", ends)?,
        Job::Upload(ends) => copy("upload", ends)?,
        Job::ResumeDownload(ends) => copy("resumeDownload", ends)?,
        Job::ResumeUpload(ends) => copy("resumeUpload", ends)?,
        Job::Rename(from, to) => vec!["rename".into(), from.to_owned(), to.to_owned()],
        Job::Delete(file) => plain("remove", file),
        Job::MakeDirectory(directory) => plain("makeDirectory", directory),
        Job::DownloadFifty(ends) => copy("mirrorDown", ends)?,
        Job::UploadFifty(ends) => copy("mirrorUp", ends)?,
        Job::MirrorDown(_) | Job::MirrorUp(_) => return None,
    })
}

/// Has npm fetch the package into the directory of build products, where it stays.
fn fetch() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("basic-ftp");
    let modules = directory.join("node_modules");
    if !modules.join("basic-ftp").is_dir() {
        std::fs::create_dir_all(&directory).ok()?;
        let mut npm = Command::new("timeout");
        npm.args(["120", "npm", "install", "--no-audit", "--no-fund", "--prefix"])
            .arg(&directory)
            .arg(PACKAGE);
        npm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    }
    modules.join("basic-ftp").is_dir().then_some(modules)
}
