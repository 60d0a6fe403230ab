//! Rows written as dialogues: what is said, what is answered, what is on disk.
//!
//! ```text
//! # title of the row
//! ! why this row is expected to fail          a known gap
//! % limits.max_login_attempts = 1             settings laid over the shared ones
//! @ user                                      log in as `user` (binary type) or `anonymous`
//! + dir/        + file text     + link -> to  make a directory, a file, a symbolic link
//! = file text                                 the file holds exactly this
//! - file                                      nothing of this name is there
//! < PWD                                       send a line
//! << NO                                       send bytes, without CRLF
//! > 257                                       a whole reply with this code
//! > 257 "/"*                                  one line of a reply; * any bytes, ? one byte
//! v RETR file | text                          download: the data must match the pattern
//! ^ STOR file | text                          upload these bytes
//! .                                           the server closes the connection
//! ```
//!
//! Names after `+ = -` have no spaces. Escapes: `\r \n \0 \s` (space) `\\` `\xHH`.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{self, ffi::OsStrExt},
    path::{Path, PathBuf},
};

use crate::{
    case::{assert_healthy, server_for},
    client::{Client, lossy},
    glob,
    row::{Row, Verdict},
    server::Server,
};

const FILES: &[(&str, &str)] = &[
    ("authentication", include_str!("dialogues/authentication.txt")),
    ("commands", include_str!("dialogues/commands.txt")),
    ("data ports", include_str!("dialogues/data_ports.txt")),
    ("directories", include_str!("dialogues/directories.txt")),
    ("files", include_str!("dialogues/files.txt")),
    ("listings", include_str!("dialogues/listings.txt")),
    ("names", include_str!("dialogues/names.txt")),
    ("permissions", include_str!("dialogues/permissions.txt")),
    ("transfers", include_str!("dialogues/transfers.txt")),
];

/// Every dialogue of every file.
pub(crate) fn rows() -> Vec<Row> {
    FILES.iter().flat_map(|(topic, text)| parse(topic, text)).collect()
}

/// A mark and what follows it.
type Step = (&'static str, &'static str);

#[derive(Default)]
struct Dialogue {
    title: String,
    gap: Option<String>,
    settings: String,
    steps: Vec<Step>,
}

fn parse(topic: &str, text: &'static str) -> Vec<Row> {
    let mut dialogues: Vec<Dialogue> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        if mark == "#" {
            let title = format!("{topic}: {rest}");
            dialogues.push(Dialogue { title, ..Dialogue::default() });
            continue;
        }
        let dialogue = dialogues.last_mut().expect("a dialogue starts with its title");
        match mark {
            "!" => dialogue.gap = Some(rest.to_owned()),
            "%" => dialogue.settings += &format!("{rest}\n"),
            _ => dialogue.steps.push((mark, rest)),
        }
    }
    dialogues.into_iter().map(Dialogue::into_row).collect()
}

impl Dialogue {
    fn into_row(self) -> Row {
        let Self { title: name, gap, settings, steps } = self;
        Row { name, gap, check: Box::new(move || perform(&settings, &steps)) }
    }
}

/// Files named first are there before the server starts: its settings may speak of them.
fn perform(settings: &str, steps: &[Step]) -> Verdict {
    let first = steps.iter().position(|(mark, _)| *mark != "+").unwrap_or(steps.len());
    let (files, steps) = steps.split_at(first);
    let prepare = |home: &Path| files.iter().for_each(|(_, rest)| make(home, rest));
    match server_for(settings, false, prepare) {
        Ok(server) => {
            let mut stage = Stage { client: None, server: &server };
            steps.iter().for_each(|(mark, rest)| stage.step(mark, rest));
            drop(stage);
            assert_healthy(&server);
            Verdict::Passed
        }
        Err(reason) => Verdict::Skipped(reason),
    }
}

