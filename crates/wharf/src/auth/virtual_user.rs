//! One user of a [`VirtualUsers`](super::VirtualUsers) table, as it is described before it is added.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use wharf_proto::{Letters, Permissions, VPath};

use super::{PasswordHash, User, UserLimits, VirtualUsersError};

/// The name that anonymous users log in with.
pub(super) const ANONYMOUS: &str = "anonymous";

/// A user to be [added](super::VirtualUsers::add) to a table. Without further ado it may look and fetch (`elr`).
///
/// ```
/// use wharf::auth::{Letters, PasswordHash, VirtualUser, VirtualUsers};
///
/// let hash: PasswordHash = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5".parse()?;
/// let user = VirtualUser::new("user", hash, std::env::temp_dir()).permissions(Letters::ALL).quit_message("Bye.");
/// VirtualUsers::new().add(user)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct VirtualUser {
    pub(super) user: User,
    letters: Letters,
    credential: Credential,
    /// Directory, letters, and whether they hold for all that lies below.
    overrides: Vec<(PathBuf, Letters, bool)>,
}

/// What a user has to know.
#[derive(Clone)]
pub(super) enum Credential {
    /// Nothing: any password will do, an empty one too.
    Nothing,
    Password(PasswordHash),
}

impl VirtualUser {
    /// A user who logs in with a password. `home` has to exist when the user is added.
    pub fn new(name: impl Into<Arc<str>>, password: PasswordHash, home: impl AsRef<Path>) -> Self {
        Self::with(name.into(), home.as_ref(), Credential::Password(password))
    }

    /// The user `anonymous`, who needs no password.
    pub fn anonymous(home: impl AsRef<Path>) -> Self {
        Self::with(ANONYMOUS.into(), home.as_ref(), Credential::Nothing)
    }

    fn with(name: Arc<str>, home: &Path, credential: Credential) -> Self {
        Self { user: User::new(name, home), letters: Letters::READ_ONLY, credential, overrides: Vec::new() }
    }

    /// What the user may do where no override holds.
    pub fn permissions(self, letters: Letters) -> Self {
        Self { letters, ..self }
    }

    /// Other letters inside a directory; see
    /// [`VirtualUsers::override_permissions`](super::VirtualUsers::override_permissions).
    pub fn override_permissions(
        mut self,
        directory: impl Into<PathBuf>,
        letters: Letters,
        recursive: bool,
    ) -> Self {
        self.overrides.push((directory.into(), letters, recursive));
        self
    }

    /// The text of the 230.
    #[doc(alias = "msg_login")]
    pub fn login_message(mut self, text: impl Into<Arc<str>>) -> Self {
        self.user.login_message = text.into();
        self
    }

    /// The text of the 221.
    #[doc(alias = "msg_quit")]
    pub fn quit_message(mut self, text: impl Into<Arc<str>>) -> Self {
        self.user.quit_message = text.into();
        self
    }

    /// What the user may use up.
    pub fn limits(mut self, limits: UserLimits) -> Self {
        self.user.limits = limits;
        self
    }

    /// The user with the real path of the home, and overrides as virtual paths.
    pub(super) fn resolve(self) -> Result<(User, Credential), VirtualUsersError> {
        let home = real_directory(&self.user.home)?;
        let mut permissions = Permissions::new(self.letters);
        warn_if_writable(&self.user.name, self.letters);
        for (directory, letters, recursive) in self.overrides {
            let paths = paths_inside(&home, &directory)?;
            warn_if_writable(&self.user.name, letters);
            paths.into_iter().for_each(|path| permissions.override_directory(path, letters, recursive));
        }
        let user = User { home: home.into(), ..self.user.with_permissions(permissions) };
        Ok((user, self.credential))
    }
}

fn real_directory(path: &Path) -> Result<PathBuf, VirtualUsersError> {
    let real = path.canonicalize().ok().filter(|real| real.is_dir());
    real.ok_or_else(|| VirtualUsersError::NoSuchDirectory(path.into()))
}

/// The virtual paths of a directory inside `home`: as it was named and, where that leads over links, as it is.
pub(super) fn paths_inside(home: &Path, directory: &Path) -> Result<Vec<VPath>, VirtualUsersError> {
    let real = real_directory(&home.join(directory))?;
    let inside = real.strip_prefix(home).map_err(|_| VirtualUsersError::EscapesHome(directory.into()))?;
    if inside.as_os_str().is_empty() {
        return Err(VirtualUsersError::OverridesHome(directory.into()));
    }
    let named = directory.strip_prefix(home).unwrap_or(directory);
    let mut paths =
        vec![virtual_path(inside).ok_or_else(|| VirtualUsersError::NoSuchDirectory(directory.into()))?];
    if named.is_relative() {
        paths.extend(virtual_path(named).filter(|path| !path.is_root()));
    }
    paths.dedup();
    Ok(paths)
}

/// The virtual path of `relative`, which is seen from the home.
fn virtual_path(relative: &Path) -> Option<VPath> {
    relative.components().try_fold(VPath::root(), |path, component| match component {
        Component::CurDir => Some(path),
        component => path.join(component.as_os_str().as_encoded_bytes()).ok(),
    })
}

pub(super) fn warn_if_writable(name: &str, letters: Letters) {
    if name == ANONYMOUS && letters.writes() {
        tracing::warn!("write permissions assigned to anonymous user.");
    }
}

impl fmt::Debug for VirtualUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualUser").field(&self.user).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_named_from_the_home_or_the_root() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        std::fs::create_dir_all(home.join("a/b")).unwrap();
        let virtual_paths = |directory: &Path| paths_inside(&home, directory).unwrap();
        let expected = vec![VPath::parse(b"/a/b").unwrap()];
        assert_eq!(virtual_paths(Path::new("a/b")), expected);
        assert_eq!(virtual_paths(Path::new("./a/../a/b/")), expected);
        assert_eq!(virtual_paths(&home.join("a/b")), expected);
    }

    #[cfg(unix)]
    #[test]
    fn an_override_holds_on_both_sides_of_a_link() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        std::fs::create_dir_all(home.join("data/in")).unwrap();
        std::os::unix::fs::symlink("data/in", home.join("incoming")).unwrap();
        let paths = paths_inside(&home, Path::new("incoming")).unwrap();
        assert_eq!(paths, [b"/data/in".as_slice(), b"/incoming"].map(|path| VPath::parse(path).unwrap()));
    }
}
