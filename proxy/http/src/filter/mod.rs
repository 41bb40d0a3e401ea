//! The HTTP filter chain: filters in order on the way up, in reverse on the way back.
//!
//! A filter is a variant of [`HttpFilter`]: one `match` shows all there are. It is shared by all streams and never
//! changes; what it must remember of one stream it keeps in [`FilterStates`]. It decides at once: whoever needs time says
//! so with [`Decision::Pause`], and only then is there a future (`stream/pause.rs`). Its per-route overrides are compiled
//! with the route table.

pub mod buffer;
pub mod compression;
pub mod compressor;
pub mod cors;
pub mod csrf;
pub mod custom_response;
pub mod decompressor;
pub mod fault;
mod fields;
pub mod grpc;
pub mod grpc_http1_bridge;
pub mod grpc_stats;
pub mod grpc_web;
pub mod header_mutation;
pub mod header_to_metadata;
pub mod health_check;
pub mod local_ratelimit;
mod query_mutation;
pub mod rbac;
mod registry;
pub mod set_filter_state;
pub mod set_metadata;
mod state;
pub mod stateful_session;
mod stream_rate_limiter;

pub use fields::FIELDS;
pub(crate) use registry::Overrides;
pub use state::{FilterState, FilterStates};
pub use stream_rate_limiter::StreamRateLimiter;

use crate::{
    local_reply::LocalReply, route::RouteMatch, router::RouterConfig, stream::ActiveStream,
};
use buffer::Buffer;
use compressor::Compressor;
use cors::Cors;
use csrf::Csrf;
use custom_response::CustomResponse;
use decompressor::Decompressor;
use envoy_api::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter as Proto;
use fault::Fault;
use grpc_http1_bridge::GrpcHttp1Bridge;
use grpc_stats::GrpcStats;
use grpc_web::GrpcWeb;
use header_mutation::HeaderMutation;
use header_to_metadata::HeaderToMetadata;
use health_check::HealthCheck;
use local_ratelimit::LocalRateLimit;
use outrigger_core::{ConfigError, error::ConfigResult, stats::StatGroup};
use outrigger_upstream::BuildContext;
use rbac::Rbac;
use set_filter_state::SetFilterState;
use set_metadata::SetMetadata;
use stateful_session::StatefulSession;
use std::{any::Any, ops::Range, sync::Arc, time::Duration};

/// What a filter decided about the request.
#[derive(Debug)]
pub enum Decision<P = Pause> {
    Continue,
    /// The filter answers itself; no later filter sees the request.
    Reply(Box<LocalReply>),
    /// No later filter sees the request for the time being; then the filter is asked again.
    Pause(P),
}

/// What a filter waits for.
#[derive(Clone, Copy, Debug)]
pub enum Pause {
    For(Duration),
    /// For the whole request: so many bytes of it at most, more is answered 413.
    WholeRequest {
        limit: usize,
    },
    /// For the end of a request that nobody wants.
    EndOfRequest,
}

/// The filter at this place waits.
#[derive(Clone, Copy, Debug)]
pub struct Paused {
    pub place: usize,
    pub pause: Pause,
}

/// The head of the response waits until the filter at this place has seen all of it.
#[derive(Clone, Copy, Debug)]
pub struct HoldHead {
    pub place: usize,
    /// Bytes of the body.
    pub limit: usize,
    pub overflow: Overflow,
}

/// What keeps the head of a response from going on to the next filter.
#[derive(Debug)]
pub enum Detour {
    Hold(HoldHead),
    /// The filter puts a reply of its own in the place of the response; no other filter sees it.
    Reply(Box<LocalReply>),
    /// The stream begins again with another request, whose response is put in the place of this one.
    Redirect,
}

/// What becomes of a held response above its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The client is told of an error.
    Refuse,
    /// The rest is dropped.
    Drop,
}

