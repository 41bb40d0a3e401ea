//! Base64: written with padding, and read with it or without, as Envoy's `Base64::decodeWithoutPadding` does.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * place) & 0x3f) as usize);
            let letter = letter.filter(|_| place <= group.len());
            text.push(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
    text
}

/// `None` for what is none.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for &letter in group {
            bits = bits << 6 | value(letter)?;
        }
        let bytes = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            // Six bits are no byte.
            _ => return None,
        };
        bits <<= 6 * (4 - group.len() as u32);
        let [_, whole @ ..] = bits.to_be_bytes();
        let (kept, rest) = whole.split_at(bytes);
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        out.extend_from_slice(kept);
    }
    Some(out)
}

fn value(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_padding_and_without() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zg", "f"),
            ("Zm8=", "fo"),
            ("Zm8", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYmFy", "foobar"),
        ] {
            let decoded = decode(text.as_bytes());
            assert_eq!(decoded.as_deref(), Some(bytes.as_bytes()), "{text}");
            let encoded = encode(bytes.as_bytes());
            assert_eq!(encoded.trim_end_matches('='), text.trim_end_matches('='));
            assert_eq!(encoded.len() % 4, 0);
        }
        for bad in ["Z", "Zm9vY", "Zh==", "!!!!", "Zm-v"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
