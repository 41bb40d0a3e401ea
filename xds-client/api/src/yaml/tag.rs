//! Tags as yaml-cpp scans and translates them. Of all of them only two matter to Envoy: none, and `!`.

use std::collections::HashMap;

use super::cursor::{Cursor, Fault};

/// A tag as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// `!<tag>`
    Verbatim(String),
    /// `!`
    NonSpecific,
    /// `!tag`
    Primary(String),
    /// `!handle!tag`, and `!!tag` with an empty handle.
    Named(String, String),
}

impl Tag {
    /// The whole tag, with the prefix that a directive has given its handle.
    pub(super) fn translate(self, prefixes: &HashMap<String, String>) -> String {
        let prefix = |handle: &str| match prefixes.get(handle) {
            Some(prefix) => prefix.clone(),
            None if handle == "!!" => "tag:yaml.org,2002:".to_owned(),
            None => handle.to_owned(),
        };
        match self {
            Self::Verbatim(tag) => tag,
            Self::NonSpecific => "!".to_owned(),
            Self::Primary(tag) => prefix("!") + &tag,
            Self::Named(handle, tag) => prefix(&format!("!{handle}!")) + &tag,
        }
    }
}

/// Reads a tag from behind its first `!`.
pub(super) fn scan(input: &mut Cursor<'_>) -> Result<Tag, Fault> {
    if input.is(b'<') {
        return verbatim(input).map(Tag::Verbatim);
    }
    let mut handle = String::new();
    let mut word = true;
    while let Some(next) = input.peek() {
        if next == b'!' {
            if word {
                break;
            }
            return input.fault("illegal character found while scanning tag handle");
        }
        word = word && word_byte(next);
        if take(input, TAG_MARKS, &mut handle).is_none() {
            break;
        }
    }
    if !(word && input.is(b'!')) {
        return Ok(if handle.is_empty() {
            Tag::NonSpecific
        } else {
            Tag::Primary(handle)
        });
    }
    input.take();
    let mut suffix = String::new();
    while take(input, TAG_MARKS, &mut suffix).is_some() {}
    if suffix.is_empty() {
        return input.fault("tag handle with no suffix");
    }
    Ok(Tag::Named(handle, suffix))
}

fn verbatim(input: &mut Cursor<'_>) -> Result<String, Fault> {
    input.take();
    let mut tag = String::new();
    loop {
        if input.is(b'>') {
            input.take();
            return Ok(tag);
        }
        if take(input, URI_MARKS, &mut tag).is_none() {
            return input.fault("end of verbatim tag not found");
        }
    }
}

/// What a tag may hold beside letters, digits and dashes.
const TAG_MARKS: &[u8] = b"#;/?:@&=+$_.~*'()";
/// What a verbatim tag may hold beside letters, digits and dashes.
const URI_MARKS: &[u8] = b"#;/?:@&=+$,_.!~*'()[]";

fn word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// Moves a character of a tag, or an escaped byte (`%41`), into `tag`.
fn take(input: &mut Cursor<'_>, marks: &[u8], tag: &mut String) -> Option<()> {
    let hexadecimal = |ahead| {
        let byte = input.peek_at(ahead);
        byte.is_some_and(|byte| byte.is_ascii_hexdigit())
    };
    let bytes = match input.peek()? {
        b'%' if hexadecimal(1) && hexadecimal(2) => 3,
        byte if word_byte(byte) || marks.contains(&byte) => 1,
        _ => return None,
    };
    for _ in 0..bytes {
        tag.push(char::from(input.take()?));
    }
    Some(())
}