impl Decision {
    fn reply(reply: LocalReply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

/// What a filter may use when it is compiled.
#[derive(Debug)]
pub struct FilterContext<'a> {
    pub build: &'a BuildContext,
    /// `http.<stat_prefix>.`
    pub stat_prefix: &'a str,
}

impl FilterContext<'_> {
    /// Stats below those of the connection manager.
    pub fn stats<G: StatGroup + 'static>(&self, below: &str, group: G) -> Arc<G> {
        let stats = &self.build.context.stats;
        stats.register(&format!("{}{below}", self.stat_prefix), group)
    }
}

/// One configured filter before the router.
#[derive(Debug)]
enum HttpFilter {
    Buffer(Buffer),
    Compressor(Box<Compressor>),
    Cors(Cors),
    Csrf(Csrf),
    CustomResponse(Box<CustomResponse>),
    Decompressor(Box<Decompressor>),
    Fault(Fault),
    GrpcHttp1Bridge(GrpcHttp1Bridge),
    GrpcStats(GrpcStats),
    GrpcWeb(GrpcWeb),
    HeaderMutation(HeaderMutation),
    HeaderToMetadata(HeaderToMetadata),
    HealthCheck(Box<HealthCheck>),
    LocalRateLimit(LocalRateLimit),
    Rbac(Box<Rbac>),
    SetFilterState(SetFilterState),
    SetMetadata(SetMetadata),
    StatefulSession(Box<StatefulSession>),
}

/// Which filter of its chain a filter is.
#[derive(Debug)]
pub struct Instance {
    /// Its name in per-route configs.
    pub name: Arc<str>,
    pub place: usize,
    /// Unless the route enables it.
    disabled: bool,
}

impl Instance {
    fn is_disabled(&self, stream: &ActiveStream<'_>) -> bool {
        let route = stream.route.as_ref();
        route
            .and_then(|found| found.route.per_filter.disabled(&self.name))
            .unwrap_or(self.disabled)
    }

    /// What the most specific level of a route says about this filter.
    fn most_specific<'a, T: Any>(&self, route: Option<&'a RouteMatch>) -> Option<&'a T> {
        route?
            .route
            .per_filter
            .most_specific(&self.name)?
            .downcast_ref()
    }

    /// What the levels of the stream's route say about this filter, most specific first.
    fn overrides<'a, T: Any>(
        &'a self,
        stream: &'a ActiveStream<'_>,
    ) -> impl Iterator<Item = &'a T> {
        let route = stream.route.as_ref();
        route
            .into_iter()
            .flat_map(|found| found.route.per_filter.all(&self.name).rev())
            .filter_map(|level| level.downcast_ref())
    }
}

/// The filters of one connection manager, and the router behind them.
#[derive(Debug)]
pub struct FilterChain {
    filters: Vec<(Instance, HttpFilter)>,
    /// Missing only in a chain without any filter: its requests are answered 404.
    pub(crate) router: Option<RouterConfig>,
}

impl FilterChain {
    /// The router must be last, and nothing else may be. `field` is where the filters stand.
    pub fn compile(
        protos: &[Proto],
        field: &str,
        context: &FilterContext<'_>,
    ) -> Result<Self, ConfigError> {
        let mut filters = Vec::with_capacity(protos.len());
        let mut router = None;
        for (i, proto) in protos.iter().enumerate() {
            let last = i + 1 == protos.len();
            if proto.is_optional && registry::nobody_has(proto) {
                tracing::warn!(
                    target: "config",
                    "Didn't find a registered factory for the optional http filter {}",
                    proto.name
                );
                continue;
            }
            match registry::compile(proto, last, context).at_index(field, i)? {
                registry::Compiled::Filter(filter) => {
                    let instance = Instance {
                        name: proto.name.as_str().into(),
                        place: filters.len(),
                        disabled: proto.disabled,
                    };
                    filters.push((instance, filter));
                }
                registry::Compiled::Router(config) => router = Some(config),
            }
        }
        Ok(Self { filters, router })
    }

