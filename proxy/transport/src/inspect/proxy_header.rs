//! The PROXY protocol's header as Envoy reads it: a line of text (version 1) or a few bytes (version 2).

use super::client_hello::Reader;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with.
pub const SIGNATURE_V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const SIGNATURE_V1: &[u8; 6] = b"PROXY ";
/// Up to and with the length.
const HEADER_V2: usize = 16;
/// The longest line, its end included.
const LONGEST_V1: usize = 108;
/// As much as any header is long.
pub const LONGEST: usize = HEADER_V2 + 0xffff;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// A whole header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub version: Version,
    /// Bytes.
    pub length: usize,
    /// Source and destination; `None`: those of the socket (`UNKNOWN`, `LOCAL`).
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    pub tlvs: Vec<(u8, &'a [u8])>,
}

/// What the bytes at the start of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspection<'a> {
    /// So far it may be a header. The version, if that is known.
    NeedMore(Option<Version>),
    Found(Header<'a>),
    /// A header that is none.
    Malformed(Version),
    /// Neither signature.
    Absent,
}

/// Whether the bytes may be the beginning of a header of this version.
pub fn may_be(version: Version, bytes: &[u8]) -> bool {
    let signature: &[u8] = match version {
        Version::V1 => SIGNATURE_V1,
        Version::V2 => SIGNATURE_V2,
    };
    let common = signature.len().min(bytes.len());
    signature.get(..common) == bytes.get(..common)
}

/// Looks at the first bytes of a connection. Fewer than a header of version 2 may be either.
pub fn inspect(bytes: &[u8]) -> Inspection<'_> {
    if bytes.len() >= HEADER_V2 {
        if may_be(Version::V2, bytes) {
            return v2(bytes);
        }
        if !may_be(Version::V1, bytes) {
            return Inspection::Absent;
        }
    }
    let line = bytes.windows(2).position(|pair| pair == b"\r\n");
    match line.map(|at| at + 2) {
        // Version 2 begins with it.
        Some(2) | None if bytes.len() <= LONGEST_V1 => Inspection::NeedMore(None),
        Some(length) if length <= LONGEST_V1 => match v1(bytes.get(..length).unwrap_or_default()) {
            Some(addresses) => Inspection::Found(Header {
                version: Version::V1,
                length,
                addresses,
                tlvs: Vec::new(),
            }),
            None => Inspection::Malformed(Version::V1),
        },
        _ => Inspection::Malformed(Version::V1),
    }
}

/// `None`: those of the socket.
type Addresses = Option<(SocketAddr, SocketAddr)>;

/// `PROXY TCP4 source destination port port`; `None`: malformed.
fn v1(line: &[u8]) -> Option<Addresses> {
    let words: Vec<&[u8]> = line.trim_ascii_end().split(|b| *b == b' ').collect();
    let family = match *words.as_slice() {
        [b"PROXY", b"UNKNOWN", ..] => return Some(None),
        [b"PROXY", family, ..] => family,
        _ => return None,
    };
    let &[_, _, source, destination, source_port, destination_port] = words.as_slice() else {
        return None;
    };
    let address = |ip: &[u8], port: &[u8]| {
        let (ip, port) = (str::from_utf8(ip).ok()?, str::from_utf8(port).ok()?);
        let ip = match family {
            b"TCP4" => IpAddr::V4(ip.parse().ok()?),
            b"TCP6" => IpAddr::V6(ip.parse().ok()?),
            _ => return None,
        };
        is_unicast(ip).then_some(SocketAddr::new(ip, port.parse().ok()?))
    };
    let source = address(source, source_port)?;
    Some(Some((source, address(destination, destination_port)?)))
}

/// The signature has been seen.
fn v2(bytes: &[u8]) -> Inspection<'_> {
    let malformed = Inspection::Malformed(Version::V2);
    let mut rest = Reader(bytes.get(SIGNATURE_V2.len()..).unwrap_or_default());
    let (Some(command), Some(family), Some(length)) = (rest.u8(), rest.u8(), rest.u16()) else {
        return Inspection::NeedMore(Some(Version::V2));
    };
    let local = command & 0x0f == 0;
    let addresses = match family >> 4 {
        _ if local => 0,
        1 => 12,
        2 => 36,
        _ => return malformed,
    };
    let stream_or_datagram = matches!(family & 0x0f, 1 | 2);
    if command >> 4 != 2
        || command & 0x0f > 1
        || usize::from(length) < addresses
        || (!local && !stream_or_datagram)
    {
        return malformed;
    }
    let Some(body) = rest.take(length.into()) else {
        return Inspection::NeedMore(Some(Version::V2));
    };
    let (addresses, tlvs) = if local {
        // Nobody speaks on behalf of anybody, whatever follows.
        (None, Vec::new())
    } else {
        match proxied(body, family >> 4 == 1) {
            Some((addresses, tlvs)) => (Some(addresses), tlvs),
            None => return malformed,
        }
    };
    Inspection::Found(Header {
        version: Version::V2,
        length: HEADER_V2 + usize::from(length),
        addresses,
        tlvs,
    })
}

type Tlvs<'a> = Vec<(u8, &'a [u8])>;

fn proxied(body: &[u8], ipv4: bool) -> Option<((SocketAddr, SocketAddr), Tlvs<'_>)> {
    let mut body = Reader(body);
    let mut ip = || {
        let ip = if ipv4 {
            IpAddr::V4(Ipv4Addr::from(*body.take(4)?.first_chunk::<4>()?))
        } else {
            IpAddr::V6(Ipv6Addr::from(*body.take(16)?.first_chunk::<16>()?))
        };
        is_unicast(ip).then_some(ip)
    };
    let (source, destination) = (ip()?, ip()?);
    let source = SocketAddr::new(source, body.u16()?);
    let destination = SocketAddr::new(destination, body.u16()?);
    let mut tlvs = Vec::new();
    while !body.is_empty() {
        tlvs.push((body.u8()?, body.prefixed_u16()?));
    }
    Some(((source, destination), tlvs))
}

/// An address that a TCP connection can have.
fn is_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests;
