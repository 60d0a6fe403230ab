//! Users that exist in the server alone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::time::Instant;
use wharf_proto::{Letters, Permissions, Secret, UnknownLetter};

use super::even_pace::EvenPace;
use super::virtual_user::{ANONYMOUS, Credential, VirtualUser, paths_inside, warn_if_writable};
use super::{AuthError, Authorizer, LONGEST_PASSWORD, Login, PasswordHash, User};

/// A table of users that exist in the server alone, and share the rights of its process.
///
/// It is a handle: clones share the table, and it may be changed while the server runs. A change is seen by the next
/// login; sessions that are open keep what they began with.
///
/// ```
/// use wharf::auth::VirtualUsers;
///
/// let home = std::env::temp_dir();
/// let users = VirtualUsers::new().user("user", "12345", &home, "elradfmwMT")?.anonymous(&home)?;
///
/// let while_the_server_runs = users.clone();
/// while_the_server_runs.remove("user")?;
/// assert!(!users.contains("user"));
/// # Ok::<(), wharf::auth::VirtualUsersError>(())
/// ```
#[derive(Clone, Default)]
#[doc(alias = "DummyAuthorizer")]
pub struct VirtualUsers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    table: RwLock<Table>,
    pace: EvenPace,
}

#[derive(Default)]
struct Table {
    users: HashMap<Arc<str>, Known>,
    /// The hash that costs most of all there ever were. Logins that fail are checked against it, so that the time
    /// they take tells nobody which names exist.
    dearest: Option<PasswordHash>,
    /// Whether there ever were hashes that cost less: a login that fails for one of those is to be held back.
    uneven: bool,
}

/// A user in the table.
struct Known {
    user: User,
    credential: Credential,
}

/// Why a table of users was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VirtualUsersError {
    /// There is a user of this name already.
    UserExists(String),
    /// There is no user of this name.
    UnknownUser(String),
    /// There is no such directory, or the server may not look at it.
    NoSuchDirectory(PathBuf),
    /// A character that is no permission letter.
    UnknownPermission(UnknownLetter),
    /// The directory is the home itself, whose letters are the user's own.
    OverridesHome(PathBuf),
    /// The directory is outside the user's home.
    EscapesHome(PathBuf),
    /// The password in clear of this user is longer than 511 bytes, and would never be right.
    PasswordTooLong(String),
}

impl VirtualUsers {
    /// A table without users.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same table with a user whose password is given in clear. `letters` are permissions such as `elr` or
    /// `elradfmwMT`. See [`VirtualUser`] for all that a user can have.
    ///
    /// # Errors
    /// When the name is taken, `home` is no directory, a letter is unknown or the password too long.
    #[doc(alias = "add_user")]
    pub fn user(
        self,
        name: &str,
        password: &str,
        home: impl AsRef<Path>,
        letters: &str,
    ) -> Result<Self, VirtualUsersError> {
        let user = VirtualUser::new(name, PasswordHash::plain(Secret::new(password)), home);
        self.add(user.permissions(letters.parse()?))?;
        Ok(self)
    }

    /// The same table with a user `anonymous` who needs no password and may look and fetch.
    ///
    /// # Errors
    /// When there is one already, or `home` is no directory.
    #[doc(alias = "add_anonymous")]
    pub fn anonymous(self, home: impl AsRef<Path>) -> Result<Self, VirtualUsersError> {
        self.add(VirtualUser::anonymous(home))?;
        Ok(self)
    }

    /// Adds a user. Looks at the disk, to find the real path of the home.
    ///
    /// # Errors
    /// When the name is taken, the home is no directory, an override is not of a directory inside it, or the password is too long.
    #[doc(alias = "add_user")]
    pub fn add(&self, new: VirtualUser) -> Result<(), VirtualUsersError> {
        if self.contains(&new.user.name) {
            return Err(VirtualUsersError::UserExists(new.user.name.to_string()));
        }
        let (user, credential) = new.resolve()?;
        if let Credential::Password(hash) = &credential {
            can_be_right(&user.name, hash)?;
        }
        let mut table = self.write();
        let table = &mut *table;
        let Entry::Vacant(place) = table.users.entry(Arc::clone(&user.name)) else {
            return Err(VirtualUsersError::UserExists(user.name.to_string()));
        };
        let previous = table.dearest.take();
        table.uneven |= differ(previous.as_ref(), &credential);
        table.dearest = dearer(previous, &credential);
        place.insert(Known { user, credential });
        Ok(())
    }

