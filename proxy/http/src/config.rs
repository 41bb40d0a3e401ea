//! Compiles `HttpConnectionManager` from its proto.

use crate::{
    codec::{
        h1::{Http1Settings, server::CodecType},
        h2::Http2Settings,
    },
    filter::{FilterChain, FilterContext, Overrides},
    hcm::{AccessLogOptions, HttpConnectionManager, PathOptions, Timeouts},
    http2::PrematureResets,
    local_reply::LocalReplyConfig,
    original_ip,
    proxy_status::ProxyStatus,
    request_headers::RequestHeaderConfig,
    response_headers::{ResponseHeaderConfig, ServerHeader},
    route::{HeaderMutations, RouteTable},
    stats::{HcmStats, Http1Stats, ListenerHttpStats, RouterStats, TracingStats},
    stream::Overload,
    upgrade::UpgradeConfigs,
};
use envoy_api::{
    Name,
    pb::envoy::{
        config::core::v3::{
            HttpProtocolOptions, TypedExtensionConfig, scheme_header_transformation::Transformation,
        },
        extensions::{
            filters::network::http_connection_manager::v3::{
                HttpConnectionManager as Proto, RequestIdExtension, http_connection_manager as hcm,
            },
            http::early_header_mutation::header_mutation::v3::HeaderMutation as EarlyMutation,
        },
        r#type::v3::Percent,
    },
    type_name, unpack,
};
use outrigger_core::{
    ConfigError,
    access_log::AccessLogs,
    drain::DrainDecision,
    error::{ConfigResult, required},
    matcher::CidrList,
    overload::OverloadState,
    runtime::RuntimeFlag,
};
use outrigger_upstream::{BuildContext, config::Http2Options, stats::LazyStats};
use std::{sync::Arc, time::Duration};

/// What the listener lends to the connection manager that it holds.
#[derive(Debug)]
pub struct ListenerContext<'a> {
    /// `listener.<address>.`: where `http.<stat_prefix>.downstream_rq_*` is counted a second time.
    pub stat_prefix: &'a str,
    /// `per_connection_buffer_limit_bytes`.
    pub buffer_limit: u32,
    /// Whether connections of the listener are to be asked to close.
    pub drain: DrainDecision,
    /// What the overload manager demands of the listener.
    pub overload: Arc<OverloadState>,
    /// The listener's own loggers: one line for each connection.
    pub access_logs: &'a AccessLogs,
}

