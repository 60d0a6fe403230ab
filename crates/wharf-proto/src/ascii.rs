//! Line ends: CRLF on the wire, LF in files (RFC 959 §3.1.1.1).
//!
//! Both converters are fed in pieces of any size and remember what lies between two pieces.
//!
//! ```
//! use wharf_proto::{FromWire, ToWire};
//!
//! let (mut sent, mut kept) = (Vec::new(), Vec::new());
//! ToWire::default().convert(b"one\ntwo\n", &mut sent);
//! assert_eq!(sent, b"one\r\ntwo\r\n");
//!
//! let mut from_wire = FromWire::default();
//! from_wire.convert(b"one\r", &mut kept);
//! from_wire.convert(b"\ntwo\r", &mut kept);
//! from_wire.finish(&mut kept);
//! assert_eq!(kept, b"one\ntwo\r");
//! ```

/// Turns what a client sends into what is stored: each CRLF becomes LF; a CR or LF alone stays.
#[derive(Clone, Debug, Default)]
pub struct FromWire {
    /// A CR that ended the last piece; what follows it is not known yet.
    held: bool,
}

impl FromWire {
    /// Appends `input` converted to `out`. A CR at its very end is held back until more comes.
    pub fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.reserve(input.len() + 1);
        let mut rest = input;
        if self.held && !rest.is_empty() {
            self.held = false;
            if rest.first() != Some(&b'\n') {
                out.push(b'\r');
            }
        }
        while let Some((run, behind)) = split_after(rest, b'\r') {
            let (text, _) = run.split_at(run.len() - 1);
            out.extend_from_slice(text);
            match behind.first() {
                Some(b'\n') => {}
                Some(_) => out.push(b'\r'),
                None => self.held = true,
            }
            rest = behind;
        }
        out.extend_from_slice(rest);
    }

    /// Appends what was held back, at the end of the upload.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.held) {
            out.push(b'\r');
        }
    }
}

/// Turns what is stored into what is sent: each LF becomes CRLF, unless a CR stands before it already.
#[derive(Clone, Debug, Default)]
pub struct ToWire {
    after_cr: bool,
}

impl ToWire {
    /// Appends `input` converted to `out`.
    pub fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        // Lines of text are some thirty bytes long: so much room for the CRs is nearly always enough.
        out.reserve(input.len() + input.len() / 32 + 1);
        let mut rest = input;
        while let Some((line, behind)) = split_after(rest, b'\n') {
            match line.split_at(line.len() - 1).0 {
                [] if self.after_cr => out.push(b'\n'),
                [text @ .., b'\r'] => {
                    out.extend_from_slice(text);
                    out.extend_from_slice(b"\r\n");
                }
                text => {
                    out.extend_from_slice(text);
                    out.extend_from_slice(b"\r\n");
                }
            }
            self.after_cr = false;
            rest = behind;
        }
        if let Some(last) = rest.last() {
            out.extend_from_slice(rest);
            self.after_cr = *last == b'\r';
        }
    }
}

/// Cuts `bytes` behind the first `needle`.
fn split_after(bytes: &[u8], needle: u8) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(position(bytes, needle)? + 1)
}

/// Where `needle` first occurs. Compares blocks, not bytes, where there are many.
pub(crate) fn position(bytes: &[u8], needle: u8) -> Option<usize> {
    const BLOCK: usize = 32;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    // Without an early exit the compiler compares all bytes of a block at once.
    let holds = |block: &[u8; BLOCK]| block.iter().fold(false, |found, &byte| found | (byte == needle));
    let start = blocks.iter().take_while(|block| !holds(block)).count() * BLOCK;
    let within = bytes.get(start..)?.iter().position(|&byte| byte == needle)?;
    Some(start + within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn from_wire(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut converter, mut out) = (FromWire::default(), Vec::new());
        pieces.iter().for_each(|piece| converter.convert(piece, &mut out));
        converter.finish(&mut out);
        out
    }

    fn to_wire(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut converter, mut out) = (ToWire::default(), Vec::new());
        pieces.iter().for_each(|piece| converter.convert(piece, &mut out));
        out
    }

    #[test]
    fn receives() {
        for (input, expected) in [
            (b"".as_slice(), b"".as_slice()),
            (b"a\r\nb", b"a\nb"),
            (b"a\r\r\nb", b"a\r\nb"),
            (b"a\nb\rc", b"a\nb\rc"),
            (b"end\r", b"end\r"),
            (b"\r\n\r\n", b"\n\n"),
        ] {
            assert_eq!(from_wire(&[input]), expected);
        }
    }

    #[test]
    fn sends() {
        for (input, expected) in [
            (b"".as_slice(), b"".as_slice()),
            (b"x\ry\n", b"x\ry\r\n"),
            (b"a\r\nb\n", b"a\r\nb\r\n"),
            (b"\n\n", b"\r\n\r\n"),
            (b"\r\n\n", b"\r\n\r\n"),
            (b"a\r", b"a\r"),
        ] {
            assert_eq!(to_wire(&[input]), expected);
        }
    }

    /// Text in which line ends are frequent, and where to cut it.
    fn text_and_cut() -> impl Strategy<Value = (Vec<u8>, usize)> {
        let byte = prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'x')];
        (prop::collection::vec(byte, 0..100), 0usize..=100)
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference((text, cut) in text_and_cut()) {
            let (front, back) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(from_wire(&[front, b"", back]), from_wire(&[&text]));
            prop_assert_eq!(to_wire(&[front, b"", back]), to_wire(&[&text]));
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            prop_assert_eq!(from_wire(&bytes), from_wire(&[&text]));
            prop_assert_eq!(to_wire(&bytes), to_wire(&[&text]));
        }

        #[test]
        fn text_without_cr_survives_the_way_there_and_back(text in "[a\n]{0,200}") {
            prop_assert_eq!(from_wire(&[&to_wire(&[text.as_bytes()])]), text.as_bytes());
        }

        #[test]
        fn blocks_are_searched_as_bytes_are(bytes in prop::collection::vec(0u8..40, 0..200), needle in 0u8..40) {
            prop_assert_eq!(position(&bytes, needle), bytes.iter().position(|&byte| byte == needle));
        }
    }
}
