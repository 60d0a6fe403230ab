//! Every sentence the server says, and how foreign bytes are shown in it.

use std::fmt;

use crate::listing::{TimeStyle, push_time};
use crate::metadata::{FsErrorKind, Timestamp};
use crate::reply::{Code, Reply};
use crate::session::Listing;
use crate::vpath::VPath;

/// Bytes of a client or a disk, shown so that nothing in them can pass for anything else: what is not printable
/// UTF-8 appears as `\xNN`.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        // Nearly everything is printable ASCII, and need not be looked at character by character.
        if self.0.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~')) {
            return str::from_utf8(self.0).map_or(Err(fmt::Error), |text| f.write_str(text));
        }
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || is_reordering(c) {
                    c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
                } else {
                    f.write_char(c)?;
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

/// Whether `c` changes the direction of the text around it, so that a terminal shows other words than are there.
fn is_reordering(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const fn say(code: u16, text: &'static str) -> Reply {
    Reply::fixed(code, text)
}

/// A code that is written in the source.
pub(crate) const fn code(number: u16) -> Code {
    Code::new(number)
}

/// The longest listing that STAT sends over the control connection, in bytes.
pub(crate) const STATUS_LIMIT: usize = 256 * 1024;

pub(crate) const OK: Reply = say(200, "I successfully did nothing.");
pub(crate) const ALLOCATION_SUPERFLUOUS: Reply = say(200, "No storage allocation necessary.");
pub(crate) const ACCOUNT_SUPERFLUOUS: Reply = say(202, "No account needed.");
pub(crate) const STRUCTURE_FILE: Reply = say(200, "File transfer structure set to: F.");
pub(crate) const MODE_STREAM: Reply = say(200, "Transfer mode set to: S.");
pub(crate) const TYPE_ASCII: Reply = say(200, "Type set to: ASCII.");
pub(crate) const TYPE_BINARY: Reply = say(200, "Type set to: Binary.");
pub(crate) const CLIENT_NOTED: Reply = say(200, "Noted.");
pub(crate) const UTF8_ALWAYS_ON: Reply = say(200, "UTF-8 is always on.");
pub(crate) const SYSTEM: Reply = say(215, "UNIX Type: L8");
pub(crate) const NOT_IMPLEMENTED: Reply = say(502, "Command not implemented.");
pub(crate) const LINE_TOO_LONG: Reply = say(500, "Command too long.");
pub(crate) const TOO_MANY_LONG_LINES: Reply = say(421, "Too many commands that are too long.");
pub(crate) const OUT_OF_STEP: Reply = say(451, "Internal error; the command was not carried out.");

// Login
pub(crate) const USER_OK: Reply = say(331, "Username ok, send password.");
pub(crate) const USER_FLUSHED: Reply = say(331, "Previous account information was flushed, send password.");
pub(crate) const USER_FIRST: Reply = say(503, "Login with USER first.");
pub(crate) const ALREADY_LOGGED_IN: Reply = say(503, "User already authenticated.");
pub(crate) const NOT_LOGGED_IN: Reply = say(530, "Log in with USER and PASS first.");
pub(crate) const LOGIN_FAILED: Reply = say(530, "Authentication failed.");
pub(crate) const LOGIN_FAILED_LAST: Reply = say(530, "Authentication failed. Disconnecting.");
pub(crate) const LOGIN_UNAVAILABLE: Reply = say(421, "Logins cannot be checked now; try again later.");
pub(crate) const NO_ANONYMOUS: Reply = say(530, "Anonymous access not allowed.");
pub(crate) const TOO_MANY_SESSIONS: Reply = say(530, "Too many sessions of this user.");
pub(crate) const REINITIALISED: Reply = say(230, "Ready for new user.");
pub(crate) const GOODBYE: Reply = say(221, "Goodbye.");
pub(crate) const LOGIN_TIMED_OUT: Reply = say(421, "Login timed out.");
pub(crate) const IDLE_TIMED_OUT: Reply = say(421, "Control connection timed out.");
pub(crate) const SHUTTING_DOWN: Reply = say(421, "Server is shutting down.");

// TLS
pub(crate) const TLS_ALREADY: Reply = say(503, "Already using TLS.");
pub(crate) const TLS_NOT_NOW: Reply = say(503, "AUTH must wait for the transfer to end.");
pub(crate) const TLS_REQUIRED_ON_CONTROL: Reply = say(550, "SSL/TLS required on the control channel.");
pub(crate) const TLS_REQUIRED_ON_DATA: Reply = say(550, "SSL/TLS required on the data channel.");
pub(crate) const TLS_REQUIRED_FOR_PROT: Reply =
    say(534, "Data connections must be protected; PROT C is not allowed.");
pub(crate) const TLS_HANDSHAKE_FAILED: Reply = say(522, "SSL handshake failed.");
pub(crate) const TLS_NOT_RESUMED: Reply =
    say(522, "Data connection must resume the TLS session of the control connection.");
pub(crate) const CCC_IN_CLEAR: Reply = say(503, "CCC not allowed on insecure control connection.");
pub(crate) const CCC_REFUSED: Reply = say(533, "The control connection stays under TLS.");
pub(crate) const PBSZ_IN_CLEAR: Reply = say(503, "PBSZ not allowed on insecure control connection.");
pub(crate) const PBSZ_FIRST: Reply = say(503, "You must issue the PBSZ command prior to PROT.");
pub(crate) const PBSZ_ZERO: Reply = say(200, "PBSZ=0 successful.");
pub(crate) const PROT_IN_CLEAR: Reply = say(503, "PROT not allowed on insecure control connection.");
pub(crate) const PROT_CLEAR: Reply = say(200, "Protection set to Clear.");
pub(crate) const PROT_PRIVATE: Reply = say(200, "Protection set to Private.");

// Paths and files
pub(crate) const BAD_PATH: Reply = say(501, "Invalid path: too long, or it holds NUL, CR or LF.");
pub(crate) const NOT_ENOUGH_PRIVILEGES: Reply = say(550, "Not enough privileges.");
pub(crate) const DIRECTORY_REMOVED: Reply = say(250, "Directory removed.");
pub(crate) const FILE_REMOVED: Reply = say(250, "File removed.");
pub(crate) const CANNOT_REMOVE_ROOT: Reply = say(550, "Can't remove root directory.");
pub(crate) const CANNOT_RENAME_ROOT: Reply = say(550, "Can't rename home directory.");
pub(crate) const READY_FOR_DESTINATION: Reply = say(350, "Ready for destination name.");
pub(crate) const RNFR_FIRST: Reply = say(503, "Bad sequence of commands: use RNFR first.");
pub(crate) const RENAMED: Reply = say(250, "Renaming ok.");
pub(crate) const MODE_CHANGED: Reply = say(200, "SITE CHMOD successful.");
pub(crate) const SIZE_IN_ASCII: Reply = say(550, "SIZE not allowed in ASCII mode.");
pub(crate) const REST_IN_ASCII: Reply = say(501, "Resuming transfers not allowed in ASCII mode.");
pub(crate) const APPE_AFTER_REST: Reply = say(450, "Can't APPE while REST request is pending.");
pub(crate) const STOU_AFTER_REST: Reply = say(450, "Can't STOU while REST request is pending.");
pub(crate) const NO_GLOBBING: Reply = say(550, "Globbing not supported.");
pub(crate) const NO_SUCH_DIRECTORY: Reply = say(501, "No such directory.");

// Data connections
pub(crate) const EPSV_ALL: Reply = say(220, "Other commands than EPSV are now disabled.");
pub(crate) const EPSV_ALL_IN_FORCE: Reply = say(501, "Not allowed after EPSV ALL.");
pub(crate) const PASV_OVER_IPV6: Reply = say(425, "PASV can only name IPv4 addresses; use EPSV.");
pub(crate) const USE_IPV4: Reply = say(522, "Network protocol not supported, use (1).");
pub(crate) const USE_IPV6: Reply = say(522, "Network protocol not supported, use (2).");
pub(crate) const ACTIVE_DISABLED: Reply = say(502, "Active mode is switched off here; use PASV or EPSV.");
pub(crate) const ACTIVE_ESTABLISHED: Reply = say(200, "Active data connection established.");
pub(crate) const ACTIVE_TIMED_OUT: Reply = say(421, "Active data channel timed out.");
pub(crate) const PASSIVE_TIMED_OUT: Reply = say(421, "Passive data channel timed out.");
pub(crate) const TRANSFER_TIMED_OUT: Reply = say(426, "Data connection timed out; transfer aborted.");
pub(crate) const DATA_TIMED_OUT: Reply = say(421, "Data connection timed out.");
pub(crate) const CANNOT_CONNECT: Reply = say(425, "Can't connect to specified address.");
pub(crate) const CANNOT_LISTEN: Reply = say(425, "Can't open passive connection.");
pub(crate) const NO_SOURCE_PORT: Reply =
    say(425, "Can't open active connection: the server's data port cannot be used for it now.");
pub(crate) const PORTS_EXHAUSTED: Reply =
    say(425, "Can't open passive connection: all ports of the passive range are in use.");
pub(crate) const NO_DATA_CONNECTION: Reply = say(425, "Can't open data connection.");
pub(crate) const TRANSFER_IN_PROGRESS: Reply =
    say(425, "A transfer is in progress: wait for it, or send ABOR.");

// Transfers
pub(crate) const TRANSFER_COMPLETE: Reply = say(226, "Transfer complete.");
pub(crate) const TRANSFER_ABORTED: Reply = say(426, "Transfer aborted via ABOR.");
pub(crate) const ABORTED: Reply = say(226, "ABOR command successful.");
pub(crate) const DATA_CLOSED: Reply = say(225, "ABOR command successful; data channel closed.");
pub(crate) const NOTHING_TO_ABORT: Reply = say(225, "No transfer to abort.");
pub(crate) const TRANSFER_CUT_BY_SHUTDOWN: Reply = say(426, "Server is shutting down; transfer aborted.");
pub(crate) const NO_CLOSE_NOTIFY: Reply = say(426, "TLS ended without close_notify; upload is not complete.");

/// 550 and its relatives: why a file system refused `path`.
pub(crate) fn refusal(kind: FsErrorKind, path: &VPath) -> Reply {
    let number = match kind {
        FsErrorKind::NoSpace => 452,
        FsErrorKind::QuotaExceeded | FsErrorKind::FileTooLarge => 552,
        FsErrorKind::InvalidName => 553,
        FsErrorKind::OffsetBeyondEnd(_) => 554,
        FsErrorKind::Busy => 450,
        FsErrorKind::Failed => 451,
        FsErrorKind::Unsupported => 504,
        FsErrorKind::OutsideHome => {
            return Reply::quoting(
                code(550),
                "",
                path,
                " points to a path which is outside the user's root directory.",
            );
        }
        _ => 550,
    };
    Reply::new(code(number), format!("{kind}."))
}

/// 450 where others say 550: STOU may be tried again, under another name (RFC 959 §5.4).
pub(crate) fn no_unique_name(kind: FsErrorKind, path: &VPath) -> Reply {
    let reply = refusal(kind, path);
    let another_name_may_do = reply.code() == code(550) && kind != FsErrorKind::OutsideHome;
    if another_name_may_do { Reply::new(code(450), format!("{kind}.")) } else { reply }
}

/// A transfer that the file system ended.
pub(crate) fn transfer_failed(kind: FsErrorKind) -> Reply {
    let number = match kind {
        FsErrorKind::NoSpace => 452,
        FsErrorKind::QuotaExceeded | FsErrorKind::FileTooLarge => 552,
        FsErrorKind::NotPublished => 426,
        _ => 451,
    };
    Reply::new(code(number), format!("{kind}; transfer aborted."))
}

pub(crate) fn connection_closed(bytes: u64) -> Reply {
    Reply::new(code(426), format!("Connection closed; transfer aborted after {bytes} bytes."))
}

pub(crate) fn offset_beyond_end(offset: u64, size: u64) -> Reply {
    Reply::new(code(554), format!("REST position ({offset}) > file size ({size})."))
}

pub(crate) fn not_retrievable(path: &VPath) -> Reply {
    Reply::quoting(code(550), "", path, " is not retrievable.")
}

/// The 213 of MFMT, as the draft has it: `Modify=20020717210715; path`.
pub(crate) fn modified(time: Timestamp, path: &VPath) -> Reply {
    let mut text = b"Modify=".to_vec();
    push_time(&mut text, time, &TimeStyle::Utc);
    text.extend_from_slice(b"; ");
    text.extend_from_slice(path.as_bytes());
    Reply::raw(code(213), text)
}

/// The 150 of a transfer; STOU says which name it chose (RFC 1123 §4.1.2.9).
pub(crate) fn about_to_open(unique: Option<&[u8]>) -> Reply {
    match unique {
        None => say(150, "File status okay. About to open data connection."),
        Some(name) => Reply::raw(code(150), [b"FILE: ", name].concat()),
    }
}

/// The 125 of a transfer.
pub(crate) fn already_open(unique: Option<&[u8]>) -> Reply {
    match unique {
        None => say(125, "Data connection already open. Transfer starting."),
        Some(name) => Reply::raw(code(125), [b"FILE: ", name].concat()),
    }
}

/// The answer to MLST: `line` holds the facts and the path.
pub(crate) fn mlst(path: &VPath, line: &[u8]) -> Reply {
    Reply::multi(code(250), "", [line], "End MLST.").with_first_quoting("Listing ", path, ":")
}

/// The answer to STAT of a path.
pub(crate) fn status_of(path: &VPath, listing: &Listing) -> Reply {
    let last = if listing.truncated {
        "End of status; the listing was too long and is cut, use LIST."
    } else {
        "End of status."
    };
    let lines =
        listing.lines.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines = lines.filter(|line| !line.is_empty());
    Reply::multi(code(213), "", lines, last).with_first_quoting("Status of ", path, ":")
}

/// The answer to HELP and SITE HELP: rows of names.
pub(crate) fn help(first: &str, rows: &[String]) -> Reply {
    Reply::multi(code(214), first, rows.iter().map(String::as_bytes), "Help command successful.")
}

/// The answer to HELP about one command.
pub(crate) fn help_on(found: Option<&str>, otherwise: &'static str) -> Reply {
    match found {
        Some(help) => Reply::new(code(214), help),
        None => say(501, otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_could_deceive() {
        for (bytes, shown) in [
            (b"plain \xc3\xa9".as_slice(), "plain é"),
            (b"a\r\nb", "a\\x0d\\x0ab"),
            (b"\xff", "\\xff"),
            (b"\x1b[2J", "\\x1b[2J"),
            ("\u{202e}gpj".as_bytes(), "\\xe2\\x80\\xaegpj"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), shown);
        }
    }
}
