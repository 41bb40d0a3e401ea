//! Compiles `RouteConfiguration`, `VirtualHost` and `Route`: levels from the outside in, each adding to what it inherits.

use envoy_api::{
    pb::envoy::config::{
        core::v3::Metadata as MetadataProto,
        route::v3::{
            Route as RouteProto, RouteConfiguration, VirtualHost as Proto,
            route::Action as ActionProto, virtual_host::TlsRequirementType,
        },
    },
    prost_types, type_name,
};
use outrigger_core::{
    ConfigError, HeaderName,
    error::{ConfigResult, required},
    metadata::Metadata,
    stream_info::RouteInfo,
};
use outrigger_upstream::BuildContext;
use std::{sync::Arc, time::Duration};

use super::{
    action::Action,
    direct_response::DirectResponse,
    domains::Domains,
    entry::{LevelMutations, Mutations, Route},
    forward_config,
    header_mutation::HeaderParser,
    match_tree::MatchTree,
    matcher::RouteMatcher,
    path::PathMatcher,
    per_filter::{PerFilter, PerFilterConfig},
    rate_limit_policy::RateLimitPolicy,
    redirect::Redirect,
    retry_policy::RetryPolicy,
    routes::{RouteList, Routes},
    table::RouteTable,
    virtual_cluster::{RequestStats, VirtualClusters},
    virtual_host::{Candidate, Target, TlsRequirement, VirtualHost, VirtualHostPolicy},
};

/// `max_direct_response_body_size_bytes` where it is not set.
const MAX_DIRECT_RESPONSE_BODY: u32 = 4096;

/// The header mutations of a message that has the four fields for them.
macro_rules! mutations {
    ($proto:expr) => {{
        let proto = $proto;
        HeaderParser::compile(
            &proto.request_headers_to_add,
            &proto.request_headers_to_remove,
            "request_headers",
        )
        .and_then(|request| {
            HeaderParser::compile(
                &proto.response_headers_to_add,
                &proto.response_headers_to_remove,
                "response_headers",
            )
            .map(|response| LevelMutations { request, response })
        })?
    }};
}
pub(super) use mutations;

/// What every level hands to the one below.
#[derive(Clone)]
pub(super) struct Level<'a> {
    pub build: &'a BuildContext,
    pub filters: &'a dyn PerFilterConfig,
    pub validate_clusters: bool,
    pub max_direct_response_body: usize,
    pub most_specific_wins: bool,
    pub ignore_path_parameters: bool,
    pub per_filter: PerFilter,
    /// Most specific level first.
    pub mutations: Vec<Arc<LevelMutations>>,
    pub virtual_host: Arc<VirtualHostPolicy>,
    pub virtual_host_name: Arc<str>,
    pub virtual_host_metadata: Metadata,
    pub retry_policy: Option<Arc<RetryPolicy>>,
    /// `hedge_policy.hedge_on_per_try_timeout`.
    pub hedge_on_per_try_timeout: bool,
    pub request_body_buffer_limit: Option<u64>,
}

impl RouteTable {
    /// `filters` compiles the overrides of the filters that the routes will meet. With `validate_clusters` a route to
    /// a cluster that does not exist is refused; static configurations do that unless they say otherwise.
    pub fn compile(
        proto: &RouteConfiguration,
        build: &BuildContext,
        filters: &dyn PerFilterConfig,
        validate_clusters: bool,
    ) -> Result<Arc<Self>, ConfigError> {
        let max_body = proto
            .max_direct_response_body_size_bytes
            .unwrap_or(MAX_DIRECT_RESPONSE_BODY);
        let mut level = Level {
            build,
            filters,
            validate_clusters,
            max_direct_response_body: max_body as usize,
            most_specific_wins: proto.most_specific_header_mutations_wins,
            ignore_path_parameters: proto.ignore_path_parameters_in_path_matching,
            per_filter: PerFilter::default().with(&proto.typed_per_filter_config, filters)?,
            mutations: Vec::new(),
            virtual_host: Arc::default(),
            virtual_host_name: "".into(),
            virtual_host_metadata: Metadata::default(),
            retry_policy: None,
            hedge_on_per_try_timeout: false,
            request_body_buffer_limit: None,
        };
        level.add_mutations(mutations!(proto));
        let mut virtual_hosts = Domains::default();
        for (i, host) in proto.virtual_hosts.iter().enumerate() {
            let compiled = VirtualHost::compile(host, &level).at_index("virtual_hosts", i)?;
            for (d, domain) in host.domains.iter().enumerate() {
                virtual_hosts
                    .insert(domain, compiled.clone(), &proto.name)
                    .at_index("domains", d)
                    .at_index("virtual_hosts", i)?;
            }
        }
        let names = proto.internal_only_headers.iter();
        Ok(Arc::new(Self {
            name: proto.name.as_str().into(),
            metadata: Metadata::compile(proto.metadata.as_ref()),
            virtual_hosts,
            ignore_port: proto.ignore_port_in_host_matching,
            vhost_header: (!proto.vhost_header.is_empty())
                .then(|| HeaderName::from(proto.vhost_header.as_str())),
            internal_only_headers: names.map(|name| HeaderName::from(name.as_str())).collect(),
        }))
    }
}