impl HttpConnectionManager {
    /// Everything that a request needs is resolved here: routes, clusters, filters, formats, stats.
    pub fn compile(
        proto: &Proto,
        build: &BuildContext,
        listener: &ListenerContext<'_>,
    ) -> Result<Arc<Self>, ConfigError> {
        let codec_type = codec_type(proto)?;
        let prefix = format!("http.{}.", proto.stat_prefix);
        let context = FilterContext {
            build,
            stat_prefix: &prefix,
        };
        let filters = FilterChain::compile(&proto.http_filters, "http_filters", &context)?;
        let upgrades = UpgradeConfigs::compile(&proto.upgrade_configs, &context)?;
        let routes = match required(proto.route_specifier.as_ref(), "route_specifier")? {
            hcm::RouteSpecifier::RouteConfig(routes) => RouteTable::compile(
                routes,
                build,
                &Overrides(build),
                routes.validate_clusters.unwrap_or(true),
            )
            .at("route_config")?,
            hcm::RouteSpecifier::Rds(_) => {
                return Err(ConfigError::new("xDS is not supported").at("rds"));
            }
            hcm::RouteSpecifier::ScopedRoutes(_) => {
                return Err(ConfigError::new("scoped routes are not supported").at("scoped_routes"));
            }
        };
        let common = proto.common_http_protocol_options.unwrap_or_default();
        if common.max_response_headers_kb.is_some() {
            return Err(ConfigError::new(
                "Error: max_response_headers_kb cannot be set on http_connection_manager.",
            ))
            .at("max_response_headers_kb")
            .at("common_http_protocol_options");
        }
        require_uuid(proto.request_id_extension.as_ref()).at("request_id_extension")?;
        let http1 = Http1Settings::downstream(
            proto.http_protocol_options.as_ref(),
            Some(&common),
            proto.max_request_headers_kb,
        )
        .at("http_protocol_options")?;
        let http2 = Http2Settings::new(
            Http2Options::compile(proto.http2_protocol_options.as_ref())
                .at("http2_protocol_options")?,
            &http1,
            proto.stream_error_on_invalid_http_message.unwrap_or(false),
        );
        let stats = &build.context.stats;
        let via: Option<Arc<str>> = (!proto.via.is_empty()).then(|| proto.via.as_str().into());
        Ok(Arc::new(Self {
            stats: stats.register(&prefix, HcmStats::default()),
            router_stats: stats.register(&prefix, RouterStats::default()),
            _tracing_stats: stats.register(&format!("{prefix}tracing."), TracingStats::default()),
            listener_stats: stats.register(
                &format!("{}http.{}.", listener.stat_prefix, proto.stat_prefix),
                ListenerHttpStats::default(),
            ),
            http1_stats: stats.register("http1.", Http1Stats::default()),
            http2_stats: LazyStats::new(&build.context.stats, "http2."),
            codec_type,
            http2: Arc::new(http2),
            premature_resets: PrematureResets::compile(&build.context.runtime),
            listener_access_logs: listener.access_logs.clone(),
            access_logs: AccessLogs::compile(&proto.access_log, &build.context.log_services())
                .at("access_log")?,
            access_log_options: access_log_options(proto)?,
            timeouts: timeouts(proto, &common)?,
            max_requests_per_connection: common.max_requests_per_connection.filter(|&n| n > 0),
            request_headers: request_headers(proto, build, via.clone())?,
            response_headers: ResponseHeaderConfig {
                server: match proto.server_header_transformation() {
                    hcm::ServerHeaderTransformation::Overwrite => ServerHeader::Overwrite,
                    hcm::ServerHeaderTransformation::AppendIfAbsent => ServerHeader::AppendIfAbsent,
                    hcm::ServerHeaderTransformation::PassThrough => ServerHeader::PassThrough,
                },
                server_name: if proto.server_name.is_empty() {
                    "envoy"
                } else {
                    &proto.server_name
                }
                .into(),
                via,
                always_set_request_id: proto.always_set_request_id_in_response,
            },
            proxy_status: proto.proxy_status_config.as_ref().map(|config| {
                let server_name = match proto.server_name.as_str() {
                    "" => "envoy",
                    name => name,
                };
                ProxyStatus::compile(config, server_name, &build.context.local_info.node_id)
            }),
            local_replies: proto
                .local_reply_config
                .as_ref()
                .map(|config| LocalReplyConfig::compile(config, &build.context.runtime))
                .transpose()
                .at("local_reply_config")?,
            clusters: build.clusters.clone(),
            keep_after_bad_request: http1
                .stream_error_on_invalid_http_message
                .or(proto.stream_error_on_invalid_http_message)
                .unwrap_or(false),
            http1: Arc::new(http1),
            path: path_options(proto, build)?,
            early_mutations: early_mutations(proto)?,
            proxy_100_continue: proto.proxy_100_continue,
            buffer_limit: listener.buffer_limit as usize,
            drain: listener.drain.clone(),
            overload: Overload {
                state: listener.overload.clone(),
                append_header: proto.append_local_overload,
            },
            filters,
            upgrades,
            routes,
        }))
    }
}

fn codec_type(proto: &Proto) -> Result<CodecType, ConfigError> {
    match proto.codec_type() {
        hcm::CodecType::Auto => Ok(CodecType::Auto),
        hcm::CodecType::Http1 => Ok(CodecType::Http1),
        hcm::CodecType::Http2 => Ok(CodecType::Http2),
        other => Err(
            ConfigError::new(format!("{} is not supported", other.as_str_name())).at("codec_type"),
        ),
    }
}

