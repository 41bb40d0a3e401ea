//! JSON values as protobuf scalars. A number may be quoted, an integer may be written as a float without a fraction.

use super::Json;

/// An integer that fits an i64.
pub(super) fn signed(value: &Json) -> Result<i64, String> {
    let text = integer_text(value)?;
    let exact = text.parse::<i64>();
    exact.or_else(|_| {
        whole(text, -9_007_199_254_740_992.0, 9_007_199_254_740_992.0).map(|n| n as i64)
    })
}

/// An integer that fits a u64.
pub(super) fn unsigned(value: &Json) -> Result<u64, String> {
    let text = integer_text(value)?;
    let exact = text.parse::<u64>();
    exact.or_else(|_| whole(text, 0.0, 18_014_398_509_481_984.0).map(|n| n as u64))
}

/// [`signed`], for the 32-bit kinds.
pub(super) fn signed32(value: &Json) -> Result<i32, String> {
    i32::try_from(signed(value)?).map_err(|_| "integer out of range".to_owned())
}

/// [`unsigned`], for the 32-bit kinds.
pub(super) fn unsigned32(value: &Json) -> Result<u32, String> {
    u32::try_from(unsigned(value)?).map_err(|_| "integer out of range".to_owned())
}

fn integer_text(value: &Json) -> Result<&str, String> {
    match value {
        Json::Number(text) => Ok(text),
        Json::String(text) if text.bytes().any(|b| b.is_ascii_whitespace()) => {
            Err("non-number characters in quoted number".to_owned())
        }
        Json::String(text) => Ok(text),
        _ => Err("expected number or string".to_owned()),
    }
}

/// An integer in the notation of a float; the limits are where a double stops being exact about integers.
fn whole(text: &str, low: f64, high: f64) -> Result<f64, String> {
    let number = float_text(text)
        .filter(|n| n.is_finite())
        .ok_or_else(|| format!("invalid number: '{text}'"))?;
    if number < low || number > high {
        return Err("JSON number out of range for int".to_owned());
    }
    if number.fract() != 0.0 {
        return Err("expected integer, but JSON number had fractional part".to_owned());
    }
    Ok(number)
}

/// A double; quoted it may also be `NaN`, `Infinity` and whatever else `strtod` takes.
pub(super) fn double(value: &Json) -> Result<f64, String> {
    let text = match value {
        Json::Number(text) | Json::String(text) => text,
        _ => return Err("expected number or string".to_owned()),
    };
    float_text(text).ok_or_else(|| "non-number characters in quoted number".to_owned())
}

/// A float; a finite number that only a double can hold is refused.
pub(super) fn float(value: &Json) -> Result<f32, String> {
    let wide = double(value)?;
    let narrow = wide as f32;
    if wide.is_finite() && !narrow.is_finite() {
        Err("float out of range".to_owned())
    } else {
        Ok(narrow)
    }
}

/// Decimal or hexadecimal, with space around it.
fn float_text(text: &str) -> Option<f64> {
    let text = text.trim_ascii();
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = match magnitude
        .strip_prefix("0x")
        .or_else(|| magnitude.strip_prefix("0X"))
    {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u64::from_str_radix(hex, 16).ok()? as f64
        }
        Some(_) => return None,
        None if magnitude.starts_with(['-', '+']) => return None,
        None => magnitude.parse().ok()?,
    };
    Some(if negative { -number } else { number })
}

/// A bool; quoted, also the other words that Abseil takes for one.
pub(super) fn boolean(value: &Json) -> Result<bool, String> {
    let word = match value {
        Json::Bool(b) => return Ok(*b),
        Json::String(text) => text.to_ascii_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "true" | "t" | "yes" | "y" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "0" => Ok(false),
        _ => Err("expected 'true' or 'false'".to_owned()),
    }
}

/// A string, never anything that only looks like one.
pub(super) fn string(value: &Json) -> Result<&str, String> {
    match value {
        Json::String(text) => Ok(text),
        other => Err(other.unexpected('"')),
    }
}