fn make(home: &Path, rest: &str) {
    if let Some((link, target)) = rest.split_once(" -> ") {
        unix::fs::symlink(target, path(home, link)).expect("a symbolic link");
    } else if rest.ends_with('/') {
        fs::create_dir_all(path(home, rest)).expect("a directory");
    } else {
        let (name, content) = rest.split_once(' ').unwrap_or((rest, ""));
        let file = path(home, name);
        fs::create_dir_all(file.parent().expect("below the home")).expect("a directory");
        fs::write(file, unescape(content)).expect("a file");
    }
}

fn path(home: &Path, name: &str) -> PathBuf {
    home.join(OsStr::from_bytes(&unescape(name)))
}

struct Stage<'a> {
    server: &'a Server,
    client: Option<Client>,
}

impl Stage<'_> {
    fn step(&mut self, mark: &str, rest: &str) {
        match mark {
            "@" => self.log_in(rest),
            "+" => make(self.server.home(), rest),
            "=" => self.assert_content(rest),
            "-" => self.assert_absent(rest),
            "<" => self.client().send(unescape(rest)),
            "<<" => self.client().send_raw(&unescape(rest)),
            ">" => self.expect(rest),
            "v" => self.download(rest),
            "^" => self.upload(rest),
            "." => self.client().expect_end(),
            other => panic!("no such mark in a dialogue: {other}"),
        }
    }

    /// Connects on first use, so that files can be made before.
    fn client(&mut self) -> &mut Client {
        self.client.get_or_insert_with(|| Client::connect(self.server))
    }

    fn log_in(&mut self, name: &str) {
        match name {
            "user" => self.client().log_in(),
            "anonymous" => {
                self.client().ask("USER anonymous", "331*");
                self.client().ask("PASS", "230*");
            }
            other => panic!("no such account in a dialogue: {other}"),
        }
    }

    fn expect(&mut self, pattern: &str) {
        if pattern.len() == 3 && pattern.bytes().all(|byte| byte.is_ascii_digit()) {
            self.client().expect(&format!("{pattern}?*"));
            return;
        }
        let line = self.client().line();
        let pattern = unescape(pattern);
        assert!(glob::matches(&pattern, &line), "expected {:?}, got {:?}", lossy(&pattern), lossy(&line));
    }

    fn download(&mut self, rest: &str) {
        let (command, pattern) = two_parts(rest);
        let bytes = self.client().download(command);
        assert!(
            glob::matches(&pattern, &bytes),
            "expected {}, got {}",
            pattern.escape_ascii(),
            bytes.escape_ascii()
        );
    }

    fn upload(&mut self, rest: &str) {
        let (command, bytes) = two_parts(rest);
        self.client().upload(command, &bytes);
    }

    fn assert_absent(&self, name: &str) {
        assert!(path(self.server.home(), name).symlink_metadata().is_err(), "{name} is there");
    }

    fn assert_content(&self, rest: &str) {
        let (name, content) = rest.split_once(' ').unwrap_or((rest, ""));
        let found =
            fs::read(path(self.server.home(), name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.escape_ascii().to_string(), unescape(content).escape_ascii().to_string());
    }
}

fn two_parts(rest: &str) -> (Vec<u8>, Vec<u8>) {
    let (command, data) = rest.split_once(" |").expect("`command | data`");
    (unescape(command), unescape(data.strip_prefix(' ').unwrap_or(data)))
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().expect("something after a backslash") {
            b'r' => b'\r',
            b'n' => b'\n',
            b'0' => 0,
            b's' => b' ',
            b'\\' => b'\\',
            b'x' => hexadecimal(rest.next()) << 4 | hexadecimal(rest.next()),
            other => panic!("no such escape in a dialogue: \\{}", char::from(other)),
        });
    }
    bytes
}

fn hexadecimal(digit: Option<u8>) -> u8 {
    let value = digit.and_then(|digit| char::from(digit).to_digit(16)).expect("two hex digits");
    u8::try_from(value).expect("a digit is below 16")
}