    /// Removes a user. Sessions that are open stay open.
    ///
    /// # Errors
    /// When there is no such user.
    #[doc(alias = "remove_user")]
    pub fn remove(&self, name: &str) -> Result<(), VirtualUsersError> {
        self.write().users.remove(name).map(drop).ok_or_else(|| VirtualUsersError::UnknownUser(name.into()))
    }

    /// Whether there is a user of this name.
    #[doc(alias = "has_user")]
    pub fn contains(&self, name: &str) -> bool {
        self.read().users.contains_key(name)
    }

    /// Gives a user other permissions, overrides included.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn set_permissions(
        &self,
        name: &str,
        permissions: impl Into<Permissions>,
    ) -> Result<(), VirtualUsersError> {
        let permissions = permissions.into();
        warn_if_writable(name, permissions.base());
        self.change(name, |known| known.user.permissions = Arc::new(permissions))
    }

    /// Replaces a user's letters inside `directory`: for itself and the files in it, and when `recursive` for all that
    /// lies below. The directory is seen from the user's home; an absolute path inside it will do as well. Setting
    /// one again replaces it.
    ///
    /// # Errors
    /// When there is no such user or directory, or the directory is the home or outside it.
    #[doc(alias = "override_perm")]
    pub fn override_permissions(
        &self,
        name: &str,
        directory: impl AsRef<Path>,
        letters: Letters,
        recursive: bool,
    ) -> Result<(), VirtualUsersError> {
        let home = self.read().users.get(name).map(|known| Arc::clone(&known.user.home));
        let home = home.ok_or_else(|| VirtualUsersError::UnknownUser(name.into()))?;
        let paths = paths_inside(&home, directory.as_ref())?;
        warn_if_writable(name, letters);
        self.change(name, |known| {
            let permissions = Arc::make_mut(&mut known.user.permissions);
            paths.into_iter().for_each(|path| permissions.override_directory(path, letters, recursive));
        })
    }

    /// Gives a user another password.
    ///
    /// # Errors
    /// When there is no such user, or the password is too long.
    pub fn set_password(&self, name: &str, password: PasswordHash) -> Result<(), VirtualUsersError> {
        can_be_right(name, &password)?;
        let credential = Credential::Password(password);
        let mut table = self.write();
        let known = table.users.get_mut(name).ok_or_else(|| VirtualUsersError::UnknownUser(name.into()))?;
        known.credential = credential.clone();
        let previous = table.dearest.take();
        table.uneven |= differ(previous.as_ref(), &credential);
        table.dearest = dearer(previous, &credential);
        Ok(())
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Known)) -> Result<(), VirtualUsersError> {
        self.write()
            .users
            .get_mut(name)
            .map(change)
            .ok_or_else(|| VirtualUsersError::UnknownUser(name.into()))
    }

    /// The table; one that a panic left behind is whole, as every change to it is a single step.
    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authorizer for VirtualUsers {
    async fn authenticate(&self, login: Login<'_>) -> Result<User, AuthError> {
        let (since, peer) = (Instant::now(), Some(login.peer.ip()));
        let (known, dearest, uneven) = {
            let table = self.read();
            let known =
                table.users.get(login.user).map(|known| (known.user.clone(), known.credential.clone()));
            (known, table.dearest.clone(), table.uneven)
        };
        let already_checked = match known {
            Some((user, Credential::Nothing)) => return Ok(user),
            Some((user, Credential::Password(hash))) => {
                if hash.verify_in_turn(login.password, peer).await {
                    return Ok(user);
                }
                !hash.is_plain()
            }
            None if login.user == ANONYMOUS => return Err(AuthError::NoAnonymous),
            None => false,
        };
        if let (false, Some(decoy)) = (already_checked, dearest) {
            decoy.verify_in_turn(login.password, peer).await;
        }
        if uneven {
            self.0.pace.hold_back(since).await;
        }
        Err(AuthError::Refused)
    }
}

