//! The words behind `=`.

use std::time::Duration;

use wharf_proto::listing::TimeStyle;
use wharf_proto::{
    Account, ActiveRules, Argument, CommandTable, Letters, Peer, Permissions, Report, Row, Rules, TlsPolicy,
    VPath,
};

/// What a session begins with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rules: Rules,
    pub(crate) peer: Peer,
    pub(crate) secured: bool,
    pub(crate) account: Account,
    pub(crate) logged_in: bool,
    pub(crate) shows_events: bool,
    permissions: Permissions,
}

impl Default for Settings {
    fn default() -> Self {
        let permissions = Permissions::new(Letters::ALL);
        Self {
            rules: rules(),
            peer: Peer { remote: "127.0.0.1:40000".parse().unwrap(), local: "127.0.0.1:21".parse().unwrap() },
            secured: false,
            account: Account {
                name: "ann".into(),
                permissions: permissions.clone().into(),
                start: VPath::root(),
                login_message: "Login successful.".into(),
                quit_message: "Goodbye.".into(),
            },
            logged_in: false,
            shows_events: false,
            permissions,
        }
    }
}

fn rules() -> Rules {
    Rules {
        banner: "wharf ready.".to_owned(),
        commands: CommandTable::standard(),
        report: Report::Notable,
        times: TimeStyle::Utc,
        max_login_attempts: 3,
        login_timeout: Duration::from_secs(60),
        failed_login_delay: Duration::from_secs(3),
        idle_timeout: Duration::from_secs(300),
        data_timeout: Duration::from_secs(200),
        passive_timeout: Duration::from_secs(30),
        active: ActiveRules {
            enabled: true,
            permit_foreign_addresses: false,
            permit_privileged_ports: false,
        },
        tls: None,
    }
}

impl Settings {
    /// The default with all the commands that need TLS, logged in.
    pub(crate) fn for_all_commands() -> Self {
        let mut settings = Self { logged_in: true, ..Self::default() };
        settings.set("tls").unwrap();
        settings
    }

    /// Obeys one setting.
    pub(crate) fn set(&mut self, line: &str) -> Result<(), String> {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "login" => self.logged_in = true,
            "guest" => self.logged_in = false,
            "events" => {
                self.shows_events = true;
                self.rules.report = if value == "all" { Report::All } else { Report::Notable };
            }
            "banner" => self.rules.banner = value.replace("\\n", "\n"),
            "greeting" => self.account.login_message = value.into(),
            "farewell" => self.account.quit_message = value.into(),
            "start" => self.account.start = path(value)?,
            "permissions" => self.permit(value.parse::<Permissions>().map_err(|error| error.to_string())?),
            "override" => self.override_directory(value)?,
            "local" => self.peer.local = value.parse().map_err(|_| "no such address")?,
            "remote" => self.peer.remote = value.parse().map_err(|_| "no such address")?,
            "attempts" => self.rules.max_login_attempts = value.parse().map_err(|_| "no such number")?,
            "login-timeout" => self.rules.login_timeout = duration(value)?,
            "delay" => self.rules.failed_login_delay = duration(value)?,
            "idle-timeout" => self.rules.idle_timeout = duration(value)?,
            "data-timeout" => self.rules.data_timeout = duration(value)?,
            "passive-timeout" => self.rules.passive_timeout = duration(value)?,
            "active" => match value {
                "off" => self.rules.active.enabled = false,
                "foreign" => self.rules.active.permit_foreign_addresses = true,
                _ => self.rules.active.permit_privileged_ports = true,
            },
            "tls" => {
                self.rules.commands = self.rules.commands.clone().with_tls();
                self.rules.tls = Some(TlsPolicy {
                    require_control: value.contains("control"),
                    require_data: value.contains("data"),
                });
            }
            "secured" => self.secured = true,
            "without" => self.rules.commands.remove(value).map_err(|error| error.to_string())?,
            "with" => {
                let (letter, name) = value.split_once(' ').ok_or("a letter, or -, and a name")?;
                let row = Row::new(name.to_owned(), Argument::Optional);
                let letter = letter.parse::<Letters>().ok().and_then(|letters| letters.iter().next());
                let row = if let Some(letter) = letter { row.letter(letter) } else { row };
                self.rules.commands.add(row).map_err(|error| error.to_string())?;
            }
            _ => return Err(format!("no such setting: {word}")),
        }
        Ok(())
    }

    pub(crate) fn permit(&mut self, permissions: Permissions) {
        self.account.permissions = permissions.clone().into();
        self.permissions = permissions;
    }

    fn override_directory(&mut self, value: &str) -> Result<(), String> {
        let mut words = value.split(' ');
        let (Some(directory), Some(letters)) = (words.next(), words.next()) else {
            return Err("a directory and letters".to_owned());
        };
        let letters =
            letters.trim_start_matches('-').parse::<Letters>().map_err(|error| error.to_string())?;
        let mut permissions = self.permissions.clone();
        permissions.override_directory(path(directory)?, letters, words.next() == Some("recursive"));
        self.permit(permissions);
        Ok(())
    }
}

pub(crate) fn path(text: &str) -> Result<VPath, String> {
    VPath::parse(&super::unescape(text)?).map_err(|error| error.to_string())
}

/// `300s` or `100ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bad = |_| format!("no such time: {text}");
    match text.strip_suffix("ms") {
        Some(number) => number.parse().map(Duration::from_millis).map_err(bad),
        None => text.trim_end_matches('s').parse().map(Duration::from_secs).map_err(bad),
    }
}
