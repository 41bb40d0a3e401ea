//! Random (version 4) UUIDs from the thread's fast generator: they have to be unique, not secret.

/// The 36 characters of a new UUID, all ASCII.
pub(crate) fn random() -> impl Iterator<Item = char> {
    let bits = fastrand::u128(..);
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    (0..36).scan(128, move |shift, at| {
        if matches!(at, 8 | 13 | 18 | 23) {
            return Some('-');
        }
        *shift -= 4;
        let digit = (bits >> *shift) as u32 & 0xf;
        Some(char::from_digit(digit, 16).unwrap_or('0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_variant_stand_in_their_places() {
        for _ in 0..64 {
            let text: String = random().collect();
            let groups: Vec<usize> = text.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{text}");
            assert_eq!(text.chars().nth(14), Some('4'), "{text}");
            assert!(
                matches!(text.chars().nth(19), Some('8' | '9' | 'a' | 'b')),
                "{text}"
            );
        }
    }

    #[test]
    fn two_are_different() {
        assert_ne!(random().collect::<String>(), random().collect::<String>());
    }
}
