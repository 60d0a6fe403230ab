//! Passwords as they are stored, and checking against them.
//!
//! Hashes are made slow on purpose, so they are computed on the blocking pool and only a few at a time: 200 parallel
//! logins take neither all memory nor all cores. A password stored in clear is compared on the spot.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Params};
use sha_crypt::ShaCrypt;
use wharf_proto::Secret;
use yescrypt::Yescrypt;

use super::turns::COMPUTING;

/// The longest password that opens anything, in bytes: what PAM and libcrypt take. SHA-crypt spends time for each byte in each of
/// its rounds, and lines of commands may be long.
pub const LONGEST_PASSWORD: usize = 511;

/// A stored password: a hash, or the password itself. Cloning is cheap; it prints as `******`.
///
/// Passwords of more than 511 bytes are wrong whatever is stored.
///
/// Parses argon2 hashes (`$argon2id$`, `$argon2i$`, `$argon2d$`), bcrypt (`$2a$`, `$2b$`, `$2x$`, `$2y$`), sha256-crypt
/// (`$5$`), sha512-crypt (`$6$`) and yescrypt (`$y$`). [`hash_password`] makes new ones.
///
/// ```
/// use wharf::auth::{PasswordHash, Secret};
///
/// let hash: PasswordHash = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5".parse()?;
/// assert!(hash.verify(&Secret::new("Hello world!")));
/// # Ok::<(), wharf::auth::PasswordHashError>(())
/// ```
#[derive(Clone)]
pub struct PasswordHash(Arc<Stored>);

/// What is stored, in the form that its check wants.
enum Stored {
    Plain(Secret),
    Argon2(Box<phc::PasswordHash>),
    Bcrypt(Box<str>),
    ShaCrypt(Box<str>),
    Yescrypt(Box<str>),
}

/// Why a text is no password hash that can be checked, or why none could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordHashError {
    /// It starts with none of the known marks.
    UnknownKind,
    /// It starts as a hash of this kind does, but is none.
    Malformed(&'static str),
    /// The system gave no random salt.
    NotHashed,
    /// The password is longer than 511 bytes: it would open nothing.
    TooLong,
}

/// Makes the hash that `password_hash` in the configuration wants: argon2id with 19 MiB, two passes and a random salt,
/// which takes some tens of milliseconds.
///
/// # Errors
/// [`PasswordHashError::TooLong`] for a password of more than 511 bytes; [`PasswordHashError::NotHashed`] when the system has no
/// randomness to give.
pub fn hash_password(password: &Secret) -> Result<String, PasswordHashError> {
    if is_too_long(password) {
        return Err(PasswordHashError::TooLong);
    }
    let hash: Result<phc::PasswordHash, _> = Argon2::default().hash_password(password.expose());
    hash.map(|hash| hash.to_string()).map_err(|_| PasswordHashError::NotHashed)
}

/// Whether no check looks at the password at all.
pub(super) fn is_too_long(password: &Secret) -> bool {
    password.expose().len() > LONGEST_PASSWORD
}

/// Runs `check` on the blocking pool when it is the turn of somebody at `peer`. `None` when it panicked.
async fn in_turn<T: Send + 'static>(
    peer: Option<IpAddr>,
    check: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let turn = COMPUTING.take(peer).await?;
    let check = tokio::task::spawn_blocking(move || {
        let _held_although_the_client_may_be_gone = turn;
        check()
    });
    check.await.ok()
}

impl PasswordHash {
    /// A password that is stored in clear.
    pub fn plain(password: Secret) -> Self {
        Self(Arc::new(Stored::Plain(password)))
    }

    /// Whether `password` is the one that is stored. For a hash this takes milliseconds and blocks; see
    /// [`verify_on_pool`](Self::verify_on_pool).
    pub fn verify(&self, password: &Secret) -> bool {
        if is_too_long(password) {
            return false;
        }
        let bytes = password.expose();
        match &*self.0 {
            Stored::Plain(stored) => stored == password,
            Stored::Argon2(hash) => Argon2::default().verify_password(bytes, &**hash).is_ok(),
            Stored::Bcrypt(hash) => bcrypt::verify(bytes, hash).unwrap_or(false),
            Stored::ShaCrypt(hash) => ShaCrypt::default().verify_password(bytes, &**hash).is_ok(),
            Stored::Yescrypt(hash) => Yescrypt::default().verify_password(bytes, &**hash).is_ok(),
        }
    }

