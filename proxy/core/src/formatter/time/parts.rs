//! The directives of a time format, as cctz and the C library's strftime print them in the C locale.

use super::Civil;
use crate::ConfigError;

/// One part of a format.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Literal(Box<str>),
    Field(Field, Pad, u8),
    MonthName {
        full: bool,
    },
    WeekdayName {
        full: bool,
    },
    /// `AM`/`PM`.
    HalfDay {
        upper: bool,
    },
    /// That many digits of the fraction of a second, cut and not rounded.
    Fraction(u8),
    /// The fraction without trailing zeros (`%E*f`), or with its point before it and nothing if it is zero (`%E*S`).
    ShortFraction {
        point: bool,
    },
    /// Offset from UTC; with colons, and with seconds.
    Offset {
        colon: bool,
        seconds: bool,
    },
    ZoneName,
}

/// A number of a broken-down time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Year,
    Century,
    YearOfCentury,
    IsoYear,
    IsoYearOfCentury,
    Month,
    Day,
    DayOfYear,
    Hour,
    Hour12,
    Minute,
    Second,
    Unix,
    /// Weeks from the first Sunday, from the first Monday, and by ISO 8601.
    WeekOfSunday,
    WeekOfMonday,
    IsoWeek,
    /// 0 is Sunday; 7 is Sunday.
    Weekday,
    IsoWeekday,
}

/// How a number is filled to its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pad {
    Zero,
    Space,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Compiles a format; a new line in it, spelt out or as `%n`, is refused as Envoy does.
pub(super) fn compile(format: &str) -> Result<Vec<Part>, ConfigError> {
    let mut parts = Vec::new();
    add(format, &mut parts)?;
    Ok(parts)
}

fn add(format: &str, parts: &mut Vec<Part>) -> Result<(), ConfigError> {
    let mut literal = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        literal.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        if is_newline(rest) {
            return Err(ConfigError::new(
                "Invalid header configuration. Format string contains newline.",
            ));
        }
        if let Some(after) = rest.strip_prefix('%') {
            literal.push('%');
            // Envoy looks for fractions before it looks for `%%`: `%%3f` is a percent sign and a fraction.
            if !is_fraction(after) {
                rest = after;
            }
            continue;
        }
        match directive(rest) {
            Some((Directive::Parts(new), after)) => {
                push_literal(&mut literal, parts);
                parts.extend(new);
                rest = after;
            }
            Some((Directive::Format(inner), after)) => {
                push_literal(&mut literal, parts);
                add(inner, parts)?;
                rest = after;
            }
            None => literal.push('%'),
        }
    }
    literal.push_str(rest);
    push_literal(&mut literal, parts);
    Ok(())
}

fn push_literal(literal: &mut String, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal).into()));
    }
}

/// `%n` with any flags, width and modifier.
fn is_newline(after_percent: &str) -> bool {
    after_percent
        .trim_start_matches(['-', '_', '0', '^', '#'])
        .trim_start_matches(|c: char| c.is_ascii_digit() && c != '0')
        .trim_start_matches(['E', 'O'])
        .starts_with('n')
}

/// What Envoy itself, and not its time library, prints: `f` with a number of digits before it.
fn is_fraction(text: &str) -> bool {
    matches!(text.as_bytes(), [b'f', ..] | [b'1'..=b'9', b'f', ..])
}

