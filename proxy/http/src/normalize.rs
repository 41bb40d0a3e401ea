//! Path normalization as the connection manager's `normalize_path`, `merge_slashes` and `path_with_escaped_slashes_action`.
//!
//! Policies match on the path that these functions leave behind, so they follow Envoy 1.40 byte for byte. The query is
//! never touched.

use memchr::memchr;

/// The path has no canonical form (`%00`, control bytes, bytes above 0x7e): Envoy answers 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// Splits a request target at its query: (path, rest with `?`).
pub fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    target.split_at(memchr(b'?', target).unwrap_or(target.len()))
}

/// RFC 3986 normalization in the form of Envoy's `PathUtil::canonicalPath`. `None`: already canonical.
pub fn canonical(target: &[u8]) -> Result<Option<Vec<u8>>, Invalid> {
    let (path, query) = split_query(target);
    if is_canonical(path) {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(target.len() + 8);
    let mut rest = path
        .strip_prefix(b"/")
        .or_else(|| path.strip_prefix(b"\\"))
        .unwrap_or(path);
    out.push(b'/');
    loop {
        let end = rest.iter().position(|b| matches!(b, b'/' | b'\\'));
        let segment = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        match dots(segment) {
            Dots::One => {}
            Dots::Two => pop_segment(&mut out),
            Dots::Neither => {
                push_segment(segment, &mut out)?;
                if end.is_some() {
                    out.push(b'/');
                }
            }
        }
        match end {
            Some(end) => rest = rest.get(end + 1..).unwrap_or_default(),
            None => break,
        }
    }
    out.extend_from_slice(query);
    Ok((out != target).then_some(out))
}

/// Collapses runs of `/` in the path. A path that is nothing but `//` stays as it is: so does Envoy's.
/// `None`: nothing to collapse.
pub fn merge_slashes(target: &[u8]) -> Option<Vec<u8>> {
    let (path, query) = split_query(target);
    if !path.windows(2).any(|pair| pair == b"//") || path.iter().all(|&b| b == b'/') {
        return None;
    }
    let mut out = Vec::with_capacity(target.len());
    for &byte in path {
        if byte != b'/' || out.last() != Some(&b'/') {
            out.push(byte);
        }
    }
    out.extend_from_slice(query);
    Some(out)
}

/// Turns `%2F`, `%2f` into `/` and `%5C`, `%5c` into `\` in the path. `None`: there are none.
pub fn unescape_slashes(target: &[u8]) -> Option<Vec<u8>> {
    let (path, query) = split_query(target);
    let escaped = |at: usize| match path.get(at..at + 3) {
        Some([b'%', b'2', b'F' | b'f']) => Some(b'/'),
        Some([b'%', b'5', b'C' | b'c']) => Some(b'\\'),
        _ => None,
    };
    (0..path.len()).find(|&at| escaped(at).is_some())?;
    let mut out = Vec::with_capacity(target.len());
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        match escaped(at) {
            Some(slash) => {
                out.push(slash);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out.extend_from_slice(query);
    Some(out)
}

/// Most paths: plain segments, none of which starts with a dot.
fn is_canonical(path: &[u8]) -> bool {
    let mut previous = 0;
    path.first() == Some(&b'/')
        && path.iter().all(|&byte| {
            let plain = match byte {
                b'.' => previous != b'/',
                b'%' | b'\\' => false,
                _ => is_passed(byte),
            };
            previous = byte;
            plain
        })
}

enum Dots {
    Neither,
    One,
    Two,
}

/// `.` and `..`, each dot literal or `%2e`, with or without path parameters (`..;x`). Envoy looks for parameters behind
/// literal dots alone, and then passes `%2e%2e;x` on as `..;x`, which servers that know parameters take for `..` (ADR 9).
fn dots(segment: &[u8]) -> Dots {
    let end = memchr(b';', segment).unwrap_or(segment.len());
    let mut rest = segment.get(..end).unwrap_or_default();
    let mut count = 0;
    while let Some(tail) = strip_dot(rest) {
        rest = tail;
        count += 1;
    }
    match (count, rest.is_empty()) {
        (1, true) => Dots::One,
        (2, true) => Dots::Two,
        _ => Dots::Neither,
    }
}

fn strip_dot(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// Drops the last segment of `/a/b/`; the root stays.
fn pop_segment(out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.pop();
        let slash = out.iter().rposition(|&b| b == b'/').unwrap_or(0);
        out.truncate(slash + 1);
    }
}

fn push_segment(segment: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let mut at = 0;
    // Where the last `%` stands that began no escape.
    let mut bare = None;
    while let Some(&byte) = segment.get(at) {
        match (
            byte,
            segment.get(at + 1).copied().and_then(hex),
            segment.get(at + 2).copied().and_then(hex),
        ) {
            (b'%', Some(high), Some(low)) => {
                match high * 16 + low {
                    0 => return Err(Invalid),
                    decoded if is_unreserved(decoded) => {
                        out.push(decoded);
                        keep_bare(out, bare);
                    }
                    _ => out.extend_from_slice(segment.get(at..at + 3).unwrap_or_default()),
                }
                at += 3;
                continue;
            }
            (b'%', ..) => {
                bare = Some(out.len());
                out.push(b'%');
            }
            (byte, ..) if is_passed(byte) => {
                out.push(byte);
                keep_bare(out, bare);
            }
            (byte, ..) if byte > b' ' && byte < 0x7f => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.extend([
                    b'%',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ]);
            }
            _ => return Err(Invalid),
        }
        at += 1;
    }
    Ok(())
}

/// A `%` that began no escape must not begin one by what came out of another: `%%32e` is no `%2e`, which the next server
/// would take for a dot. It is escaped itself then, `%252e`, as in Envoy.
fn keep_bare(out: &mut Vec<u8>, bare: Option<usize>) {
    if let Some(at) = bare
        && let Some([high, low]) = out.get(at + 1..)
        && hex(*high).is_some()
        && hex(*low).is_some()
    {
        out.splice(at + 1..at + 1, *b"25");
    }
}

/// Written as they come; `"<>^`{|}` are percent-encoded instead.
fn is_passed(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b'!' | b'$' | b'&'..=b',' | b':' | b';' | b'=' | b'@' | b'[' | b']'
        )
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm(path: &str) -> Result<String, Invalid> {
        canonical(path.as_bytes()).map(|p| {
            p.map_or(path.to_owned(), |p| {
                String::from_utf8_lossy(&p).into_owned()
            })
        })
    }

    /// Each pair was measured on Envoy 1.40 with `normalize_path: true`.
    #[test]
    fn paths_normalize_as_envoys_do() {
        for (path, expected) in [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/a/b/../", "/a/"),
            ("/%41%7E%2d%2e%5f", "/A~-._"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/%2E/b", "/a/b"),
            ("/a\\b\\..\\c", "/a/c"),
            ("/a?x=/../b\\c%41", "/a?x=/../b\\c%41"),
            ("/a%2fb%5Cc%20", "/a%2fb%5Cc%20"),
            ("/%zz%", "/%zz%"),
            (
                "/a|b\"c<d>e{f}g`h^i[j]k",
                "/a%7Cb%22c%3Cd%3Ee%7Bf%7Dg%60h%5Ei[j]k",
            ),
            ("/a;b/..;x/c", "/c"),
            ("/a/..;/b", "/b"),
            ("/a/.;x/b", "/a/b"),
            ("/a/%2e%2e;x/b", "/b"),
            ("/a/.%2E;/b/%2e;y", "/b/"),
            ("/%%32e%2%65/%%%32e", "/%252e%252e/%%252e"),
            ("/%%30%30/%%zz%32e/%2%/2e", "/%2500/%%zz2e/%2%/2e"),
            ("//a//b/../c", "//a//c"),
            ("/a//../b", "/a/b"),
            ("/a%0ab", "/a%0ab"),
            ("/a'()*!$&+,:;=@~b", "/a'()*!$&+,:;=@~b"),
            ("/a%c3%a9", "/a%c3%a9"),
            ("/a/...", "/a/..."),
            ("/a/..b", "/a/..b"),
            ("/a/%2e%2e%2fb", "/a/..%2fb"),
            ("/a/;../b", "/a/;../b"),
            ("/a/..%3b/b", "/a/..%3b/b"),
            ("/a/..?x", "/?x"),
            ("/a/.;/b/..;", "/a/"),
        ] {
            assert_eq!(norm(path).as_deref(), Ok(expected), "{path}");
        }
        assert_eq!(norm("/%00"), Err(Invalid));
        assert_eq!(norm("/a\u{7f}"), Err(Invalid));
    }

    #[test]
    fn slashes_merge_in_the_path_only() {
        let merged =
            |p: &str| merge_slashes(p.as_bytes()).map(|p| String::from_utf8_lossy(&p).into_owned());
        assert_eq!(merged("///a///b//?x=//").as_deref(), Some("/a/b/?x=//"));
        assert_eq!(merged("//"), None);
        assert_eq!(merged("/a/b"), None);
    }

    #[test]
    fn escaped_slashes_unescape_in_the_path_only() {
        let plain = |p: &str| {
            unescape_slashes(p.as_bytes()).map(|p| String::from_utf8_lossy(&p).into_owned())
        };
        assert_eq!(plain("/a%2fb%5Cc?x=%2f").as_deref(), Some("/a/b\\c?x=%2f"));
        assert_eq!(plain("/a%2"), None);
    }
}
