//! A point in time broken down to a calendar date and a time of day.

use std::{
    cell::Cell,
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const DAY: i64 = 86_400;

/// The fields that a format prints. Months and days count from 1, weekdays from 0 (Sunday).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    /// Seconds since 1970 UTC.
    pub unix: i64,
    pub nanos: u32,
    /// Seconds east of UTC.
    pub offset: i32,
    /// In the zone of the process, and not in UTC.
    local: bool,
    pub year: i64,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub weekday: u32,
    /// From 1.
    pub day_of_year: u32,
}

impl Civil {
    pub fn new(time: SystemTime, local: bool) -> Self {
        let (unix, nanos) = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => (seconds(since), since.subsec_nanos()),
            // Before 1970: whole seconds downwards, so that the fraction counts forwards.
            Err(before) => match before.duration().subsec_nanos() {
                0 => (-seconds(before.duration()), 0),
                nanos => (-seconds(before.duration()) - 1, 1_000_000_000 - nanos),
            },
        };
        let offset = if local { local_offset(unix) } else { 0 };
        Self {
            local,
            ..Self::at(unix, nanos, offset)
        }
    }

    /// `UTC`, or the abbreviation of the zone of the process, such as `CEST`.
    pub fn zone_name(&self) -> String {
        jiff::Timestamp::from_second(self.unix)
            .ok()
            .filter(|_| self.local)
            .map(|at| zone().to_offset_info(at).abbreviation().to_owned())
            .unwrap_or_else(|| "UTC".to_owned())
    }

    fn at(unix: i64, nanos: u32, offset: i32) -> Self {
        let shown = unix.saturating_add(i64::from(offset));
        let days = shown.div_euclid(DAY);
        let of_day = shown.rem_euclid(DAY) as u32;
        let (year, month, day) = date(days);
        Self {
            unix,
            nanos,
            offset,
            local: false,
            year,
            month,
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            weekday: (days + 4).rem_euclid(7) as u32,
            day_of_year: day_of_year(year, month, day),
        }
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 2)
}

/// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is the last of its year; 400 years are 146 097 days.
fn date(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn day_of_year(year: i64, month: u32, day: u32) -> u32 {
    const BEFORE: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let before = BEFORE.get(month as usize - 1).copied().unwrap_or(0);
    before + day + u32::from(month > 2 && is_leap(year))
}

/// Days in a year of ISO weeks, for [`iso_week`].
fn weeks_in(year: i64) -> u32 {
    // A year has 53 weeks if it starts on a Thursday, or on a Wednesday and is a leap year.
    let first = (days_from_1970(year) + 4).rem_euclid(7);
    if first == 4 || (first == 3 && is_leap(year)) {
        53
    } else {
        52
    }
}

/// Days from 1970-01-01 to the first of January of a year.
fn days_from_1970(year: i64) -> i64 {
    let before = year - 1;
    365 * (year - 1970) + (before.div_euclid(4) - 492) - (before.div_euclid(100) - 19)
        + (before.div_euclid(400) - 4)
}

impl Civil {
    /// ISO 8601 year and week: the week belongs to the year that holds its Thursday.
    pub fn iso_week(&self) -> (i64, u32) {
        let monday_based = (self.weekday + 6) % 7 + 1;
        let week = (self.day_of_year + 10).saturating_sub(monday_based) / 7;
        match week {
            0 => (self.year - 1, weeks_in(self.year - 1)),
            53 if weeks_in(self.year) == 52 => (self.year + 1, 1),
            week => (self.year, week),
        }
    }
}

/// The zone of the process: `TZ` or `/etc/localtime`; UTC when there is none.
fn zone() -> &'static jiff::tz::TimeZone {
    static ZONE: OnceLock<jiff::tz::TimeZone> = OnceLock::new();
    ZONE.get_or_init(|| jiff::tz::TimeZone::try_system().unwrap_or(jiff::tz::TimeZone::UTC))
}

/// Seconds east of UTC. A thread remembers the last second that it asked for.
fn local_offset(unix: i64) -> i32 {
    thread_local! {
        static LAST: Cell<(i64, i32)> = const { Cell::new((i64::MIN, 0)) };
    }
    let (second, offset) = LAST.get();
    if second == unix {
        return offset;
    }
    let offset = jiff::Timestamp::from_second(unix)
        .map(|at| zone().to_offset(at).seconds())
        .unwrap_or(0);
    LAST.set((unix, offset));
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_a_calendar_library() {
        for day in (-200_000..200_000).step_by(97) {
            let civil = Civil::at(day * DAY + 3661, 0, 0);
            let expected = jiff::Timestamp::from_second(day * DAY + 3661)
                .map(|t| t.to_zoned(jiff::tz::TimeZone::UTC));
            let Ok(expected) = expected else { continue };
            let date = expected.date();
            assert_eq!(
                (civil.year, civil.month, civil.day, civil.day_of_year),
                (
                    i64::from(date.year()),
                    date.month() as u32,
                    date.day() as u32,
                    date.day_of_year() as u32
                )
            );
            assert_eq!(civil.weekday, date.weekday().to_sunday_zero_offset() as u32);
            let iso = date.iso_week_date();
            assert_eq!(
                civil.iso_week(),
                (i64::from(iso.year()), iso.week() as u32),
                "{date}"
            );
            assert_eq!((civil.hour, civil.minute, civil.second), (1, 1, 1));
        }
    }

    #[test]
    fn a_time_before_1970_counts_its_fraction_forwards() {
        let civil = Civil::new(UNIX_EPOCH - Duration::from_millis(1), false);
        assert_eq!((civil.unix, civil.nanos), (-1, 999_000_000));
        assert_eq!((civil.year, civil.second), (1969, 59));
    }

    #[test]
    fn an_offset_moves_the_date() {
        let civil = Civil::at(0, 0, -3600);
        assert_eq!(
            (civil.year, civil.month, civil.day, civil.hour),
            (1969, 12, 31, 23)
        );
    }
}