impl Level<'_> {
    /// Puts the mutations of a more specific level in front.
    fn add_mutations(&mut self, mutations: LevelMutations) {
        if !mutations.is_empty() {
            self.mutations.insert(0, Arc::new(mutations));
        }
    }

    /// The mutations in the order of evaluation, in which the last one wins.
    fn ordered_mutations(&self) -> Mutations {
        let mut levels = self.mutations.clone();
        if self.most_specific_wins {
            levels.reverse();
        }
        Mutations {
            weighted: None,
            levels,
        }
    }

    fn route_info(&self, name: &str, metadata: Option<&MetadataProto>) -> Arc<RouteInfo> {
        Arc::new(RouteInfo {
            name: name.into(),
            metadata: Metadata::compile(metadata),
            virtual_host_name: self.virtual_host_name.clone(),
            virtual_host_metadata: self.virtual_host_metadata.clone(),
        })
    }
}

impl VirtualHost {
    fn compile(proto: &Proto, outer: &Level<'_>) -> Result<Arc<Self>, ConfigError> {
        if proto.domains.is_empty() {
            return Err(ConfigError::new("value must contain at least 1 item(s)").at("domains"));
        }
        if proto.matcher.is_some() && !proto.routes.is_empty() {
            return Err(ConfigError::new(
                "cannot set both matcher and routes on virtual host",
            ));
        }
        let mut level = outer.clone();
        level.virtual_host_name = proto.name.as_str().into();
        level.virtual_host_metadata = Metadata::compile(proto.metadata.as_ref());
        level.per_filter = outer
            .per_filter
            .with(&proto.typed_per_filter_config, outer.filters)?;
        level.add_mutations(mutations!(proto));
        let retry_policy = proto.retry_policy.as_ref().map(RetryPolicy::compile);
        level.retry_policy = retry_policy.transpose().at("retry_policy")?.map(Arc::new);
        let hedge_policy = proto.hedge_policy.as_ref();
        level.hedge_on_per_try_timeout = hedge_policy.is_some_and(|h| h.hedge_on_per_try_timeout);
        #[allow(deprecated)]
        let old_limit = proto.per_request_buffer_limit_bytes.map(u64::from);
        level.request_body_buffer_limit = proto.request_body_buffer_limit.or(old_limit);
        let virtual_clusters = VirtualClusters::compile(
            &proto.virtual_clusters,
            &proto.name,
            &outer.build.context.stats,
        )?;
        level.virtual_host = Arc::new(VirtualHostPolicy {
            include_request_attempt_count: proto.include_request_attempt_count,
            include_attempt_count_in_response: proto.include_attempt_count_in_response,
            include_is_timeout_retry_header: proto.include_is_timeout_retry_header,
            rate_limits: RateLimitPolicy::compile(
                &proto.rate_limits,
                &outer.build.context.local_info,
            )?,
            virtual_clusters,
        });
        let require_tls = match TlsRequirementType::try_from(proto.require_tls) {
            Ok(TlsRequirementType::None) => TlsRequirement::None,
            Ok(TlsRequirementType::All) => TlsRequirement::All(tls_redirect(&level)),
            Ok(TlsRequirementType::ExternalOnly) => {
                TlsRequirement::ExternalOnly(tls_redirect(&level))
            }
            Err(_) => return Err(ConfigError::new("unknown enum value").at("require_tls")),
        };
        let routes = match &proto.matcher {
            Some(matcher) => {
                // Envoy does not look for the clusters of routes in a tree.
                level.validate_clusters = false;
                Routes::Tree(MatchTree::compile(matcher, &level).at("matcher")?)
            }
            None => {
                let routes = proto.routes.iter().enumerate();
                let compiled =
                    routes.map(|(i, route)| compile_route(route, &level).at_index("routes", i));
                Routes::List(RouteList::new(compiled.collect::<Result<_, _>>()?))
            }
        };
        Ok(Arc::new(Self {
            name: level.virtual_host_name,
            require_tls,
            ignore_path_parameters: level.ignore_path_parameters,
            routes,
        }))
    }
}

