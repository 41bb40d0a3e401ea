//! The fate of every field of the compressor, the decompressor and their libraries.

use outrigger_core::field::{Fate::Ignored, Fate::Rejected, Message, USED};

const NO_DICTIONARIES: &str = "dictionaries are not supported by this version";

/// The messages.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.extensions.filters.http.compressor.v3.Compressor",
        fields: &[
            ("content_length", USED),
            ("content_type", USED),
            ("disable_on_etag_header", USED),
            ("remove_accept_encoding_header", USED),
            ("runtime_enabled", USED),
            ("compressor_library", USED),
            ("request_direction_config", USED),
            ("response_direction_config", USED),
            ("choose_first", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.compressor.v3.Compressor.CommonDirectionConfig",
        fields: &[
            ("enabled", USED),
            ("min_content_length", USED),
            ("content_type", USED),
            ("content_type_matcher", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.compressor.v3.Compressor.RequestDirectionConfig",
        fields: &[("common_config", USED)],
    },
    Message {
        name: "envoy.extensions.filters.http.compressor.v3.Compressor.ResponseDirectionConfig",
        fields: &[
            ("common_config", USED),
            ("disable_on_etag_header", USED),
            ("weaken_etag_on_compress", USED),
            ("remove_accept_encoding_header", USED),
            ("uncompressible_response_codes", USED),
            ("status_header_enabled", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute",
        fields: &[("disabled", USED), ("overrides", USED)],
    },
    Message {
        name: "envoy.extensions.filters.http.compressor.v3.CompressorOverrides",
        fields: &[
            ("response_direction_config", USED),
            ("compressor_library", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.compressor.v3.ResponseDirectionOverrides",
        fields: &[("remove_accept_encoding_header", USED)],
    },
    Message {
        name: "envoy.extensions.compression.gzip.compressor.v3.Gzip",
        fields: &[
            ("memory_level", USED),
            ("compression_level", USED),
            ("compression_strategy", USED),
            ("window_bits", USED),
            ("chunk_size", USED),
        ],
    },
    Message {
        name: "envoy.extensions.compression.brotli.compressor.v3.Brotli",
        fields: &[
            ("quality", USED),
            ("encoder_mode", USED),
            ("window_bits", USED),
            ("input_block_bits", USED),
            ("chunk_size", USED),
            ("disable_literal_context_modeling", USED),
        ],
    },
    Message {
        name: "envoy.extensions.compression.zstd.compressor.v3.Zstd",
        fields: &[
            ("compression_level", USED),
            ("enable_checksum", USED),
            ("strategy", USED),
            ("dictionary", Rejected(NO_DICTIONARIES)),
            ("chunk_size", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.decompressor.v3.Decompressor",
        fields: &[
            ("decompressor_library", USED),
            ("request_direction_config", USED),
            ("response_direction_config", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.decompressor.v3.Decompressor.CommonDirectionConfig",
        fields: &[("enabled", USED), ("ignore_no_transform_header", USED)],
    },
    Message {
        name: "envoy.extensions.filters.http.decompressor.v3.Decompressor.RequestDirectionConfig",
        fields: &[("common_config", USED), ("advertise_accept_encoding", USED)],
    },
    Message {
        name: "envoy.extensions.filters.http.decompressor.v3.Decompressor.ResponseDirectionConfig",
        fields: &[("common_config", USED)],
    },
    Message {
        name: "envoy.extensions.compression.gzip.decompressor.v3.Gzip",
        fields: &[
            ("window_bits", USED),
            ("chunk_size", USED),
            ("max_inflate_ratio", USED),
        ],
    },
    Message {
        name: "envoy.extensions.compression.brotli.decompressor.v3.Brotli",
        fields: &[
            (
                "disable_ring_buffer_reallocation",
                Ignored("it changes how memory is taken, and nothing else"),
            ),
            ("chunk_size", USED),
        ],
    },
    Message {
        name: "envoy.extensions.compression.zstd.decompressor.v3.Zstd",
        fields: &[
            ("dictionaries", Rejected(NO_DICTIONARIES)),
            ("chunk_size", USED),
        ],
    },
];
