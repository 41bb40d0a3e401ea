//! Bodies through a compressor and back, however they are cut.
#![allow(clippy::unwrap_used)]

use super::*;
use envoy_api::{
    Message, Name, pack,
    pb::envoy::{
        config::core::v3::TypedExtensionConfig,
        extensions::compression::{brotli, gzip, zstd},
    },
};
use outrigger_core::stats::Store;
use proptest::prelude::*;

fn library<T: Message + Name>(message: &T) -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: "x".to_owned(),
        typed_config: Some(pack(message)),
    }
}

/// A compressor and its decompressor of each kind.
fn libraries() -> [(CompressorLibrary, DecompressorLibrary); 3] {
    let compressor = |config| CompressorLibrary::compile(&config).unwrap();
    let decompressor = |config| DecompressorLibrary::compile(&config).unwrap();
    [
        (
            compressor(library(&gzip::compressor::v3::Gzip::default())),
            decompressor(library(&gzip::decompressor::v3::Gzip::default())),
        ),
        (
            compressor(library(&brotli::compressor::v3::Brotli::default())),
            decompressor(library(&brotli::decompressor::v3::Brotli::default())),
        ),
        (
            compressor(library(&zstd::compressor::v3::Zstd::default())),
            decompressor(library(&zstd::decompressor::v3::Zstd::default())),
        ),
    ]
}

/// All that comes of one operation, with room for so much at a time.
fn run(encoder: &mut Encoder, mut input: &[u8], room: usize, operation: Operation) -> Vec<u8> {
    let mut out = Vec::new();
    let mut piece = vec![0; room];
    loop {
        let progress = encoder.encode(input, &mut piece, operation);
        input = input.get(progress.consumed..).unwrap();
        out.extend_from_slice(piece.get(..progress.written).unwrap());
        if progress.done && input.is_empty() {
            return out;
        }
    }
}

fn decode(decoder: &mut Decoder, mut input: &[u8], room: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut piece = vec![0; room];
    loop {
        let progress = decoder.decode(input, &mut piece);
        input = input.get(progress.consumed..).unwrap();
        out.extend_from_slice(piece.get(..progress.written).unwrap());
        let full = progress.written == room;
        let stuck = progress.written == 0 && progress.consumed == 0;
        if progress.done || stuck || input.is_empty() && !full {
            return out;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_body_survives(
        words in prop::collection::vec("[a-d]{0,9}", 0..200),
        cut in 1_usize..300,
        flush in any::<bool>(),
        room in 16_usize..600,
    ) {
        let body = words.concat().into_bytes();
        for (compressor, decompressor) in libraries() {
            let mut encoder = compressor.encoder();
            let mut decoder = decompressor.decoder(&Store::default(), "x.");
            let mut back = Vec::new();
            let mut sent = 0;
            for piece in body.chunks(cut) {
                let mut compressed = run(&mut encoder, piece, room, Operation::Process);
                sent += piece.len();
                if flush {
                    compressed.extend(run(&mut encoder, &[], room, Operation::Flush));
                }
                back.extend(decode(&mut decoder, &compressed, room));
                if flush {
                    prop_assert_eq!(back.len(), sent, "what is flushed has arrived");
                }
            }
            let last = run(&mut encoder, &[], room, Operation::Finish);
            back.extend(decode(&mut decoder, &last, room));
            prop_assert_eq!(&back, &body);
        }
    }

    #[test]
    fn nonsense_comes_to_an_end(body in prop::collection::vec(any::<u8>(), 0..500), room in 1_usize..50) {
        for (_, decompressor) in libraries() {
            let mut decoder = decompressor.decoder(&Store::default(), "x.");
            decode(&mut decoder, &body, room);
            decode(&mut decoder, &body, room);
            decoder.finish();
        }
    }
}

#[test]
fn tokens_are_found_in_any_case() {
    let found = |value: &str| has_token(Some(value.as_bytes()), b"no-transform");
    assert!(found("private, No-Transform"));
    assert!(!found("no-transformer"));
    assert!(!has_token(None, b"x"));
}
