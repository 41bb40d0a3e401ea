//! The first flight of a TLS client, as BoringSSL reads it: records, the handshake message in them, the ClientHello.
//!
//! Nothing is negotiated here, and nothing is believed: whoever terminates TLS reads it again.

use super::mistake::Mistake;
use std::borrow::Cow;

const HEADER: usize = 5;
/// The longest record, with what encryption may add.
const LONGEST_RECORD: usize = 16384 + 320;
/// The longest handshake message of a peer that has not been authenticated.
const LONGEST_MESSAGE: usize = 16384;
const LONGEST_V2: usize = 4096;
/// Empty records in a row.
const MOST_EMPTY: u32 = 32;
const MOST_WARNINGS: u32 = 4;
const LONGEST_NAME: usize = 255;

/// What the bytes are, and how many of them were needed to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// So far it may be TLS.
    NeedMore,
    Hello(Box<ClientHello>, usize),
    /// No ClientHello, for this reason.
    Not(Mistake, usize),
    /// The client says goodbye before it has said anything.
    CloseNotify(usize),
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// `legacy_version`.
    pub version: u16,
    pub ciphers: Vec<u16>,
    /// Types and contents, in their order.
    pub extensions: Vec<(u16, Box<[u8]>)>,
    /// As the client wrote it.
    pub server_name: Option<Box<[u8]>>,
    /// Empty if there are none, or if they cannot be read: the real handshake will say so.
    pub alpn: Vec<Box<[u8]>>,
}

/// Looks at the first bytes of a connection.
pub fn inspect(bytes: &[u8]) -> Inspection {
    let Some(start) = bytes.first_chunk::<HEADER>() else {
        return Inspection::NeedMore;
    };
    for method in [b"GET ".as_slice(), b"POST ", b"HEAD ", b"PUT "] {
        if start.starts_with(method) {
            return Inspection::Not(Mistake::HttpRequest, HEADER);
        }
    }
    if start == b"CONNE" {
        return Inspection::Not(Mistake::HttpsProxyRequest, HEADER);
    }
    if let [high @ 0x80..=0xff, low, 1, 3, _] = *start {
        return v2(bytes, usize::from(u16::from_be_bytes([high & 0x7f, low])));
    }
    match message(bytes) {
        Ok(Some((message, used))) => match message.split_first_chunk::<4>() {
            Some(([1, ..], body)) => finish(parse(body), used),
            _ => Inspection::Not(Mistake::UnexpectedMessage, used),
        },
        Ok(None) => Inspection::NeedMore,
        Err(Stop::Mistake(mistake, used)) => Inspection::Not(mistake, used),
        Err(Stop::CloseNotify(used)) => Inspection::CloseNotify(used),
    }
}

fn finish(hello: Result<ClientHello, Mistake>, used: usize) -> Inspection {
    match hello {
        Ok(hello) => Inspection::Hello(Box::new(hello), used),
        Err(mistake) => Inspection::Not(mistake, used),
    }
}

enum Stop {
    Mistake(Mistake, usize),
    CloseNotify(usize),
}

/// A handshake message, and where its last record ends.
type Message<'a> = (Cow<'a, [u8]>, usize);

/// The first handshake message with its header, once all of it is there.
fn message(bytes: &[u8]) -> Result<Option<Message<'_>>, Stop> {
    let (mut message, mut at) = (Cow::Borrowed(&[][..]), 0);
    let (mut empty, mut warnings) = (0, 0);
    while let Some((kind, record)) = record(bytes, at)? {
        at += HEADER + record.len();
        let mistake = |mistake| Err(Stop::Mistake(mistake, at));
        empty = if record.is_empty() { empty + 1 } else { 0 };
        if empty > MOST_EMPTY {
            return mistake(Mistake::TooManyEmptyFragments);
        }
        match (kind, record) {
            (22, _) => warnings = 0,
            (21, [1, 0]) => return Err(Stop::CloseNotify(at)),
            (21, [1, _]) => {
                warnings += 1;
                if warnings > MOST_WARNINGS {
                    return mistake(Mistake::TooManyWarningAlerts);
                }
                continue;
            }
            (21, [2, alert]) => return mistake(Mistake::Alert(*alert)),
            (21, [_, _]) => return mistake(Mistake::UnknownAlertType),
            (21, _) => return mistake(Mistake::BadAlert),
            _ => return mistake(Mistake::UnexpectedRecord),
        }
        if message.is_empty() {
            message = Cow::Borrowed(record);
        } else {
            message.to_mut().extend_from_slice(record);
        }
        if let Some(&[_, a, b, c]) = message.first_chunk() {
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if length > LONGEST_MESSAGE {
                return mistake(Mistake::ExcessiveMessageSize);
            }
            let whole = 4 + length;
            if message.len() >= whole {
                let message = match message {
                    Cow::Borrowed(message) => message.get(..whole).map(Cow::Borrowed),
                    Cow::Owned(mut message) => {
                        message.truncate(whole);
                        Some(Cow::Owned(message))
                    }
                };
                return Ok(message.map(|message| (message, at)));
            }
        }
    }
    Ok(None)
}

