//! A body on its way through a compressor.

use super::DirectionStats;
use crate::filter::compression::{CompressorLibrary, Encoder, Operation};
use bytes::{Buf, Bytes};
use std::sync::Arc;

/// The transform. It flushes when nothing more is at hand, so that whoever waits for what is there gets it.
#[derive(Debug)]
pub struct Compress {
    encoder: Encoder,
    input: Bytes,
    /// Room for one piece of output.
    output: Box<[u8]>,
    /// How much of it is waiting.
    filled: usize,
    /// The encoder holds something.
    dirty: bool,
    finished: bool,
    stats: Arc<DirectionStats>,
}

impl Compress {
    pub(super) fn new(library: &CompressorLibrary, stats: Arc<DirectionStats>) -> Self {
        Self {
            encoder: library.encoder(),
            input: Bytes::new(),
            output: vec![0; library.chunk_size()].into(),
            filled: 0,
            dirty: false,
            finished: false,
            stats,
        }
    }

    /// All that it has taken is in the encoder.
    pub fn has_room(&self) -> bool {
        self.input.is_empty()
    }

    pub fn push(&mut self, data: Bytes) {
        self.stats.total_uncompressed_bytes.add(data.len() as u64);
        self.input = data;
    }

    /// The next compressed piece: a full one, unless nothing more comes at once. `idle`: nothing more is at hand; `ended`:
    /// nor will anything come.
    pub fn pop(&mut self, idle: bool, ended: bool) -> Option<Bytes> {
        while self.filled < self.output.len() {
            let operation = if !self.input.is_empty() {
                Operation::Process
            } else if ended && !self.finished {
                Operation::Finish
            } else if idle && self.dirty && !ended {
                Operation::Flush
            } else {
                break;
            };
            let room = self.output.get_mut(self.filled..).unwrap_or_default();
            let progress = self.encoder.encode(&self.input, room, operation);
            match operation {
                Operation::Process => self.dirty = true,
                Operation::Flush => self.dirty = !progress.done,
                Operation::Finish => self.finished = progress.done,
            }
            if progress.consumed == 0 && progress.written == 0 && !progress.done {
                // A library that has failed takes nothing and gives nothing.
                self.finished = true;
                self.dirty = false;
                self.input.clear();
            }
            self.input.advance(progress.consumed.min(self.input.len()));
            self.filled += progress.written;
        }
        let full = self.filled == self.output.len();
        let written = self.output.get(..self.filled).unwrap_or_default();
        if written.is_empty() || !(full || idle || ended) {
            return None;
        }
        self.stats.total_compressed_bytes.add(written.len() as u64);
        self.filled = 0;
        Some(Bytes::copy_from_slice(written))
    }
}
