//! Between case-file text and wire bytes: how a script's characters become bytes and how bytes are shown in a report.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Named values of one side that stand for `{{name}}` in bootstraps and scripts (ports, file paths).
pub type Names = BTreeMap<String, String>;

/// Replaces `{{name}}`, `{{repeat TEXT COUNT}}` and `{{base64 TEXT}}`, where `<name>` stands for a name in turn; an unknown name is left as it stands so that it shows in the report.
pub fn expand(text: &str, names: &Names) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((inside, tail)) = after.split_once("}}") else {
            out.push_str("{{");
            rest = after;
            continue;
        };
        let made = || repeat(inside).or_else(|| base64(inside, names));
        match (names.get(inside), made()) {
            (Some(value), _) => out.push_str(value),
            (None, Some(text)) => out.push_str(&text),
            (None, None) => {
                let _ = write!(out, "{{{{{inside}}}}}");
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn repeat(inside: &str) -> Option<String> {
    let (text, count) = inside.strip_prefix("repeat ")?.rsplit_once(' ')?;
    Some(text.repeat(count.parse().ok()?))
}

fn base64(inside: &str, names: &Names) -> Option<String> {
    let mut text = inside.strip_prefix("base64 ")?.to_owned();
    for (name, value) in names {
        text = text.replace(&format!("<{name}>"), value);
    }
    Some(crate::base64::encode(&raw(&text)))
}

/// Bytes of a script: characters below U+0100 are one byte each, so that `"\xff"` in YAML is the byte 0xff.
pub fn raw(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u8::try_from(u32::from(c)) {
            Ok(byte) => out.push(byte),
            Err(_) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// An HTTP/1 message written as a YAML block: head lines end in CRLF, the blank line is added when missing, what follows
/// it is the body without the block's last newline.
pub fn message(text: &str) -> Vec<u8> {
    let (head, body) = match text.split_once("\n\n") {
        Some((head, body)) => (head, body.strip_suffix('\n').unwrap_or(body)),
        None => (text.trim_end_matches('\n'), ""),
    };
    let mut out = Vec::new();
    for line in head.split('\n') {
        out.extend(raw(line));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend(raw(body));
    out
}

/// One printable line for `bytes`; a long run keeps its beginning, its length and a checksum.
pub fn show(bytes: &[u8]) -> String {
    const SHOWN: usize = 400;
    let mut out = String::new();
    for &byte in bytes.iter().take(SHOWN) {
        match byte {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    if bytes.len() > SHOWN {
        let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, &b| {
            (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
        });
        let _ = write!(out, "... ({} bytes, checksum {sum:016x})", bytes.len());
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn placeholders_and_repeats_expand() {
        let names = Names::from([("up".to_owned(), "8080".to_owned())]);
        assert_eq!(
            expand(
                "a:{{up}} {{repeat xy 3}} {{base64 <up>\u{ff}}} {{other}}",
                &names
            ),
            "a:8080 xyxyxy ODA4MP8= {{other}}"
        );
    }

    #[test]
    fn a_message_gets_its_line_ends() {
        assert_eq!(
            message("GET / HTTP/1.1\nhost: a\n"),
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
        );
        assert_eq!(
            message("PUT / HTTP/1.1\nhost: a\n\nx\ny\n"),
            b"PUT / HTTP/1.1\r\nhost: a\r\n\r\nx\ny"
        );
    }

    #[test]
    fn high_characters_are_single_bytes() {
        assert_eq!(raw("\u{ff}\u{0}a"), [0xff, 0, b'a']);
    }
}
