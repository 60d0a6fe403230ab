//! Bytes of the control connection into lines: CRLF, a length limit, Telnet.
//!
//! ```
//! use wharf_proto::LineDecoder;
//!
//! let mut decoder = LineDecoder::default();
//! decoder.push(b"USER ann\r\nPASS x\r");
//! assert_eq!(decoder.next_line(), Some(Ok(b"USER ann".to_vec())));
//! assert_eq!(decoder.next_line(), None);
//! decoder.push(b"\n");
//! assert_eq!(decoder.next_line(), Some(Ok(b"PASS x".to_vec())));
//! ```

use std::fmt;

use crate::ascii::position;

/// Cuts a stream of bytes into lines.
///
/// Only CRLF ends a line; a CR or LF alone is part of it. Telnet commands (RFC 854) are taken out up to the first blank.
/// A line that is too long is reported once and passed over up to its end. The decoder holds no memory while nothing is
/// buffered.
#[derive(Clone, Debug)]
pub struct LineDecoder {
    limit: usize,
    buffer: Vec<u8>,
    /// Where in `buffer` the next line begins.
    start: usize,
    /// Up to where `buffer` is known to hold no end of that line.
    searched: usize,
    /// A line that is too long has been reported and has not ended yet.
    discarding: bool,
    telnet: Telnet,
    /// Whether a blank has come in the line that `told` is in.
    in_argument: bool,
    /// Up to where `buffer` has been looked at for that.
    told: usize,
}

/// Where a Telnet command was left at the end of the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telnet {
    /// Outside of any.
    Data,
    /// After IAC.
    Command,
    /// After IAC and this one of WILL, WONT, DO and DONT: the option follows.
    Negotiation(u8),
}

/// Interpret as command: announces a Telnet command.
const IAC: u8 = 255;
/// The option after it is negotiated: WILL, WONT, DO, DONT.
const WILL: u8 = 251;
const DONT: u8 = 254;
/// Begin and end of a parameter.
const SB: u8 = 250;
const SE: u8 = 240;
/// The first byte of a line's end, and no option that anybody negotiates.
const CR: u8 = 13;

/// Why a line cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// It is longer than the limit.
    TooLong,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("command line too long")
    }
}

impl std::error::Error for LineError {}

impl Default for LineDecoder {
    /// A decoder of lines up to 8,192 bytes, their CRLF not counted: twice the longest path, and more than any command needs.
    fn default() -> Self {
        Self::new(8192)
    }
}

