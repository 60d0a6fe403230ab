//! tnftp, the BSD client: commands typed at its prompt.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command};

use crate::{
    job::{Invocation, Job, Mode, Site, Tool},
    server::USER,
};

pub(crate) struct Tnftp;

impl Tool for Tnftp {
    fn name(&self) -> &'static str {
        "tnftp"
    }

    fn invocation(&self, job: Job<'_>, site: &Site) -> Option<Invocation> {
        if site.tls.is_some() {
            return None;
        }
        let typed = match job {
            Job::List(directory) => line("nlist", &[directory]),
            Job::Download(copy) => line("get", &[copy.remote, copy.local.as_ref()]),
            Job::Upload(copy) => line("put", &[copy.local.as_ref(), copy.remote]),
            Job::ResumeDownload(copy) => line("reget", &[copy.remote, copy.local.as_ref()]),
            Job::Rename(from, to) => line("rename", &[from, to]),
            Job::Delete(file) => line("delete", &[file]),
            Job::MakeDirectory(directory) => line("mkdir", &[directory]),
            _ => return None,
        };
        let mut tnftp = Command::new("tnftp");
        tnftp.args(["-n", "-i", "-g", "-V"]);
        tnftp.arg(if site.mode == Mode::Passive { "-p" } else { "-A" });
        let login = format!("user {} {}\nbinary\n", USER.0, USER.1);
        tnftp.args([site.host(), site.port()]);
        let input = [login.as_bytes(), &typed, b"quit\n"].concat();
        Some(Invocation { command: tnftp, input })
    }
}

/// A command with its words, every unusual character protected by a backslash.
fn line(command: &str, words: &[&OsStr]) -> Vec<u8> {
    let mut bytes = command.as_bytes().to_vec();
    for word in words {
        bytes.push(b' ');
        for byte in word.as_bytes() {
            if !byte.is_ascii_alphanumeric() {
                bytes.push(b'\\');
            }
            bytes.push(*byte);
        }
    }
    bytes.push(b'\n');
    bytes
}
