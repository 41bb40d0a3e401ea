//! What a plain scalar is to yaml-cpp: null, a bool, an integer or a string. It never makes a float.

use crate::json::Json;

/// Words for null, where no tag says otherwise.
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// The value of a scalar that is neither null nor quoted.
pub(super) fn value(text: &str) -> Json {
    if let Some(b) = boolean(text) {
        return Json::Bool(b);
    }
    // Behind a number white space may stand, which a tagged scalar can have.
    match integer(text.trim_end_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r'])) {
        Some(number) if i32::try_from(number).is_ok() => Json::Number(number.to_string()),
        Some(number) => Json::String(number.to_string()),
        None => Json::String(text.to_owned()),
    }
}

/// yaml-cpp's words for a bool, in lower case, upper case or capitalized.
fn boolean(text: &str) -> Option<bool> {
    let tail = text.get(1..)?;
    let lower = text.bytes().all(|b| b.is_ascii_lowercase());
    let upper = text.bytes().all(|b| b.is_ascii_uppercase());
    let capitalized = text.starts_with(|c: char| c.is_ascii_uppercase())
        && tail.bytes().all(|b| b.is_ascii_lowercase());
    if !(lower || upper || capitalized) {
        return None;
    }
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// A 64-bit integer in decimal, hexadecimal (`0x1f`) or octal (`017`).
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) => (16, hex),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}