impl LineDecoder {
    /// A decoder of lines up to `limit` bytes long, their CRLF not counted.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            discarding: false,
            telnet: Telnet::Data,
            in_argument: false,
            told: 0,
        }
    }

    /// Takes bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.drop_consumed();
        if self.telnet == Telnet::Data && position(bytes, IAC).is_none() {
            return self.buffer.extend_from_slice(bytes);
        }
        for &byte in bytes {
            self.push_telnet(byte);
        }
    }

    /// The next line without its CRLF, or `None` until more bytes have come.
    ///
    /// # Errors
    /// [`LineError::TooLong`], once for each line that is.
    pub fn next_line(&mut self) -> Option<Result<Vec<u8>, LineError>> {
        loop {
            let Some(end) = self.find_crlf() else {
                return self.wait_for_more().map(Err);
            };
            let line = self.take_line(end);
            if !std::mem::take(&mut self.discarding) {
                return Some(if line.len() > self.limit { Err(LineError::TooLong) } else { Ok(line) });
            }
        }
    }

    /// Forgets everything that has come and not been taken: what was sent in clear before TLS must not be taken
    /// for something sent under it.
    pub fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// How many bytes wait to be taken.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Whether so much is waiting that nothing more should be read before lines are taken. It is never so after
    /// [`next_line`](Self::next_line) has answered `None`: the longest line and its CR leave room for the LF.
    pub fn is_full(&self) -> bool {
        self.buffered() > self.limit.saturating_add(1)
    }

    /// One byte on its way through the Telnet commands. An IAC before a byte that is no command is data, and so is
    /// the byte: clients send file names in Latin-1, and urgent data may lose its middle.
    ///
    /// For the sake of such names nothing but a doubled IAC has a meaning behind the first blank: signals come before a
    /// verb. Nor does anything take the end of a line with it. A parameter (SB) belongs to an option that both sides
    /// agreed on (RFC 855), and no option is.
    fn push_telnet(&mut self, byte: u8) {
        self.telnet = match (self.telnet, byte) {
            (Telnet::Data, IAC) => Telnet::Command,
            (Telnet::Command, IAC) | (Telnet::Data, _) => {
                self.buffer.push(byte);
                Telnet::Data
            }
            (Telnet::Command, ..SE | SB) => self.push_data(&[IAC, byte]),
            (Telnet::Command, _) if self.is_in_argument() => self.push_data(&[IAC, byte]),
            (Telnet::Command, WILL..=DONT) => Telnet::Negotiation(byte),
            (Telnet::Command, _) => Telnet::Data,
            (Telnet::Negotiation(command), CR) => self.push_data(&[IAC, command, CR]),
            (Telnet::Negotiation(_), _) => Telnet::Data,
        };
    }

    fn push_data(&mut self, bytes: &[u8]) -> Telnet {
        self.buffer.extend_from_slice(bytes);
        Telnet::Data
    }

    /// Whether what comes next belongs to an argument. Looks at each byte once.
    fn is_in_argument(&mut self) -> bool {
        for at in self.told..self.buffer.len() {
            match self.buffer.get(at) {
                Some(b' ') => self.in_argument = true,
                Some(b'\n') if self.buffer.get(..at).is_some_and(|before| before.ends_with(b"\r")) => {
                    self.in_argument = false;
                }
                _ => {}
            }
        }
        self.told = self.buffer.len();
        self.in_argument
    }

    /// Where the next line ends: the position of its CR.
    fn find_crlf(&mut self) -> Option<usize> {
        while let Some(found) = position(self.buffer.get(self.searched..)?, b'\n') {
            let line_feed = self.searched + found;
            self.searched = line_feed + 1;
            if self.buffer.get(self.start..line_feed).is_some_and(|line| line.ends_with(b"\r")) {
                return Some(line_feed - 1);
            }
        }
        self.searched = self.buffer.len();
        None
    }

    /// Takes the line whose CR is at `end`, and gives memory back when it was the last.
    fn take_line(&mut self, end: usize) -> Vec<u8> {
        let next = end + 2;
        if next < self.buffer.len() {
            let line = self.buffer.get(self.start..end).unwrap_or_default().to_vec();
            self.start = next;
            return line;
        }
        let mut line = std::mem::take(&mut self.buffer);
        line.truncate(end);
        line.drain(..self.start);
        self.start = 0;
        self.searched = 0;
        (self.in_argument, self.told) = (false, 0);
        line
    }

    /// Sees to it that a line without an end stays within the limit.
    fn wait_for_more(&mut self) -> Option<LineError> {
        let line = self.buffer.get(self.start..).unwrap_or_default();
        let ends_with_cr = line.ends_with(b"\r");
        if !self.discarding && line.len() - usize::from(ends_with_cr) <= self.limit {
            return None;
        }
        // What is thrown away still says whether the rest of the line is argument.
        self.is_in_argument();
        // The CR may be the first half of the end that is waited for.
        self.buffer = if ends_with_cr { vec![b'\r'] } else { Vec::new() };
        self.start = 0;
        self.searched = self.buffer.len();
        self.told = self.buffer.len();
        (!std::mem::replace(&mut self.discarding, true)).then_some(LineError::TooLong)
    }

    fn drop_consumed(&mut self) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        match self.told.checked_sub(self.start) {
            Some(told) => self.told = told,
            // The lines that were looked at are gone.
            None => (self.in_argument, self.told) = (false, 0),
        }
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 16;

    /// What comes out when `pieces` arrive one after the other; an over-long line is `None`.
    fn decode(pieces: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut decoder = LineDecoder::new(LIMIT);
        let mut lines = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while let Some(line) = decoder.next_line() {
                lines.push(line.ok());
            }
            assert!(!decoder.is_full());
            assert!(decoder.buffered() > 0 || decoder.buffer.capacity() == 0);
        }
        lines
    }

    #[test]
    fn cuts_lines_and_takes_telnet_out() {
        let long = [b'x'; LIMIT + 1];
        let too_long = [long.as_slice(), b"\r\nNOOP\r\n"].concat();
        let longest = [&long[1..], b"\r\n"].concat();
        for (input, expected) in [
            (b"NOOP\r\nPWD\r\n".as_slice(), vec![Some(b"NOOP".as_slice()), Some(b"PWD")]),
            (b"\r\n", vec![Some(b"")]),
            (b"NOOP\nPWD\rX\r\r\n", vec![Some(b"NOOP\nPWD\rX\r")]),
            (b"unfinished\r", vec![]),
            (&longest, vec![Some(&long[1..])]),
            (longest.strip_suffix(b"\n").unwrap(), vec![]),
            (&too_long, vec![None, Some(b"NOOP")]),
            (b"\xff\xf4\xff\xf2ABOR\r\n", vec![Some(b"ABOR")]),
            (b"\xf4\xffabor\r\n", vec![Some(b"\xf4\xffabor")]),
            (b"\xf4\xff\xf2ABOR\r\n", vec![Some(b"\xf4ABOR")]),
            (b"\xff\xfd\x06NOOP\r\n", vec![Some(b"NOOP")]),
            (b"RETR \xff\xfa.txt\r\nPWD\r\n", vec![Some(b"RETR \xff\xfa.txt"), Some(b"PWD")]),
            (
                b"RETR \xff\xfe\xff\xf4x\r\nP\xff\xf4WD\r\n",
                vec![Some(b"RETR \xff\xfe\xff\xf4x"), Some(b"PWD")],
            ),
            (b"A \r\n\xff\xf4A \xff\xf4\xff\xff\r\n", vec![Some(b"A "), Some(b"A \xff\xf4\xff")]),
            (b"QUI\xff\xfe\r\nPWD\r\n", vec![Some(b"QUI\xff\xfe"), Some(b"PWD")]),
            (b"RETR \xff\xfe\r\nPWD\r\n", vec![Some(b"RETR \xff\xfe"), Some(b"PWD")]),
            (b"a\xff\xffb\r\n", vec![Some(b"a\xffb")]),
            (b"a\xffb\xff\r\n", vec![Some(b"a\xffb\xff")]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|line| line.map(<[u8]>::to_vec)).collect();
            assert_eq!(decode(&[input]), expected);
            assert_eq!(decode(&input.chunks(1).collect::<Vec<_>>()), expected, "byte by byte");
        }
    }

    #[test]
    fn forgets_when_told() {
        let mut decoder = LineDecoder::new(LIMIT);
        decoder.push(b"AUTH TLS\r\nUSER x\r\nPA\xff");
        assert!(decoder.next_line().is_some());
        assert_eq!(decoder.buffered(), 10);
        decoder.clear();
        assert_eq!((decoder.buffered(), decoder.next_line()), (0, None));
        decoder.push(b"\xf4\r\n");
        assert_eq!(decoder.next_line(), Some(Ok(b"\xf4".to_vec())));
    }

    #[test]
    fn says_when_it_is_full() {
        let mut decoder = LineDecoder::default();
        decoder.push(&b"NOOP\r\n".repeat(2000));
        assert!(decoder.is_full());
        while decoder.next_line().is_some() {}
        assert!(!decoder.is_full());
    }

    /// Streams in which line ends and Telnet bytes are frequent.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            4 => Just(b'a'),
            1 => Just(b' '),
            2 => Just(b'\r'),
            2 => Just(b'\n'),
            1 => prop::sample::select(vec![IAC, SB, SE, WILL, DONT, 0xf4]),
        ];
        let bytes = prop::collection::vec(byte, 0..40);
        prop::collection::vec(prop_oneof![bytes, Just(b"\r\n".to_vec()), Just(b"word".to_vec())], 0..12)
            .prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn the_rest_of_a_line_that_is_too_long_is_argument_still() {
        let stream = [b"A ".as_slice(), &[b'x'; 2 * LIMIT], b"\r\xff\xf8\nB\r\nC\r\n"].concat();
        let expected = [None, Some(b"C".to_vec())];
        assert_eq!(decode(&[&stream]), expected);
        for size in 1..stream.len() {
            assert_eq!(decode(&stream.chunks(size).collect::<Vec<_>>()), expected, "{size}");
        }
    }

    proptest! {
        #[test]
        fn splits_make_no_difference(stream in stream(), cuts in prop::collection::vec(0usize..300, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.sort_unstable();
            let starts = std::iter::once(0).chain(cuts.iter().copied());
            let ends = cuts.iter().copied().chain([stream.len()]);
            let pieces: Vec<&[u8]> = starts.zip(ends).map(|(start, end)| &stream[start..end]).collect();
            prop_assert_eq!(decode(&pieces), decode(&[&stream]));
        }

        #[test]
        fn lines_come_out_as_they_went_in(lines in prop::collection::vec("[ -~]{0,16}", 0..10)) {
            let stream: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
            let expected: Vec<_> = lines.into_iter().map(|line| Some(line.into_bytes())).collect();
            prop_assert_eq!(decode(&[&stream]), expected);
        }
    }
}
