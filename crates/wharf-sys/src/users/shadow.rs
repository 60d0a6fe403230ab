//! Password hashes and the dates that go with them: shadow(5), for systems that do without PAM.

use std::ffi::{CString, OsStr, c_long};
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::{look_up, string};

/// What the shadow database holds of one account. Dates are days since 1970-01-01, spans are days; `None` means no limit.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowEntry {
    /// The password hash as crypt(5) writes it. A leading `!` or `*` locks the account; empty means no password is set.
    pub hash: Zeroizing<String>,
    /// Date of the last change of the password; 0 asks for a new one at the next login.
    pub last_change: Option<i64>,
    /// Days for which a password may be kept.
    pub maximum_age: Option<i64>,
    /// Date from which the account may not be used.
    pub expires: Option<i64>,
}

/// Whether an account may log in, its password aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Usable,
    /// It has no usable password: locked by its administrator, or never given one.
    Locked,
    /// Its own date has passed.
    AccountExpired,
    /// Its password is older than it may be, or must be changed before anything else.
    PasswordExpired,
}

/// Reads the shadow entry of an account, or `None` when it has none.
///
/// # Errors
///
/// [`io::ErrorKind::PermissionDenied`] when the process may not read the shadow database;
/// [`io::ErrorKind::InvalidData`] for a hash that is not text.
pub fn shadow_entry(name: impl AsRef<OsStr>) -> io::Result<Option<ShadowEntry>> {
    let Ok(name) = CString::new(name.as_ref().as_bytes()) else {
        return Ok(None);
    };
    let entry = look_up(
        |entry, buffer, found| {
            // SAFETY: the name ends with a NUL; the other pointers are those of `look_up`, valid for the call.
            unsafe { libc::getspnam_r(name.as_ptr(), entry, buffer.as_mut_ptr(), buffer.len(), found) }
        },
        copy,
    )?;
    entry.transpose()
}

/// The password hashes in the file `/etc/shadow`, those of locked accounts included.
///
/// # Errors
///
/// When the process may not read it.
pub fn shadow_hashes() -> io::Result<Vec<Zeroizing<String>>> {
    let text = Zeroizing::new(std::fs::read_to_string("/etc/shadow")?);
    let hash = |line: &str| line.split(':').nth(1).map(|hash| Zeroizing::new(hash.to_owned()));
    Ok(text.lines().filter_map(hash).collect())
}

/// Today in days since 1970-01-01, in UTC as the shadow tools count.
pub fn today() -> i64 {
    const SECONDS_PER_DAY: u64 = 86_400;

    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs() / SECONDS_PER_DAY).unwrap_or(i64::MAX)
}

impl ShadowEntry {
    /// Whether the account may log in on that day. Wrong dates in the database count against the account.
    pub fn standing(&self, today: i64) -> Standing {
        if self.hash.is_empty() || self.hash.starts_with(['!', '*']) {
            return Standing::Locked;
        }
        if self.expires.is_some_and(|day| today >= day) {
            return Standing::AccountExpired;
        }
        match (self.last_change, self.maximum_age) {
            (Some(0), _) => Standing::PasswordExpired,
            (Some(changed), Some(age)) if today.saturating_sub(changed) > age => Standing::PasswordExpired,
            _ => Standing::Usable,
        }
    }
}

impl fmt::Debug for ShadowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShadowEntry")
            .field("last_change", &self.last_change)
            .field("maximum_age", &self.maximum_age)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

fn copy(entry: &libc::spwd) -> io::Result<ShadowEntry> {
    // SAFETY: the strings of a found entry live in the buffer, which `look_up` still holds.
    let hash = unsafe { string(entry.sp_pwdp) };
    let hash = String::from_utf8(hash.into_vec()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "a password hash in the shadow database is not text")
    })?;
    Ok(ShadowEntry {
        hash: Zeroizing::new(hash),
        last_change: number(entry.sp_lstchg),
        maximum_age: number(entry.sp_max),
        expires: number(entry.sp_expire),
    })
}

/// The C library writes -1 for a field that is empty.
#[allow(clippy::unnecessary_cast, reason = "a long has 32 bits on some systems")]
fn number(field: c_long) -> Option<i64> {
    (field >= 0).then_some(field as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standing_follows_the_dates() {
        use Standing::{AccountExpired, Locked, PasswordExpired, Usable};

        const TODAY: i64 = 20_000;
        #[rustfmt::skip]
        let table = [
            // hash    last change     maximum age    expires
            ("$y$ok",  Some(19_000),   Some(99_999),  None,             Usable),
            ("$y$ok",  None,           None,          None,             Usable),
            ("",       Some(19_000),   None,          None,             Locked),
            ("*",      Some(19_000),   None,          None,             Locked),
            ("!$y$ok", Some(19_000),   None,          None,             Locked),
            ("$y$ok",  Some(19_000),   None,          Some(TODAY + 1),  Usable),
            ("$y$ok",  Some(19_000),   None,          Some(TODAY),      AccountExpired),
            ("$y$ok",  Some(19_000),   None,          Some(0),          AccountExpired),
            ("$y$ok",  Some(0),        None,          None,             PasswordExpired),
            ("$y$ok",  Some(19_000),   Some(1_000),   None,             Usable),
            ("$y$ok",  Some(19_000),   Some(999),     None,             PasswordExpired),
            ("$y$ok",  Some(30_000),   Some(999),     None,             Usable),
        ];
        for (hash, last_change, maximum_age, expires, standing) in table {
            let entry =
                ShadowEntry { hash: Zeroizing::new(hash.to_owned()), last_change, maximum_age, expires };
            assert_eq!(entry.standing(TODAY), standing, "{hash} {entry:?}");
        }
    }

    #[test]
    fn the_hash_is_not_in_the_debug_text() {
        let entry = ShadowEntry {
            hash: Zeroizing::new("$y$secret".into()),
            last_change: None,
            maximum_age: None,
            expires: None,
        };
        assert!(!format!("{entry:?}").contains("secret"));
    }
}
