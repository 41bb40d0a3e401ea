//! Bodies between gRPC-Web and gRPC: base64 and the message that stands for trailers.

use crate::{
    filter::grpc::{FrameCounter, Seen},
    local_reply::LocalReply,
};
use bytes::Bytes;
use outrigger_core::{HeaderId, HeaderMap};
use outrigger_upstream::stats::CallStats;
use std::sync::Arc;

/// In the flags of a frame: it holds trailers.
const TRAILERS: u8 = 0b1000_0000;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A request that comes in base64, with its padding.
#[derive(Debug, Default)]
pub struct FromText {
    /// Less than four characters that wait for the rest.
    waiting: Vec<u8>,
}

impl FromText {
    /// What the next characters stand for. Padding may stand at their end alone.
    pub fn decode(&mut self, text: &[u8]) -> Result<Bytes, Box<LocalReply>> {
        self.waiting.extend_from_slice(text);
        let whole = self.waiting.len() / 4 * 4;
        let rest = self.waiting.split_off(whole);
        let text = std::mem::replace(&mut self.waiting, rest);
        decode(&text)
            .map(Bytes::from)
            .ok_or_else(|| refusal("grpc_base_64_decode_failed"))
    }

    /// The request is over.
    pub fn finish(&self) -> Result<(), Box<LocalReply>> {
        match self.waiting.is_empty() {
            true => Ok(()),
            false => Err(refusal("grpc_base_64_decode_failed_bad_size")),
        }
    }
}

fn refusal(details: &'static str) -> Box<LocalReply> {
    let body = "Bad gRPC-web request, invalid base64 data.";
    Box::new(LocalReply::new(400, body, details))
}

/// Strict base64 of whole groups.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut groups = text.chunks_exact(4).peekable();
    while let Some(group) = groups.next() {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if padding > 2 || padding > 0 && groups.peek().is_some() {
            return None;
        }
        let mut bits = 0_u32;
        for byte in group {
            let value = match byte {
                b'=' => 0,
                byte => ALPHABET.iter().position(|known| known == byte)?,
            };
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        if group.get(..4 - padding)?.contains(&b'=') || bits & ((1 << (8 * padding)) - 1) != 0 {
            return None;
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        out.extend_from_slice(bytes.get(..3 - padding)?);
    }
    Some(out)
}

/// A gRPC response on its way to a client of gRPC-Web.
#[derive(Debug)]
pub struct ToWeb {
    text: bool,
    frames: FrameCounter,
    /// Less than three bytes of the present frame that wait for the rest.
    waiting: Vec<u8>,
    stats: Option<Arc<CallStats>>,
}

impl ToWeb {
    pub(super) fn new(text: bool, stats: Option<Arc<CallStats>>) -> Self {
        Self {
            text,
            frames: FrameCounter::default(),
            waiting: Vec::new(),
            stats,
        }
    }

    /// As it is, or with each message in base64 of its own.
    pub fn encode(&mut self, data: Bytes) -> Bytes {
        if !self.text {
            return data;
        }
        let mut out = Vec::with_capacity(data.len() / 3 * 4 + 8);
        let waiting = &mut self.waiting;
        self.frames.inspect(&data, |seen| match seen {
            Seen::Flags(byte) | Seen::Length(byte) => waiting.push(byte),
            Seen::Payload(payload) => waiting.extend_from_slice(payload),
            Seen::End => {
                encode(waiting, &mut out);
                waiting.clear();
            }
        });
        let whole = waiting.len() / 3 * 3;
        let rest = waiting.split_off(whole);
        encode(waiting, &mut out);
        *waiting = rest;
        out.into()
    }

    /// Takes the trailers away and makes a message of them.
    pub fn finish(&mut self, trailers: &mut HeaderMap) -> Bytes {
        if let (Some(stats), Some(status)) = (&self.stats, trailers.get(HeaderId::GrpcStatus)) {
            stats.record_status(status);
        }
        let mut lines = Vec::new();
        for (name, value) in trailers.iter() {
            for part in [name, b":", value, b"\r\n"] {
                lines.extend_from_slice(part);
            }
        }
        trailers.clear();
        let mut frame = vec![TRAILERS];
        frame.extend_from_slice(&u32::try_from(lines.len()).unwrap_or(u32::MAX).to_be_bytes());
        frame.append(&mut lines);
        if !self.text {
            return frame.into();
        }
        let mut out = Vec::new();
        encode(&self.waiting, &mut out);
        encode(&frame, &mut out);
        out.into()
    }
}

/// Base64 with padding.
fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        for (to, from) in padded.iter_mut().skip(1).zip(group) {
            *to = *from;
        }
        let bits = u32::from_be_bytes(padded);
        for at in 0..4 {
            let value = bits >> (18 - 6 * at) & 63;
            out.push(match ALPHABET.get(value as usize) {
                Some(character) if at <= group.len() => *character,
                _ => b'=',
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_can_be_decoded(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut text = Vec::new();
            encode(&bytes, &mut text);
            prop_assert_eq!(text.len() % 4, 0);
            prop_assert_eq!(decode(&text), Some(bytes));
        }

        #[test]
        fn messages_are_encoded_alike_however_they_come(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..5),
            cut in 1_usize..9,
        ) {
            let (mut body, mut expected) = (Vec::new(), Vec::new());
            for message in &messages {
                let mut frame = vec![0];
                frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
                frame.extend_from_slice(message);
                encode(&frame, &mut expected);
                body.append(&mut frame);
            }
            let mut web = ToWeb::new(true, None);
            let mut text = Vec::new();
            for piece in body.chunks(cut) {
                text.extend_from_slice(&web.encode(Bytes::copy_from_slice(piece)));
            }
            prop_assert_eq!(text, expected);
        }
    }

    #[test]
    fn text_must_be_whole_and_padded() {
        let decoded = |pieces: &[&str]| {
            let mut body = FromText::default();
            let mut out = Vec::new();
            for piece in pieces {
                let piece = body.decode(piece.as_bytes()).map_err(|r| r.details)?;
                out.extend_from_slice(&piece);
            }
            body.finish().map_err(|reply| reply.details)?;
            Ok::<_, std::borrow::Cow<'static, str>>(String::from_utf8(out).unwrap())
        };
        assert_eq!(decoded(&["aGVsbG8="]).unwrap(), "hello");
        assert_eq!(decoded(&["aG", "VsbG", "8="]).unwrap(), "hello");
        assert_eq!(decoded(&["aGk=", "aGk="]).unwrap(), "hihi");
        for (text, details) in [
            ("aGk=aGk=", "grpc_base_64_decode_failed"),
            ("a*Vs", "grpc_base_64_decode_failed"),
            ("a=Vs", "grpc_base_64_decode_failed"),
            ("aGVs=", "grpc_base_64_decode_failed_bad_size"),
            ("aG", "grpc_base_64_decode_failed_bad_size"),
        ] {
            assert_eq!(decoded(&[text]).unwrap_err(), details, "{text}");
        }
    }
}
