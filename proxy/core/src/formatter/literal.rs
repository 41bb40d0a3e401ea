//! Text that stands in a format as it is: mostly a few bytes between two operators.

/// Bytes that are copied as one, whatever their number.
const SHORT: usize = 16;

/// Text of any length; a short one is appended without a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// So many of these bytes.
    Short([u8; SHORT], u8),
    Long(Box<[u8]>),
}

impl Literal {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..text.len()) {
            Some(start) => {
                start.copy_from_slice(text);
                Self::Short(bytes, text.len() as u8)
            }
            None => Self::Long(text.into()),
        }
    }

    #[inline]
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Short(bytes, length) => {
                let end = out.len() + usize::from(*length);
                out.extend_from_slice(bytes);
                out.truncate(end);
            }
            Self::Long(text) => out.extend_from_slice(text),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, length) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_length_is_put_behind_what_is_there() {
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 100] {
            let text = vec![b'x'; length];
            let literal = Literal::new(&text);
            assert_eq!(literal.as_bytes(), text);
            let mut out = b"a".to_vec();
            literal.put(&mut out);
            assert_eq!(out, [b"a", &text[..]].concat());
        }
    }
}
