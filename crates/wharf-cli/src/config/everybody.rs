//! What is open to everybody who can connect, in words.

use wharf::Letters;

use super::accounts::{ANONYMOUS, Accounts, SystemUser};
use super::raw::Override;

/// The user whom everybody may be.
struct Anyone<'a> {
    /// The key of this name, as messages call it.
    setting: fn(&str) -> String,
    home: String,
    letters: Letters,
    overrides: &'a [Override],
}

impl Accounts {
    /// What the log says of it at each start.
    pub(crate) fn open_to_everybody(&self) -> Option<String> {
        let anyone = self.anyone()?;
        let what = match (anyone.letters.writes(), anyone.written_below().next()) {
            (true, _) => "read and write in",
            (false, Some(_)) => "read, and in places write in",
            (false, None) => "read",
        };
        Some(format!("everybody who can connect may {what} {}", anyone.home))
    }

    /// That it can be changed is worth a line, and names the key.
    pub(super) fn open_to_changes(&self) -> Option<String> {
        let anyone = self.anyone()?;
        let what = "everybody who can connect may change files";
        if anyone.letters.writes() {
            return Some(format!(
                "{}: {:?}: {what}",
                (anyone.setting)("permissions"),
                anyone.letters.to_string()
            ));
        }
        let below: Vec<_> = anyone.written_below().map(|one| one.directory.0.to_string()).collect();
        (!below.is_empty())
            .then(|| format!("{}: {what} in {}", (anyone.setting)("overrides"), below.join(", ")))
    }

    fn anyone(&self) -> Option<Anyone<'_>> {
        match self {
            Self::Virtual { anonymous, .. } => anonymous.as_ref().map(|user| Anyone {
                setting: |key| format!("anonymous.{key}"),
                home: user.home.display().to_string(),
                letters: user.permissions,
                overrides: &user.overrides,
            }),
            Self::Unix { options, overrides } => {
                options.anonymous_user.as_ref().map(|name| of_system(name, overrides))
            }
            Self::Windows { options, overrides } => {
                options.anonymous_user.as_ref().map(|name| of_system(name, overrides))
            }
        }
    }
}

impl Anyone<'_> {
    fn written_below(&self) -> impl Iterator<Item = &Override> {
        self.overrides.iter().filter(|one| one.permissions.0.writes())
    }
}

/// Anonymous clients who work as the account `name`. They read, unless an override says otherwise.
fn of_system<'a>(name: &str, overrides: &'a [SystemUser]) -> Anyone<'a> {
    let user = overrides.iter().find(|user| user.name == ANONYMOUS);
    let home = user.and_then(|user| user.home.as_ref());
    Anyone {
        setting: |key| format!("users.{key} of {ANONYMOUS:?}"),
        home: home.map_or_else(|| format!("the home of {name}"), |home| home.display().to_string()),
        letters: user.and_then(|user| user.permissions).unwrap_or(Letters::READ_ONLY),
        overrides: user.map_or(&[], |user| &user.overrides),
    }
}
