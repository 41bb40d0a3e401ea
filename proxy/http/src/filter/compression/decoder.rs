//! Decompressors: each takes a compressed body in pieces and gives it as it was, a bounded piece at a time.

use super::{
    Progress,
    encoder::{CHUNK_SIZE, GZIP},
};
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, enc::StandardAlloc};
use envoy_api::{
    pb::envoy::{
        config::core::v3::TypedExtensionConfig,
        extensions::compression::{
            brotli::decompressor::v3::Brotli, gzip::decompressor::v3::Gzip,
            zstd::decompressor::v3::Zstd,
        },
    },
    type_name, unpack,
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
    stat_group,
    stats::Store,
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};
use zlib_rs::{Inflate, InflateError, InflateFlush, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// Envoy's default: an output so many times larger than its input is a bomb.
const MAX_INFLATE_RATIO: u32 = 100;
/// What RFC 9659 lets a content coding ask for: 8 MiB. zstd itself would take 128.
const ZSTD_WINDOW_LOG: u32 = 23;

stat_group! {
    /// `<decompressor>.gzip.decompressor_library.`
    pub struct GzipStats {
        counter zlib_buf_error,
        counter zlib_data_error,
        counter zlib_errno,
        counter zlib_mem_error,
        counter zlib_stream_error,
        counter zlib_version_error,
    }
}

stat_group! {
    /// `<decompressor>.brotli.decompressor_library.`
    pub struct BrotliStats {
        counter brotli_error,
        counter brotli_output_overflow,
        counter brotli_redundant_input,
    }
}

stat_group! {
    /// `<decompressor>.zstd.decompressor_library.`
    pub struct ZstdStats {
        counter zstd_checksum_wrong_error,
        counter zstd_dictionary_error,
        counter zstd_generic_error,
        counter zstd_memory_error,
    }
}

/// The errors of one library in one filter. They exist from the first body on, as in Envoy.
#[derive(Clone, Debug)]
pub enum LibraryStats {
    Gzip(Arc<GzipStats>),
    Brotli(Arc<BrotliStats>),
    Zstd(Arc<ZstdStats>),
}

/// A configured `decompressor_library`.
#[derive(Debug)]
pub struct DecompressorLibrary {
    settings: Settings,
    chunk_size: usize,
    stats: OnceLock<LibraryStats>,
}

#[derive(Debug)]
enum Settings {
    Gzip { window_bits: u8, max_ratio: usize },
    Brotli,
    Zstd,
}

impl DecompressorLibrary {
    pub fn compile(proto: &TypedExtensionConfig) -> Result<Self, ConfigError> {
        let config = required(proto.typed_config.as_ref(), "typed_config")?;
        let bad = |error: envoy_api::UnpackError| ConfigError::new(error.to_string());
        let (settings, chunk_size) = match type_name(&config.type_url) {
            "envoy.extensions.compression.gzip.decompressor.v3.Gzip" => {
                let proto: Gzip = unpack(config).map_err(bad).at("typed_config")?;
                let ratio = proto.max_inflate_ratio.unwrap_or(MAX_INFLATE_RATIO);
                let settings = Settings::Gzip {
                    window_bits: (proto.window_bits.unwrap_or(15).clamp(9, 15) + GZIP) as u8,
                    max_ratio: ratio as usize,
                };
                (settings, proto.chunk_size)
            }
            "envoy.extensions.compression.brotli.decompressor.v3.Brotli" => {
                let proto: Brotli = unpack(config).map_err(bad).at("typed_config")?;
                (Settings::Brotli, proto.chunk_size)
            }
            "envoy.extensions.compression.zstd.decompressor.v3.Zstd" => {
                let proto: Zstd = unpack(config).map_err(bad).at("typed_config")?;
                (Settings::Zstd, proto.chunk_size)
            }
            other => {
                return Err(ConfigError::new(format!(
                    "Didn't find a registered decompressor library for type URL: '{other}'"
                ))
                .at("typed_config"));
            }
        };
        Ok(Self {
            settings,
            chunk_size: chunk_size.unwrap_or(CHUNK_SIZE).clamp(CHUNK_SIZE, 65536) as usize,
            stats: OnceLock::new(),
        })
    }

    /// What `content-encoding` calls it.
    pub fn content_encoding(&self) -> &'static str {
        match self.settings {
            Settings::Gzip { .. } => "gzip",
            Settings::Brotli => "br",
            Settings::Zstd => "zstd",
        }
    }

    /// What its stats call it.
    pub fn stat_name(&self) -> &'static str {
        match self.settings {
            Settings::Brotli => "brotli",
            _ => self.content_encoding(),
        }
    }

    /// Bytes of output at a time.
    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// How many times larger than its input an output may be.
    pub fn max_ratio(&self) -> Option<usize> {
        match self.settings {
            Settings::Gzip { max_ratio, .. } => Some(max_ratio),
            Settings::Brotli => Some(MAX_INFLATE_RATIO as usize),
            Settings::Zstd => None,
        }
    }

    /// A decompressor for one body; its errors count below this prefix.
    pub fn decoder(&self, store: &Store, prefix: &str) -> Decoder {
        let stats = self.stats.get_or_init(|| match self.settings {
            Settings::Gzip { .. } => {
                LibraryStats::Gzip(store.register(prefix, GzipStats::default()))
            }
            Settings::Brotli => {
                LibraryStats::Brotli(store.register(prefix, BrotliStats::default()))
            }
            Settings::Zstd => LibraryStats::Zstd(store.register(prefix, ZstdStats::default())),
        });
        let state = match self.settings {
            Settings::Gzip { window_bits, .. } => {
                State::Gzip(Box::new(Inflate::new(true, window_bits)))
            }
            Settings::Brotli => {
                let alloc = StandardAlloc::default;
                State::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
            Settings::Zstd => {
                let mut context = DCtx::create();
                // The value is within zstd's bounds.
                let _ = context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG));
                State::Zstd(context)
            }
        };
        Decoder {
            state,
            stats: stats.clone(),
        }
    }
}

