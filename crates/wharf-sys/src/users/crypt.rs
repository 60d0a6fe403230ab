//! Password hashes of the system's own library, libcrypt: whatever it can check, yescrypt included.
//!
//! The library is loaded when it is first needed, so wharf builds without its headers and starts where it is missing.
//!
//! ```
//! use wharf_sys::users::crypt;
//!
//! // Nothing, where the system has no libcrypt.
//! assert_ne!(crypt::verify(b"wrong", "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA"), Some(true));
//! ```

use std::ffi::{CStr, CString, c_char, c_void};
use std::mem;
use std::sync::OnceLock;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::dynamic::Library;
use crate::secret;

/// Checks a password against a hash in the form of crypt(5), in time that does not depend on where they differ.
///
/// `None` when the system has no libcrypt or when that does not know the kind of hash: ask another implementation then.
/// Takes tens of milliseconds by intent.
pub fn verify(password: &[u8], hash: &str) -> Option<bool> {
    let crypt = Crypt::loaded()?;
    let Ok(setting) = CString::new(hash) else {
        return Some(false);
    };
    let Some(phrase) = secret::c_string(password) else {
        return Some(false);
    };
    crypt.hash(&phrase, &setting).map(|computed| computed.as_slice().ct_eq(hash.as_bytes()).into())
}

type CryptFunction = unsafe extern "C" fn(*const c_char, *const c_char, *mut c_void) -> *mut c_char;

/// The one function needed of libcrypt.
struct Crypt {
    crypt_r: CryptFunction,
    _library: Library,
}

impl Crypt {
    fn loaded() -> Option<&'static Self> {
        static CRYPT: OnceLock<Option<Crypt>> = OnceLock::new();
        CRYPT.get_or_init(Self::load).as_ref()
    }

    fn load() -> Option<Self> {
        let library = Library::open(&[c"libcrypt.so.1", c"libcrypt.so.2"])?;
        let symbol = library.symbol(c"crypt_r")?;
        // SAFETY: crypt_r of libcrypt has this signature, and stays in memory as long as the library, which is kept beside it.
        let crypt_r = unsafe { mem::transmute::<*mut c_void, CryptFunction>(symbol.as_ptr()) };
        Some(Self { crypt_r, _library: library })
    }

    fn hash(&self, phrase: &[u8], setting: &CStr) -> Option<Vec<u8>> {
        /// `struct crypt_data` takes 32 KiB in libxcrypt and 128 KiB in the older library of glibc.
        const WORKSPACE_WORDS: usize = (256 << 10) / size_of::<u64>();

        let mut workspace = Zeroizing::new(vec![0_u64; WORKSPACE_WORDS]);
        // SAFETY: both strings end with a NUL; the workspace is zeroed, aligned, larger than any `struct crypt_data`, and used by
        // this call alone.
        let hash = unsafe {
            (self.crypt_r)(phrase.as_ptr().cast(), setting.as_ptr(), workspace.as_mut_ptr().cast())
        };
        if hash.is_null() {
            return None;
        }
        // SAFETY: the result is a string inside the workspace.
        let hash = unsafe { CStr::from_ptr(hash) }.to_bytes();
        // A star at the start is how libxcrypt says that it cannot compute such a hash.
        (!hash.starts_with(b"*")).then(|| hash.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Both of the password "secret".
    const SHA256: &str = "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";
    const YESCRYPT: &str = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0";

    #[test]
    fn hashes_of_each_kind_are_checked() {
        if Crypt::loaded().is_none() {
            return; // the only answer is `None` then
        }
        for hash in [SHA256, YESCRYPT] {
            assert_eq!(verify(b"secret", hash), Some(true), "{hash}");
            assert_eq!(verify(b"Secret", hash), Some(false), "{hash}");
            assert_eq!(verify(b"", hash), Some(false), "{hash}");
            assert_eq!(verify(b"secret\0", hash), Some(false), "{hash}");
        }
    }

    #[test]
    fn what_is_no_hash_is_nothing_to_compare_with() {
        for hash in ["", "*", "!", "*0", "$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$AAAA", "!$5$locked"] {
            assert_ne!(verify(b"secret", hash), Some(true), "{hash}");
        }
    }
}
