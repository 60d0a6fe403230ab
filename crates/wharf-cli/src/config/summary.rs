//! The configuration in words: what `wharf check` shows.

use std::fmt::{self, Display, Formatter};

use wharf::auth::UserLimits;

use super::accounts::{Account, Accounts, Password, SystemUser};
use super::checked::{Config, Log, Tls};
use super::raw::{ClientCertificates, Override, Passwords, UnixAccounts, WindowsAccounts};
use super::unusual::Unusual;

impl Display for Config {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for address in &self.listen {
            writeln!(f, "listen          {address}")?;
        }
        self.tls.iter().try_for_each(|tls| write!(f, "{tls}"))?;
        write!(f, "{}", self.accounts)?;
        let limits = &self.settings.limits;
        let number =
            |limit: Option<usize>| limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
        writeln!(
            f,
            "connections     {}, of one address {}",
            number(limits.max_connections),
            number(limits.max_connections_per_ip)
        )?;
        match self.settings.passive.ports.as_slice() {
            [] => writeln!(f, "passive ports   chosen by the system")?,
            ranges => {
                let ranges: Vec<_> =
                    ranges.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
                writeln!(f, "passive ports   {}", ranges.join(", "))?;
            }
        }
        write!(f, "{}", Unusual(&self.settings))?;
        self.run_as.iter().try_for_each(|user| writeln!(f, "run as          {user}"))?;
        self.umask.iter().try_for_each(|bits| writeln!(f, "umask           {bits:03o}"))?;
        writeln!(f, "sandbox         {}", word(self.sandbox))?;
        write!(f, "{}", self.log)
    }
}

impl Display for Tls {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for address in &self.implicit_listen {
            writeln!(f, "listen          {address}, TLS first")?;
        }
        for certificate in std::iter::once(&self.certificate).chain(&self.more_certificates) {
            writeln!(
                f,
                "certificate     {}, key {}",
                certificate.chain.display(),
                certificate.key.display()
            )?;
        }
        let required = match (self.require_control, self.require_data) {
            (false, false) => "offered",
            (true, false) => "required to log in",
            (false, true) => "required for data",
            (true, true) => "required",
        };
        let (reuse, ending) = (word(self.session_reuse), word(self.close_notify));
        writeln!(f, "tls             {required}; session reuse: {reuse}; close_notify: {ending}")?;
        match (&self.client_ca, self.client_certificates) {
            (_, ClientCertificates::Off) | (None, _) => Ok(()),
            (Some(ca), wanted) => writeln!(f, "client cert.    {}, signed by {}", word(wanted), ca.display()),
        }
    }
}

impl Display for Accounts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Virtual { users, anonymous, .. } => {
                users.iter().chain(anonymous).try_for_each(|account| write!(f, "{account}"))
            }
            Self::Unix { options, overrides } => {
                write!(f, "{options}")?;
                overrides.iter().try_for_each(|user| write!(f, "{user}"))
            }
            Self::Windows { options, overrides } => {
                write!(f, "{options}")?;
                overrides.iter().try_for_each(|user| write!(f, "{user}"))
            }
        }
    }
}

impl Display for Account {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map_or("no password", Password::describe);
        let (home, letters) = (self.home.display(), self.permissions);
        write!(f, "user            {}: {home}, {letters}, {password}", self.name)?;
        overrides(f, &self.overrides)?;
        limits(f, &self.limits)?;
        messages(f, self.login_message.as_deref(), self.quit_message.as_deref())
    }
}

impl Display for SystemUser {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map_or("the system's password", Password::describe);
        write!(f, "system user     {}: {password}", self.name)?;
        self.home.iter().try_for_each(|home| write!(f, ", {}", home.display()))?;
        self.permissions.iter().try_for_each(|letters| write!(f, ", {letters}"))?;
        overrides(f, &self.overrides)?;
        limits(f, &self.limits)?;
        messages(f, self.login_message.as_deref(), self.quit_message.as_deref())
    }
}

impl Display for UnixAccounts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shell = if self.require_valid_shell { "with a valid shell" } else { "whatever their shell" };
        let (reach, letters) = (word(self.filesystem), self.permissions.0);
        write!(f, "system users    {shell}, {letters}, file system: {reach}, ")?;
        match self.passwords {
            Passwords::Pam => writeln!(f, "PAM service {}", self.pam_service)?,
            Passwords::Shadow => writeln!(f, "passwords of /etc/shadow")?,
        }
        lists(f, &self.allowed_users, &self.rejected_users, self.anonymous_user.as_deref())
    }
}

impl Display for WindowsAccounts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let anonymous = if self.anonymous_password.is_some() { ", anonymous has a password" } else { "" };
        writeln!(f, "windows users   {}{anonymous}", self.permissions.0)?;
        lists(f, &self.allowed_users, &self.rejected_users, self.anonymous_user.as_deref())
    }
}

impl Display for Log {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let file =
            self.file.as_ref().map_or_else(|| "standard error".into(), |path| path.display().to_string());
        let debug = if self.debug { ", with every command" } else { "" };
        write!(f, "log             {file}, {}{debug}", word(self.format))?;
        self.xferlog.iter().try_for_each(|path| write!(f, "\nxferlog         {}", path.display()))
    }
}

impl Password {
    /// Which kind of secret it is, in words; no hint of the secret itself.
    fn describe(&self) -> &'static str {
        match self {
            Self::Clear(_) => "password in clear",
            Self::Hash(_) => "password hash",
        }
    }
}

fn limits(f: &mut Formatter<'_>, limits: &UserLimits) -> fmt::Result {
    limits.sessions.iter().try_for_each(|sessions| write!(f, ", {sessions} sessions"))?;
    limits.upload_rate.iter().try_for_each(|rate| write!(f, ", uploads {rate} bytes/s"))?;
    limits.download_rate.iter().try_for_each(|rate| write!(f, ", downloads {rate} bytes/s"))
}

fn overrides(f: &mut Formatter<'_>, overrides: &[Override]) -> fmt::Result {
    overrides.iter().try_for_each(|one| {
        let below = if one.recursive { " and below" } else { "" };
        write!(f, ", {} in {}{below}", one.permissions.0, one.directory.0)
    })
}

fn messages(f: &mut Formatter<'_>, login: Option<&str>, quit: Option<&str>) -> fmt::Result {
    login.iter().try_for_each(|text| write!(f, ", login message {text:?}"))?;
    quit.iter().try_for_each(|text| write!(f, ", quit message {text:?}"))?;
    writeln!(f)
}

fn lists(
    f: &mut Formatter<'_>,
    allowed: &[String],
    rejected: &[String],
    anonymous: Option<&str>,
) -> fmt::Result {
    for (title, names) in [("allowed users", allowed), ("rejected users", rejected)] {
        if !names.is_empty() {
            writeln!(f, "{title:<15} {}", names.join(", "))?;
        }
    }
    anonymous.iter().try_for_each(|name| writeln!(f, "anonymous is    {name}"))
}

/// The name of a choice as the file writes it.
fn word(choice: impl fmt::Debug) -> String {
    format!("{choice:?}").to_lowercase()
}
