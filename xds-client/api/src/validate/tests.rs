//! Every expected text is what Envoy 1.40 said to the same configuration.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::validate;
use crate::{Findings, json};

const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

fn violations(name: &str, value: Value) -> Vec<String> {
    let descriptor = crate::reflect::MessageDescriptor::named(name).unwrap();
    let (message, findings) = json::read(&descriptor, &value.into());
    assert_eq!(findings, Findings::default());
    validate(&message).iter().map(ToString::to_string).collect()
}

/// The reason of the only violation, without what all reasons share.
fn reason(name: &str, value: Value) -> String {
    match violations(name, value).as_slice() {
        [only] => {
            let (_, reason) = only
                .split_once("Proto constraint validation failed (")
                .unwrap();
            reason.strip_suffix(')').unwrap().to_owned()
        }
        others => panic!("expected one violation: {others:?}"),
    }
}

fn cluster(value: Value) -> String {
    let mut cluster = json!({"name": "c"});
    cluster
        .as_object_mut()
        .unwrap()
        .extend(value.as_object().unwrap().clone());
    reason("envoy.config.cluster.v3.Cluster", cluster)
}

fn bootstrap(value: Value) -> String {
    reason("envoy.config.bootstrap.v3.Bootstrap", value)
}

fn virtual_host(value: Value) -> String {
    let mut host = json!({"name": "x", "domains": ["*"]});
    host.as_object_mut()
        .unwrap()
        .extend(value.as_object().unwrap().clone());
    reason("envoy.config.route.v3.VirtualHost", host)
}

#[test]
fn says_which_messages_lead_to_the_field() {
    let no_name = json!({"static_resources": {"clusters": [{}]}});
    assert_eq!(
        violations("envoy.config.bootstrap.v3.Bootstrap", no_name),
        [
            "static_resources.clusters[0].name: Proto constraint validation failed (BootstrapValidationError.StaticResources: embedded message failed validation | caused by StaticResourcesValidationError.Clusters[0]: embedded message failed validation | caused by ClusterValidationError.Name: value length must be at least 1 characters)"
        ]
    );
    let in_any = json!({"name": "f", "typed_config": {
        "@type": HCM, "stat_prefix": "s",
        "route_config": {"virtual_hosts": [{"name": "x", "domains": ["*"], "routes": [{"match": {"prefix": "/"}}]}]},
    }});
    assert_eq!(
        violations("envoy.config.listener.v3.Filter", in_any),
        [
            "typed_config.route_config.virtual_hosts[0].routes[0].action: Proto constraint validation failed (HttpConnectionManagerValidationError.RouteConfig: embedded message failed validation | caused by RouteConfigurationValidationError.VirtualHosts[0]: embedded message failed validation | caused by VirtualHostValidationError.Routes[0]: embedded message failed validation | caused by field: \"action\", reason: is required)"
        ]
    );
}

#[test]
fn finds_all_violations_bad_durations_first() {
    let all = violations(
        "envoy.config.cluster.v3.Cluster",
        json!({"type": 88, "outlier_detection": {"interval": "0s"}, "lb_policy": 99, "cleanup_interval": "-1s"}),
    );
    let paths: Vec<_> = all.iter().filter_map(|v| v.split(": ").next()).collect();
    assert_eq!(paths.first(), Some(&"cleanup_interval"));
    assert!(
        paths.contains(&"type") && paths.contains(&"lb_policy") && paths.contains(&"name"),
        "{paths:?}"
    );
    assert!(paths.contains(&"outlier_detection.interval"), "{paths:?}");
}