    /// Runs the request through the filters in order.
    pub(crate) fn decode_headers(&self, stream: &mut ActiveStream<'_>) -> Decision<Paused> {
        self.decode_from(0, stream)
    }

    /// The filter at this place has waited enough: asks it, then those behind it.
    pub(crate) fn resume(&self, stream: &mut ActiveStream<'_>, place: usize) -> Decision<Paused> {
        let decision = match self.filters.get(place) {
            Some((_, HttpFilter::Buffer(filter))) => filter.resume(stream),
            Some((at, HttpFilter::Fault(filter))) => filter.resume(at, stream),
            Some((_, HttpFilter::HealthCheck(filter))) => filter.resume(stream),
            _ => Decision::Continue,
        };
        match decision {
            Decision::Continue => self.decode_from(place + 1, stream),
            Decision::Reply(reply) => Decision::Reply(reply),
            Decision::Pause(pause) => Decision::Pause(Paused { place, pause }),
        }
    }

    fn decode_from(&self, first: usize, stream: &mut ActiveStream<'_>) -> Decision<Paused> {
        for (at, filter) in self.filters.iter().skip(first) {
            if at.is_disabled(stream) {
                continue;
            }
            let decision = match filter {
                HttpFilter::Buffer(filter) => filter.decode_headers(at, stream),
                HttpFilter::Compressor(filter) => {
                    filter.decode_headers(at, stream);
                    Decision::Continue
                }
                HttpFilter::Cors(filter) => filter.decode_headers(at, stream),
                HttpFilter::Csrf(filter) => filter.decode_headers(at, stream),
                HttpFilter::CustomResponse(_) => {
                    CustomResponse::decode_headers(at, stream);
                    Decision::Continue
                }
                HttpFilter::Decompressor(filter) => {
                    filter.decode_headers(at, stream);
                    Decision::Continue
                }
                HttpFilter::Fault(filter) => filter.decode_headers(at, stream),
                HttpFilter::GrpcHttp1Bridge(filter) => {
                    filter.decode_headers(at, stream);
                    Decision::Continue
                }
                HttpFilter::GrpcStats(filter) => {
                    filter.decode_headers(at, stream);
                    Decision::Continue
                }
                HttpFilter::GrpcWeb(filter) => {
                    filter.decode_headers(at, stream);
                    Decision::Continue
                }
                HttpFilter::HeaderMutation(filter) => {
                    filter.decode_headers(&at.name, stream);
                    Decision::Continue
                }
                HttpFilter::HeaderToMetadata(filter) => {
                    filter.decode_headers(at, stream);
                    Decision::Continue
                }
                HttpFilter::HealthCheck(filter) => filter.decode_headers(at, stream),
                HttpFilter::LocalRateLimit(filter) => filter.decode_headers(at, stream),
                HttpFilter::Rbac(filter) => filter.decode_headers(at, stream),
                HttpFilter::SetFilterState(filter) => {
                    filter.decode_headers(at, stream);
                    Decision::Continue
                }
                HttpFilter::SetMetadata(filter) => {
                    filter.decode_headers(stream);
                    Decision::Continue
                }
                HttpFilter::StatefulSession(filter) => {
                    filter.decode_headers(at, stream);
                    Decision::Continue
                }
            };
            match decision {
                Decision::Continue => {}
                Decision::Reply(reply) => return Decision::Reply(reply),
                Decision::Pause(pause) => {
                    let place = at.place;
                    return Decision::Pause(Paused { place, pause });
                }
            }
        }
        Decision::Continue
    }

    /// Runs the response through the filters in reverse, unless one of them must see all of it first or has another in its
    /// place. `end`: it has no body.
    pub(crate) fn encode_headers(
        &self,
        stream: &mut ActiveStream<'_>,
        end: bool,
    ) -> Option<Detour> {
        self.encode_below(self.filters.len(), stream, end)
    }

