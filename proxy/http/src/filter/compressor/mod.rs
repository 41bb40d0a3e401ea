//! `envoy.filters.http.compressor`: compresses responses for clients that accept it, and requests where it is told to.

mod body;
mod choice;
mod config;

pub use body::Compress;
pub use choice::Choice;
pub use config::{DirectionStats, Override};

use self::{
    choice::{Because, Candidate},
    config::{Direction, ResponseOptions, legacy_response},
};
use super::{
    FilterContext, FilterState, Instance,
    compression::{CompressorLibrary, forbids_transforms},
};
use crate::{
    hop_by_hop::is_upgrade,
    route::FilterOverride,
    stream::{ActiveStream, Transform, Way},
};
use envoy_api::pb::envoy::extensions::filters::http::compressor::v3::{
    Compressor as Proto, CompressorPerRoute,
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, HeaderName,
    error::{ConfigResult, required},
    stat_group,
};
use std::sync::Arc;

stat_group! {
    /// `http.<stat_prefix>.compressor.<name>.<library>.`: what clients asked for.
    pub struct ResponseStats {
        counter header_compressor_overshadowed,
        counter header_compressor_used,
        counter header_identity,
        counter header_not_valid,
        counter header_wildcard,
        counter no_accept_header,
        counter not_compressed_etag,
    }
}

/// The filter.
#[derive(Debug)]
pub struct Compressor {
    library: CompressorLibrary,
    choose_first: bool,
    /// `None`: requests are left alone.
    request: Option<Direction>,
    request_stats: Arc<DirectionStats>,
    response: Direction,
    options: ResponseOptions,
    stats: Arc<ResponseStats>,
    status_name: HeaderName,
}

/// Compiles what one level of the route configuration says.
pub fn compile_override(proto: &CompressorPerRoute) -> Result<FilterOverride, ConfigError> {
    Ok(Arc::new(Override::compile(proto)?))
}

