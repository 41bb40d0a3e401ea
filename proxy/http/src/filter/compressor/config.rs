//! What a compressor does to one direction, as configured.

use crate::filter::{FilterContext, compression::CompressorLibrary};
use envoy_api::pb::envoy::extensions::filters::http::compressor::v3::{
    Compressor as Proto, CompressorPerRoute,
    compressor::{CommonDirectionConfig, ResponseDirectionConfig},
    compressor_per_route::Override as OverrideProto,
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap,
    error::{ConfigResult, required},
    matcher::StringMatcher,
    runtime::{Runtime, RuntimeFlag},
    stat_group,
};
use std::sync::Arc;

/// Shorter bodies are not worth it.
const MIN_CONTENT_LENGTH: u32 = 30;

/// What is compressed unless the configuration says otherwise.
const CONTENT_TYPES: [&str; 20] = [
    "text/html",
    "text/plain",
    "text/css",
    "application/javascript",
    "application/x-javascript",
    "text/javascript",
    "text/x-javascript",
    "text/ecmascript",
    "text/js",
    "text/jscript",
    "text/x-js",
    "application/ecmascript",
    "application/x-json",
    "application/xml",
    "application/json",
    "image/svg+xml",
    "text/xml",
    "application/xhtml+xml",
    "application/grpc-web",
    "application/grpc-web+proto",
];

stat_group! {
    /// `http.<stat_prefix>.compressor.<name>.<library>.[request.|response.]`
    pub struct DirectionStats {
        counter compressed,
        counter content_length_too_small,
        counter not_compressed,
        counter total_compressed_bytes,
        counter total_uncompressed_bytes,
    }
}

/// Either direction.
#[derive(Debug)]
pub struct Direction {
    pub enabled: RuntimeFlag,
    min_content_length: u64,
    content_types: ContentTypes,
    pub stats: Arc<DirectionStats>,
}

#[derive(Debug)]
enum ContentTypes {
    /// In any case.
    Named(Box<[Box<str>]>),
    Matching(Box<[StringMatcher]>),
}

/// What is said of responses alone.
#[derive(Debug, Default)]
pub struct ResponseOptions {
    pub disable_on_etag: bool,
    pub weaken_etag: bool,
    pub remove_accept_encoding: bool,
    /// In order.
    pub uncompressible_codes: Box<[u32]>,
    pub status_header: bool,
}

/// What one level of the route configuration says.
#[derive(Debug)]
pub enum Override {
    Disabled,
    Overrides {
        /// Responses are compressed whatever the filter says.
        enabled: bool,
        remove_accept_encoding: Option<bool>,
        library: Option<CompressorLibrary>,
    },
}

impl Override {
    pub fn compile(proto: &CompressorPerRoute) -> Result<Self, ConfigError> {
        match required(proto.r#override.as_ref(), "override")? {
            OverrideProto::Disabled(_) => Ok(Self::Disabled),
            OverrideProto::Overrides(overrides) => {
                let response = overrides.response_direction_config.as_ref();
                let library = overrides.compressor_library.as_ref();
                Ok(Self::Overrides {
                    enabled: response.is_some(),
                    remove_accept_encoding: response.and_then(|r| r.remove_accept_encoding_header),
                    library: library
                        .map(CompressorLibrary::compile)
                        .transpose()
                        .at("compressor_library")
                        .at("overrides")?,
                })
            }
        }
    }
}

impl Direction {
    pub fn compile(
        proto: &CommonDirectionConfig,
        below: &str,
        context: &FilterContext<'_>,
    ) -> Result<Self, ConfigError> {
        let runtime = &context.build.context.runtime;
        let min = proto.min_content_length.filter(|length| *length > 0);
        Ok(Self {
            enabled: flag(proto.enabled.as_ref(), runtime).at("enabled")?,
            min_content_length: min.unwrap_or(MIN_CONTENT_LENGTH).into(),
            content_types: ContentTypes::compile(proto)?,
            stats: context.stats(below, DirectionStats::default()),
        })
    }

    /// Long enough, or nobody knows. It counts what is not.
    pub fn is_long_enough(&self, head: &HeaderMap) -> bool {
        let Some(length) = head.get_str(HeaderId::ContentLength) else {
            return true;
        };
        let enough = length
            .parse::<u64>()
            .is_ok_and(|n| n >= self.min_content_length);
        if !enough {
            self.stats.content_length_too_small.inc();
        }
        enough
    }

    /// Of a type that is compressed, or of none.
    pub fn wants_type(&self, head: &HeaderMap) -> bool {
        let Some(value) = head.get(HeaderId::ContentType) else {
            return true;
        };
        let value = value.split(|byte| *byte == b';').next();
        let value = value.unwrap_or_default().trim_ascii();
        match &self.content_types {
            ContentTypes::Named(names) => names
                .iter()
                .any(|name| name.as_bytes().eq_ignore_ascii_case(value)),
            ContentTypes::Matching(matchers) => matchers.iter().any(|m| m.is_match(value)),
        }
    }
}

impl ContentTypes {
    fn compile(proto: &CommonDirectionConfig) -> Result<Self, ConfigError> {
        if !proto.content_type_matcher.is_empty() {
            let matchers = proto.content_type_matcher.iter().enumerate();
            return matchers
                .map(|(i, m)| StringMatcher::compile(m).at_index("content_type_matcher", i))
                .collect::<Result<_, _>>()
                .map(Self::Matching);
        }
        #[expect(deprecated, reason = "Envoy reads it still")]
        let named = &proto.content_type;
        Ok(Self::Named(if named.is_empty() {
            CONTENT_TYPES.iter().map(|name| Box::from(*name)).collect()
        } else {
            named.iter().map(|name| name.as_str().into()).collect()
        }))
    }
}

/// How the deprecated fields of the filter itself would be written today.
#[expect(deprecated, reason = "Envoy reads them still")]
pub fn legacy_response(proto: &Proto) -> ResponseDirectionConfig {
    ResponseDirectionConfig {
        common_config: Some(CommonDirectionConfig {
            enabled: proto.runtime_enabled.clone(),
            min_content_length: proto.content_length,
            content_type: proto.content_type.clone(),
            content_type_matcher: Vec::new(),
        }),
        disable_on_etag_header: proto.disable_on_etag_header,
        remove_accept_encoding_header: proto.remove_accept_encoding_header,
        ..ResponseDirectionConfig::default()
    }
}

impl ResponseOptions {
    pub fn compile(proto: &ResponseDirectionConfig) -> Self {
        let mut codes = proto.uncompressible_response_codes.clone();
        codes.sort_unstable();
        Self {
            disable_on_etag: proto.disable_on_etag_header && !proto.weaken_etag_on_compress,
            weaken_etag: proto.weaken_etag_on_compress,
            remove_accept_encoding: proto.remove_accept_encoding_header,
            uncompressible_codes: codes.into(),
            status_header: proto.status_header_enabled,
        }
    }
}

fn flag(
    proto: Option<&envoy_api::pb::envoy::config::core::v3::RuntimeFeatureFlag>,
    runtime: &Runtime,
) -> Result<RuntimeFlag, ConfigError> {
    match proto {
        Some(proto) => RuntimeFlag::compile(proto, runtime),
        None => Ok(RuntimeFlag::new(true, "", runtime)),
    }
}