enum Directive {
    Parts(Vec<Part>),
    /// Stands for a longer format.
    Format(&'static str),
}

/// The directive after a percent sign, and what follows it; `None` if there is no such directive.
fn directive(text: &str) -> Option<(Directive, &str)> {
    use Field::*;
    let mut chars = text.chars();
    let first = chars.next()?;
    let after = chars.as_str();
    let zero = |field, width| Directive::Parts(vec![Part::Field(field, Pad::Zero, width)]);
    let space = |field, width| Directive::Parts(vec![Part::Field(field, Pad::Space, width)]);
    let found = match first {
        'a' => Directive::Parts(vec![Part::WeekdayName { full: false }]),
        'A' => Directive::Parts(vec![Part::WeekdayName { full: true }]),
        'b' | 'h' => Directive::Parts(vec![Part::MonthName { full: false }]),
        'B' => Directive::Parts(vec![Part::MonthName { full: true }]),
        'c' => Directive::Format("%a %b %e %H:%M:%S %Y"),
        'C' => zero(Century, 2),
        'd' => zero(Day, 2),
        'D' | 'x' => Directive::Format("%m/%d/%y"),
        'e' => space(Day, 2),
        'f' => Directive::Parts(vec![Part::Fraction(9)]),
        'F' => Directive::Format("%Y-%m-%d"),
        'g' => zero(IsoYearOfCentury, 2),
        'G' => zero(IsoYear, 1),
        'H' => zero(Hour, 2),
        'I' => zero(Hour12, 2),
        'j' => zero(DayOfYear, 3),
        'k' => space(Hour, 2),
        'l' => space(Hour12, 2),
        'm' => zero(Month, 2),
        'M' => zero(Minute, 2),
        'p' => Directive::Parts(vec![Part::HalfDay { upper: true }]),
        'P' => Directive::Parts(vec![Part::HalfDay { upper: false }]),
        'r' => Directive::Format("%I:%M:%S %p"),
        'R' => Directive::Format("%H:%M"),
        's' => zero(Unix, 1),
        'S' => zero(Second, 2),
        't' => Directive::Parts(vec![Part::Literal("\t".into())]),
        'T' | 'X' => Directive::Format("%H:%M:%S"),
        'u' => zero(IsoWeekday, 1),
        'U' => zero(WeekOfSunday, 2),
        'V' => zero(IsoWeek, 2),
        'w' => zero(Weekday, 1),
        'W' => zero(WeekOfMonday, 2),
        'y' => zero(YearOfCentury, 2),
        'Y' => zero(Year, 1),
        'z' => offset(false, false),
        'Z' => Directive::Parts(vec![Part::ZoneName]),
        ':' => return colons(after),
        '1'..='9' => {
            let digits = first.to_digit(10)? as u8;
            let after = after.strip_prefix('f')?;
            return Some((Directive::Parts(vec![Part::Fraction(digits)]), after));
        }
        'E' => return extended(after),
        // The C locale has no alternative digits, so `%Od` is `%d`.
        'O' if after.starts_with(|c| "deHImMSuUVwWy".contains(c)) => return directive(after),
        _ => return None,
    };
    Some((found, after))
}

fn offset(colon: bool, seconds: bool) -> Directive {
    Directive::Parts(vec![Part::Offset { colon, seconds }])
}

/// `%:z` and `%::z`.
fn colons(after: &str) -> Option<(Directive, &str)> {
    if let Some(after) = after.strip_prefix('z') {
        return Some((offset(true, false), after));
    }
    Some((offset(true, true), after.strip_prefix(":z")?))
}

/// cctz's extensions: `%ET`, `%E4Y`, `%Ez`, `%E*z`, `%E3S`, `%E3f`, `%E*S`, `%E*f`.
fn extended(after: &str) -> Option<(Directive, &str)> {
    const SECOND: Part = Part::Field(Field::Second, Pad::Zero, 2);
    for (text, found) in [
        ("T", Directive::Parts(vec![Part::Literal("T".into())])),
        (
            "4Y",
            Directive::Parts(vec![Part::Field(Field::Year, Pad::Zero, 4)]),
        ),
        ("z", offset(true, false)),
        ("*z", offset(true, true)),
        (
            "*S",
            Directive::Parts(vec![SECOND, Part::ShortFraction { point: true }]),
        ),
        (
            "*f",
            Directive::Parts(vec![Part::ShortFraction { point: false }]),
        ),
    ] {
        if let Some(after) = after.strip_prefix(text) {
            return Some((found, after));
        }
    }
    // The C locale has no alternative calendar, so `%Ec` is `%c`.
    if after.starts_with(|c| "cCxXyY".contains(c)) {
        return directive(after);
    }
    let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (digits, after) = after.split_at(digits);
    let digits: u8 = digits.parse().ok()?;
    if let Some(after) = after.strip_prefix('S') {
        let mut parts = vec![SECOND];
        if digits > 0 {
            parts.extend([Part::Literal(".".into()), Part::Fraction(digits.min(15))]);
        }
        return Some((Directive::Parts(parts), after));
    }
    let after = after.strip_prefix('f')?;
    Some((
        Directive::Parts(vec![Part::Fraction(digits.min(15))]),
        after,
    ))
}

impl Part {
    /// Appends the part for one point in time.
    pub fn put(&self, at: &Civil, out: &mut Vec<u8>) {
        match self {
            Self::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Self::Field(field, pad, width) => put_padded(out, field.of(at), *pad, *width),
            Self::MonthName { full } => {
                put_name(out, MONTHS.get(at.month as usize - 1).copied(), *full);
            }
            Self::WeekdayName { full } => {
                put_name(out, WEEKDAYS.get(at.weekday as usize).copied(), *full);
            }
            Self::HalfDay { upper } => out.extend_from_slice(match (at.hour < 12, upper) {
                (true, true) => b"AM",
                (true, false) => b"am",
                (false, true) => b"PM",
                (false, false) => b"pm",
            }),
            Self::Fraction(digits) => put_fraction(out, at.nanos, *digits),
            Self::ShortFraction { .. } if at.nanos == 0 => {
                if matches!(self, Self::ShortFraction { point: false }) {
                    out.push(b'0');
                }
            }
            Self::ShortFraction { point } => {
                if *point {
                    out.push(b'.');
                }
                put_fraction(out, at.nanos, 9);
                let end = out.iter().rposition(|b| *b != b'0').map_or(0, |i| i + 1);
                out.truncate(end);
            }
            Self::Offset { colon, seconds } => put_offset(out, at.offset, *colon, *seconds),
            Self::ZoneName => out.extend_from_slice(at.zone_name().as_bytes()),
        }
    }
}

impl Field {
    fn of(self, at: &Civil) -> i64 {
        match self {
            Self::Year => at.year,
            Self::Century => at.year.div_euclid(100),
            Self::YearOfCentury => at.year.rem_euclid(100),
            Self::IsoYear => at.iso_week().0,
            Self::IsoYearOfCentury => at.iso_week().0.rem_euclid(100),
            Self::Month => at.month.into(),
            Self::Day => at.day.into(),
            Self::DayOfYear => at.day_of_year.into(),
            Self::Hour => at.hour.into(),
            Self::Hour12 => (at.hour + 11) as i64 % 12 + 1,
            Self::Minute => at.minute.into(),
            Self::Second => at.second.into(),
            Self::Unix => at.unix,
            Self::WeekOfSunday => i64::from(at.day_of_year + 6 - at.weekday) / 7,
            Self::WeekOfMonday => i64::from(at.day_of_year + 6 - (at.weekday + 6) % 7) / 7,
            Self::IsoWeek => at.iso_week().1.into(),
            Self::Weekday => at.weekday.into(),
            Self::IsoWeekday => i64::from((at.weekday + 6) % 7 + 1),
        }
    }
}

fn put_padded(out: &mut Vec<u8>, number: i64, pad: Pad, width: u8) {
    // The common case, two digits, without going through the general formatter.
    if width == 2 && (0..100).contains(&number) {
        let tens = match (number / 10, pad) {
            (0, Pad::Space) => b' ',
            (tens, _) => b'0' + tens as u8,
        };
        out.extend_from_slice(&[tens, b'0' + (number % 10) as u8]);
        return;
    }
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number);
    let fill = match pad {
        Pad::Zero => b'0',
        Pad::Space => b' ',
    };
    for _ in text.len()..usize::from(width) {
        out.push(fill);
    }
    out.extend_from_slice(text.as_bytes());
}

