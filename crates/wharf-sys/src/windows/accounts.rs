//! Who exists, and where their profile is.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::ptr;

use windows_sys::Win32::Foundation::{
    ERROR_FILE_NOT_FOUND, ERROR_INSUFFICIENT_BUFFER, ERROR_MORE_DATA, ERROR_NONE_MAPPED, ERROR_SUCCESS,
    LocalFree,
};
use windows_sys::Win32::Security::Authorization::ConvertSidToStringSidW;
use windows_sys::Win32::Security::{LookupAccountNameW, PSID, SID_NAME_USE, SidTypeUser};
use windows_sys::Win32::System::Registry::{HKEY_LOCAL_MACHINE, RRF_RT_REG_SZ, RegGetValueW};

use super::{check, narrow, wide};

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowsAccount {
    /// The computer or domain that knows the account.
    pub domain: OsString,
    /// Security identifier, as text: `S-1-5-…`.
    pub sid: String,
}

/// The user account with this name (`name`, `DOMAIN\name` or `name@domain`), or `None`. Groups are not accounts.
///
/// # Errors
///
/// What the system says when it cannot tell.
pub fn account_by_name(name: &str) -> io::Result<Option<WindowsAccount>> {
    let Some(name) = wide(name) else {
        return Ok(None);
    };
    let mut sid = Vec::<u64>::new(); // as aligned as a SID must be
    let mut domain = Vec::<u16>::new();
    let (mut sid_size, mut domain_length) = (0_u32, 0_u32);
    let mut kind: SID_NAME_USE = 0;
    loop {
        // SAFETY: the name ends with a NUL; both buffers have the sizes passed with them.
        let found = check(unsafe {
            LookupAccountNameW(
                ptr::null(),
                name.as_ptr(),
                sid.as_mut_ptr().cast(),
                &raw mut sid_size,
                domain.as_mut_ptr(),
                &raw mut domain_length,
                &raw mut kind,
            )
        });
        match found.map_err(|error| error.raw_os_error().map(i32::cast_unsigned)) {
            Ok(()) if kind == SidTypeUser => {
                let sid = sid_text(sid.as_mut_ptr().cast())?;
                return Ok(Some(WindowsAccount { domain: narrow(&domain), sid }));
            }
            Ok(()) | Err(Some(ERROR_NONE_MAPPED)) => return Ok(None),
            Err(Some(ERROR_INSUFFICIENT_BUFFER)) if sid.is_empty() => {
                sid.resize((sid_size as usize).div_ceil(size_of::<u64>()), 0);
                domain.resize(domain_length as usize, 0);
            }
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
}

impl WindowsAccount {
    /// The account's profile directory, or `None` before it first logged on to this computer.
    ///
    /// # Errors
    ///
    /// What the registry says when it cannot tell.
    pub fn profile_directory(&self) -> io::Result<Option<PathBuf>> {
        const PROFILES: &str = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList";

        let (Some(key), Some(value)) = (wide(&format!(r"{PROFILES}\{}", self.sid)), wide("ProfileImagePath"))
        else {
            return Ok(None);
        };
        let mut path = vec![0_u16; 260];
        loop {
            let mut size = u32::try_from(path.len() * size_of::<u16>()).unwrap_or(u32::MAX);
            // SAFETY: both names end with a NUL; `path` has the size passed with it. Variables in the path are expanded.
            let status = unsafe {
                RegGetValueW(
                    HKEY_LOCAL_MACHINE,
                    key.as_ptr(),
                    value.as_ptr(),
                    RRF_RT_REG_SZ,
                    ptr::null_mut(),
                    path.as_mut_ptr().cast(),
                    &raw mut size,
                )
            };
            match status {
                ERROR_SUCCESS => return Ok(Some(narrow(&path).into())),
                ERROR_FILE_NOT_FOUND => return Ok(None),
                ERROR_MORE_DATA => path.resize(path.len() * 2, 0),
                code => return Err(io::Error::from_raw_os_error(code.cast_signed())),
            }
        }
    }
}

fn sid_text(sid: PSID) -> io::Result<String> {
    let mut text = ptr::null_mut();
    // SAFETY: the system just filled in this SID; `text` is a place for a pointer.
    check(unsafe { ConvertSidToStringSidW(sid, &raw mut text) })?;
    let text = SystemString(text);
    let mut length = 0;
    // SAFETY: the call made a string that ends with a NUL; up to that each unit may be read.
    while unsafe { *text.0.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: as above.
    Ok(String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text.0, length) }))
}

/// A string that the system allocated.
struct SystemString(*mut u16);

impl Drop for SystemString {
    fn drop(&mut self) {
        // SAFETY: the pointer is one to give back this way, and given back once.
        unsafe { LocalFree(self.0.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_this_process_is_an_account() {
        let name = std::env::var("USERNAME").unwrap();
        let account = account_by_name(&name).unwrap().unwrap();
        assert!(account.sid.starts_with("S-1-5-"), "{account:?}");
        // Whether there is a profile depends on how the user logged on.
        account.profile_directory().unwrap();
    }

    #[test]
    fn unknown_accounts_are_no_error() {
        assert_eq!(account_by_name("no such user of wharf").unwrap(), None);
        assert_eq!(account_by_name("nul\0inside").unwrap(), None);
        let nobody = WindowsAccount { domain: OsString::new(), sid: "S-1-5-21-1-2-3-4711".into() };
        assert_eq!(nobody.profile_directory().unwrap(), None);
    }
}
