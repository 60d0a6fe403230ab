//! Points in time as calendar fields, and back.

use jiff::tz::TimeZone;

use super::digits::push_two;
use crate::Timestamp;

/// In which zone times are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TimeStyle {
    /// Coordinated universal time, as RFC 3659 wants it.
    #[default]
    Utc,
    /// The time of a zone, usually the server's own.
    Local(TimeZone),
}

/// A point in time on the calendar of years 0 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: u16,
    /// 1 to 12.
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
}

const SECONDS_PER_DAY: i64 = 86_400;

/// Days from 1 March of year 0, where the calculation has its origin, to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;

/// 0000-03-01T00:00:00Z and 9999-12-31T23:59:59Z: times outside are shown as the nearest of the two.
const FIRST: i64 = -DAYS_TO_EPOCH * SECONDS_PER_DAY;
const LAST: i64 = 253_402_300_799;

/// Days in four hundred years, and in a hundred and in four of them, as long as no exception falls into them.
const DAYS_PER_ERA: u32 = 146_097;
const DAYS_PER_CENTURY: u32 = 36_524;
const DAYS_PER_FOUR_YEARS: u32 = 1_461;

impl TimeStyle {
    /// `time` on the calendar of this zone.
    pub(super) fn civil(&self, time: Timestamp) -> Civil {
        civil(time.seconds.saturating_add(self.offset(time)))
    }

    /// How many seconds this zone is ahead of UTC at `time`; 0 for times that no calendar has.
    fn offset(&self, time: Timestamp) -> i64 {
        match self {
            Self::Utc => 0,
            Self::Local(zone) => jiff::Timestamp::from_second(time.seconds)
                .map_or(0, |time| i64::from(zone.to_offset(time).seconds())),
        }
    }
}

/// The calendar fields of a number of seconds since 1970. Years are counted from March, so that the leap day is
/// the last of its year and months have their lengths in a simple pattern.
fn civil(seconds: i64) -> Civil {
    let seconds = seconds.clamp(FIRST, LAST);
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY) as u32;
    let days = (seconds.div_euclid(SECONDS_PER_DAY) + DAYS_TO_EPOCH) as u32;
    let (era, of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    // Takes the leap days out: of_era counts one in four years, but none in a century, but one in the era.
    let leap_days =
        of_era / (DAYS_PER_FOUR_YEARS - 1) - of_era / DAYS_PER_CENTURY + of_era / (DAYS_PER_ERA - 1);
    let year_of_era = (of_era - leap_days) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    Civil {
        year: (era * 400 + year_of_era + next_year) as u16,
        month: month as u8,
        day: day as u8,
        hour: (of_day / 3600) as u8,
        minute: (of_day / 60 % 60) as u8,
        second: (of_day % 60) as u8,
    }
}

/// Days from 1970-01-01 to a day of the calendar.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month_from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month_from_march + 2) / 5 + day - 1 - DAYS_TO_EPOCH
}

/// Appends `YYYYMMDDhhmmss`, the time as MDTM, MFMT and the `modify` fact show it (RFC 3659 §2.3); fractions of
/// a second are left out.
pub fn push_time(out: &mut Vec<u8>, time: Timestamp, style: &TimeStyle) {
    let civil = style.civil(time);
    push_two(out, (civil.year / 100) as u8);
    push_two(out, (civil.year % 100) as u8);
    for field in [civil.month, civil.day, civil.hour, civil.minute, civil.second] {
        push_two(out, field);
    }
}

/// Reads `YYYYMMDDhhmmss`, perhaps with a fraction `.sss`, as UTC (RFC 3659 §2.3). The day must be on the calendar
/// of years 1 to 9999; a leap second is taken for the second before it.
pub fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let (whole, fraction) = text.split_at_checked(14)?;
    if !whole.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let field = |from: usize, to: usize| whole.get(from..to).map(number);
    let (year, month, day) = (field(0, 4)?, field(4, 6)?, field(6, 8)?);
    let (hour, minute, second) = (field(8, 10)?, field(10, 12)?, field(12, 14)?);
    let on_calendar = year >= 1 && (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    if !on_calendar || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let of_day = hour * 3600 + minute * 60 + second.min(59);
    let seconds = days_from_epoch(year, month, day) * SECONDS_PER_DAY + of_day;
    Some(Timestamp { seconds, nanoseconds: nanoseconds(fraction)? })
}

