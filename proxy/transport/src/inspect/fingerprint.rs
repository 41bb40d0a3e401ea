//! JA3 and JA4: what a ClientHello says of the program that sent it, as Envoy computes them.

use super::{
    client_hello::{ALPN, ClientHello, Reader, SERVER_NAME},
    digest,
};
use std::fmt::Write;

const SUPPORTED_GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const SUPPORTED_VERSIONS: u16 = 43;
/// Of a JA4 hash.
const HASH_BYTES: usize = 6;

/// Values that clients send so that nobody gets used to a fixed list (RFC 8701).
fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// The hash of version, ciphers, extensions, groups and point formats. GREASE stays among the groups, as in Envoy.
pub fn ja3(hello: &ClientHello) -> String {
    let groups = hello.extension(SUPPORTED_GROUPS).map(list_of_u16);
    let formats = hello.extension(POINT_FORMATS).unwrap_or_default();
    let formats = formats.iter().skip(1).copied().map(u16::from);
    let text = format!(
        "{},{},{},{},{}",
        hello.version,
        dashed(without_grease(hello.ciphers.iter().copied())),
        dashed(without_grease(
            hello.extensions.iter().map(|(kind, _)| *kind)
        )),
        dashed(groups.unwrap_or_default()),
        dashed(formats),
    );
    digest::md5(text.as_bytes())
}

/// `t13d1516h2_8daaf6152771_e5627efa2ab1`: what can be read, the hash of the ciphers, the hash of the extensions.
pub fn ja4(hello: &ClientHello) -> String {
    let ciphers: Vec<u16> = without_grease(hello.ciphers.iter().copied()).collect();
    let kinds: Vec<u16> = without_grease(hello.extensions.iter().map(|(kind, _)| *kind)).collect();
    let named = match hello.extension(SERVER_NAME) {
        Some(_) => 'd',
        None => 'i',
    };
    format!(
        "t{}{named}{:02}{:02}{}_{}_{}",
        version(hello),
        ciphers.len().min(99),
        kinds.len().min(99),
        alpn(hello),
        hashed(ciphers, &[]),
        extensions(hello, kinds),
    )
}

fn version(hello: &ClientHello) -> &'static str {
    let highest = match hello.extension(SUPPORTED_VERSIONS) {
        Some(content) => match Reader(content).prefixed_u8() {
            None => return "00",
            Some(list) => without_grease(pairs(list)).max(),
        },
        None => None,
    };
    match highest
        .filter(|highest| *highest != 0)
        .unwrap_or(hello.version)
    {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        _ => "00",
    }
}

/// The first and the last character of the first protocol.
fn alpn(hello: &ClientHello) -> String {
    let first = || {
        let mut content = Reader(hello.extension(ALPN)?);
        content.u16()?;
        let protocol = content.prefixed_u8()?;
        Some((*protocol.first()?, *protocol.last()?))
    };
    match first() {
        None => "00".to_owned(),
        Some((a, b)) if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric() => {
            [a, b].map(char::from).iter().collect()
        }
        // The outer halves of them.
        Some((a, b)) => format!("{:x}{:x}", a >> 4, b & 0x0f),
    }
}

fn extensions(hello: &ClientHello, mut kinds: Vec<u16>) -> String {
    kinds.retain(|kind| ![SERVER_NAME, ALPN].contains(kind));
    let signatures = hello.extension(SIGNATURE_ALGORITHMS).map(list_of_u16);
    hashed(kinds, &signatures.unwrap_or_default())
}

/// The hash of the sorted values and of what follows them; zeros if there are no values.
fn hashed(mut values: Vec<u16>, unsorted: &[u16]) -> String {
    if values.is_empty() {
        return "0".repeat(2 * HASH_BYTES);
    }
    values.sort_unstable();
    let mut text = String::new();
    let sorted = values
        .iter()
        .enumerate()
        .map(|(i, value)| (if i > 0 { "," } else { "" }, value));
    let rest = unsorted.iter().enumerate();
    let rest = rest.map(|(i, value)| (if i > 0 { "," } else { "_" }, value));
    for (separator, value) in sorted.chain(rest) {
        // A String takes whatever is written.
        let _ = write!(text, "{separator}{value:04x}");
    }
    digest::sha256(text.as_bytes(), HASH_BYTES)
}

/// A list behind its length, which nobody checks.
fn list_of_u16(content: &[u8]) -> Vec<u16> {
    pairs(content.get(2..).unwrap_or_default()).collect()
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = u16> {
    let pairs = bytes.chunks_exact(2);
    pairs.filter_map(|pair| Some(u16::from_be_bytes(*pair.first_chunk()?)))
}

fn without_grease(values: impl Iterator<Item = u16>) -> impl Iterator<Item = u16> {
    values.filter(|value| !is_grease(*value))
}

fn dashed(values: impl IntoIterator<Item = u16>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    texts.join("-")
}
