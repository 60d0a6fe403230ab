//! Replies and their encoding (RFC 959 §4.2).

use std::borrow::Cow;

use crate::VPath;
use crate::text::Escaped;

/// A three-digit reply code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

impl Code {
    /// The code `number`, which lies between 100 and 599.
    ///
    /// # Panics
    /// When it does not: at compile time where the number is a constant.
    pub const fn new(number: u16) -> Self {
        assert!(number >= 100 && number <= 599, "reply codes have three digits and start with 1 to 5");
        Self(number)
    }

    /// The code as a number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// Whether the command was refused or failed: 4xx and 5xx.
    pub fn is_failure(self) -> bool {
        self.0 >= 400
    }
}

/// What the server says: a code and one or more lines.
///
/// No reply ever holds a raw CR or LF of the client: text is escaped when it is put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: Code,
    first: Cow<'static, [u8]>,
    rest: Option<Box<Rest>>,
}

/// All but the first line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rest {
    /// Complete lines, each starting with a space and ending with CRLF.
    lines: Vec<u8>,
    last: Cow<'static, [u8]>,
}

/// A text longer than this is sent as two lines: clients of old cut what is longer.
const LONGEST_TEXT: usize = 75;

impl Reply {
    /// A reply of one line that never changes.
    pub const fn fixed(code: u16, text: &'static str) -> Self {
        Self { code: Code::new(code), first: Cow::Borrowed(text.as_bytes()), rest: None }
    }

    /// A reply of one line. Control characters in `text` are escaped.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        let text: String = text.into();
        let clean = !text.bytes().any(|byte| byte.is_ascii_control());
        let first = if clean { text.into_bytes() } else { Escaped(text.as_bytes()).to_string().into_bytes() };
        Self { code, first: Cow::Owned(first), rest: None }
    }

    /// A text of the operator or embedder: a banner, a greeting. It may have several lines, and one line longer
    /// than 75 characters goes out as two.
    pub fn message(code: Code, text: &str) -> Self {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let others: Vec<&str> = lines.collect();
        match others.split_last() {
            None if first.len() <= LONGEST_TEXT => Self::new(code, first),
            None => Self::multi(code, first, [], ""),
            Some((last, middle)) => {
                Self::multi(code, first, middle.iter().map(|line| line.as_bytes()), *last)
            }
        }
    }

    /// A reply of several lines; those between the first and the last are indented by one space, so that none
    /// of them can be taken for the end.
    pub fn multi<'a>(
        code: Code,
        first: impl Into<String>,
        middle: impl IntoIterator<Item = &'a [u8]>,
        last: impl Into<String>,
    ) -> Self {
        let mut lines = Vec::new();
        for line in middle {
            lines.push(b' ');
            lines
                .extend(line.iter().map(|&byte| if matches!(byte, b'\r' | b'\n' | 0) { b'?' } else { byte }));
            lines.extend_from_slice(b"\r\n");
        }
        let first = Self::new(code, first).first;
        let last = Self::new(code, last).first;
        Self { code, first, rest: Some(Box::new(Rest { lines, last })) }
    }

    /// A reply that quotes a path, doubling the quotes within it (RFC 959 appendix II): `before` may end in a
    /// space, `after` follows the closing quote. The path goes out byte for byte.
    pub fn quoting(code: Code, before: &str, path: &VPath, after: &str) -> Self {
        let mut first = before.as_bytes().to_vec();
        push_quoted(&mut first, path);
        first.extend_from_slice(after.as_bytes());
        Self { code, first: Cow::Owned(first), rest: None }
    }

    /// A reply of one line whose text may hold bytes that are not UTF-8, but no control characters that matter.
    pub(crate) fn raw(code: Code, mut text: Vec<u8>) -> Self {
        text.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n' | 0)).for_each(|byte| *byte = b'?');
        Self { code, first: Cow::Owned(text), rest: None }
    }

    /// The same reply with a first line that quotes a path.
    pub(crate) fn with_first_quoting(self, before: &str, path: &VPath, after: &str) -> Self {
        Self { first: Self::quoting(self.code, before, path, after).first, ..self }
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The text of the first line, for logs.
    pub fn text(&self) -> Escaped<'_> {
        Escaped(&self.first)
    }

    /// Appends the reply as it goes over the wire.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let Some(rest) = &self.rest else {
            return self.push_line(out, b' ', &self.first);
        };
        self.push_line(out, b'-', &self.first);
        out.extend_from_slice(&rest.lines);
        self.push_line(out, b' ', &rest.last);
    }

    fn push_line(&self, out: &mut Vec<u8>, separator: u8, text: &[u8]) {
        let number = self.code.number();
        let digit = |value: u16| b'0' + u8::try_from(value % 10).unwrap_or_default();
        out.reserve(text.len() + 6);
        out.extend_from_slice(&[digit(number / 100), digit(number / 10), digit(number), separator]);
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends `path` in quotes, each quote within it doubled.
fn push_quoted(out: &mut Vec<u8>, path: &VPath) {
    out.push(b'"');
    for &byte in path.as_bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.encode_into(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn encodes_one_and_many_lines() {
        assert_eq!(wire(&Reply::fixed(200, "Ok.")), "200 Ok.\r\n");
        let multi = Reply::multi(Code::new(211), "Features:", [b"SIZE".as_slice(), b"211 fake"], "End.");
        assert_eq!(wire(&multi), "211-Features:\r\n SIZE\r\n 211 fake\r\n211 End.\r\n");
    }

    #[test]
    fn client_bytes_cannot_forge_a_reply() {
        assert_eq!(wire(&Reply::new(Code::new(500), "a\r\n226 b")), "500 a\\x0d\\x0a226 b\r\n");
        let multi = Reply::multi(Code::new(213), "x", [b"a\r\n213 end".as_slice()], "y");
        assert_eq!(wire(&multi), "213-x\r\n a??213 end\r\n213 y\r\n");
    }

    #[test]
    fn quotes_are_doubled() {
        let path = VPath::parse(b"/a\"b").unwrap();
        let reply = Reply::quoting(Code::new(257), "", &path, " is the current directory.");
        assert_eq!(wire(&reply), "257 \"/a\"\"b\" is the current directory.\r\n");
    }

    #[test]
    fn long_messages_take_two_lines() {
        let text = "x".repeat(75);
        assert_eq!(wire(&Reply::message(Code::new(220), &text)), format!("220 {text}\r\n"));
        let text = "x".repeat(76);
        assert_eq!(wire(&Reply::message(Code::new(220), &text)), format!("220-{text}\r\n220 \r\n"));
        assert_eq!(wire(&Reply::message(Code::new(220), "a\nb\nc")), "220-a\r\n b\r\n220 c\r\n");
    }
}