impl Compressor {
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        let library = required(proto.compressor_library.as_ref(), "compressor_library")?;
        let name = &library.name;
        let library = CompressorLibrary::compile(library).at("compressor_library")?;
        let prefix = format!("compressor.{name}.{}.", library.stat_name());
        let (response, below) = match &proto.response_direction_config {
            Some(response) => (response.clone(), "response."),
            None => (legacy_response(proto), ""),
        };
        let common = response.common_config.clone().unwrap_or_default();
        let below = format!("{prefix}{below}");
        let response_direction = Direction::compile(&common, &below, context)
            .at("common_config")
            .at("response_direction_config")?;
        let below = format!("{prefix}request.");
        let request = proto.request_direction_config.as_ref();
        let request = request.map(|request| {
            let common = request.common_config.clone().unwrap_or_default();
            Direction::compile(&common, &below, context)
                .at("common_config")
                .at("request_direction_config")
        });
        Ok(Self {
            library,
            choose_first: proto.choose_first,
            request: request.transpose()?,
            request_stats: context.stats(&below, DirectionStats::default()),
            response: response_direction,
            options: ResponseOptions::compile(&response),
            stats: context.stats(&prefix, ResponseStats::default()),
            status_name: "x-envoy-compression-status".into(),
        })
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let own = Own::of(self, at, stream);
        let request = &mut stream.messages.request;
        let accepted = request.get(HeaderId::AcceptEncoding).map(Box::from);
        if own.enabled && own.remove_accept_encoding {
            request.remove(HeaderId::AcceptEncoding);
        }
        let library = own.library;
        let wanted = self.request.as_ref().filter(|direction| {
            !stream.request_complete
                && direction.enabled.get()
                && !is_upgrade(request)
                && direction.is_long_enough(request)
                && direction.wants_type(request)
                && !request.contains(HeaderId::ContentEncoding)
                && !is_encoded_in_transfer(request, library.content_encoding())
        });
        match wanted {
            Some(direction) => {
                request.remove(HeaderId::ContentLength);
                let encoding = library.content_encoding();
                request.set(HeaderId::ContentEncoding, encoding.as_bytes());
                direction.stats.compressed.inc();
                let body = Compress::new(&library, direction.stats.clone());
                let body = Transform::Compress(Box::new(body));
                let pipeline = &mut stream.messages.request_body;
                pipeline.add(Way::Request, at.place, body);
            }
            None => self.request_stats.not_compressed.inc(),
        }
        if let Some(accepted) = accepted {
            let states = &mut stream.messages.filters;
            states.set(at.place, FilterState::AcceptEncoding(accepted));
        }
    }

    /// `end`: there is no body.
    pub(crate) fn encode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>, end: bool) {
        let own = Own::of(self, at, stream);
        let encoding = own.library.content_encoding();
        let (long_enough, compressible) =
            self.judge(&own, encoding, &mut stream.messages.response, end);
        let accepts = !end && long_enough && self.is_accepted(at, encoding, stream);
        let response = &mut stream.messages.response;
        let stats = &self.response.stats;
        if accepts && compressible && !is_encoded_in_transfer(response, encoding) {
            self.sanitize_etag(response);
            self.write_head(encoding, response);
            stats.compressed.inc();
            let body = Compress::new(&own.library, stats.clone());
            let body = Transform::Compress(Box::new(body));
            let pipeline = &mut stream.messages.response_body;
            pipeline.add(Way::Response, at.place, body);
        } else {
            stats.not_compressed.inc();
            // Whoever keeps the response must know that another client may get another one.
            if compressible {
                insert_vary(response);
            }
        }
    }

    /// Whether the response is long enough for anybody to ask what the client accepts, and whether it may be compressed.
    fn judge(&self, own: &Own, encoding: &str, head: &mut HeaderMap, end: bool) -> (bool, bool) {
        let fits = |head: &HeaderMap| {
            !is_upgrade(head)
                && !forbids_transforms(head)
                && !head.contains(HeaderId::ContentEncoding)
        };
        if !self.options.status_header || end {
            let long_enough = own.enabled && self.response.is_long_enough(head);
            let compressible = long_enough
                && fits(head)
                && self.response.wants_type(head)
                && self.is_etag_fine(head, !self.options.status_header)
                && self.is_code_fine(head);
            return (long_enough, compressible);
        }
        if !own.enabled || !fits(head) {
            return (false, false);
        }
        let reason = if !self.response.is_long_enough(head) {
            // Envoy looks, and counts, once more.
            self.response.stats.content_length_too_small.inc();
            "ContentLengthTooSmall"
        } else if !self.response.wants_type(head) {
            "ContentTypeNotAllowed"
        } else if !self.is_etag_fine(head, true) {
            "EtagNotAllowed"
        } else if !self.is_code_fine(head) {
            "StatusCodeNotAllowed"
        } else {
            return (true, true);
        };
        let status = format!("{encoding};{reason}");
        head.append_name(&self.status_name, status.as_bytes());
        (false, false)
    }

    fn is_etag_fine(&self, head: &HeaderMap, count: bool) -> bool {
        let fine = !(self.options.disable_on_etag && head.contains(HeaderId::Etag));
        if !fine && count {
            self.stats.not_compressed_etag.inc();
        }
        fine
    }

    fn is_code_fine(&self, head: &HeaderMap) -> bool {
        let codes = &self.options.uncompressible_codes;
        let code = head.get_str(HeaderId::Status).and_then(|s| s.parse().ok());
        codes.is_empty() || code.is_none_or(|code: u32| codes.binary_search(&code).is_err())
    }

    /// The client wants this very compressor. All compressors of the chain go by one choice.
    fn is_accepted(&self, at: &Instance, encoding: &str, stream: &mut ActiveStream<'_>) -> bool {
        let states = &mut stream.messages.filters;
        let Some(FilterState::AcceptEncoding(accepted)) = states.take(at.place) else {
            self.stats.no_accept_header.inc();
            return false;
        };
        let choice = match states.encoding {
            Some(choice) => choice,
            None => {
                let head = &stream.messages.response;
                let others = stream.filters.compressors(stream);
                let candidates = others.filter_map(|(at, other)| {
                    let own = Own::of(other, at, stream);
                    other.response.wants_type(head).then_some(Candidate {
                        encoding: own.library.content_encoding(),
                        choose_first: other.choose_first,
                    })
                });
                let choice = choice::choose(&accepted, candidates);
                stream.messages.filters.encoding = Some(choice);
                choice
            }
        };
        let chosen = choice.encoding == encoding;
        let stats = &self.stats;
        match choice.because {
            Because::Compressor if chosen => stats.header_compressor_used.inc(),
            Because::Compressor => stats.header_compressor_overshadowed.inc(),
            Because::Identity => stats.header_identity.inc(),
            Because::Wildcard => stats.header_wildcard.inc(),
            Because::NotValid => stats.header_not_valid.inc(),
        }
        chosen
    }

    /// A strong tag names bytes that the client does not get.
    fn sanitize_etag(&self, head: &mut HeaderMap) {
        let Some(etag) = head.get(HeaderId::Etag) else {
            return;
        };
        if matches!(etag, [b'w' | b'W', b'/', ..]) || etag.len() < 2 {
            return;
        }
        if self.options.weaken_etag {
            let weak = [b"W/", etag].concat();
            head.set(HeaderId::Etag, &weak);
        } else {
            head.remove(HeaderId::Etag);
        }
    }

    /// Says that the body is compressed. Envoy's order depends on whether the filter gives its reasons.
    fn write_head(&self, encoding: &str, head: &mut HeaderMap) {
        let length = head.get_str(HeaderId::ContentLength).unwrap_or_default();
        let status = format!("{encoding};Compressed;OriginalLength={length}");
        head.remove(HeaderId::ContentLength);
        if !self.options.status_header {
            head.set(HeaderId::ContentEncoding, encoding.as_bytes());
            insert_vary(head);
            return;
        }
        insert_vary(head);
        head.set(HeaderId::ContentEncoding, encoding.as_bytes());
        head.append_name(&self.status_name, status.as_bytes());
    }
}

