//! Names that are not what they seem.

/// How the hidden name of an upload begins.
const HIDDEN_START: &[u8] = b".wharf-";
/// How it ends.
const HIDDEN_END: &[u8] = b".part";
/// How many letters are in between.
const HIDDEN_LETTERS: usize = 16;

/// Lower-case letters and digits, 32 of them so that each is as likely as the others.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Whether `name` is one that an upload has while it is out of sight.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    name.strip_prefix(HIDDEN_START).and_then(|rest| rest.strip_suffix(HIDDEN_END)).is_some_and(|letters| {
        letters.len() == HIDDEN_LETTERS && letters.iter().all(|c| ALPHABET.contains(c))
    })
}

/// A name for an upload that is out of sight.
pub(super) fn hidden() -> std::io::Result<Vec<u8>> {
    Ok([HIDDEN_START, &random_letters::<HIDDEN_LETTERS>()?, HIDDEN_END].concat())
}

/// `prefix`, or `ftpd` where it is empty, a dot and eight letters that nobody can guess.
pub(super) fn unique(prefix: &[u8]) -> std::io::Result<Vec<u8>> {
    let prefix = if prefix.is_empty() { b"ftpd" } else { prefix };
    Ok([prefix, b".", &random_letters::<8>()?].concat())
}

/// Whether `name` can be one component of a path.
pub(super) fn is_component(name: &[u8]) -> bool {
    !matches!(name, b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0 | b'\r' | b'\n'))
}

/// Whether Windows would take `name` for what it says.
///
/// It opens a device for `CON` or `nul.txt`, a hidden stream for `a:b`, drops dots and blanks at the end, and
/// separates components by `\` as well.
#[cfg(any(windows, test))]
pub(super) fn is_plain_on_windows(name: &[u8]) -> bool {
    let stem =
        name.split(|&byte| byte == b'.').next().unwrap_or_default().trim_ascii_end().to_ascii_uppercase();
    let device = match stem.as_slice() {
        b"CON" | b"PRN" | b"AUX" | b"NUL" | b"CONIN$" | b"CONOUT$" => true,
        [b'C', b'O', b'M', rest @ ..] | [b'L', b'P', b'T', rest @ ..] => {
            // Superscript digits count as digits there.
            matches!(rest, [b'0'..=b'9'] | [0xc2, 0xb9 | 0xb2 | 0xb3])
        }
        _ => false,
    };
    !device
        && !name.iter().any(|byte| {
            matches!(byte, 0..=0x1f | b'<' | b'>' | b':' | b'"' | b'/' | b'\\' | b'|' | b'?' | b'*')
        })
        && !matches!(name.last(), None | Some(b'.' | b' '))
        && std::str::from_utf8(name).is_ok()
}

fn random_letters<const COUNT: usize>() -> std::io::Result<[u8; COUNT]> {
    let mut letters = [0; COUNT];
    getrandom::fill(&mut letters).map_err(std::io::Error::other)?;
    for letter in &mut letters {
        *letter = ALPHABET.get(usize::from(*letter & 31)).copied().unwrap_or(b'a');
    }
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_hidden() {
        let name = hidden().unwrap();
        assert!(is_hidden(&name), "{name:?}");
        assert_ne!(hidden().unwrap(), name);
        for name in [
            ".wharf-.part",
            ".wharf-abc.part",
            ".wharf",
            "wharf-abcdefghijklmnop.part",
            ".wharf-ABCDEFGHIJKLMNOP.part",
        ] {
            assert!(!is_hidden(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn unique_names_keep_their_prefix() {
        assert!(unique(b"").unwrap().starts_with(b"ftpd."));
        let name = unique(b"report").unwrap();
        assert!(name.starts_with(b"report.") && name.len() == "report.".len() + 8);
        for bad in [b"a/b".as_slice(), b"..", b".", b"a\0b", b"a\nb"] {
            assert!(!is_component(bad));
        }
        assert!(is_component(b"..."));
    }

    #[test]
    fn windows_names_are_what_they_say() {
        for name in ["a", "a.txt", "console", "COM", "COM10", ".hidden", "nul-a", "L\u{e4}rm", "a b", "lptx"]
        {
            assert!(is_plain_on_windows(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "CON",
            "con",
            "nul.txt",
            "NUL .txt",
            "aux.tar.gz",
            "COM1",
            "lpt9.x",
            "COM\u{b9}",
            "CONIN$",
            "a:b",
            "a.",
            "a ",
            "a\\b",
            "a*",
            "a?",
            "a\u{1}",
            "..",
            "C:",
        ] {
            assert!(!is_plain_on_windows(name.as_bytes()), "{name}");
        }
        assert!(!is_plain_on_windows(b"\xff"));
    }
}
