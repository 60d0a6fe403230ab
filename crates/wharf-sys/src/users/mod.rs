//! Accounts of a Unix system, as its name service knows them: `/etc/passwd`, LDAP, SSSD and whatever else is set up.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use wharf_sys::users;
//!
//! if let Some(account) = users::account_by_name("root")? {
//!     assert_eq!(account.uid, 0);
//!     let identity = account.identity()?;
//!     # let _ = identity;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every call may ask a server on the network, so each may block for seconds.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::identity::Identity;

#[cfg(target_os = "linux")]
pub mod crypt;
#[cfg(target_os = "linux")]
mod shadow;
mod shells;

#[cfg(target_os = "linux")]
pub use shadow::{ShadowEntry, Standing, shadow_entry, shadow_hashes, today};
pub use shells::{Shells, valid_shells};

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// Login name.
    pub name: OsString,
    /// User id.
    pub uid: u32,
    /// Id of the primary group.
    pub gid: u32,
    /// Full name and other remarks, as found (the GECOS field).
    pub full_name: OsString,
    /// Home directory; it may be missing from the disk.
    pub home: PathBuf,
    /// Login shell; empty means `/bin/sh`.
    pub shell: PathBuf,
}

impl Account {
    /// The rights of this account: user id, primary group, and the supplementary groups as they are now.
    ///
    /// # Errors
    ///
    /// Those of [`supplementary_groups`].
    pub fn identity(&self) -> io::Result<Identity> {
        Ok(Identity::user(self.uid, self.gid, supplementary_groups(&self.name, self.gid)?))
    }
}

/// The account with this login name, or `None`.
///
/// # Errors
///
/// What the name service says when it cannot tell.
pub fn account_by_name(name: impl AsRef<OsStr>) -> io::Result<Option<Account>> {
    let Ok(name) = CString::new(name.as_ref().as_bytes()) else {
        return Ok(None);
    };
    account(|entry, buffer, found| {
        // SAFETY: the name ends with a NUL; the pointers are those of `account`, valid for the call.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer.as_mut_ptr(), buffer.len(), found) }
    })
}

/// The account with this user id, or `None`.
///
/// # Errors
///
/// What the name service says when it cannot tell.
pub fn account_by_uid(uid: u32) -> io::Result<Option<Account>> {
    account(|entry, buffer, found| {
        // SAFETY: the pointers are those of `account`, valid for the call.
        unsafe { libc::getpwuid_r(uid, entry, buffer.as_mut_ptr(), buffer.len(), found) }
    })
}

/// The login name that goes with a user id, or `None`.
///
/// # Errors
///
/// What the name service says when it cannot tell.
pub fn user_name(uid: u32) -> io::Result<Option<OsString>> {
    Ok(account_by_uid(uid)?.map(|account| account.name))
}

/// The name that goes with a group id, or `None`.
///
/// # Errors
///
/// What the name service says when it cannot tell.
pub fn group_name(gid: u32) -> io::Result<Option<OsString>> {
    look_up(
        |entry: *mut libc::group, buffer, found| {
            // SAFETY: the pointers are those of `look_up`, valid for the call.
            unsafe { libc::getgrgid_r(gid, entry, buffer.as_mut_ptr(), buffer.len(), found) }
        },
        // SAFETY: a found entry's strings live in the buffer, which `look_up` still holds.
        |entry| unsafe { string(entry.gr_name) },
    )
}

/// All groups that an account belongs to, its primary group `gid` included.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] when the name holds a NUL; [`io::ErrorKind::Other`] when the list does not end.
pub fn supplementary_groups(name: impl AsRef<OsStr>, gid: u32) -> io::Result<Vec<u32>> {
    /// The most groups that a Linux process may have.
    const MOST_GROUPS: usize = 65_536;

    let name = CString::new(name.as_ref().as_bytes())?;
    let mut groups = vec![0; 32];
    while groups.len() <= MOST_GROUPS {
        let mut count = c_int::try_from(groups.len()).unwrap_or(c_int::MAX);
        // SAFETY: the name ends with a NUL, and `groups` has room for `count` ids. The casts are for systems that sign them.
        let status = unsafe {
            libc::getgrouplist(name.as_ptr(), gid as _, groups.as_mut_ptr().cast(), &raw mut count)
        };
        let needed = usize::try_from(count).unwrap_or(0);
        if status >= 0 {
            groups.truncate(needed);
            return Ok(groups);
        }
        groups.resize(needed.max(groups.len() * 2), 0);
    }
    Err(io::Error::other("an account belongs to too many groups"))
}

