//! Compressors: each takes a body in pieces and gives it compressed, a bounded piece at a time.

use super::Progress;
use brotli::enc::{
    StandardAlloc,
    encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct},
};
use envoy_api::{
    pb::envoy::{
        config::core::v3::TypedExtensionConfig,
        extensions::compression::{
            brotli::compressor::v3::{Brotli, brotli::EncoderMode},
            gzip::compressor::v3::{Gzip, gzip::CompressionStrategy},
            zstd::compressor::v3::Zstd,
        },
    },
    type_name, unpack,
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
};
use std::fmt;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Status, Strategy};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, zstd_sys};

/// Envoy's default `chunk_size`: bytes of output made at a time.
pub(super) const CHUNK_SIZE: u32 = 4096;
/// zlib is asked for a header of gzip by a window that is so much larger.
pub(super) const GZIP: u32 = 16;

/// A configured `compressor_library`.
#[derive(Clone, Debug)]
pub struct CompressorLibrary {
    settings: Settings,
    chunk_size: usize,
}

#[derive(Clone, Debug)]
enum Settings {
    Gzip {
        level: i32,
        window_bits: i32,
        mem_level: i32,
        strategy: CompressionStrategy,
    },
    Brotli {
        quality: u32,
        window_bits: u32,
        block_bits: u32,
        mode: u32,
        plain_contexts: bool,
    },
    Zstd {
        level: i32,
        checksum: bool,
        /// zstd's own numbers; 0 leaves it to the level.
        strategy: i32,
    },
}

impl CompressorLibrary {
    pub fn compile(proto: &TypedExtensionConfig) -> Result<Self, ConfigError> {
        let config = required(proto.typed_config.as_ref(), "typed_config")?;
        let bad = |error: envoy_api::UnpackError| ConfigError::new(error.to_string());
        let (settings, chunk_size) = match type_name(&config.type_url) {
            "envoy.extensions.compression.gzip.compressor.v3.Gzip" => {
                let proto: Gzip = unpack(config).map_err(bad).at("typed_config")?;
                let level = match proto.compression_level {
                    0 => -1,
                    level => level,
                };
                let window_bits = proto.window_bits.unwrap_or(12).clamp(9, 15) + GZIP;
                let settings = Settings::Gzip {
                    level,
                    window_bits: window_bits as i32,
                    mem_level: proto.memory_level.unwrap_or(5).clamp(1, 9) as i32,
                    strategy: proto.compression_strategy(),
                };
                (settings, proto.chunk_size)
            }
            "envoy.extensions.compression.brotli.compressor.v3.Brotli" => {
                let proto: Brotli = unpack(config).map_err(bad).at("typed_config")?;
                let settings = Settings::Brotli {
                    quality: proto.quality.unwrap_or(3).min(11),
                    window_bits: proto.window_bits.unwrap_or(18).clamp(10, 24),
                    block_bits: proto.input_block_bits.unwrap_or(24).clamp(16, 24),
                    mode: match proto.encoder_mode() {
                        EncoderMode::Default | EncoderMode::Generic => 0,
                        EncoderMode::Text => 1,
                        EncoderMode::Font => 2,
                    },
                    plain_contexts: proto.disable_literal_context_modeling,
                };
                (settings, proto.chunk_size)
            }
            "envoy.extensions.compression.zstd.compressor.v3.Zstd" => {
                let proto: Zstd = unpack(config).map_err(bad).at("typed_config")?;
                let level = proto.compression_level.unwrap_or(3);
                let settings = Settings::Zstd {
                    // Levels are 22 at most, and 0 is the default.
                    level: i32::try_from(level).unwrap_or(22).min(22),
                    checksum: proto.enable_checksum,
                    strategy: proto.strategy,
                };
                (settings, proto.chunk_size)
            }
            other => {
                return Err(ConfigError::new(format!(
                    "Didn't find a registered compressor library for type URL: '{other}'"
                ))
                .at("typed_config"));
            }
        };
        Ok(Self {
            settings,
            chunk_size: chunk_size.unwrap_or(CHUNK_SIZE).clamp(CHUNK_SIZE, 65536) as usize,
        })
    }