/// Bytes: base64 in either alphabet, padded or not.
pub(super) fn bytes(value: &Json) -> Result<Vec<u8>, String> {
    let corrupt = || "corrupt base64".to_owned();
    let text = string(value)?;
    let digits = match text.len() % 4 {
        0 => text
            .strip_suffix("==")
            .or_else(|| text.strip_suffix('='))
            .unwrap_or(text),
        _ => text,
    };
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6 | u32::from(base64_digit(*digit).ok_or_else(corrupt)?);
        }
        bits <<= 6 * (4 - group.len());
        let [_, high, middle, low] = bits.to_be_bytes();
        match group.len() {
            4 => out.extend([high, middle, low]),
            3 => out.extend([high, middle]),
            2 => out.push(high),
            _ => return Err(corrupt()),
        }
    }
    Ok(out)
}

fn base64_digit(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> Json {
        Json::String(text.into())
    }

    fn bare(text: &str) -> Json {
        Json::Number(text.into())
    }

    /// Measured with `port_value` of Envoy 1.40.
    #[test]
    fn integers() {
        for text in ["80", "80.0", "8e1", "+80", "080", "0x50"] {
            assert_eq!(unsigned32(&quoted(text)), Ok(80), "{text}");
        }
        for text in ["80", "80.0", "8e1"] {
            assert_eq!(unsigned32(&bare(text)), Ok(80), "{text}");
        }
        let error = |value: Json| unsigned32(&value).err().unwrap_or_default();
        assert_eq!(
            error(quoted(" 80")),
            "non-number characters in quoted number"
        );
        assert_eq!(error(quoted("")), "invalid number: ''");
        assert_eq!(
            error(bare("80.5")),
            "expected integer, but JSON number had fractional part"
        );
        assert_eq!(error(bare("-1")), "JSON number out of range for int");
        assert_eq!(error(bare("4294967376")), "integer out of range");
        assert_eq!(error(Json::Bool(true)), "expected number or string");
        assert_eq!(signed(&quoted("-9223372036854775808")), Ok(i64::MIN));
        assert_eq!(unsigned(&quoted("18446744073709551615")), Ok(u64::MAX));
    }

    #[test]
    fn floats() {
        assert_eq!(double(&quoted("0.5")), Ok(0.5));
        assert_eq!(double(&quoted(" 0.5")), Ok(0.5));
        assert_eq!(double(&quoted("-Infinity")), Ok(f64::NEG_INFINITY));
        assert_eq!(double(&quoted("inf")), Ok(f64::INFINITY));
        assert!(double(&quoted("NaN")).is_ok_and(f64::is_nan));
        assert!(double(&quoted("+-1")).is_err());
        assert!(double(&Json::Bool(true)).is_err());
        assert_eq!(float(&bare("1e39")), Err("float out of range".into()));
    }

    #[test]
    fn bools_and_strings() {
        for text in ["true", "True", "1", "yes"] {
            assert_eq!(boolean(&quoted(text)), Ok(true), "{text}");
        }
        assert_eq!(
            boolean(&bare("1")),
            Err("expected 'true' or 'false'".into())
        );
        assert_eq!(
            string(&bare("123")),
            Err("unexpected character: '1'; expected '\"'".into())
        );
        assert_eq!(
            string(&Json::Bool(true)),
            Err("unexpected character: 't'; expected '\"'".into())
        );
    }

    #[test]
    fn base64() {
        for text in ["+/8=", "-_8=", "+/8"] {
            assert_eq!(bytes(&quoted(text)), Ok(vec![0xfb, 0xff]), "{text}");
        }
        assert_eq!(bytes(&quoted("Zm9vYmE=")), Ok(b"fooba".to_vec()));
        assert_eq!(bytes(&quoted("")), Ok(vec![]));
        for text in ["A", "A=A=", "!!!!", "AAAA="] {
            assert_eq!(bytes(&quoted(text)), Err("corrupt base64".into()), "{text}");
        }
    }
}