    /// Whether `password` is the one that is stored, without blocking the caller: hashes wait for their turn and are
    /// computed on the blocking pool, at most one for every two cores at once.
    pub async fn verify_on_pool(&self, password: &Secret) -> bool {
        self.verify_in_turn(password, None).await
    }

    /// As [`verify_on_pool`](Self::verify_on_pool), for somebody at `peer`, whose many logins hold up few of others.
    pub(super) async fn verify_in_turn(&self, password: &Secret, peer: Option<IpAddr>) -> bool {
        if self.is_plain() {
            return self.verify(password);
        }
        let (hash, password) = (self.clone(), password.clone());
        in_turn(peer, move || hash.verify(&password)).await.unwrap_or(false)
    }

    /// Whether checking costs nothing.
    pub(super) fn is_plain(&self) -> bool {
        matches!(*self.0, Stored::Plain(_))
    }

    /// Whether it is a password in clear that is too long to open anything.
    pub(super) fn is_too_long(&self) -> bool {
        matches!(&*self.0, Stored::Plain(password) if is_too_long(password))
    }

    /// What a check costs, in microseconds of a core, roughly: good enough to tell which of two hashes costs more.
    pub(super) fn cost(&self) -> u64 {
        match &*self.0 {
            Stored::Plain(_) => 0,
            Stored::Argon2(hash) => {
                Params::try_from(&**hash).map_or(0, |it| u64::from(it.m_cost()) * u64::from(it.t_cost()) / 2)
            }
            Stored::Bcrypt(hash) => {
                hash.parse().map_or(0, |parts: bcrypt::HashParts| 50_u64 << parts.get_cost().min(31))
            }
            Stored::ShaCrypt(hash) => sha_crypt_rounds(hash).into(),
            Stored::Yescrypt(hash) => {
                let parameters = hash.split('$').nth(2).and_then(|it| it.parse::<yescrypt::Params>().ok());
                parameters.map_or(0, |it| it.n().saturating_mul(it.r().into()) / 2)
            }
        }
    }
}

impl FromStr for PasswordHash {
    type Err = PasswordHashError;

    fn from_str(text: &str) -> Result<Self, PasswordHashError> {
        let mut fields = text.split('$').skip(1);
        let stored = match fields.next() {
            Some("argon2id" | "argon2i" | "argon2d") => parse_argon2(text).ok_or("an argon2"),
            Some("2a" | "2b" | "2x" | "2y") => parse_bcrypt(text).ok_or("a bcrypt"),
            Some("5") => parse_sha_crypt(text, fields, 43).ok_or("a sha256-crypt"),
            Some("6") => parse_sha_crypt(text, fields, 86).ok_or("a sha512-crypt"),
            Some("y") => parse_yescrypt(text, fields).ok_or("a yescrypt"),
            _ => return Err(PasswordHashError::UnknownKind),
        };
        stored.map(|stored| Self(Arc::new(stored))).map_err(PasswordHashError::Malformed)
    }
}

fn parse_argon2(text: &str) -> Option<Stored> {
    let hash = phc::PasswordHash::new(text).ok()?;
    Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    Params::try_from(&hash).ok()?;
    (hash.salt.is_some() && hash.hash.is_some()).then(|| Stored::Argon2(Box::new(hash)))
}

fn parse_bcrypt(text: &str) -> Option<Stored> {
    let parts: bcrypt::HashParts = text.parse().ok()?;
    (4..=31).contains(&parts.get_cost()).then(|| Stored::Bcrypt(text.into()))
}

/// `fields` are `[rounds=N$]salt$checksum`.
fn parse_sha_crypt<'a>(
    text: &str,
    mut fields: impl Iterator<Item = &'a str>,
    checksum: usize,
) -> Option<Stored> {
    let mut salt = fields.next()?;
    if let Some(rounds) = salt.strip_prefix("rounds=") {
        sha_crypt::Params::new(rounds.parse().ok()?).ok()?;
        salt = fields.next()?;
    }
    let sound = salt.len() <= 16 && is_crypt_text(fields.next()?, checksum) && fields.next().is_none();
    sound.then(|| Stored::ShaCrypt(text.into()))
}

/// `fields` are `parameters$salt$checksum`.
fn parse_yescrypt<'a>(text: &str, mut fields: impl Iterator<Item = &'a str>) -> Option<Stored> {
    fields.next()?.parse::<yescrypt::Params>().ok()?;
    let salt = fields.next()?;
    let sound =
        is_crypt_text(salt, salt.len()) && is_crypt_text(fields.next()?, 43) && fields.next().is_none();
    sound.then(|| Stored::Yescrypt(text.into()))
}