fn account(
    call: impl FnMut(*mut libc::passwd, &mut [c_char], *mut *mut libc::passwd) -> c_int,
) -> io::Result<Option<Account>> {
    look_up(call, |entry| Account {
        // SAFETY: here and below: a found entry's strings live in the buffer, which `look_up` still holds.
        name: unsafe { string(entry.pw_name) },
        uid: entry.pw_uid,
        gid: entry.pw_gid,
        // SAFETY: as above.
        full_name: unsafe { string(entry.pw_gecos) },
        // SAFETY: as above.
        home: unsafe { string(entry.pw_dir) }.into(),
        // SAFETY: as above.
        shell: unsafe { string(entry.pw_shell) }.into(),
    })
}

/// Calls one of the `get…_r` functions, with a larger buffer each time until its answer fits, and copies the answer out.
///
/// `call` gets the entry to fill, the buffer for its strings, and where to store a pointer to the entry once it is found.
fn look_up<E, T>(
    mut call: impl FnMut(*mut E, &mut [c_char], *mut *mut E) -> c_int,
    copy: impl FnOnce(&E) -> T,
) -> io::Result<Option<T>> {
    const FIRST_SIZE: usize = 2 << 10;
    const LARGEST_SIZE: usize = 8 << 20; // a group with some hundred thousand members

    let mut size = FIRST_SIZE;
    loop {
        let mut entry = MaybeUninit::uninit();
        let mut found = std::ptr::null_mut();
        // Wiped afterwards, because a shadow entry leaves a password hash in it.
        let mut buffer: Zeroizing<Vec<c_char>> = Zeroizing::new(vec![0; size]);
        match call(entry.as_mut_ptr(), &mut buffer, &raw mut found) {
            // SAFETY: `found` is null or points to `entry`, filled by a call that reported success.
            0 => return Ok(unsafe { found.as_ref() }.map(copy)),
            libc::ERANGE if size < LARGEST_SIZE => size *= 4,
            libc::EINTR => {}
            libc::ENOENT | libc::ESRCH => return Ok(None),
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// Copies a C string; null counts as empty.
///
/// # Safety
///
/// `text` is null or points to a string that ends with a NUL.
unsafe fn string(text: *const c_char) -> OsString {
    if text.is_null() {
        return OsString::new();
    }
    // SAFETY: not null, hence a string by the contract of this function.
    OsString::from_vec(unsafe { CStr::from_ptr(text) }.to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_by_id() {
        let root = account_by_name("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(account_by_uid(0).unwrap(), Some(root));
        assert_eq!(user_name(0).unwrap().unwrap(), "root");
        assert!(group_name(0).unwrap().is_some());
    }

    #[test]
    fn unknown_accounts_are_no_error() {
        assert_eq!(account_by_name("no such user").unwrap(), None);
        assert_eq!(account_by_name("nul\0inside").unwrap(), None);
        assert_eq!(user_name(3_999_999_999).unwrap(), None);
        assert_eq!(group_name(3_999_999_999).unwrap(), None);
    }

    #[test]
    fn the_primary_group_is_among_the_groups() {
        assert!(supplementary_groups("root", 0).unwrap().contains(&0));
        assert_eq!(supplementary_groups("no such user", 4711).unwrap(), [4711]);
        assert!(supplementary_groups("nul\0inside", 0).is_err());
    }

    #[test]
    fn the_buffer_grows_until_the_answer_fits() {
        let mut sizes = Vec::new();
        let answer = look_up(
            |entry: *mut u8, buffer, found| {
                sizes.push(buffer.len());
                if buffer.len() < 100_000 {
                    return libc::ERANGE;
                }
                // SAFETY: both point to variables of `look_up`.
                unsafe { entry.write(7) };
                // SAFETY: as above.
                unsafe { found.write(entry) };
                0
            },
            |entry| *entry,
        );
        assert_eq!(answer.unwrap(), Some(7));
        assert_eq!(sizes, [2048, 8192, 32_768, 131_072]);
    }

    #[test]
    fn a_buffer_that_never_suffices_ends_in_an_error() {
        let answer = look_up(|_: *mut u8, _, _| libc::ERANGE, |entry| *entry);
        assert_eq!(answer.unwrap_err().raw_os_error(), Some(libc::ERANGE));
    }
}