fn timeouts(proto: &Proto, common: &HttpProtocolOptions) -> Result<Timeouts, ConfigError> {
    Ok(Timeouts {
        connection_idle: duration(&common.idle_timeout, Some(Duration::from_secs(3600)))
            .at("idle_timeout")?,
        max_connection_duration: duration(&common.max_connection_duration, None)
            .at("max_connection_duration")?,
        max_connection_duration_jitter: percent(&common.max_connection_duration_jitter),
        safe_max_connection_duration: proto.http1_safe_max_connection_duration,
        max_stream_duration: duration(&common.max_stream_duration, None)
            .at("max_stream_duration")?,
        stream_idle: duration(&proto.stream_idle_timeout, Some(Duration::from_secs(300)))
            .at("stream_idle_timeout")?,
        stream_flush: match &proto.stream_flush_timeout {
            None => None,
            set => Some(
                duration(set, None)
                    .at("stream_flush_timeout")?
                    .unwrap_or_default(),
            ),
        },
        request: duration(&proto.request_timeout, None).at("request_timeout")?,
        request_headers: duration(&proto.request_headers_timeout, None)
            .at("request_headers_timeout")?,
        delayed_close: duration(&proto.delayed_close_timeout, Some(Duration::from_secs(1)))
            .at("delayed_close_timeout")?,
        drain: duration(&proto.drain_timeout, Some(Duration::from_secs(5))).at("drain_timeout")?,
        drain_jitter: percent(&proto.drain_timeout_jitter),
    })
}

/// The range is Envoy's validation's business.
fn percent(proto: &Option<Percent>) -> f64 {
    proto.as_ref().map_or(0.0, |percent| percent.value)
}

// Envoy still honours the older fields.
#[allow(deprecated)]
fn access_log_options(proto: &Proto) -> Result<AccessLogOptions, ConfigError> {
    let Some(options) = &proto.access_log_options else {
        return Ok(AccessLogOptions {
            on_new_request: proto.flush_access_log_on_new_request,
            on_tunnel_established: false,
            flush_interval: duration(&proto.access_log_flush_interval, None)
                .at("access_log_flush_interval")?,
        });
    };
    let both = [
        (
            proto.access_log_flush_interval.is_some(),
            "access_log_flush_interval",
        ),
        (
            proto.flush_access_log_on_new_request,
            "flush_access_log_on_new_request",
        ),
    ];
    if let Some((_, field)) = both.iter().find(|(set, _)| *set) {
        return Err(ConfigError::new(format!(
            "Only one of {field} or access_log_options can be specified."
        )));
    }
    Ok(AccessLogOptions {
        on_new_request: options.flush_access_log_on_new_request,
        on_tunnel_established: options.flush_log_on_tunnel_successfully_established,
        flush_interval: duration(&options.access_log_flush_interval, None)
            .at("access_log_flush_interval")
            .at("access_log_options")?,
    })
}

/// A timeout field: missing means the default, zero means none.
pub fn duration(
    field: &Option<envoy_api::prost_types::Duration>,
    default: Option<Duration>,
) -> Result<Option<Duration>, ConfigError> {
    let Some(field) = field else {
        return Ok(default);
    };
    let duration = Duration::try_from(*field)
        .map_err(|_| ConfigError::new("Invalid duration: Expected positive duration"))?;
    Ok((!duration.is_zero()).then_some(duration))
}

