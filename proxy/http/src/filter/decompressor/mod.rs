//! `envoy.filters.http.decompressor`: gives upstreams and clients bodies as they were before somebody compressed them.

mod body;

pub use body::Decompress;

use self::body::Trailers;
use super::{
    FilterContext, Instance,
    compression::{DecompressorLibrary, forbids_transforms},
};
use crate::stream::{ActiveStream, Transform, Way};
use envoy_api::pb::envoy::extensions::filters::http::decompressor::v3::{
    Decompressor as Proto, decompressor::CommonDirectionConfig,
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap,
    error::{ConfigResult, required},
    runtime::RuntimeFlag,
    stat_group,
    stats::Store,
};
use std::sync::Arc;

stat_group! {
    /// `http.<stat_prefix>.decompressor.<name>.<library>.<direction>.`
    pub struct DirectionStats {
        counter decompressed,
        counter not_decompressed,
        counter total_compressed_bytes,
        counter total_uncompressed_bytes,
    }
}

/// The filter.
#[derive(Debug)]
pub struct Decompressor {
    library: DecompressorLibrary,
    /// Upstreams are told that they may compress.
    advertise: bool,
    request: Direction,
    response: Direction,
    trailers: Arc<Trailers>,
    store: Arc<Store>,
    /// Of the library's stats.
    library_prefix: Box<str>,
}

#[derive(Debug)]
struct Direction {
    enabled: RuntimeFlag,
    ignore_no_transform: bool,
    stats: Arc<DirectionStats>,
}

impl Direction {
    fn compile(
        proto: Option<&CommonDirectionConfig>,
        below: &str,
        context: &FilterContext<'_>,
    ) -> Result<Self, ConfigError> {
        let runtime = &context.build.context.runtime;
        let enabled = proto.and_then(|proto| proto.enabled.as_ref());
        Ok(Self {
            enabled: match enabled {
                Some(flag) => RuntimeFlag::compile(flag, runtime).at("enabled")?,
                None => RuntimeFlag::new(true, "", runtime),
            },
            ignore_no_transform: proto.is_some_and(|proto| proto.ignore_no_transform_header),
            stats: context.stats(below, DirectionStats::default()),
        })
    }
}

impl Decompressor {
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        let library = required(proto.decompressor_library.as_ref(), "decompressor_library")?;
        let name = &library.name;
        let library = DecompressorLibrary::compile(library).at("decompressor_library")?;
        let prefix = format!("decompressor.{name}.{}.", library.stat_name());
        let request = proto.request_direction_config.as_ref();
        let response = proto.response_direction_config.as_ref();
        let trailer = |what: &str| format!("x-envoy-decompressor-{name}-{what}-bytes");
        Ok(Self {
            advertise: request
                .and_then(|r| r.advertise_accept_encoding)
                .unwrap_or(true),
            request: Direction::compile(
                request.and_then(|r| r.common_config.as_ref()),
                &format!("{prefix}request."),
                context,
            )
            .at("common_config")
            .at("request_direction_config")?,
            response: Direction::compile(
                response.and_then(|r| r.common_config.as_ref()),
                &format!("{prefix}response."),
                context,
            )
            .at("common_config")
            .at("response_direction_config")?,
            trailers: Arc::new(Trailers {
                compressed: trailer("compressed").as_str().into(),
                uncompressed: trailer("uncompressed").as_str().into(),
            }),
            store: context.build.context.stats.clone(),
            library_prefix: format!("{}{prefix}decompressor_library.", context.stat_prefix).into(),
            library,
        })
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let request = &mut stream.messages.request;
        if self.advertise && self.response.enabled.get() {
            let encoding = self.library.content_encoding();
            let value = advertise(request.get(HeaderId::AcceptEncoding), encoding);
            request.set(HeaderId::AcceptEncoding, &value);
        }
        if stream.request_complete {
            return;
        }
        if let Some(body) = self.begin(&self.request, request) {
            let pipeline = &mut stream.messages.request_body;
            pipeline.add(Way::Request, at.place, body);
        }
    }

    /// `end`: there is no body.
    pub(crate) fn encode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>, end: bool) {
        if end {
            return;
        }
        if let Some(body) = self.begin(&self.response, &mut stream.messages.response) {
            let pipeline = &mut stream.messages.response_body;
            pipeline.add(Way::Response, at.place, body);
        }
    }

    fn begin(&self, direction: &Direction, head: &mut HeaderMap) -> Option<Transform> {
        let wanted = direction.enabled.get()
            && (direction.ignore_no_transform || !forbids_transforms(head))
            && self.undo_encoding(head);
        if !wanted {
            direction.stats.not_decompressed.inc();
            return None;
        }
        direction.stats.decompressed.inc();
        head.remove(HeaderId::ContentLength);
        let decoder = self.library.decoder(&self.store, &self.library_prefix);
        let (stats, trailers) = (direction.stats.clone(), self.trailers.clone());
        let body = Decompress::new(&self.library, decoder, stats, trailers);
        Some(Transform::Decompress(Box::new(body)))
    }

    /// Takes the first of the head's encodings away if it is this filter's.
    fn undo_encoding(&self, head: &mut HeaderMap) -> bool {
        let Some(value) = head.get(HeaderId::ContentEncoding) else {
            return false;
        };
        let mut parts = value.splitn(2, |byte| *byte == b',');
        let first = parts.next().unwrap_or_default().trim_ascii();
        let own = self.library.content_encoding().as_bytes();
        if !first.eq_ignore_ascii_case(own) {
            return false;
        }
        match parts.next().map(|rest| rest.trim_ascii().to_vec()) {
            Some(rest) => head.set(HeaderId::ContentEncoding, &rest),
            None => {
                head.remove(HeaderId::ContentEncoding);
            }
        }
        true
    }
}

/// `accept-encoding` with this encoding once, without a weight, behind all others.
fn advertise(accepted: Option<&[u8]>, encoding: &str) -> Vec<u8> {
    let tokens = accepted.into_iter().flat_map(|v| v.split(|b| *b == b','));
    let mut out = Vec::new();
    for token in tokens.map(<[u8]>::trim_ascii).filter(|t| !t.is_empty()) {
        let name = token.split(|byte| *byte == b';').next();
        if name.unwrap_or_default().trim_ascii() != encoding.as_bytes() {
            out.extend_from_slice(token);
            out.push(b',');
        }
    }
    out.extend_from_slice(encoding.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_advertised_once() {
        for (before, after) in [
            (None, "gzip"),
            (Some(""), "gzip"),
            (Some("br"), "br,gzip"),
            (Some("gzip;q=0.1, br;q=0.5"), "br;q=0.5,gzip"),
        ] {
            assert_eq!(
                advertise(before.map(str::as_bytes), "gzip"),
                after.as_bytes()
            );
        }
    }
}
