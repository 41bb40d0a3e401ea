//! Compiles `RouteAction`, and `WeightedCluster` into a route for each of its clusters.

use envoy_api::{
    pb::envoy::config::{
        core::v3::{Metadata as MetadataProto, RoutingPriority},
        route::v3::{
            RouteAction as Proto, WeightedCluster, route_action,
            route_action::{ClusterNotFoundResponseCode, ClusterSpecifier as SpecifierProto},
            weighted_cluster::{
                ClusterWeight, RandomValueSpecifier, cluster_weight::HostRewriteSpecifier,
            },
        },
    },
    prost_types,
};
use outrigger_core::{
    ConfigError, HeaderName,
    error::{ConfigResult, required},
    matcher::RegexRewrite,
    metadata::Metadata,
    runtime::{Runtime, RuntimeUint32},
};
use outrigger_upstream::Priority;
use std::{sync::Arc, time::Duration};

use super::{
    action::{Action, ClusterSpecifier, Forward, MaxStreamDuration},
    config::{Level, duration, mutations},
    entry::{LevelMutations, Route},
    header_mutation::HeaderParser,
    internal_redirect::InternalRedirectPolicy,
    path::PathMatcher,
    path_template::TemplateRewrite,
    rate_limit_policy::RateLimitPolicy,
    retry_policy::RetryPolicy,
    rewrite::{HostRewrite, PathRewrite, path_format},
    upgrade::RouteUpgrades,
    virtual_host::Target,
    weighted::Weighted,
};

/// `RouteAction.timeout` where it is not set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// Compiles an action; `route` makes a route with an action of this one's.
pub(super) fn compile(
    proto: &Proto,
    level: &Level<'_>,
    path: &PathMatcher,
    name: &str,
    route: impl Fn(Action) -> Route,
) -> Result<Target, ConfigError> {
    let forward = |cluster| forward(proto, level, path, name, cluster);
    let specifier = required(proto.cluster_specifier.as_ref(), "cluster_specifier")?;
    let cluster = match specifier {
        SpecifierProto::Cluster(cluster) => {
            if level.validate_clusters && !exists(level, cluster) {
                return Err(ConfigError::new(format!(
                    "route: unknown cluster '{cluster}'"
                )));
            }
            ClusterSpecifier::Slot(level.build.clusters.slot(cluster))
        }
        SpecifierProto::ClusterHeader(header) => {
            ClusterSpecifier::Header(HeaderName::from(header.as_str()))
        }
        SpecifierProto::WeightedClusters(weighted) => {
            return compile_weighted(weighted, proto, level, name, forward, route)
                .at("weighted_clusters");
        }
        SpecifierProto::ClusterSpecifierPlugin(_) => {
            return Err(unsupported("cluster_specifier_plugin"));
        }
        SpecifierProto::InlineClusterSpecifierPlugin(_) => {
            return Err(unsupported("inline_cluster_specifier_plugin"));
        }
    };
    let action = Action::Forward(Box::new(forward(cluster)?));
    Ok(Target::Route(Arc::new(route(action))))
}

fn unsupported(field: &str) -> ConfigError {
    ConfigError::new("cluster specifier plugins are not supported").at(field)
}

fn exists(level: &Level<'_>, cluster: &str) -> bool {
    level.build.clusters.get(cluster).is_some()
}

