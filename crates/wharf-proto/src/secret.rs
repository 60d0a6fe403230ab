//! Values that must not reach a log.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A password on its way from the wire to the check.
///
/// It prints as `******`, is wiped from memory when dropped and is compared in constant time.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes `bytes` into custody.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves, for the check that needs them. Do not copy them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Compares in a time that does not depend on where the bytes differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_nothing_and_compares() {
        let secret = Secret::new("12345");
        assert_eq!(format!("{secret:?}"), "******");
        assert_eq!(secret, Secret::new(*b"12345"));
        assert_ne!(secret, Secret::new("1234"));
    }
}
