//! Numbers as text, without a formatter and without allocation: a listing has six of them per line.

/// Room for the digits of any `u64`.
const LONGEST: usize = 20;

/// Appends `value` in decimal.
pub(super) fn push_decimal(out: &mut Vec<u8>, value: u64) {
    push_padded_decimal(out, value, 0);
}

/// Appends `value` in decimal, with blanks before it when it is shorter than `width`, at most 20.
pub(super) fn push_padded_decimal(out: &mut Vec<u8>, value: u64, width: usize) {
    push_number(out, value, 10, width);
}

/// Appends `value` in hexadecimal.
pub(super) fn push_hexadecimal(out: &mut Vec<u8>, value: u64) {
    push_number(out, value, 16, 0);
}

/// Appends two digits of `value`, which is below 100.
pub(super) fn push_two(out: &mut Vec<u8>, value: u8) {
    out.extend_from_slice(&[b'0' + value / 10, b'0' + value % 10]);
}

fn push_number(out: &mut Vec<u8>, value: u64, base: u64, width: usize) {
    let mut text = [b' '; LONGEST];
    let mut rest = value;
    let mut length = 0;
    for slot in text.iter_mut().rev() {
        let digit = (rest % base) as u8;
        *slot = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        rest /= base;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    let start = LONGEST.saturating_sub(length.max(width));
    out.extend_from_slice(text.get(start..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pushed(push: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn prints_as_the_formatter_does(value: u64, shift in 0u32..64, width in 0usize..=20) {
            let value = value >> shift;
            prop_assert_eq!(pushed(|out| push_decimal(out, value)), value.to_string());
            prop_assert_eq!(pushed(|out| push_hexadecimal(out, value)), format!("{value:x}"));
            prop_assert_eq!(pushed(|out| push_padded_decimal(out, value, width)), format!("{value:width$}"));
        }
    }

    #[test]
    fn prints_the_ends() {
        for value in [0, 9, 10, u64::MAX] {
            assert_eq!(pushed(|out| push_decimal(out, value)), value.to_string());
        }
        assert_eq!(pushed(|out| push_two(out, 7)), "07");
        assert_eq!(pushed(|out| push_two(out, 59)), "59");
    }
}