    /// The filter at this place has got the whole response: asks it, then those that see it later.
    pub(crate) fn resume_encode(
        &self,
        stream: &mut ActiveStream<'_>,
        place: usize,
    ) -> Option<Detour> {
        match self.filters.get(place) {
            Some((_, HttpFilter::GrpcHttp1Bridge(filter))) => filter.encode_whole(stream),
            Some((_, HttpFilter::GrpcWeb(filter))) => filter.encode_whole(stream),
            _ => {}
        }
        self.encode_below(place, stream, false)
    }

    fn encode_below(
        &self,
        place: usize,
        stream: &mut ActiveStream<'_>,
        end: bool,
    ) -> Option<Detour> {
        for (at, filter) in self.filters.iter().take(place).rev() {
            if at.is_disabled(stream) {
                continue;
            }
            match filter {
                HttpFilter::Compressor(filter) => filter.encode_headers(at, stream, end),
                HttpFilter::Cors(filter) => filter.encode_headers(at, stream),
                HttpFilter::Decompressor(filter) => filter.encode_headers(at, stream, end),
                HttpFilter::Buffer(_)
                | HttpFilter::Csrf(_)
                | HttpFilter::Fault(_)
                | HttpFilter::Rbac(_)
                | HttpFilter::SetFilterState(_)
                | HttpFilter::SetMetadata(_) => {}
                HttpFilter::CustomResponse(filter) => {
                    if let Some(detour) = filter.encode_headers(at, stream) {
                        return Some(detour);
                    }
                }
                HttpFilter::GrpcHttp1Bridge(filter) => {
                    if let Some(hold) = filter.encode_headers(at, stream, end) {
                        return Some(Detour::Hold(hold));
                    }
                }
                HttpFilter::GrpcStats(filter) => filter.encode_headers(at, stream, end),
                HttpFilter::GrpcWeb(filter) => {
                    if let Some(hold) = filter.encode_headers(at, stream, end) {
                        return Some(Detour::Hold(hold));
                    }
                }
                HttpFilter::HeaderMutation(filter) => filter.encode_headers(&at.name, stream),
                HttpFilter::HeaderToMetadata(filter) => filter.encode_headers(at, stream),
                HttpFilter::HealthCheck(filter) => filter.encode_headers(at, stream),
                HttpFilter::LocalRateLimit(filter) => filter.encode_headers(at, stream),
                HttpFilter::StatefulSession(filter) => filter.encode_headers(at, stream),
            }
        }
        None
    }

    /// The compressors that this stream passes, in order.
    pub(crate) fn compressors<'a>(
        &'a self,
        stream: &ActiveStream<'_>,
    ) -> impl Iterator<Item = (&'a Instance, &'a Compressor)> {
        self.filters.iter().filter_map(|(at, filter)| match filter {
            HttpFilter::Compressor(filter) if !at.is_disabled(stream) => Some((at, &**filter)),
            _ => None,
        })
    }

    /// Runs request trailers through the filters at these places in order.
    pub(crate) fn decode_trailers(&self, stream: &mut ActiveStream<'_>, places: Range<usize>) {
        for (at, filter) in &self.filters {
            if let HttpFilter::HeaderMutation(filter) = filter
                && places.contains(&at.place)
                && !at.is_disabled(stream)
            {
                filter.decode_trailers(&at.name, stream);
            }
        }
    }

    /// Runs response trailers through the filters at these places in reverse.
    pub(crate) fn encode_trailers(&self, stream: &mut ActiveStream<'_>, places: Range<usize>) {
        for (at, filter) in self.filters.iter().rev() {
            if let HttpFilter::HeaderMutation(filter) = filter
                && places.contains(&at.place)
                && !at.is_disabled(stream)
            {
                filter.encode_trailers(&at.name, stream);
            }
        }
    }
}
