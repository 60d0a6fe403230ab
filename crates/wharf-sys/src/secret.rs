//! Passwords on their way into C libraries.

use zeroize::Zeroizing;

/// A password with a NUL behind it, wiped in the end; nothing when it has one inside, as no account's password does.
pub(crate) fn c_string(password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if password.contains(&0) {
        return None;
    }
    // Room for all of it from the start: a vector that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    text.extend_from_slice(password);
    text.push(0);
    Some(text)
}
