//! Bodies of every framing: the same bytes and the same end in one piece as in many.

use crate::support::{choice, settings};
use bytes::BytesMut;
use outrigger_core::HeaderMap;
use outrigger_http::codec::h1::{BodyDecoder, Decoded, Framing};

/// How a body ended, as far as it came.
#[derive(Debug, PartialEq)]
enum End {
    Whole,
    Trailers(usize),
    Open,
    Failed,
}

pub fn run(data: &[u8]) {
    let (first, data) = choice(data);
    let (step, data) = choice(data);
    let framing = match step % 4 {
        0 | 1 => Framing::Chunked,
        2 => Framing::Length(u64::from(first)),
        _ => Framing::UntilClose,
    };
    let settings = settings(first & !1);
    let whole = decode(BodyDecoder::new(framing, &settings), [data]);
    let pieces = data.chunks(usize::from(step / 4).max(1));
    let pieces = decode(BodyDecoder::new(framing, &settings), pieces);
    assert_eq!(whole, pieces);
    assert!(whole.0.len() <= data.len());
}

fn decode<'a>(
    mut body: BodyDecoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, End, usize) {
    let (mut buf, mut out, mut trailers) = (BytesMut::new(), Vec::new(), HeaderMap::new());
    let mut pieces = pieces.into_iter();
    let end = loop {
        match body.decode(&mut buf, &mut trailers) {
            Ok(Decoded::Data(data)) => {
                assert!(!data.is_empty());
                out.extend_from_slice(&data);
            }
            Ok(Decoded::NeedMore) => match pieces.next() {
                Some(piece) => buf.extend_from_slice(piece),
                None => break End::Open,
            },
            Ok(Decoded::Trailers) => break End::Trailers(trailers.len()),
            Ok(Decoded::End) => break End::Whole,
            Err(_) => break End::Failed,
        }
    };
    // What follows the body belongs to the next message.
    let over = matches!(end, End::Whole | End::Trailers(_));
    let left = buf.len() + pieces.map(<[u8]>::len).sum::<usize>();
    (out, end, if over { left } else { 0 })
}
