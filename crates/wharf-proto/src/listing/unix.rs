//! Lines for people, as `ls -l` prints them: LIST and STAT with a path.

use super::digits::{push_decimal, push_padded_decimal, push_two};
use super::time::{Civil, TimeStyle};
use super::{Entry, push_name};
use crate::{FileKind, Metadata, Timestamp};

/// Half a year: files that are older show the year instead of the hour.
const RECENT: i64 = 180 * 86_400;

/// A file dated later than this many seconds from now has a year too, because the hour alone would mean the past.
const CLOCK_SKEW: i64 = 86_400;

/// Columns of owner and group.
const NAME_WIDTH: usize = 8;

/// Appends everything of a line but its end:
/// `-rw-r--r--   1 root     root           12 Nov 22 17:17 a.txt`.
pub(super) fn push_long(out: &mut Vec<u8>, entry: &Entry, times: &TimeStyle, now: Timestamp) {
    let metadata = &entry.metadata;
    out.extend_from_slice(&permissions(metadata));
    out.push(b' ');
    push_padded_decimal(out, metadata.links.max(1), 3);
    out.push(b' ');
    push_owner(out, entry.owner.as_deref(), metadata.uid);
    out.push(b' ');
    push_owner(out, entry.group.as_deref(), metadata.gid);
    out.push(b' ');
    push_padded_decimal(out, metadata.size, 8);
    out.push(b' ');
    push_date(out, &times.civil(metadata.modified), metadata.modified, now);
    out.push(b' ');
    push_name(out, &entry.name);
    if let Some(target) = &entry.link_target {
        out.extend_from_slice(b" -> ");
        push_name(out, target);
    }
}

/// Type letter and nine permission letters.
fn permissions(metadata: &Metadata) -> [u8; 10] {
    let kind = match metadata.kind {
        FileKind::File => b'-',
        FileKind::Directory => b'd',
        FileKind::Symlink => b'l',
        FileKind::Fifo => b'p',
        FileKind::Socket => b's',
        FileKind::BlockDevice => b'b',
        FileKind::CharDevice => b'c',
    };
    let set = |bit: u32| metadata.mode & bit != 0;
    let letter = |bit: u32, letter: u8| if set(bit) { letter } else { b'-' };
    // The execute column also shows setuid, setgid and sticky: a capital where execution is not allowed.
    let execute = |bit: u32, special: u32, both: u8| match (set(special), set(bit)) {
        (true, true) => both,
        (true, false) => both.to_ascii_uppercase(),
        (false, executable) => {
            if executable {
                b'x'
            } else {
                b'-'
            }
        }
    };
    [
        kind,
        letter(0o400, b'r'),
        letter(0o200, b'w'),
        execute(0o100, 0o4000, b's'),
        letter(0o040, b'r'),
        letter(0o020, b'w'),
        execute(0o010, 0o2000, b's'),
        letter(0o004, b'r'),
        letter(0o002, b'w'),
        execute(0o001, 0o1000, b't'),
    ]
}

/// Appends a name, or a number where there is none, filled up with blanks.
fn push_owner(out: &mut Vec<u8>, name: Option<&str>, number: u32) {
    let end = out.len() + NAME_WIDTH;
    match name {
        Some(name) => push_name(out, name.as_bytes()),
        None => push_decimal(out, number.into()),
    }
    if out.len() < end {
        out.resize(end, b' ');
    }
}

/// Appends `Nov 22 17:17`, or `Nov 22  2016` when that is more than half a year ago or more than a day ahead.
fn push_date(out: &mut Vec<u8>, civil: &Civil, time: Timestamp, now: Timestamp) {
    out.extend_from_slice(month_name(civil.month));
    out.push(b' ');
    push_two(out, civil.day);
    out.push(b' ');
    let age = now.seconds.saturating_sub(time.seconds);
    if (-CLOCK_SKEW..=RECENT).contains(&age) {
        push_two(out, civil.hour);
        out.push(b':');
        push_two(out, civil.minute);
    } else {
        out.push(b' ');
        push_two(out, (civil.year / 100) as u8);
        push_two(out, (civil.year % 100) as u8);
    }
}

fn month_name(month: u8) -> &'static [u8; 3] {
    match month {
        1 => b"Jan",
        2 => b"Feb",
        3 => b"Mar",
        4 => b"Apr",
        5 => b"May",
        6 => b"Jun",
        7 => b"Jul",
        8 => b"Aug",
        9 => b"Sep",
        10 => b"Oct",
        11 => b"Nov",
        _ => b"Dec",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2017-11-22T17:17:03Z.
    const NOON: i64 = 1_511_371_023;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn line(entry: &Entry, now: i64) -> String {
        let mut out = Vec::new();
        push_long(&mut out, entry, &TimeStyle::Utc, at(now));
        String::from_utf8(out).unwrap()
    }

    fn entry(name: &str, metadata: Metadata) -> Entry {
        Entry {
            name: name.as_bytes().into(),
            metadata: Metadata { modified: at(NOON), ..metadata },
            link_target: None,
            owner: Some("root".into()),
            group: Some("root".into()),
        }
    }

    #[test]
    fn looks_like_ls() {
        let plain = entry("a.txt", Metadata::file(12));
        assert_eq!(line(&plain, NOON), "-rw-r--r--   1 root     root           12 Nov 22 17:17 a.txt");
        let wide = Entry {
            owner: Some("wolfgang-amadeus".into()),
            group: None,
            ..entry("b", Metadata { size: 12_345_678_901, links: 1234, gid: 65_534, ..Metadata::directory() })
        };
        assert_eq!(line(&wide, NOON), "drwxr-xr-x 1234 wolfgang-amadeus 65534    12345678901 Nov 22 17:17 b");
        let link = Entry {
            link_target: Some(b"../x\ny".as_slice().into()),
            ..entry("l\r", Metadata { kind: FileKind::Symlink, mode: 0o777, links: 0, ..Metadata::file(4) })
        };
        assert_eq!(line(&link, NOON), "lrwxrwxrwx   1 root     root            4 Nov 22 17:17 l? -> ../x?y");
    }

    #[test]
    fn old_and_future_files_show_the_year() {
        let plain = entry("a", Metadata::file(0));
        for (now, date) in [
            (NOON + RECENT, "Nov 22 17:17"),
            (NOON + RECENT + 1, "Nov 22  2017"),
            (NOON - CLOCK_SKEW, "Nov 22 17:17"),
            (NOON - CLOCK_SKEW - 1, "Nov 22  2017"),
            (i64::MIN, "Nov 22  2017"),
            (i64::MAX, "Nov 22  2017"),
        ] {
            assert_eq!(line(&plain, now).get(42..54), Some(date), "{now}");
        }
    }

    #[test]
    fn shows_every_bit_of_the_mode() {
        for (kind, mode, expected) in [
            (FileKind::File, 0o7777, "-rwsrwsrwt"),
            (FileKind::File, 0o7000, "---S--S--T"),
            (FileKind::Directory, 0o1777, "drwxrwxrwt"),
            (FileKind::Fifo, 0o000, "p---------"),
            (FileKind::Socket, 0o755, "srwxr-xr-x"),
            (FileKind::BlockDevice, 0o660, "brw-rw----"),
            (FileKind::CharDevice, 0o666, "crw-rw-rw-"),
        ] {
            let shown = permissions(&Metadata { kind, mode, ..Metadata::file(0) });
            assert_eq!(str::from_utf8(&shown).unwrap(), expected);
        }
    }
}
