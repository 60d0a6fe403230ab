//! Which login shells make an account one that may log in: `/etc/shells`, see shells(5).

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The login shells that count as valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shells {
    /// Nothing when the system has no such list.
    listed: Option<HashSet<PathBuf>>,
}

/// Reads the system's list of login shells. Where the file is missing, every shell is valid.
///
/// # Errors
///
/// When the file exists and cannot be read.
pub fn valid_shells() -> io::Result<Shells> {
    Shells::read(Path::new("/etc/shells"))
}

impl Shells {
    /// True when an account with this login shell may log in. An empty one means `/bin/sh`, as in passwd(5).
    pub fn is_valid(&self, shell: &Path) -> bool {
        let shell = if shell.as_os_str().is_empty() { Path::new("/bin/sh") } else { shell };
        self.listed.as_ref().is_none_or(|listed| listed.contains(shell))
    }

    fn read(file: &Path) -> io::Result<Self> {
        match fs::read(file) {
            Ok(text) => Ok(Self { listed: Some(parse(&text)) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { listed: None }),
            Err(error) => Err(error),
        }
    }
}

fn parse(text: &[u8]) -> HashSet<PathBuf> {
    text.split(|byte| *byte == b'\n')
        .map(|line| line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii())
        .filter(|line| line.starts_with(b"/"))
        .map(|line| PathBuf::from(std::ffi::OsStr::from_bytes(line)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, shell: &str, valid: bool) {
        let shells = Shells { listed: Some(parse(text.as_bytes())) };
        assert_eq!(shells.is_valid(Path::new(shell)), valid, "{shell} in {text:?}");
    }

    #[test]
    fn a_shell_is_valid_when_a_line_names_it() {
        check("/bin/sh\n/bin/bash\n", "/bin/bash", true);
        check("/bin/sh\n  /bin/bash # the usual one", "/bin/bash", true);
        check("/bin/sh\n# /bin/bash\n", "/bin/bash", false);
        check("/bin/sh\n", "/usr/sbin/nologin", false);
        check("/bin/sh\n", "", true);
        check("", "", false);
        check("sh\n", "sh", false);
    }

    #[test]
    fn without_a_list_every_shell_is_valid() {
        let dir = tempfile::tempdir().unwrap();
        let shells = Shells::read(&dir.path().join("shells")).unwrap();
        assert!(shells.is_valid(Path::new("/usr/sbin/nologin")));
    }

    #[test]
    fn a_list_that_cannot_be_read_is_an_error() {
        assert!(Shells::read(Path::new("/")).is_err());
    }
}
