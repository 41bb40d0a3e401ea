//! Names and the tags that Envoy 1.40 gives them.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

fn shown(producer: &TagProducer, name: &str) -> String {
    let tagged = producer.extract(name);
    let tags: Vec<String> = tagged
        .tags
        .iter()
        .map(|(tag, value)| format!("{tag}={value}"))
        .collect();
    format!("{} {}", tagged.name, tags.join(","))
}

fn custom(defaults: bool, tags: &[(&str, TagRule<'_>)]) -> TagProducer {
    let mut producer = if defaults {
        TagProducer::with_defaults_except(&[])
    } else {
        TagProducer::default()
    };
    for (tag, rule) in tags {
        producer.add(tag, *rule).unwrap();
    }
    producer
}

#[test]
fn every_default_regex_can_be_built() {
    for (tag, rule) in DEFAULTS {
        if let Rule::Regex(pattern) | Rule::RegexUnless(pattern, _) = rule {
            assert!(DefaultRegex::build(pattern).is_ok(), "{tag}: {pattern}");
        }
    }
}

#[test]
fn default_tags() {
    let producer = TagProducer::with_defaults_except(&[]);
    for (name, expected) in [
        ("server.live", "server.live "),
        (
            "cluster.up.upstream_cx_total",
            "cluster.upstream_cx_total envoy.cluster_name=up",
        ),
        (
            "cluster.dot.c.upstream_cx_total",
            "cluster.c.upstream_cx_total envoy.cluster_name=dot",
        ),
        (
            "cluster.up.external.upstream_rq_2xx",
            "cluster.external.upstream_rq_xx envoy.response_code_class=2,envoy.cluster_name=up",
        ),
        (
            "cluster.up.upstream_rq_503",
            "cluster.upstream_rq envoy.response_code=503,envoy.cluster_name=up",
        ),
        (
            "listener.127.0.0.1_27100.worker_0.downstream_cx_total",
            "listener.worker_downstream_cx_total envoy.worker_id=0,envoy.listener_address=127.0.0.1_27100",
        ),
        (
            "listener.[__1]_80.downstream_cx_total",
            "listener.downstream_cx_total envoy.listener_address=[__1]_80",
        ),
        (
            "listener.127.0.0.1_27100.http.ing.downstream_rq_2xx",
            "listener.http.downstream_rq_xx envoy.response_code_class=2,envoy.http_conn_manager_prefix=ing,envoy.listener_address=127.0.0.1_27100",
        ),
        (
            "listener.admin.http.admin.downstream_rq_completed",
            "listener.admin.http.downstream_rq_completed envoy.http_conn_manager_prefix=admin",
        ),
        (
            "listener.we.ird|one.worker_0.downstream_cx_total",
            "listener.ird|one.worker_0.downstream_cx_total envoy.listener_address=we",
        ),
        (
            "vhost.v.vcluster.other.upstream_rq_200",
            "vhost.vcluster.upstream_rq envoy.response_code=200,envoy.virtual_cluster=other,envoy.virtual_host=v",
        ),
        (
            "vhost.v.route.rp.upstream_rq_total",
            "vhost.route.upstream_rq_total envoy.virtual_host=v,envoy.route=rp",
        ),
        (
            "http.ing.rds.a.b/c.update_attempt",
            "http.rds.update_attempt envoy.http_conn_manager_prefix=ing,envoy.rds_route_config=a.b/c",
        ),
        (
            "tcp.p.downstream_cx_total",
            "tcp.downstream_cx_total envoy.tcp_prefix=p",
        ),
        (
            "server.worker_0.watchdog_miss",
            "server.worker_watchdog_miss envoy.worker_id=0",
        ),
        (
            "listener.0.0.0.0_443.ssl.versions.TLSv1.3",
            "listener.ssl.versions envoy.ssl_version=TLSv1.3,envoy.listener_address=0.0.0.0_443",
        ),
        (
            "proxy_proto.p.versions.v1.found",
            "proxy_proto.found envoy.proxy_protocol_prefix=p,envoy.proxy_protocol_version=1",
        ),
        (
            "proxy_proto.versions.v2.found",
            "proxy_proto.found envoy.proxy_protocol_version=2",
        ),
        (
            "sds.cert.update_success",
            "sds.update_success envoy.xds_resource_name=cert",
        ),
    ] {
        assert_eq!(shown(&producer, name), expected);
    }
}

#[test]
fn fixed_tags_follow_those_that_are_tried_on_every_name() {
    let producer = custom(
        true,
        &[("a", TagRule::Fixed("x")), ("b", TagRule::Fixed("y"))],
    );
    assert_eq!(
        shown(&producer, "listener.1.1.1.1_2.worker_0.n"),
        "listener.worker_n envoy.worker_id=0,a=x,b=y,envoy.listener_address=1.1.1.1_2"
    );
}

#[test]
fn the_first_extractor_of_a_tag_wins() {
    let name = "cluster.up.upstream_cx_total";
    let producer = custom(true, &[("envoy.cluster_name", TagRule::Fixed("x"))]);
    assert_eq!(
        shown(&producer, name),
        format!("{name} envoy.cluster_name=x")
    );
    let producer = custom(
        false,
        &[
            ("c", TagRule::Regex(r"^cluster\.((.+?)\.)")),
            ("c", TagRule::Regex("(total)")),
        ],
    );
    assert_eq!(shown(&producer, name), "cluster.up.upstream_cx_ c=total");
}

#[test]
fn removed_parts_may_overlap() {
    let producer = custom(
        true,
        &[("zed", TagRule::Regex(r"^cluster(?=\.).*?(\.(up))"))],
    );
    assert_eq!(
        shown(&producer, "cluster.up.default"),
        "clusterdefault envoy.cluster_name=up,zed=up"
    );
}

#[test]
fn a_tag_without_a_rule_is_a_default_tag() {
    let producer = custom(false, &[("envoy.cluster_name", TagRule::Default)]);
    assert_eq!(
        shown(&producer, "cluster.up.upstream_rq_200"),
        "cluster.upstream_rq_200 envoy.cluster_name=up"
    );
    for (tag, rule, reason) in [
        (
            "nope",
            TagRule::Default,
            "No regex specified for tag specifier and no default regex for name: 'nope'",
        ),
        ("", TagRule::Fixed("x"), "tag_name cannot be empty"),
    ] {
        let error = TagProducer::default().add(tag, rule).unwrap_err();
        assert_eq!(error.reason(), reason);
    }
    let error = TagProducer::default()
        .add("a", TagRule::Regex("(("))
        .unwrap_err();
    assert!(error.reason().starts_with("Invalid regex '(('"), "{error}");
}

/// The extractors of Istio's bootstrap.
#[test]
fn istios_tags() {
    let producer = custom(
        false,
        &[
            ("cluster_name", TagRule::Regex(r"^cluster(\.(.+);)")),
            ("tcp_prefix", TagRule::Regex(r"^tcp\.((.*?)\.)\w+?$")),
            ("response_code", TagRule::Regex(r"_rq(_(\d{3}))$")),
            (
                "http_conn_manager_listener_prefix",
                TagRule::Regex(
                    r"^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
                ),
            ),
            (
                "listener_address",
                TagRule::Regex(
                    r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
                ),
            ),
        ],
    );
    for (name, expected) in [
        (
            "cluster.outbound|80||a.b.svc.cluster.local;.upstream_rq_200",
            "cluster.upstream_rq cluster_name=outbound|80||a.b.svc.cluster.local,response_code=200",
        ),
        (
            "cluster.xds-grpc.upstream_cx_total",
            "cluster.xds-grpc.upstream_cx_total ",
        ),
        (
            "listener.10.0.0.1_80.http.0.0.0.0_80.downstream_rq_2xx",
            "listener.http.downstream_rq_2xx http_conn_manager_listener_prefix=0.0.0.0_80,listener_address=10.0.0.1_80",
        ),
    ] {
        assert_eq!(shown(&producer, name), expected);
    }
}

proptest! {
    #[test]
    fn any_name_can_be_taken_apart(name in "(cluster|http|listener|vhost|mongo|proxy_proto|x)?[.a-z0-9_:é$\\[\\]]{0,40}") {
        static PRODUCER: LazyLock<TagProducer> = LazyLock::new(|| TagProducer::with_defaults_except(&[]));
        let tagged = PRODUCER.extract(&name);
        prop_assert!(tagged.name.len() <= name.len());
    }
}