#[test]
fn numbers() {
    let weight = json!({"load_assignment": {"cluster_name": "c", "endpoints": [
        {"lb_endpoints": [{"load_balancing_weight": 0}]},
    ]}});
    assert!(cluster(weight).ends_with(
        "LbEndpointValidationError.LoadBalancingWeight: value must be greater than or equal to 1"
    ));
    let ejection = cluster(json!({"outlier_detection": {"max_ejection_percent": 101}}));
    assert_eq!(
        ejection,
        "ClusterValidationError.OutlierDetection: embedded message failed validation | caused by OutlierDetectionValidationError.MaxEjectionPercent: value must be less than or equal to 100"
    );
    let status = virtual_host(
        json!({"routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 700}}]}),
    );
    assert!(status.ends_with(
        "DirectResponseActionValidationError.Status: value must be inside range [200, 600)"
    ));
    for kb in [0, 9_999_999] {
        let hcm = json!({"stat_prefix": "c", "route_config": {}, "max_request_headers_kb": kb});
        assert_eq!(
            reason(
                "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                hcm
            ),
            "HttpConnectionManagerValidationError.MaxRequestHeadersKb: value must be inside range (0, 8192]"
        );
    }
    let threshold = json!({"value": "inf"});
    assert_eq!(
        reason("envoy.config.overload.v3.ThresholdTrigger", threshold),
        "ThresholdTriggerValidationError.Value: value must be inside range [0, 1]"
    );
    assert_eq!(
        bootstrap(json!({"stats_flush_on_admin": false})),
        "BootstrapValidationError.StatsFlushOnAdmin: value must equal true"
    );
}

#[test]
fn durations() {
    let flush =
        "BootstrapValidationError.StatsFlushInterval: value must be inside range [1ms, 5m0s)";
    assert_eq!(bootstrap(json!({"stats_flush_interval": "0.0001s"})), flush);
    assert_eq!(bootstrap(json!({"stats_flush_interval": "400s"})), flush);
    let zero = cluster(json!({"connect_timeout": "0s"}));
    assert_eq!(
        zero,
        "ClusterValidationError.ConnectTimeout: value must be greater than 0s"
    );
    let invalid = |timeout: Value| {
        violations(
            "envoy.config.cluster.v3.Cluster",
            json!({"name": "c", "connect_timeout": timeout}),
        )
        .remove(0)
    };
    let negative = "connect_timeout: Invalid duration: Expected positive duration";
    assert_eq!(invalid(json!("-1s")), negative);
    assert_eq!(invalid(json!("-0.5s")), negative);
    assert_eq!(invalid(json!({"seconds": 1, "nanos": -5})), negative);
    assert_eq!(
        invalid(json!("31557600000s")),
        "connect_timeout: Invalid duration: Duration out-of-range"
    );
    assert_eq!(
        invalid(json!({"seconds": 1, "nanos": 1_000_000_000})),
        "connect_timeout: Invalid duration: Duration out-of-range according to Protobuf"
    );
}

#[test]
fn strings() {
    let header = |key: &str, value: &str| {
        virtual_host(json!({"request_headers_to_add": [{"header": {"key": key, "value": value}}]}))
    };
    assert!(header("a", "x\ny").ends_with(
        r#"HeaderValueValidationError.Value: value does not match regex pattern "^[^\x00\n\r]*$""#
    ));
    assert!(
        header("", "x").ends_with(
            "HeaderValueValidationError.Key: value length must be at least 1 characters"
        )
    );
    let route = virtual_host(
        json!({"routes": [{"match": {"path_separated_prefix": "/a?b"}, "route": {"cluster": "c"}}]}),
    );
    assert!(route.ends_with(r#"RouteMatchValidationError.PathSeparatedPrefix: value does not match regex pattern "^[^?#]+[^?#/]$""#));
    let sni = json!({"sni": "a".repeat(300)});
    assert_eq!(
        reason(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            sni
        ),
        "UpstreamTlsContextValidationError.Sni: value length must be at most 255 bytes"
    );
    // A rule that is not strict lets a space pass.
    let removed = json!({"name": "x", "domains": ["*"], "request_headers_to_remove": ["a b"]});
    assert_eq!(
        violations("envoy.config.route.v3.VirtualHost", removed),
        [""; 0]
    );
}

#[test]
fn health_check_headers_are_strict() {
    let host = json!({"health_checks": [{
        "timeout": "1s", "interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1,
        "http_health_check": {"path": "/", "host": "a\nb"},
    }]});
    assert!(cluster(host).ends_with(r#"HttpHealthCheckValidationError.Host: value does not match regex pattern "^[^\x00-\b\n-\x1f\x7f]*$""#));
}

#[test]
fn collections() {
    let policies = json!({"stat_prefix": "c", "cluster": "c", "hash_policy": [{"source_ip": {}}, {"source_ip": {}}]});
    assert_eq!(
        reason(
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            policies
        ),
        "TcpProxyValidationError.HashPolicy: value must contain no more than 1 item(s)"
    );
    let hosts = json!({"virtual_hosts": [{"name": "x"}]});
    assert_eq!(
        reason("envoy.config.route.v3.RouteConfiguration", hosts),
        "RouteConfigurationValidationError.VirtualHosts[0]: embedded message failed validation | caused by VirtualHostValidationError.Domains: value must contain at least 1 item(s)"
    );
    let buckets = |buckets: Value| {
        let settings = json!({"match": {"prefix": "x"}, "buckets": buckets});
        reason("envoy.config.metrics.v3.HistogramBucketSettings", settings)
    };
    assert_eq!(
        buckets(json!([1, 1])),
        "HistogramBucketSettingsValidationError.Buckets[1]: repeated value must contain unique items"
    );
    assert_eq!(
        buckets(json!([0])),
        "HistogramBucketSettingsValidationError.Buckets[0]: value must be greater than 0"
    );
    assert_eq!(
        cluster(json!({"metadata": {"filter_metadata": {"": {}}}})),
        "ClusterValidationError.Metadata: embedded message failed validation | caused by MetadataValidationError.FilterMetadata[]: value length must be at least 1 characters"
    );
}

#[test]
fn required_fields_and_oneofs() {
    let missing = violations(
        "envoy.config.core.v3.HealthCheck",
        json!({"tcp_health_check": {}}),
    );
    assert_eq!(
        missing.first().unwrap(),
        "timeout: Proto constraint validation failed (HealthCheckValidationError.Timeout: value is required)"
    );
    let layers = json!({"layered_runtime": {"layers": [{"name": "a"}]}});
    assert_eq!(
        bootstrap(layers),
        "BootstrapValidationError.LayeredRuntime: embedded message failed validation | caused by LayeredRuntimeValidationError.Layers[0]: embedded message failed validation | caused by field: \"layer_specifier\", reason: is required"
    );
    // A member of a oneof is checked only when it is the one.
    assert_eq!(
        violations("envoy.config.route.v3.RouteAction", json!({"cluster": "c"})),
        [""; 0]
    );
}

#[test]
fn enums() {
    let kind = cluster(json!({"type": 77}));
    assert_eq!(
        kind,
        "ClusterValidationError.Type: value must be one of the defined enum values"
    );
}
