//! JSON text as Envoy writes it: strings, numbers and `google.protobuf.Value`s, appended to a byte buffer.

use prost_types::{Struct, Value, value::Kind};
use std::io::Write;

/// Appends what `put` appends as a JSON string. The text is escaped in place, so that nothing is allocated when there is
/// nothing to escape.
pub(super) fn string_of(
    out: &mut Vec<u8>,
    put: impl FnOnce(&mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    let start = out.len();
    out.push(b'"');
    if put(out).is_none() {
        out.truncate(start);
        return None;
    }
    escape_from(out, start + 1);
    out.push(b'"');
    Some(())
}

/// Appends a JSON string.
pub(super) fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.extend_from_slice(text);
    escape_from(out, start);
    out.push(b'"');
}

/// Escapes what stands in the buffer from `start` on.
fn escape_from(out: &mut Vec<u8>, start: usize) {
    let text = out.get(start..).unwrap_or_default();
    if !text.iter().any(|b| needs_care(*b)) {
        return;
    }
    let text = text.to_vec();
    out.truncate(start);
    if std::str::from_utf8(&text).is_ok() {
        for byte in text {
            put_escaped(out, byte);
        }
    } else {
        // Bytes that are no UTF-8 are code points of Latin-1, and then every unusual byte is written as one.
        for byte in text {
            if needs_care(byte) {
                put_code_point(out, byte);
            } else {
                out.push(byte);
            }
        }
    }
}

fn needs_care(byte: u8) -> bool {
    !(0x20..0x7f).contains(&byte) || byte == b'"' || byte == b'\\'
}

fn put_escaped(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0..0x20 => return put_code_point(out, byte),
        _ => return out.push(byte),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn put_code_point(out: &mut Vec<u8>, byte: u8) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "\\u{byte:04x}");
}

/// Appends a value; `false` (and nothing appended) for a null or an unset one.
pub(super) fn put_value(out: &mut Vec<u8>, value: &Value) -> bool {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => return false,
        Some(Kind::BoolValue(true)) => out.extend_from_slice(b"true"),
        Some(Kind::BoolValue(false)) => out.extend_from_slice(b"false"),
        Some(Kind::NumberValue(number)) => put_double(out, *number),
        Some(Kind::StringValue(text)) => put_string(out, text.as_bytes()),
        Some(Kind::StructValue(fields)) => put_struct(out, fields),
        Some(Kind::ListValue(list)) => {
            out.push(b'[');
            for (i, value) in list.values.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                put_value_or_null(out, value);
            }
            out.push(b']');
        }
    }
    true
}

/// Appends an object, its keys sorted.
pub(super) fn put_struct(out: &mut Vec<u8>, fields: &Struct) {
    out.push(b'{');
    for (i, (key, value)) in fields.fields.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        put_string(out, key.as_bytes());
        out.push(b':');
        put_value_or_null(out, value);
    }
    out.push(b'}');
}

fn put_value_or_null(out: &mut Vec<u8>, value: &Value) {
    if !put_value(out, value) {
        out.extend_from_slice(b"null");
    }
}

/// Appends a number in the fewest digits that give it back, as C++'s `to_chars`: plain or with an exponent, whichever is
/// shorter, plain when equal. What JSON cannot write is null.
pub(super) fn put_double(out: &mut Vec<u8>, number: f64) {
    if !number.is_finite() {
        out.extend_from_slice(b"null");
        return;
    }
    let start = out.len();
    // Writing to a vector cannot fail.
    let _ = write!(out, "{number}");
    let plain = out.len() - start;
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return;
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    if mantissa.len() + 2 + digits.len().max(2) < plain {
        out.truncate(start);
        let _ = write!(out, "{mantissa}e{sign}{digits:0>2}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(number: f64) -> String {
        let mut out = Vec::new();
        put_double(&mut out, number);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn doubles_are_as_short_as_can_be() {
        for (number, text) in [
            (0.0, "0"),
            (3.0, "3"),
            (1.5, "1.5"),
            (-2.25, "-2.25"),
            (1e30, "1e+30"),
            (1_000.0, "1000"),
            (100_000.0, "1e+05"),
            (123_456_789_012_345_678.0, "123456789012345680"),
            (0.00001, "1e-05"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(double(number), text);
        }
    }

    #[test]
    fn strings_are_escaped_as_envoy_escapes_them() {
        let mut out = Vec::new();
        put_string(&mut out, b"u\"p\\\n\x01");
        assert_eq!(out, br#""u\"p\\\n\u0001""#);
        out.clear();
        put_string(&mut out, b"a\xffb\"\t\x80c");
        assert_eq!(out, br#""a\u00ffb\u0022\u0009\u0080c""#);
        out.clear();
        put_string(&mut out, "é".as_bytes());
        assert_eq!(out, "\"é\"".as_bytes());
    }
}