fn request_headers(
    proto: &Proto,
    build: &BuildContext,
    via: Option<Arc<str>>,
) -> Result<RequestHeaderConfig, ConfigError> {
    let internal = proto.internal_address_config.clone().unwrap_or_default();
    let internal_addresses = CidrList::compile(&internal.cidr_ranges)
        .at("cidr_ranges")
        .at("internal_address_config")?;
    let local = &build.context.local_info;
    Ok(RequestHeaderConfig {
        use_remote_address: proto.use_remote_address.unwrap_or(false),
        xff_num_trusted_hops: proto.xff_num_trusted_hops as usize,
        original_ip: original_ip::compile(proto)?,
        skip_xff_append: proto.skip_xff_append,
        forwards_client_cert: proto.forward_client_cert_details()
            == hcm::ForwardClientCertDetails::AlwaysForwardOnly,
        append_x_forwarded_port: proto.append_x_forwarded_port,
        https_ports: proto
            .forward_proto_config
            .clone()
            .unwrap_or_default()
            .https_destination_ports
            .into(),
        internal_addresses,
        internal_unix_sockets: internal.unix_sockets,
        user_agent: proto
            .add_user_agent
            .unwrap_or(false)
            .then(|| local.cluster.clone()),
        node_id: local.node_id.clone(),
        via,
        generate_request_id: proto.generate_request_id.unwrap_or(true),
        preserve_external_request_id: proto.preserve_external_request_id,
        local_address: local.address,
        scheme: scheme(proto).at("scheme_header_transformation")?,
        match_upstream: proto
            .scheme_header_transformation
            .as_ref()
            .is_some_and(|of| of.match_upstream && of.transformation.is_none()),
    })
}

/// `scheme_header_transformation.scheme_to_overwrite`.
fn scheme(proto: &Proto) -> Result<Option<&'static str>, ConfigError> {
    let transformation = proto
        .scheme_header_transformation
        .as_ref()
        .and_then(|t| t.transformation.as_ref());
    let Some(Transformation::SchemeToOverwrite(scheme)) = transformation else {
        return Ok(None);
    };
    match scheme.as_str() {
        "http" => Ok(Some("http")),
        "https" => Ok(Some("https")),
        _ => Err(ConfigError::new("value must be in list [http, https]").at("scheme_to_overwrite")),
    }
}

fn path_options(proto: &Proto, build: &BuildContext) -> Result<PathOptions, ConfigError> {
    let strip_any_host_port = matches!(
        proto.strip_port_mode,
        Some(hcm::StripPortMode::StripAnyHostPort(true))
    );
    if proto.strip_matching_host_port && strip_any_host_port {
        return Err(ConfigError::new(
            "Error: Only one of `strip_matching_host_port` or `strip_any_host_port` can be set.",
        )
        .at("strip_any_host_port"));
    }
    Ok(PathOptions {
        normalize: proto.normalize_path.unwrap_or(false),
        merge_slashes: proto.merge_slashes,
        escaped_slashes: proto.path_with_escaped_slashes_action(),
        strip_matching_host_port: proto.strip_matching_host_port,
        strip_any_host_port,
        strip_trailing_host_dot: proto.strip_trailing_host_dot,
        reject_fragment: RuntimeFlag::new(
            true,
            "envoy.reloadable_features.http_reject_path_with_fragment",
            &build.context.runtime,
        ),
    })
}

/// `early_header_mutation_extensions`: of the one kind that there is.
fn early_mutations(proto: &Proto) -> Result<Box<[HeaderMutations]>, ConfigError> {
    let compile = |extension: &TypedExtensionConfig| {
        let any = required(extension.typed_config.as_ref(), "typed_config")?;
        if type_name(&any.type_url) != EarlyMutation::full_name() {
            let name = &extension.name;
            return Err(ConfigError::new(format!(
                "Early header mutation extension not found: '{name}'"
            )));
        }
        let proto: EarlyMutation = unpack(any).map_err(|e| ConfigError::new(e.to_string()))?;
        HeaderMutations::compile(&proto.mutations)
            .at("mutations")
            .at("typed_config")
    };
    proto
        .early_header_mutation_extensions
        .iter()
        .enumerate()
        .map(|(i, extension)| compile(extension).at_index("early_header_mutation_extensions", i))
        .collect()
}

/// `request_id_extension`: there is one kind of request id, and it is the default.
pub(crate) fn require_uuid(proto: Option<&RequestIdExtension>) -> Result<(), ConfigError> {
    let Some(any) = proto.and_then(|extension| extension.typed_config.as_ref()) else {
        return Ok(());
    };
    match type_name(&any.type_url) {
        "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig" => Ok(()),
        other => Err(ConfigError::new(format!(
            "Didn't find a registered implementation for type: '{other}'"
        ))),
    }
}