/// The answer of a virtual host that requires TLS. No header mutation applies to it.
fn tls_redirect(level: &Level<'_>) -> Arc<Route> {
    Arc::new(Route {
        info: level.route_info("", None),
        action: Action::Redirect(Box::new(Redirect::to_tls())),
        stats: None,
        virtual_host: level.virtual_host.clone(),
        per_filter: PerFilter::default(),
        request_body_buffer_limit: None,
        matcher: Arc::new(RouteMatcher::any(PathMatcher::Connect)),
        mutations: Mutations::default(),
        weighted_host: None,
    })
}

/// One route of a virtual host, with all variants of its weighted clusters.
pub(super) fn compile_route(
    proto: &RouteProto,
    outer: &Level<'_>,
) -> Result<Candidate, ConfigError> {
    let matcher = required(proto.r#match.as_ref(), "match")?;
    let matcher =
        Arc::new(RouteMatcher::compile(matcher, &outer.build.context.runtime).at("match")?);
    let mut level = outer.clone();
    level.per_filter = outer
        .per_filter
        .with(&proto.typed_per_filter_config, outer.filters)?;
    level.add_mutations(mutations!(proto));
    #[allow(deprecated)]
    let old_limit = proto.per_request_buffer_limit_bytes.map(u64::from);
    level.request_body_buffer_limit = proto
        .request_body_buffer_limit
        .or(old_limit)
        .or(outer.request_body_buffer_limit);
    let stats = (!proto.stat_prefix.is_empty()).then(|| {
        let store = &level.build.context.stats;
        RequestStats::register(store, &level.virtual_host_name, "route", &proto.stat_prefix)
    });
    let route = |action| Route {
        info: level.route_info(&proto.name, proto.metadata.as_ref()),
        action,
        stats: stats.clone(),
        virtual_host: level.virtual_host.clone(),
        per_filter: level.per_filter.clone(),
        request_body_buffer_limit: level.request_body_buffer_limit,
        matcher: matcher.clone(),
        mutations: level.ordered_mutations(),
        weighted_host: None,
    };
    let target = match required(proto.action.as_ref(), "action")? {
        ActionProto::Route(action) => {
            forward_config::compile(action, &level, &matcher.path, &proto.name, route)
                .at("route")?
        }
        ActionProto::Redirect(redirect) => {
            let redirect = Redirect::compile(redirect, matcher.path.clone()).at("redirect")?;
            Target::Route(Arc::new(route(Action::Redirect(Box::new(redirect)))))
        }
        ActionProto::DirectResponse(response) => {
            let response = DirectResponse::compile(response, level.max_direct_response_body)
                .at("direct_response")?;
            Target::Route(Arc::new(route(Action::DirectResponse(response))))
        }
        ActionProto::NonForwardingAction(_) => {
            Target::Route(Arc::new(route(Action::NonForwarding)))
        }
        ActionProto::FilterAction(_) => {
            return Err(ConfigError::new("filter actions are not supported").at("filter_action"));
        }
    };
    Ok(Candidate { matcher, target })
}

/// A duration that has to be positive or zero.
pub(super) fn duration(proto: &prost_types::Duration) -> Result<Duration, ConfigError> {
    Duration::try_from(*proto)
        .map_err(|_| ConfigError::new("Invalid duration: Expected positive duration"))
}

/// Envoy's words for an extension that is not there.
pub(super) fn no_extension(name: &str, type_url: &str) -> ConfigError {
    ConfigError::new(format!(
        "Didn't find a registered implementation for '{name}' with type URL: '{}'",
        type_name(type_url)
    ))
}