/// Whether `text` is `length` characters of crypt(5)'s alphabet.
fn is_crypt_text(text: &str, length: usize) -> bool {
    text.len() == length
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'))
}

fn sha_crypt_rounds(hash: &str) -> u32 {
    let field = hash.split('$').nth(2).and_then(|field| field.strip_prefix("rounds="));
    field.and_then(|rounds| rounds.parse().ok()).unwrap_or(sha_crypt::Params::RECOMMENDED_ROUNDS)
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

impl fmt::Display for PasswordHashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind => {
                f.write_str("not a password hash; argon2, bcrypt, $5$, $6$ and $y$ hashes are known")
            }
            Self::Malformed(kind) => write!(f, "starts like {kind} hash, but is not a whole one"),
            Self::TooLong => write!(f, "the password is longer than {LONGEST_PASSWORD} bytes"),
            Self::NotHashed => f.write_str("the password could not be hashed: the system has no randomness"),
        }
    }
}

impl std::error::Error for PasswordHashError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Hello world!` as crypt(3) of Debian 12 stores it.
    const OF_CRYPT: [&str; 5] = [
        "$2b$04$abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK",
        "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
        "$5$rounds=1000$saltstring$z/y8l95GSjij6uHx2xAJer7YCODLtrhIxItWC13D4g5",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        "$y$j75$saltsaltsalt$AveudvDy4s0icqxi3BMmlP/jffflguPNiBv7mXp1/3C",
    ];

    #[test]
    fn hashes_of_crypt_are_understood() {
        for text in OF_CRYPT {
            let hash: PasswordHash = text.parse().unwrap();
            assert!(hash.verify(&Secret::new("Hello world!")), "{text}");
            assert!(!hash.verify(&Secret::new("Hello world")), "{text}");
            assert!(!hash.verify(&Secret::default()), "{text}");
            assert!(hash.cost() > 0, "{text}");
        }
    }

    #[tokio::test]
    async fn hashes_of_ours_are_checked_off_the_worker() {
        let text = hash_password(&Secret::new("12345")).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash: PasswordHash = text.parse().unwrap();
        assert!(hash.verify_on_pool(&Secret::new("12345")).await);
        assert!(!hash.verify_on_pool(&Secret::new("123456")).await);
        assert_eq!(format!("{hash:?}"), "******");
    }

    #[test]
    fn passwords_that_are_too_long_open_nothing() {
        for (length, opens) in [(LONGEST_PASSWORD, true), (LONGEST_PASSWORD + 1, false)] {
            let password = Secret::new(vec![b'x'; length]);
            let hash: phc::PasswordHash = Argon2::default().hash_password(password.expose()).unwrap();
            let stored: [PasswordHash; 2] =
                [hash.to_string().parse().unwrap(), PasswordHash::plain(password.clone())];
            assert_eq!(stored.map(|hash| hash.verify(&password)), [opens; 2], "{length}");
            assert_eq!(hash_password(&password).is_ok(), opens);
        }
    }

    #[test]
    fn texts_that_are_no_hashes_are_named() {
        use PasswordHashError::{Malformed, UnknownKind};
        for (text, expected) in [
            ("", UnknownKind),
            ("12345", UnknownKind),
            ("$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", UnknownKind),
            ("$argon2id$", Malformed("an argon2")),
            ("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ", Malformed("an argon2")),
            ("$2b$99$abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK", Malformed("a bcrypt")),
            ("$2b$04$short", Malformed("a bcrypt")),
            ("$5$saltstring$short", Malformed("a sha256-crypt")),
            (
                "$5$rounds=many$saltstring$z/y8l95GSjij6uHx2xAJer7YCODLtrhIxItWC13D4g5",
                Malformed("a sha256-crypt"),
            ),
            ("$6$saltstring", Malformed("a sha512-crypt")),
            ("$y$j75$salt", Malformed("a yescrypt")),
            ("$y$!$salt$AveudvDy4s0icqxi3BMmlP/jffflguPNiBv7mXp1/3C", Malformed("a yescrypt")),
        ] {
            assert_eq!(text.parse::<PasswordHash>().unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn dearer_hashes_cost_more() {
        let cost = |text: &str| text.parse::<PasswordHash>().unwrap().cost();
        let argon2 = hash_password(&Secret::new("x")).unwrap();
        assert_eq!(PasswordHash::plain(Secret::new("x")).cost(), 0);
        assert!(cost(OF_CRYPT[2]) < cost(OF_CRYPT[3]));
        assert!(cost(OF_CRYPT[3]) < cost(&argon2));
    }
}