fn forward(
    proto: &Proto,
    level: &Level<'_>,
    path: &PathMatcher,
    name: &str,
    cluster: ClusterSpecifier,
) -> Result<Forward, ConfigError> {
    use envoy_api::pb::envoy::config::route::v3::route_action::HostRewriteSpecifier as Host;
    let retry_policy = match &proto.retry_policy {
        Some(policy) => Some(Arc::new(RetryPolicy::compile(policy).at("retry_policy")?)),
        None => level.retry_policy.clone(),
    };
    let limit = |value: Option<&prost_types::Duration>, field| {
        optional(value, field).at("max_stream_duration")
    };
    let compile_limits = |limits: &route_action::MaxStreamDuration| {
        Ok::<_, ConfigError>(MaxStreamDuration {
            max_stream_duration: limit(limits.max_stream_duration.as_ref(), "max_stream_duration")?,
            grpc_timeout_header_max: limit(
                limits.grpc_timeout_header_max.as_ref(),
                "grpc_timeout_header_max",
            )?,
            grpc_timeout_header_offset: limit(
                limits.grpc_timeout_header_offset.as_ref(),
                "grpc_timeout_header_offset",
            )?,
        })
    };
    let max_stream_duration = proto
        .max_stream_duration
        .as_ref()
        .map(compile_limits)
        .transpose()?;
    #[allow(deprecated)]
    let (max_grpc_timeout, grpc_timeout_offset) = (
        optional(proto.max_grpc_timeout.as_ref(), "max_grpc_timeout")?,
        optional(proto.grpc_timeout_offset.as_ref(), "grpc_timeout_offset")?,
    );
    #[allow(deprecated)]
    let include_virtual_host = proto.include_vh_rate_limits;
    let context = &level.build.context;
    let timeout = optional(proto.timeout.as_ref(), "timeout")?.unwrap_or(DEFAULT_TIMEOUT);
    Ok(Forward {
        cluster,
        cluster_not_found_response_code: match ClusterNotFoundResponseCode::try_from(
            proto.cluster_not_found_response_code,
        ) {
            Ok(ClusterNotFoundResponseCode::ServiceUnavailable) => 503,
            Ok(ClusterNotFoundResponseCode::NotFound) => 404,
            Ok(ClusterNotFoundResponseCode::InternalServerError) => 500,
            Err(_) => {
                return Err(
                    ConfigError::new("unknown enum value").at("cluster_not_found_response_code")
                );
            }
        },
        metadata_match: Metadata::compile(proto.metadata_match.as_ref()),
        timeout: (!timeout.is_zero()).then_some(timeout),
        idle_timeout: optional(proto.idle_timeout.as_ref(), "idle_timeout")?,
        flush_timeout: optional(proto.flush_timeout.as_ref(), "flush_timeout")?,
        max_stream_duration,
        max_grpc_timeout,
        grpc_timeout_offset,
        retry_policy,
        internal_redirect_policy: InternalRedirectPolicy::of(proto, name)?.map(Arc::new),
        hedge_on_per_try_timeout: match &proto.hedge_policy {
            Some(policy) => policy.hedge_on_per_try_timeout,
            None => level.hedge_on_per_try_timeout,
        },
        priority: match RoutingPriority::try_from(proto.priority) {
            Ok(RoutingPriority::Default) => Priority::Default,
            Ok(RoutingPriority::High) => Priority::High,
            Err(_) => return Err(ConfigError::new("unknown enum value").at("priority")),
        },
        auto_host_rewrite: matches!(
            proto.host_rewrite_specifier,
            Some(Host::AutoHostRewrite(true))
        ),
        append_x_forwarded_host: proto.append_x_forwarded_host,
        rate_limits: RateLimitPolicy::compile(&proto.rate_limits, &context.local_info)?,
        include_virtual_host_rate_limits: include_virtual_host.unwrap_or(false),
        upgrades: RouteUpgrades::compile(proto)?,
        host_rewrite: HostRewrite::compile(proto)?,
        path_rewrite: path_rewrite(proto, path)?,
    })
}

fn optional(
    proto: Option<&prost_types::Duration>,
    field: &str,
) -> Result<Option<Duration>, ConfigError> {
    proto.map(duration).transpose().at(field)
}

/// At most one of the four fields may say how the path changes.
fn path_rewrite(proto: &Proto, path: &PathMatcher) -> Result<PathRewrite, ConfigError> {
    let set = [
        !proto.prefix_rewrite.is_empty(),
        proto.regex_rewrite.is_some(),
        proto.path_rewrite_policy.is_some(),
        !proto.path_rewrite.is_empty(),
    ];
    if set.iter().filter(|set| **set).count() > 1 {
        return Err(ConfigError::new(
            "Specify only one of prefix_rewrite, regex_rewrite or path_rewrite_policy",
        ));
    }
    if !proto.prefix_rewrite.is_empty() {
        if matches!(path, PathMatcher::Template(_)) {
            return Err(ConfigError::new(
                "Cannot use prefix_rewrite with matcher extension",
            ));
        }
        return Ok(PathRewrite::Prefix(proto.prefix_rewrite.as_bytes().into()));
    }
    if let Some(regex) = &proto.regex_rewrite {
        let rewrite = RegexRewrite::compile(regex).at("regex_rewrite")?;
        return Ok(PathRewrite::Regex(Box::new(rewrite)));
    }
    if let Some(policy) = &proto.path_rewrite_policy {
        let rewrite = TemplateRewrite::compile_policy(policy, path).at("path_rewrite_policy")?;
        return Ok(PathRewrite::Template(Box::new(rewrite)));
    }
    if !proto.path_rewrite.is_empty() {
        let value = path_format(&proto.path_rewrite)?;
        return Ok(PathRewrite::Format(Box::new(value)));
    }
    Ok(PathRewrite::None)
}

