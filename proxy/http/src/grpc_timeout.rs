//! `grpc-timeout`: at most eight digits and a unit, read and written as Envoy does, in whole milliseconds.

use outrigger_core::{HeaderId, HeaderMap};
use std::time::Duration;

/// The largest number that the header may hold.
const MAX: u64 = 99_999_999;

/// What a client asks for; parts of a millisecond are rounded up. `None`: nothing, or nothing that makes sense.
pub fn read(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get(HeaderId::GrpcTimeout)?.split_last()?;
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if number > MAX {
        return None;
    }
    let millis = match unit {
        b'H' => number * 3_600_000,
        b'M' => number * 60_000,
        b'S' => number * 1000,
        b'm' => number,
        b'u' => number.div_ceil(1000),
        b'n' => number.div_ceil(1_000_000),
        _ => return None,
    };
    Some(Duration::from_millis(millis))
}

/// Tells the upstream: milliseconds, or the smallest larger unit that eight digits can express.
pub fn write(headers: &mut HeaderMap, timeout: Duration) {
    let mut number = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let mut unit = 'm';
    for (larger, factor) in [('S', 1000), ('M', 60), ('H', 60)] {
        if number <= MAX {
            break;
        }
        number /= factor;
        unit = larger;
    }
    let value = format!("{}{unit}", number.min(MAX));
    headers.set(HeaderId::GrpcTimeout, value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Option<u128> {
        let mut headers = HeaderMap::new();
        headers.set(HeaderId::GrpcTimeout, value.as_bytes());
        read(&headers).map(|timeout| timeout.as_millis())
    }

    #[test]
    fn every_unit_is_read() {
        for (value, millis) in [
            ("2H", Some(7_200_000)),
            ("2M", Some(120_000)),
            ("2S", Some(2000)),
            ("2m", Some(2)),
            ("2001u", Some(3)),
            ("1n", Some(1)),
            ("0m", Some(0)),
            ("99999999H", Some(359_999_996_400_000)),
            ("100000000m", None),
            ("-1m", None),
            ("1", None),
            ("m", None),
            ("1d", None),
            ("", None),
        ] {
            assert_eq!(parsed(value), millis, "{value}");
        }
    }

    #[test]
    fn the_smallest_unit_that_fits_is_written() {
        for (millis, value) in [
            (200, &b"200m"[..]),
            (99_999_999, b"99999999m"),
            (100_000_000, b"100000S"),
            (100_000_000_000, b"1666666M"),
            (u64::MAX, b"99999999H"),
        ] {
            let mut headers = HeaderMap::new();
            write(&mut headers, Duration::from_millis(millis));
            assert_eq!(headers.get(HeaderId::GrpcTimeout), Some(value), "{millis}");
        }
    }
}
