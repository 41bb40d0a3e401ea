//! The default tags of Envoy 1.40 (`well_known_names`), in the order in which they are tried.

/// How one default tag is found in a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// The tokens of [`super::tokens`].
    Tokens(&'static str),
    /// A regex with the placeholders of [`expand`].
    Regex(&'static str),
    /// A regex whose value must not be the word that follows.
    RegexUnless(&'static str, &'static str),
}

use Rule::{Regex, RegexUnless, Tokens};

/// Tag and rule. A tag may have several rules.
pub(super) const DEFAULTS: &[(&str, Rule)] = &[
    ("envoy.response_code", Regex(r"_rq(_(\d{3}))$")),
    ("envoy.response_code_class", Regex(r"_rq_((\d))xx$")),
    (
        "envoy.dynamo_partition_id",
        Regex(
            r"^http\.<TAG_VALUE>\.dynamodb\.table\.<TAG_VALUE>\.capacity\.<TAG_VALUE>(\.__partition_id=(\w{7}))$",
        ),
    ),
    (
        "envoy.dynamo_operation",
        Regex(
            r"^http\.<TAG_VALUE>\.dynamodb.(?:operation|table\.<TAG_VALUE>\.capacity)(\.(<TAG_VALUE>))(?:\.|$)",
        ),
    ),
    (
        "envoy.mongo_callsite",
        Tokens("mongo.*.collection.*.callsite.$.query.**"),
    ),
    (
        "envoy.dynamo_table",
        Regex(r"^http\.<TAG_VALUE>\.dynamodb.(?:table|error)\.((<TAG_VALUE>)\.)"),
    ),
    (
        "envoy.mongo_collection",
        Tokens("mongo.*.collection.$.**.query.*"),
    ),
    ("envoy.mongo_cmd", Tokens("mongo.*.cmd.$.**")),
    ("envoy.grpc_bridge_method", Tokens("cluster.*.grpc.*.$.**")),
    ("envoy.http_user_agent", Tokens("http.*.user_agent.$.**")),
    ("envoy.virtual_cluster", Tokens("vhost.*.vcluster.$.**")),
    (
        "envoy.fault_downstream_cluster",
        Tokens("http.*.fault.$.**"),
    ),
    (
        "envoy.ssl_cipher",
        Regex(r"^listener\..*?\.ssl\.ciphers(\.(<CIPHER>))$"),
    ),
    (
        "envoy.ssl_curve",
        Regex(r"^<LISTENER_OR_CLUSTER>\.ssl\.curves(\.(<CIPHER>))$"),
    ),
    (
        "envoy.ssl_sigalg",
        Regex(r"^<LISTENER_OR_CLUSTER>\.ssl\.sigalgs(\.(<CIPHER>))$"),
    ),
    (
        "envoy.ssl_version",
        Regex(r"^<LISTENER_OR_CLUSTER>\.ssl\.versions(\.(<TLS_VERSION>))$"),
    ),
    (
        "envoy.ssl_cipher",
        Regex(r"^cluster\.<TAG_VALUE>\.ssl\.ciphers(\.(<CIPHER>))$"),
    ),
    ("envoy.grpc_bridge_service", Tokens("cluster.*.grpc.$.**")),
    ("envoy.tcp_prefix", Tokens("tcp.$.**")),
    ("envoy.udp_prefix", Tokens("udp.$.**")),
    ("envoy.clientssl_prefix", Tokens("auth.clientssl.$.**")),
    ("envoy.ratelimit_prefix", Tokens("ratelimit.$.**")),
    ("envoy.cluster_name", Tokens("cluster.$.**")),
    (
        "envoy.health_check_name",
        Regex(r"^cluster\.<TAG_VALUE>\.health_check(\.name\.(<TAG_VALUE>))\..+"),
    ),
    (
        "envoy.http_conn_manager_prefix",
        Regex(r"^listener\..*?\.http\.((<TAG_VALUE>)\.)"),
    ),
    ("envoy.ext_authz_prefix", Tokens("cluster.*.ext_authz.$.**")),
    ("envoy.ext_authz_prefix", Tokens("http.*.ext_authz.$.**")),
    (
        "envoy.rbac_http_prefix",
        RegexUnless(r"^http\.<TAG_VALUE>\.rbac\.((<TAG_VALUE>)\.).*?", "policy"),
    ),
    ("envoy.http_conn_manager_prefix", Tokens("http.$.**")),
    (
        "envoy.worker_id",
        Regex(
            r"^(?:listener\.(?:<ADDRESS>|<TAG_VALUE>)|server|listener_manager|thread_local_cluster_manager)\.worker_((\d+)\.)",
        ),
    ),
    (
        "envoy.listener_address",
        RegexUnless(r"^listener\.((<ADDRESS>|<TAG_VALUE>)\.)", "admin"),
    ),
    ("envoy.virtual_host", Tokens("vhost.$.**")),
    ("envoy.mongo_prefix", Tokens("mongo.$.**")),
    (
        "envoy.rds_route_config",
        Regex(r"^http\.<TAG_VALUE>\.rds\.((<ROUTE_CONFIG_NAME>)\.)\w+?$"),
    ),
    (
        "envoy.scoped_rds_config",
        Regex(r"^http\.<TAG_VALUE>\.scoped_rds\.((<SCOPED_ROUTE_CONFIG_NAME>)\.)\w+?$"),
    ),
    ("envoy.route", Tokens("vhost.*.route.$.**")),
    ("envoy.thrift_prefix", Tokens("thrift.$.**")),
    ("envoy.redis_prefix", Tokens("redis.$.**")),
    (
        "envoy.local_http_ratelimit_prefix",
        Tokens("$.http_local_rate_limit.**"),
    ),
    (
        "envoy.local_network_ratelimit_prefix",
        Tokens("local_rate_limit.$.**"),
    ),
    (
        "envoy.local_listener_ratelimit_prefix",
        Tokens("listener_local_ratelimit.$.**"),
    ),
    ("envoy.dns_filter_prefix", Tokens("dns_filter.$.**")),
    (
        "envoy.connection_limit_prefix",
        Tokens("connection_limit.$.**"),
    ),
    (
        "envoy.rbac_policy_name",
        Regex(
            r"^http\.<TAG_VALUE>\.rbac\.(?:<TAG_VALUE>\.)?policy\.((<TAG_VALUE>)\.)(allowed|shadow_allowed|denied|shadow_denied)$",
        ),
    ),
    ("envoy.rbac_prefix", Tokens("$.rbac.**")),
    (
        "envoy.proxy_protocol_prefix",
        RegexUnless(r"^proxy_proto\.((<TAG_VALUE>)\.).+$", "versions"),
    ),
    (
        "envoy.proxy_protocol_version",
        Regex(r"^proxy_proto\.((?:<TAG_VALUE>\.)?versions\.v(<PROXY_PROTOCOL_VERSION>)\.)\w+$"),
    ),
    ("envoy.google_grpc_client_prefix", Tokens("grpc.$.**")),
    (
        "envoy.tls_certificate",
        Regex(r"^<LISTENER_OR_CLUSTER>\.ssl\.certificate\.((<TAG_VALUE>)\.).*$"),
    ),
    (
        "envoy.xds_resource_name",
        Regex(r"^sds\.((<TAG_VALUE>)\.).+"),
    ),
];

/// Puts the placeholders' patterns in.
pub(super) fn expand(regex: &str) -> String {
    [
        (
            "<ADDRESS>",
            r"(?:(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[[a-fA-F_\d]+\])_\d+)",
        ),
        ("<CIPHER>", r"[\w-]+"),
        ("<TLS_VERSION>", r"TLSv\d\.\d"),
        ("<TAG_VALUE>", r"[^\.]+"),
        ("<ROUTE_CONFIG_NAME>", r"[\w\-\./]+"),
        ("<SCOPED_ROUTE_CONFIG_NAME>", r"[\w\-\.]+"),
        ("<LISTENER_OR_CLUSTER>", r"(?:listener|cluster)\..*?"),
        ("<PROXY_PROTOCOL_VERSION>", r"\d"),
    ]
    .iter()
    .fold(regex.to_owned(), |regex, (name, pattern)| {
        regex.replace(name, pattern)
    })
}