fn number(digits: &[u8]) -> i64 {
    digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The fraction of a second that `.` and digits name; nothing at all is zero.
fn nanoseconds(fraction: &[u8]) -> Option<u32> {
    let Some((point, digits)) = fraction.split_first() else {
        return Some(0);
    };
    if *point != b'.' || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let first_nine = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some(first_nine.fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn shown(seconds: i64, style: &TimeStyle) -> String {
        let mut out = Vec::new();
        push_time(&mut out, at(seconds), style);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn shows_times() {
        for (seconds, expected) in [
            (0, "19700101000000"),
            (-1, "19691231235959"),
            (951_782_400, "20000229000000"),
            (1_511_371_023, "20171122171703"),
            (LAST, "99991231235959"),
            (i64::MAX, "99991231235959"),
            (i64::MIN, "00000301000000"),
        ] {
            assert_eq!(shown(seconds, &TimeStyle::Utc), expected);
        }
    }

    #[test]
    fn shows_times_of_a_zone() {
        let zone = |rule| TimeStyle::Local(TimeZone::posix(rule).unwrap());
        assert_eq!(shown(0, &zone("EST5EDT,M3.2.0,M11.1.0")), "19691231190000");
        assert_eq!(shown(1_500_000_000, &zone("EST5EDT,M3.2.0,M11.1.0")), "20170713224000");
        assert_eq!(shown(0, &zone("CET-1CEST,M3.5.0,M10.5.0/3")), "19700101010000");
        assert_eq!(shown(i64::MAX, &zone("CET-1")), "99991231235959");
    }

    #[test]
    fn knows_zones_by_name() {
        if std::path::Path::new("/usr/share/zoneinfo/America/New_York").exists() {
            let zone = TimeStyle::Local(TimeZone::get("America/New_York").unwrap());
            assert_eq!(shown(1_500_000_000, &zone), "20170713224000");
        }
    }

    #[test]
    fn reads_times() {
        for (text, expected) in [
            ("19700101000000", Some(at(0))),
            ("20171122171703", Some(at(1_511_371_023))),
            ("20161231235960", Some(at(1_483_228_799))),
            ("20000229000000", Some(at(951_782_400))),
            ("19700101000000.25", Some(Timestamp { seconds: 0, nanoseconds: 250_000_000 })),
            ("19700101000000.1234567899", Some(Timestamp { seconds: 0, nanoseconds: 123_456_789 })),
            ("00010101000000", Some(at(-62_135_596_800))),
            ("00000101000000", None),
            ("19000229000000", None),
            ("20170431000000", None),
            ("20171301000000", None),
            ("20170100000000", None),
            ("20170101240000", None),
            ("20170101006000", None),
            ("20170101000061", None),
            ("2017010100000", None),
            ("201701010000000", None),
            ("20170101000000.", None),
            ("20170101000000.x", None),
            ("2017-01-01 000", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn times_read_as_they_are_shown(seconds in -62_135_596_800..=LAST) {
            prop_assert_eq!(parse_time(shown(seconds, &TimeStyle::Utc).as_bytes()), Some(at(seconds)));
        }

        #[test]
        fn agrees_with_the_calendar_of_jiff(seconds in -62_135_596_800..=LAST) {
            let expected = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
            let seconds = expected.as_second();
            let expected = expected.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M%S").to_string();
            prop_assert_eq!(shown(seconds, &TimeStyle::Utc), expected);
        }

        #[test]
        fn any_bytes_are_a_time_or_not(text: Vec<u8>) {
            parse_time(&text);
        }
    }
}