/// Refuses a password that no login could bring.
fn can_be_right(name: &str, password: &PasswordHash) -> Result<(), VirtualUsersError> {
    if password.is_too_long() { Err(VirtualUsersError::PasswordTooLong(name.into())) } else { Ok(()) }
}

/// The one of the two that costs more to check.
fn dearer(dearest: Option<PasswordHash>, other: &Credential) -> Option<PasswordHash> {
    let Credential::Password(other) = other else {
        return dearest;
    };
    match dearest {
        Some(dearest) if dearest.cost() >= other.cost() => Some(dearest),
        _ => Some(other.clone()),
    }
}

/// Whether two hashes take a time that differs. A password in clear takes none, and is followed by the dearest hash.
fn differ(dearest: Option<&PasswordHash>, other: &Credential) -> bool {
    match (dearest, other) {
        (Some(dearest), Credential::Password(other)) if !dearest.is_plain() && !other.is_plain() => {
            dearest.cost() != other.cost()
        }
        _ => false,
    }
}

impl From<UnknownLetter> for VirtualUsersError {
    fn from(letter: UnknownLetter) -> Self {
        Self::UnknownPermission(letter)
    }
}

impl fmt::Display for VirtualUsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserExists(name) => write!(f, "user {name:?} already exists"),
            Self::UnknownUser(name) => write!(f, "no such user {name:?}"),
            Self::NoSuchDirectory(path) => write!(f, "no such directory: {path:?}"),
            Self::UnknownPermission(letter) => letter.fmt(f),
            Self::OverridesHome(_) => f.write_str("can't override home directory permissions"),
            Self::PasswordTooLong(name) => {
                write!(f, "the password of {name:?} is longer than {LONGEST_PASSWORD} bytes")
            }
            Self::EscapesHome(path) => write!(f, "path escapes user home directory: {path:?}"),
        }
    }
}

impl std::error::Error for VirtualUsersError {}