/// The type and content of the record that begins there, once all of it is there.
fn record(bytes: &[u8], at: usize) -> Result<Option<(u8, &[u8])>, Stop> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some((&[kind, major, _, high, low], rest)) = rest.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let mistake = |mistake, used| Err(Stop::Mistake(mistake, used));
    if major != 3 {
        return mistake(Mistake::WrongVersionNumber, at + HEADER);
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_RECORD {
        return mistake(Mistake::EncryptedLengthTooLong, at + HEADER);
    }
    match rest.get(..length) {
        Some(_) if length > 16384 => mistake(Mistake::DataLengthTooLong, at + HEADER + length),
        Some(record) => Ok(Some((kind, record))),
        None => Ok(None),
    }
}

/// A ClientHello in the form of SSL 2.0, as some clients of TLS 1.0 sent it.
fn v2(bytes: &[u8], length: usize) -> Inspection {
    if length > LONGEST_V2 {
        return Inspection::Not(Mistake::RecordTooLarge, HEADER);
    }
    if length < HEADER - 2 {
        return Inspection::Not(Mistake::RecordLengthMismatch, HEADER);
    }
    let whole = 2 + length;
    match bytes.get(2..whole) {
        None => Inspection::NeedMore,
        Some(body) => finish(parse_v2(body).unwrap_or(Err(Mistake::DecodeError)), whole),
    }
}

fn parse_v2(body: &[u8]) -> Option<Result<ClientHello, Mistake>> {
    let mut body = Reader(body);
    body.u8()?;
    let version = body.u16()?;
    let (ciphers, session, challenge) = (body.u16()?, body.u16()?, body.u16()?);
    let specs = body.take(ciphers.into())?;
    body.take(session.into())?;
    body.take(challenge.into())?;
    let specs = specs.chunks_exact(3);
    if !body.is_empty() || !specs.remainder().is_empty() {
        return None;
    }
    // Those that begin otherwise are ciphers of SSL 2.0.
    let ciphers: Vec<u16> = specs
        .filter_map(|spec| match *spec {
            [0, high, low] => Some(u16::from_be_bytes([high, low])),
            _ => None,
        })
        .collect();
    if ciphers.is_empty() {
        return Some(Err(Mistake::ClientHelloParseFailed));
    }
    Some(Ok(ClientHello {
        version,
        ciphers,
        ..ClientHello::default()
    }))
}

fn parse(body: &[u8]) -> Result<ClientHello, Mistake> {
    let mut hello = fields(body).ok_or(Mistake::ClientHelloParseFailed)?;
    if let Some(content) = hello.extension(SERVER_NAME) {
        let name = server_name(content).ok_or(Mistake::ErrorParsingExtension)?;
        hello.server_name = Some(name.into());
    }
    let alpn = hello.extension(ALPN).and_then(protocols);
    hello.alpn = alpn.unwrap_or_default();
    Ok(hello)
}

/// `server_name`.
pub const SERVER_NAME: u16 = 0;
/// `application_layer_protocol_negotiation`.
pub const ALPN: u16 = 16;

fn fields(body: &[u8]) -> Option<ClientHello> {
    let mut body = Reader(body);
    let version = body.u16()?;
    body.take(32)?;
    let session = body.prefixed_u8()?;
    let ciphers = body.prefixed_u16()?;
    let compression = body.prefixed_u8()?;
    let ciphers = ciphers.chunks_exact(2);
    if session.len() > 32
        || compression.is_empty()
        || ciphers.len() == 0
        || !ciphers.remainder().is_empty()
    {
        return None;
    }
    let mut hello = ClientHello {
        version,
        ciphers: ciphers
            .filter_map(|c| Some(u16::from_be_bytes(*c.first_chunk()?)))
            .collect(),
        ..ClientHello::default()
    };
    if body.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(body.prefixed_u16()?);
    if !body.is_empty() {
        return None;
    }
    while !extensions.is_empty() {
        let (kind, content) = (extensions.u16()?, extensions.prefixed_u16()?);
        hello.extensions.push((kind, content.into()));
    }
    let mut kinds: Vec<u16> = hello.extensions.iter().map(|(kind, _)| *kind).collect();
    kinds.sort_unstable();
    let unique = kinds.windows(2).all(|pair| pair.first() != pair.last());
    unique.then_some(hello)
}

impl ClientHello {
    /// The content of an extension.
    pub fn extension(&self, kind: u16) -> Option<&[u8]> {
        let found = self.extensions.iter().find(|(k, _)| *k == kind);
        found.map(|(_, content)| &**content)
    }
}

fn server_name(content: &[u8]) -> Option<&[u8]> {
    let mut content = Reader(content);
    let mut list = Reader(content.prefixed_u16()?);
    let (kind, name) = (list.u8()?, list.prefixed_u16()?);
    let sound = content.is_empty()
        && list.is_empty()
        && kind == 0
        && !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.contains(&0);
    sound.then_some(name)
}

fn protocols(content: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let mut content = Reader(content);
    let mut list = Reader(content.prefixed_u16()?);
    if !content.is_empty() || list.0.len() < 2 {
        return None;
    }
    let mut protocols = Vec::new();
    while !list.is_empty() {
        match list.prefixed_u8()? {
            [] => return None,
            protocol => protocols.push(protocol.into()),
        }
    }
    Some(protocols)
}

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|b| u16::from_be_bytes(*b))
    }

    pub fn prefixed_u8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    pub fn prefixed_u16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests;