fn put_name(out: &mut Vec<u8>, name: Option<&str>, full: bool) {
    let name = name.unwrap_or_default();
    let name = if full { Some(name) } else { name.get(..3) };
    out.extend_from_slice(name.unwrap_or_default().as_bytes());
}

fn put_fraction(out: &mut Vec<u8>, nanos: u32, digits: u8) {
    let mut scale = 100_000_000;
    for _ in 0..digits {
        out.push(b'0' + (nanos / scale.max(1) % 10) as u8 * u8::from(scale > 0));
        scale /= 10;
    }
}

fn put_offset(out: &mut Vec<u8>, offset: i32, colon: bool, seconds: bool) {
    out.push(if offset < 0 { b'-' } else { b'+' });
    let offset = i64::from(offset.unsigned_abs());
    put_padded(out, offset / 3600, Pad::Zero, 2);
    if colon {
        out.push(b':');
    }
    put_padded(out, offset / 60 % 60, Pad::Zero, 2);
    if seconds {
        out.push(b':');
        put_padded(out, offset % 60, Pad::Zero, 2);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::formatter::time::TimeFormat;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_default_format_prints_as_its_parts() {
        let format = TimeFormat::compile("%Y-%m-%dT%H:%M:%S.%3fZ", false).unwrap();
        let plain = TimeFormat::compile("%Y-%m-%dT%H:%M:%S.%3fZ%%", false).unwrap();
        for (seconds, nanos) in [
            (0, 0),
            (0, 999_999_999),
            (1_795_263_133, 7_000_000),
            (1_795_263_133, 687_657_000),
            (1_795_263_134, 10_000_000),
            (253_402_300_800, 1),
        ] {
            let at = UNIX_EPOCH + Duration::new(seconds, nanos);
            let (mut text, mut expected) = (b"[".to_vec(), b"[".to_vec());
            format.render(at, &mut text);
            plain.render(at, &mut expected);
            text.push(b'%');
            assert_eq!(
                text.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
    }

    /// Each line was printed by Envoy 1.40 at 2026-11-21 12:12:13.687657 UTC, a Saturday.
    #[test]
    fn directives_print_as_envoys() {
        let at = UNIX_EPOCH + Duration::new(1_795_263_133, 687_657_000);
        for (format, expected) in [
            ("%Y-%m-%dT%H:%M:%S.%3fZ", "2026-11-21T12:12:13.687Z"),
            ("%s", "1795263133"),
            ("%s.%6f", "1795263133.687657"),
            ("%f", "687657000"),
            ("%1f|%2f|%3f|%4f|%9f", "6|68|687|6876|687657000"),
            ("%E3S", "13.687"),
            ("%E*S", "13.687657"),
            (
                "%a %A %b %B %c %C %d %D %e %F %g %G %h %H %I %j %k %l %m %M",
                "Sat Saturday Nov November Sat Nov 21 12:12:13 2026 20 21 11/21/26 21 2026-11-21 26 \
                 2026 Nov 12 12 325 12 12 11 12",
            ),
            (
                "%%|%q|%E|%E4Y|%ES|%E3f|%Ez|%E*z|%:z|%::z|%Od",
                "%|%q|%E|2026|%ES|687|+00:00|+00:00:00|+00:00|+00:00:00|21",
            ),
            ("plain", "plain"),
            ("%3f%3f", "687687"),
            ("%ET", "T"),
            ("%0f|%f3", "%0f|6876570003"),
            (
                "%i|%L|%N|%Q|%v|%J|%o|%K|%s%%3f",
                "%i|%L|%N|%Q|%v|%J|%o|%K|1795263133%687",
            ),
            ("%", "%"),
        ] {
            let mut out = Vec::new();
            TimeFormat::compile(format, false)
                .unwrap()
                .render(at, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
        }
    }

    #[test]
    fn a_new_line_is_refused() {
        for format in ["%n", "a%-3On", "%_n"] {
            assert!(TimeFormat::compile(format, false).is_err(), "{format}");
        }
    }
}
