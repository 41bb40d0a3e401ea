//! Which filters there are: by the type of their configuration, and of their configuration in a route.

use super::{
    FilterContext, HttpFilter, buffer, compressor, cors, csrf, custom_response, fault,
    header_mutation, header_to_metadata, health_check, local_ratelimit, rbac,
};
use super::{
    compressor::Compressor, decompressor::Decompressor, grpc_http1_bridge::GrpcHttp1Bridge,
    grpc_stats::GrpcStats, grpc_web::GrpcWeb,
};
use super::{
    set_filter_state::{self, SetFilterState},
    set_metadata::SetMetadata,
    stateful_session::{self, StatefulSession},
};
use crate::{
    route::{FilterOverride, PerFilterConfig},
    router::RouterConfig,
};
use buffer::Buffer;
use cors::Cors;
use csrf::Csrf;
use custom_response::CustomResponse;
use envoy_api::{
    Message, Name,
    pb::envoy::extensions::filters::{
        http::{
            buffer::v3::{Buffer as BufferProto, BufferPerRoute},
            compressor::v3::{Compressor as CompressorProto, CompressorPerRoute},
            cors::v3::CorsPolicy,
            csrf::v3::CsrfPolicy,
            custom_response::v3::CustomResponse as CustomResponseProto,
            decompressor::v3::Decompressor as DecompressorProto,
            fault::v3::HttpFault,
            grpc_http1_bridge::v3::Config as GrpcHttp1BridgeProto,
            grpc_stats::v3::FilterConfig as GrpcStatsProto,
            header_mutation::v3::{HeaderMutation as HeaderMutationProto, HeaderMutationPerRoute},
            header_to_metadata::v3::Config as HeaderToMetadataProto,
            health_check::v3::HealthCheck as HealthCheckProto,
            local_ratelimit::v3::LocalRateLimit as LocalRateLimitProto,
            rbac::v3::{Rbac as RbacProto, RbacPerRoute},
            router::v3::Router,
            set_filter_state::v3::Config as SetFilterStateProto,
            set_metadata::v3::Config as SetMetadataProto,
            stateful_session::v3::{
                StatefulSession as StatefulSessionProto, StatefulSessionPerRoute,
            },
        },
        network::http_connection_manager::v3::{HttpFilter as Proto, http_filter::ConfigType},
    },
    prost_types::Any,
    type_name, unpack,
};
use fault::Fault;
use header_mutation::HeaderMutation;
use header_to_metadata::HeaderToMetadata;
use health_check::HealthCheck;
use local_ratelimit::LocalRateLimit;
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
};
use outrigger_upstream::BuildContext;

pub(super) enum Compiled {
    Filter(HttpFilter),
    Router(RouterConfig),
}