fn compile_weighted(
    proto: &WeightedCluster,
    action: &Proto,
    level: &Level<'_>,
    route_name: &str,
    forward: impl Fn(ClusterSpecifier) -> Result<Forward, ConfigError>,
    route: impl Fn(Action) -> Route,
) -> Result<Target, ConfigError> {
    if proto.clusters.is_empty() {
        return Err(ConfigError::new("value must contain at least 1 item(s)").at("clusters"));
    }
    let random_header = match &proto.random_value_specifier {
        None | Some(RandomValueSpecifier::UseHashPolicy(false)) => None,
        Some(RandomValueSpecifier::HeaderName(name)) => Some(HeaderName::from(name.as_str())),
        Some(RandomValueSpecifier::UseHashPolicy(true)) => {
            return Err(ConfigError::new("hash policies are not supported").at("use_hash_policy"));
        }
    };
    let mut sum = 0;
    let mut choices = Vec::with_capacity(proto.clusters.len());
    for (i, weight) in proto.clusters.iter().enumerate() {
        let compiled = variant(weight, action, level, &forward, &route).at_index("clusters", i)?;
        let weight = weight.weight.unwrap_or(0);
        sum += u64::from(weight);
        choices.push((weight, Arc::new(compiled)));
    }
    if sum == 0 {
        return Err(ConfigError::new(
            "Sum of weights in the weighted_cluster must be greater than 0.",
        ));
    }
    if sum > u64::from(u32::MAX) {
        return Err(ConfigError::new(format!(
            "The sum of weights of all weighted clusters of route {route_name} exceeds {}",
            u32::MAX
        )));
    }
    let weights = match proto.runtime_key_prefix.as_str() {
        "" => None,
        prefix => Some(runtime_weights(proto, prefix, &level.build.context.runtime)),
    };
    Ok(Target::Weighted(Weighted::new(
        choices,
        weights,
        random_header,
    )))
}

/// The weights with the keys that may override them, `<prefix>.<cluster>`.
fn runtime_weights(
    proto: &WeightedCluster,
    prefix: &str,
    runtime: &Runtime,
) -> Box<[RuntimeUint32]> {
    let weight = |cluster: &ClusterWeight| {
        let key = format!("{prefix}.{}", cluster.name);
        RuntimeUint32::new(cluster.weight.unwrap_or(0), &key, runtime)
    };
    proto.clusters.iter().map(weight).collect()
}

/// The route as it is when one of its weighted clusters was chosen.
fn variant(
    proto: &ClusterWeight,
    action: &Proto,
    level: &Level<'_>,
    forward: impl Fn(ClusterSpecifier) -> Result<Forward, ConfigError>,
    route: impl Fn(Action) -> Route,
) -> Result<Route, ConfigError> {
    let cluster = match (proto.name.as_str(), proto.cluster_header.as_str()) {
        ("", "") => {
            return Err(ConfigError::new(
                "At least one of name or cluster_header need to be specified",
            ));
        }
        ("", header) => ClusterSpecifier::Header(HeaderName::from(header)),
        (name, "") => {
            if level.validate_clusters && !exists(level, name) {
                return Err(ConfigError::new(format!(
                    "route: unknown weighted cluster '{name}'"
                )));
            }
            ClusterSpecifier::Slot(level.build.clusters.slot(name))
        }
        _ => {
            return Err(ConfigError::new(
                "Only one of name or cluster_header can be specified",
            ));
        }
    };
    let mut forward = forward(cluster)?;
    if proto.metadata_match.is_some() {
        forward.metadata_match = Metadata::compile(Some(&merged(
            action.metadata_match.as_ref(),
            proto.metadata_match.as_ref(),
        )));
    }
    let mut route = route(Action::Forward(Box::new(forward)));
    let own: LevelMutations = mutations!(proto);
    route.mutations.weighted = (!own.is_empty()).then(|| Arc::new(own));
    route.per_filter = route
        .per_filter
        .with(&proto.typed_per_filter_config, level.filters)?;
    route.weighted_host = match &proto.host_rewrite_specifier {
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) if !host.is_empty() => {
            Some(host.as_bytes().into())
        }
        _ => None,
    };
    Ok(route)
}

/// Load balancing criteria of a route with those of its weighted cluster over them, key by key.
fn merged(outer: Option<&MetadataProto>, inner: Option<&MetadataProto>) -> MetadataProto {
    let mut merged = outer.cloned().unwrap_or_default();
    for (namespace, fields) in inner.iter().flat_map(|inner| &inner.filter_metadata) {
        let target = merged.filter_metadata.entry(namespace.clone()).or_default();
        for (key, value) in &fields.fields {
            target.fields.insert(key.clone(), value.clone());
        }
    }
    merged
}