impl fmt::Debug for VirtualUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualUsers").field(&self.read().users.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_proto::VPath;

    use crate::auth::{Letter, hash_password};
    use std::net::SocketAddr;

    async fn login(users: &VirtualUsers, user: &str, password: &str) -> Result<User, AuthError> {
        let password = Secret::new(password);
        let address = SocketAddr::from(([127, 0, 0, 1], 21));
        users.authenticate(Login::new(user, &password, address, address)).await
    }

    fn letters(text: &str) -> Letters {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn names_and_passwords_are_exact() {
        let home = tempfile::tempdir().unwrap();
        let users = VirtualUsers::new().user("user", "12345", home.path(), "elr").unwrap();
        let user = login(&users, "user", "12345").await.unwrap();
        assert_eq!(*user.home, home.path().canonicalize().unwrap());
        assert_eq!((&*user.name, user.permissions.base()), ("user", Letters::READ_ONLY));
        for (name, password) in [("User", "12345"), ("user", "1234"), ("user", ""), ("nobody", "12345")] {
            assert!(
                matches!(login(&users, name, password).await, Err(AuthError::Refused)),
                "{name} {password}"
            );
        }
        assert!(matches!(login(&users, "anonymous", "").await, Err(AuthError::NoAnonymous)));
    }

    #[tokio::test]
    async fn anonymous_needs_no_password() {
        let users = VirtualUsers::new().anonymous(std::env::temp_dir()).unwrap();
        for password in ["", "me@example.org"] {
            login(&users, "anonymous", password).await.unwrap();
        }
        assert!(matches!(login(&users, "Anonymous", "").await, Err(AuthError::Refused)));
        assert!(matches!(login(&users, "ftp", "").await, Err(AuthError::Refused)));
    }

    #[tokio::test]
    async fn hashed_passwords_open_too() {
        let hash = hash_password(&Secret::new("12345")).unwrap().parse().unwrap();
        let users = VirtualUsers::new();
        users.add(VirtualUser::new("user", hash, std::env::temp_dir())).unwrap();
        login(&users, "user", "12345").await.unwrap();
        assert!(login(&users, "user", "54321").await.is_err());
        assert!(login(&users, "nobody", "12345").await.is_err());
    }

    #[tokio::test]
    async fn changes_are_seen_by_the_next_login() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("incoming/deep")).unwrap();
        let users = VirtualUsers::new().user("user", "12345", home.path(), "elr").unwrap();
        let before = login(&users, "user", "12345").await.unwrap();

        let handle = users.clone();
        handle.set_password("user", PasswordHash::plain(Secret::new("new"))).unwrap();
        handle.override_permissions("user", "incoming", letters("elw"), true).unwrap();
        let after = login(&users, "user", "new").await.unwrap();
        let path = VPath::parse(b"/incoming/deep/scan.pdf").unwrap();
        assert!(after.permissions.letters_for(&path, false).contains(Letter::Store));
        assert!(!before.permissions.letters_for(&path, false).contains(Letter::Store));
        assert!(login(&users, "user", "12345").await.is_err());

        handle.set_permissions("user", Letters::NONE).unwrap();
        assert_eq!(*login(&users, "user", "new").await.unwrap().permissions, Permissions::default());
        handle.remove("user").unwrap();
        assert!(!users.contains("user"));
        assert!(login(&users, "user", "new").await.is_err());
    }

    #[test]
    fn the_failing_login_costs_as_much_as_the_dearest() {
        let users = VirtualUsers::new().user("plain", "12345", std::env::temp_dir(), "elr").unwrap();
        assert!(users.read().dearest.as_ref().unwrap().is_plain());
        let hash: PasswordHash = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5".parse().unwrap();
        users.add(VirtualUser::new("hashed", hash.clone(), std::env::temp_dir())).unwrap();
        let users = users.user("other", "12345", std::env::temp_dir(), "elr").unwrap();
        assert_eq!(users.read().dearest.as_ref().unwrap().cost(), hash.cost());
    }

    #[tokio::test(start_paused = true)]
    async fn failing_logins_take_the_same_time_whatever_the_hash() {
        let cheap = "$5$rounds=1000$saltstring$z/y8l95GSjij6uHx2xAJer7YCODLtrhIxItWC13D4g5";
        let dear = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
        for (hashes, held_back) in
            [(vec![cheap, cheap], 0), (vec![cheap, dear], 250), (vec![dear, cheap], 250)]
        {
            let users = VirtualUsers::new().user("plain", "12345", std::env::temp_dir(), "elr").unwrap();
            for (name, hash) in ["one", "two"].into_iter().zip(hashes) {
                users.add(VirtualUser::new(name, hash.parse().unwrap(), std::env::temp_dir())).unwrap();
            }
            for name in ["plain", "one", "two", "nobody"] {
                let since = Instant::now();
                login(&users, name, "wrong").await.unwrap_err();
                assert_eq!(since.elapsed().as_millis(), held_back, "{name}");
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        use VirtualUsersError::{
            EscapesHome, NoSuchDirectory, OverridesHome, UnknownPermission, UnknownUser,
        };
        let home = tempfile::tempdir().unwrap();
        let absent = home.path().join("absent");
        let fresh = || VirtualUsers::new().user("user", "", home.path(), "elr").unwrap();
        let error = |result: Result<VirtualUsers, _>| result.unwrap_err();
        assert_eq!(
            error(fresh().user("user", "", home.path(), "elr")),
            VirtualUsersError::UserExists("user".into())
        );
        assert_eq!(error(fresh().user("new", "", &absent, "elr")), NoSuchDirectory(absent));
        assert_eq!(error(fresh().user("new", "", home.path(), "elx")), UnknownPermission(UnknownLetter('x')));
        assert_eq!(fresh().remove("nobody"), Err(UnknownUser("nobody".into())));
        let too_long = Err(VirtualUsersError::PasswordTooLong("user".into()));
        assert_eq!(fresh().set_password("user", PasswordHash::plain(Secret::new([b'x'; 512]))), too_long);

        let overriding = |directory: &Path| {
            fresh().override_permissions("user", directory, Letters::ALL, false).unwrap_err()
        };
        assert_eq!(
            overriding(Path::new("absent")),
            NoSuchDirectory(home.path().canonicalize().unwrap().join("absent"))
        );
        assert_eq!(overriding(Path::new(".")), OverridesHome(".".into()));
        assert_eq!(overriding(home.path()), OverridesHome(home.path().into()));
        assert_eq!(overriding(Path::new("..")), EscapesHome("..".into()));
        let unknown = fresh().override_permissions("nobody", ".", Letters::ALL, false);
        assert_eq!(unknown, Err(UnknownUser("nobody".into())));
    }
}