/// One kind of filter.
struct Kind {
    type_name: &'static str,
    /// Envoy's name of the extension.
    extension: &'static str,
    compile: fn(&Any, &FilterContext<'_>) -> Result<HttpFilter, ConfigError>,
}

const KINDS: &[Kind] = &[
    Kind {
        type_name: "envoy.extensions.filters.http.buffer.v3.Buffer",
        extension: "envoy.filters.http.buffer",
        compile: |config, _| {
            let filter = Buffer::compile(&open::<BufferProto>(config)?)?;
            Ok(HttpFilter::Buffer(filter))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.compressor.v3.Compressor",
        extension: "envoy.filters.http.compressor",
        compile: |config, context| {
            let filter = Compressor::compile(&open::<CompressorProto>(config)?, context)?;
            Ok(HttpFilter::Compressor(Box::new(filter)))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.decompressor.v3.Decompressor",
        extension: "envoy.filters.http.decompressor",
        compile: |config, context| {
            let filter = Decompressor::compile(&open::<DecompressorProto>(config)?, context)?;
            Ok(HttpFilter::Decompressor(Box::new(filter)))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.cors.v3.Cors",
        extension: "envoy.filters.http.cors",
        compile: |_, context| Ok(HttpFilter::Cors(Cors::compile(context))),
    },
    Kind {
        type_name: "envoy.extensions.filters.http.csrf.v3.CsrfPolicy",
        extension: "envoy.filters.http.csrf",
        compile: |config, context| {
            let filter = Csrf::compile(&open::<CsrfPolicy>(config)?, context)?;
            Ok(HttpFilter::Csrf(filter))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.custom_response.v3.CustomResponse",
        extension: "envoy.filters.http.custom_response",
        compile: |config, context| {
            let filter = CustomResponse::compile(&open::<CustomResponseProto>(config)?, context)?;
            Ok(HttpFilter::CustomResponse(Box::new(filter)))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.fault.v3.HTTPFault",
        extension: "envoy.filters.http.fault",
        compile: |config, context| {
            let filter = Fault::compile(&open::<HttpFault>(config)?, context)?;
            Ok(HttpFilter::Fault(filter))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
        extension: "envoy.filters.http.grpc_web",
        compile: |_, _| Ok(HttpFilter::GrpcWeb(GrpcWeb)),
    },
    Kind {
        type_name: "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
        extension: "envoy.filters.http.grpc_http1_bridge",
        compile: |config, _| {
            let filter = GrpcHttp1Bridge::compile(&open::<GrpcHttp1BridgeProto>(config)?);
            Ok(HttpFilter::GrpcHttp1Bridge(filter))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        extension: "envoy.filters.http.grpc_stats",
        compile: |config, _| {
            let filter = GrpcStats::compile(&open::<GrpcStatsProto>(config)?);
            Ok(HttpFilter::GrpcStats(filter))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        extension: "envoy.filters.http.header_mutation",
        compile: |config, _| {
            let filter = HeaderMutation::compile(&open::<HeaderMutationProto>(config)?)?;
            Ok(HttpFilter::HeaderMutation(filter))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.header_to_metadata.v3.Config",
        extension: "envoy.filters.http.header_to_metadata",
        compile: |config, _| {
            let filter = HeaderToMetadata::compile(&open::<HeaderToMetadataProto>(config)?)?;
            Ok(HttpFilter::HeaderToMetadata(filter))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.health_check.v3.HealthCheck",
        extension: "envoy.filters.http.health_check",
        compile: |config, context| {
            let filter = HealthCheck::compile(&open::<HealthCheckProto>(config)?, context)?;
            Ok(HttpFilter::HealthCheck(Box::new(filter)))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        extension: "envoy.filters.http.local_ratelimit",
        compile: |config, context| {
            let filter = LocalRateLimit::compile(&open::<LocalRateLimitProto>(config)?, context)?;
            Ok(HttpFilter::LocalRateLimit(filter))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.rbac.v3.RBAC",
        extension: "envoy.filters.http.rbac",
        compile: |config, context| {
            let filter = rbac::Rbac::compile(&open::<RbacProto>(config)?, context)?;
            Ok(HttpFilter::Rbac(Box::new(filter)))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.set_filter_state.v3.Config",
        extension: "envoy.filters.http.set_filter_state",
        compile: |config, _| {
            let filter = SetFilterState::compile(&open::<SetFilterStateProto>(config)?)?;
            Ok(HttpFilter::SetFilterState(filter))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.set_metadata.v3.Config",
        extension: "envoy.filters.http.set_metadata",
        compile: |config, context| {
            let filter = SetMetadata::compile(&open::<SetMetadataProto>(config)?, context);
            Ok(HttpFilter::SetMetadata(filter))
        },
    },
    Kind {
        type_name: "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
        extension: "envoy.filters.http.stateful_session",
        compile: |config, context| {
            let filter = StatefulSession::compile(&open::<StatefulSessionProto>(config)?, context)?;
            Ok(HttpFilter::StatefulSession(Box::new(filter)))
        },
    },
];

const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";

/// Compiles `typed_per_filter_config` of the levels of a route configuration.
pub(crate) struct Overrides<'a>(pub &'a BuildContext);

impl PerFilterConfig for Overrides<'_> {
    /// The type of the config says which filter it is for; the name says which instance.
    fn compile(&self, _name: &str, config: &Any) -> Result<Option<FilterOverride>, ConfigError> {
        let runtime = &self.0.context.runtime;
        match type_name(&config.type_url) {
            "envoy.extensions.filters.http.buffer.v3.BufferPerRoute" => {
                buffer::compile_override(&open::<BufferPerRoute>(config)?).map(Some)
            }
            "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute" => {
                compressor::compile_override(&open::<CompressorPerRoute>(config)?).map(Some)
            }
            "envoy.extensions.filters.http.csrf.v3.CsrfPolicy" => {
                csrf::compile_override(&open::<CsrfPolicy>(config)?, runtime).map(Some)
            }
            "envoy.extensions.filters.http.cors.v3.CorsPolicy" => {
                cors::compile_override(&open::<CorsPolicy>(config)?, runtime).map(Some)
            }
            "envoy.extensions.filters.http.custom_response.v3.CustomResponse" => {
                custom_response::compile_override(&open::<CustomResponseProto>(config)?, self.0)
                    .map(Some)
            }
            "envoy.extensions.filters.http.fault.v3.HTTPFault" => {
                fault::compile_override(&open::<HttpFault>(config)?, runtime).map(Some)
            }
            "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute" => {
                header_mutation::compile_override(&open::<HeaderMutationPerRoute>(config)?)
                    .map(Some)
            }
            "envoy.extensions.filters.http.header_to_metadata.v3.Config" => {
                header_to_metadata::compile_override(&open::<HeaderToMetadataProto>(config)?)
                    .map(Some)
            }
            "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit" => {
                local_ratelimit::compile_override(&open::<LocalRateLimitProto>(config)?, self.0)
                    .map(Some)
            }
            "envoy.extensions.filters.http.rbac.v3.RBACPerRoute" => {
                rbac::compile_override(&open::<RbacPerRoute>(config)?, self.0).map(Some)
            }
            "envoy.extensions.filters.http.set_filter_state.v3.Config" => {
                set_filter_state::compile_override(&open::<SetFilterStateProto>(config)?).map(Some)
            }
            "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute" => {
                stateful_session::compile_override(
                    &open::<StatefulSessionPerRoute>(config)?,
                    self.0,
                )
                .map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Whether Envoy would pass over the filter if it is optional. One that Envoy has and we have not may guard access: it is
/// refused like any other.
pub(super) fn nobody_has(proto: &Proto) -> bool {
    match &proto.config_type {
        Some(ConfigType::TypedConfig(config)) => {
            !type_name(&config.type_url).starts_with("envoy.extensions.")
        }
        Some(ConfigType::ConfigDiscovery(_)) => false,
        None => true,
    }
}

/// Compiles one filter; `last`: nothing follows it.
pub(super) fn compile(
    proto: &Proto,
    last: bool,
    context: &FilterContext<'_>,
) -> Result<Compiled, ConfigError> {
    let config = match required(proto.config_type.as_ref(), "config_type")? {
        ConfigType::TypedConfig(config) => config,
        ConfigType::ConfigDiscovery(_) => {
            return Err(
                ConfigError::new("extension config discovery is not supported")
                    .at("config_discovery"),
            );
        }
    };
    let name = &proto.name;
    let misplaced = |what: &str, extension: &str| {
        ConfigError::new(format!(
            "Error: {what} filter named {name} of type {extension} {}",
            match last {
                true => "is the last filter in a http filter chain.",
                false => "must be the last filter in a http filter chain.",
            }
        ))
    };
    let type_name = type_name(&config.type_url);
    if type_name == ROUTER {
        return match last {
            true => Ok(Compiled::Router(RouterConfig::compile(&open::<Router>(
                config,
            )?)?)),
            false => Err(misplaced("terminal", "envoy.filters.http.router")),
        };
    }
    let Some(kind) = KINDS.iter().find(|kind| kind.type_name == type_name) else {
        return Err(ConfigError::new(format!(
            "Didn't find a registered implementation for '{name}' with type URL: '{type_name}'"
        )));
    };
    if last {
        return Err(misplaced("non-terminal", kind.extension));
    }
    (kind.compile)(config, context)
        .at("typed_config")
        .map(Compiled::Filter)
}

fn open<T: Message + Name + Default>(config: &Any) -> Result<T, ConfigError> {
    unpack(config).map_err(|e| ConfigError::new(e.to_string()))
}