/// What holds for one stream, by the filter or by its route.
struct Own {
    enabled: bool,
    remove_accept_encoding: bool,
    library: CompressorLibrary,
}

impl Own {
    fn of(filter: &Compressor, at: &Instance, stream: &ActiveStream<'_>) -> Self {
        let mut own = Self {
            enabled: filter.response.enabled.get(),
            remove_accept_encoding: filter.options.remove_accept_encoding,
            library: filter.library.clone(),
        };
        match at.most_specific(stream.route.as_ref()) {
            Some(Override::Disabled) => own.enabled = false,
            Some(Override::Overrides {
                enabled,
                remove_accept_encoding,
                library,
            }) => {
                own.enabled |= enabled;
                if let Some(remove) = remove_accept_encoding {
                    own.remove_accept_encoding = *remove;
                }
                if let Some(library) = library {
                    own.library = library.clone();
                }
            }
            None => {}
        }
        own
    }
}

/// `transfer-encoding` names a compression.
fn is_encoded_in_transfer(head: &HeaderMap, own: &str) -> bool {
    let known = ["gzip", "br", "deflate", "compress", "zstd", own];
    let value = head.get(HeaderId::TransferEncoding);
    value.is_some_and(|value| {
        value
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|token| {
                known
                    .iter()
                    .any(|k| k.as_bytes().eq_ignore_ascii_case(token))
            })
    })
}

fn insert_vary(head: &mut HeaderMap) {
    const ACCEPT_ENCODING: &[u8] = b"Accept-Encoding";
    let value = match head.get(HeaderId::Vary) {
        None => ACCEPT_ENCODING.to_vec(),
        Some(vary) => {
            let mut tokens = vary.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            if tokens.any(|token| token == ACCEPT_ENCODING) {
                return;
            }
            [vary, b", ", ACCEPT_ENCODING].concat()
        }
    };
    head.set(HeaderId::Vary, &value);
}