/// The state of one compressed body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    stats: LibraryStats,
}

enum State {
    Gzip(Box<Inflate>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(DCtx<'static>),
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Brotli(_) => "Brotli",
            Self::Zstd(_) => "Zstd",
        })
    }
}

impl Decoder {
    /// Works on until the input or the room for output ends; `done`: more of this input leads nowhere. Errors are counted.
    pub fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        match &mut self.state {
            State::Gzip(inflate) => {
                let (taken, given) = (inflate.total_in(), inflate.total_out());
                let status = inflate.decompress(input, output, InflateFlush::NoFlush);
                if let (Err(error), LibraryStats::Gzip(stats)) = (status, &self.stats) {
                    match error {
                        InflateError::StreamError => stats.zlib_stream_error.inc(),
                        InflateError::MemError => stats.zlib_mem_error.inc(),
                        InflateError::DataError | InflateError::NeedDict { .. } => {
                            stats.zlib_data_error.inc();
                        }
                    }
                }
                Progress {
                    consumed: usize::try_from(inflate.total_in() - taken).unwrap_or_default(),
                    written: usize::try_from(inflate.total_out() - given).unwrap_or_default(),
                    done: matches!(status, Err(_) | Ok(Status::StreamEnd)),
                }
            }
            State::Brotli(state) => {
                let (mut available_in, mut consumed) = (input.len(), 0);
                let (mut available_out, mut written) = (output.len(), 0);
                let result = BrotliDecompressStream(
                    &mut available_in,
                    &mut consumed,
                    input,
                    &mut available_out,
                    &mut written,
                    output,
                    &mut 0,
                    state,
                );
                let failed = matches!(result, BrotliResult::ResultFailure);
                if let LibraryStats::Brotli(stats) = &self.stats
                    && failed
                {
                    stats.brotli_error.inc();
                }
                Progress {
                    consumed,
                    written,
                    done: failed || matches!(result, BrotliResult::ResultSuccess),
                }
            }
            State::Zstd(context) => {
                let mut source = InBuffer::around(input);
                let mut sink = OutBuffer::around(output);
                let result = context.decompress_stream(&mut sink, &mut source);
                if let (Err(error), LibraryStats::Zstd(stats)) = (result, &self.stats) {
                    // zstd returns its codes as negative sizes.
                    match 0_usize.wrapping_sub(error) {
                        22 => stats.zstd_checksum_wrong_error.inc(),
                        30 | 32 => stats.zstd_dictionary_error.inc(),
                        64 => stats.zstd_memory_error.inc(),
                        _ => stats.zstd_generic_error.inc(),
                    }
                }
                Progress {
                    consumed: source.pos(),
                    written: sink.pos(),
                    done: result.is_err(),
                }
            }
        }
    }

    /// The body is over. Envoy asks its brotli once more then, which counts what went wrong once more.
    pub fn finish(&mut self) {
        if let State::Brotli(_) = &self.state {
            self.decode(&[], &mut []);
        }
    }

    /// The output is larger than its input can honestly be.
    pub fn record_bomb(&self) {
        match &self.stats {
            LibraryStats::Gzip(stats) => stats.zlib_data_error.inc(),
            LibraryStats::Brotli(stats) => stats.brotli_error.inc(),
            LibraryStats::Zstd(stats) => stats.zstd_generic_error.inc(),
        }
    }
}