    /// What `content-encoding` calls it.
    pub fn content_encoding(&self) -> &'static str {
        match self.settings {
            Settings::Gzip { .. } => "gzip",
            Settings::Brotli { .. } => "br",
            Settings::Zstd { .. } => "zstd",
        }
    }

    /// What its stats call it.
    pub fn stat_name(&self) -> &'static str {
        match self.settings {
            Settings::Brotli { .. } => "brotli",
            _ => self.content_encoding(),
        }
    }

    /// Bytes of output at a time.
    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// A compressor for one body.
    pub fn encoder(&self) -> Encoder {
        match &self.settings {
            Settings::Gzip {
                level,
                window_bits,
                mem_level,
                strategy,
            } => Encoder::Gzip(Box::new(Deflate::new_with_config(DeflateConfig {
                level: *level,
                method: Method::Deflated,
                window_bits: *window_bits,
                mem_level: *mem_level,
                strategy: match strategy {
                    CompressionStrategy::DefaultStrategy => Strategy::Default,
                    CompressionStrategy::Filtered => Strategy::Filtered,
                    CompressionStrategy::HuffmanOnly => Strategy::HuffmanOnly,
                    CompressionStrategy::Rle => Strategy::Rle,
                    CompressionStrategy::Fixed => Strategy::Fixed,
                },
            }))),
            Settings::Brotli {
                quality,
                window_bits,
                block_bits,
                mode,
                plain_contexts,
            } => {
                use BrotliEncoderParameter as P;
                let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
                state.set_parameter(P::BROTLI_PARAM_QUALITY, *quality);
                state.set_parameter(P::BROTLI_PARAM_LGWIN, *window_bits);
                state.set_parameter(P::BROTLI_PARAM_LGBLOCK, *block_bits);
                state.set_parameter(P::BROTLI_PARAM_MODE, *mode);
                let plain = u32::from(*plain_contexts);
                state.set_parameter(P::BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING, plain);
                Encoder::Brotli(Box::new(state))
            }
            Settings::Zstd {
                level,
                checksum,
                strategy,
            } => {
                let mut context = CCtx::create();
                // The values were checked with the configuration.
                let _ = context.set_parameter(CParameter::ChecksumFlag(*checksum));
                let _ = context.set_parameter(CParameter::CompressionLevel(*level));
                if let Some(strategy) = zstd_strategy(*strategy) {
                    let _ = context.set_parameter(CParameter::Strategy(strategy));
                }
                Encoder::Zstd(context)
            }
        }
    }
}

fn zstd_strategy(number: i32) -> Option<zstd_safe::Strategy> {
    use zstd_safe::Strategy as S;
    let strategies = [
        S::ZSTD_fast,
        S::ZSTD_dfast,
        S::ZSTD_greedy,
        S::ZSTD_lazy,
        S::ZSTD_lazy2,
        S::ZSTD_btlazy2,
        S::ZSTD_btopt,
        S::ZSTD_btultra,
        S::ZSTD_btultra2,
    ];
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    strategies.get(at).copied()
}

/// What a compressor is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To take input and give output as it likes.
    Process,
    /// To give all that it has taken.
    Flush,
    /// The same, and the end.
    Finish,
}

/// The state of one compressed body.
pub enum Encoder {
    Gzip(Box<Deflate>),
    Brotli(Box<BrotliEncoderStateStruct<StandardAlloc>>),
    Zstd(CCtx<'static>),
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Brotli(_) => "Brotli",
            Self::Zstd(_) => "Zstd",
        })
    }
}

impl Encoder {
    /// Works on until the input or the room for output ends. A library that fails, which it has no reason to do, gives no
    /// more.
    pub fn encode(&mut self, input: &[u8], output: &mut [u8], operation: Operation) -> Progress {
        match self {
            Self::Gzip(deflate) => gzip(deflate, input, output, operation),
            Self::Brotli(state) => {
                use BrotliEncoderOperation as B;
                let operation_of_brotli = match operation {
                    Operation::Process => B::BROTLI_OPERATION_PROCESS,
                    Operation::Flush => B::BROTLI_OPERATION_FLUSH,
                    Operation::Finish => B::BROTLI_OPERATION_FINISH,
                };
                let (mut available_in, mut consumed) = (input.len(), 0);
                let (mut available_out, mut written) = (output.len(), 0);
                let fine = state.compress_stream(
                    operation_of_brotli,
                    &mut available_in,
                    input,
                    &mut consumed,
                    &mut available_out,
                    output,
                    &mut written,
                    &mut None,
                    &mut |_, _, _, _| {},
                );
                Progress {
                    consumed,
                    written,
                    done: !fine
                        || match operation {
                            Operation::Process => consumed == input.len(),
                            Operation::Flush => !state.has_more_output(),
                            Operation::Finish => state.is_finished(),
                        },
                }
            }
            Self::Zstd(context) => {
                use zstd_sys::ZSTD_EndDirective as Z;
                let directive = match operation {
                    Operation::Process => Z::ZSTD_e_continue,
                    Operation::Flush => Z::ZSTD_e_flush,
                    Operation::Finish => Z::ZSTD_e_end,
                };
                let mut source = InBuffer::around(input);
                let mut sink = OutBuffer::around(output);
                let left = context.compress_stream2(&mut sink, &mut source, directive);
                Progress {
                    consumed: source.pos(),
                    written: sink.pos(),
                    done: match operation {
                        Operation::Process => left.is_err() || source.pos() == input.len(),
                        _ => !matches!(left, Ok(1..)),
                    },
                }
            }
        }
    }
}

fn gzip(deflate: &mut Deflate, input: &[u8], output: &mut [u8], operation: Operation) -> Progress {
    let flush = match operation {
        Operation::Process => DeflateFlush::NoFlush,
        Operation::Flush => DeflateFlush::SyncFlush,
        Operation::Finish => DeflateFlush::Finish,
    };
    let (taken, given) = (deflate.total_in(), deflate.total_out());
    let status = deflate.compress(input, output, flush);
    let written = usize::try_from(deflate.total_out() - given).unwrap_or_default();
    Progress {
        consumed: usize::try_from(deflate.total_in() - taken).unwrap_or_default(),
        written,
        done: match (operation, status) {
            (_, Err(_)) | (_, Ok(Status::StreamEnd)) => true,
            (Operation::Finish, Ok(_)) => false,
            // What is full may hold back more.
            _ => written < output.len(),
        },
    }
}
