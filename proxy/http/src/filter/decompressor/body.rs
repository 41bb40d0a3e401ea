//! A body on its way through a decompressor.

use super::DirectionStats;
use crate::filter::compression::{Decoder, DecompressorLibrary};
use bytes::{Buf, Bytes};
use outrigger_core::{HeaderMap, HeaderName};
use std::sync::Arc;

/// The transform.
#[derive(Debug)]
pub struct Decompress {
    decoder: Decoder,
    /// Of the piece that is being worked on.
    input: Bytes,
    taken: usize,
    given: usize,
    max_ratio: Option<usize>,
    /// Room for one piece of output.
    output: Box<[u8]>,
    /// The output was full: more may come without input.
    full: bool,
    /// Of the whole body.
    compressed: u64,
    uncompressed: u64,
    stats: Arc<DirectionStats>,
    trailers: Arc<Trailers>,
}

/// In which trailers the sizes are told.
#[derive(Debug)]
pub(super) struct Trailers {
    pub compressed: HeaderName,
    pub uncompressed: HeaderName,
}

impl Decompress {
    pub(super) fn new(
        library: &DecompressorLibrary,
        decoder: Decoder,
        stats: Arc<DirectionStats>,
        trailers: Arc<Trailers>,
    ) -> Self {
        Self {
            decoder,
            input: Bytes::new(),
            taken: 0,
            given: 0,
            max_ratio: library.max_ratio(),
            output: vec![0; library.chunk_size()].into(),
            full: false,
            compressed: 0,
            uncompressed: 0,
            stats,
            trailers,
        }
    }

    /// All that came of what it has taken is given.
    pub fn has_room(&self) -> bool {
        self.input.is_empty() && !self.full
    }

    pub fn push(&mut self, data: Bytes) {
        self.compressed += data.len() as u64;
        self.stats.total_compressed_bytes.add(data.len() as u64);
        self.taken = data.len();
        self.given = 0;
        self.input = data;
    }

    /// The next piece. What cannot be read is dropped, and so is what is left of a piece that is a bomb: its output is too
    /// many times larger than itself.
    pub fn pop(&mut self) -> Option<Bytes> {
        while !self.has_room() {
            let progress = self.decoder.decode(&self.input, &mut self.output);
            self.input.advance(progress.consumed.min(self.input.len()));
            self.given += progress.written;
            self.full = progress.written == self.output.len();
            let limit = self.max_ratio.map(|ratio| ratio.saturating_mul(self.taken));
            let bomb = self.full && limit.is_some_and(|limit| self.given > limit);
            if bomb {
                self.decoder.record_bomb();
            }
            let stuck = progress.consumed == 0 && progress.written == 0;
            if bomb || progress.done || stuck {
                self.input.clear();
                self.full &= !(bomb || progress.done);
            }
            if let Some(written) = self.output.get(..progress.written)
                && !written.is_empty()
            {
                self.uncompressed += written.len() as u64;
                self.stats
                    .total_uncompressed_bytes
                    .add(written.len() as u64);
                return Some(Bytes::copy_from_slice(written));
            }
        }
        None
    }

    /// The body is over: its sizes stand in its trailers.
    pub fn finish(&mut self, trailers: &mut HeaderMap) {
        self.decoder.finish();
        let mut digits = itoa::Buffer::new();
        let compressed = digits.format(self.compressed).as_bytes();
        trailers.append_name(&self.trailers.compressed, compressed);
        let uncompressed = digits.format(self.uncompressed).as_bytes();
        trailers.append_name(&self.trailers.uncompressed, uncompressed);
    }
}
