//! What Envoy 1.40 writes for the same values.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::stats::{Query, Settings, Snapshot, Store, TagProducer, Unit};

/// One stat of each kind; the histogram holds 5 three times, and 6, 105, 110 and 111 from an earlier interval.
fn store() -> Store {
    let store = Store::new(Settings {
        tags: TagProducer::with_defaults_except(&[]),
        ..Settings::default()
    });
    let histogram = store.histogram("cluster.up.upstream_rq_body_size", Unit::Bytes);
    for value in [6, 105, 110, 111] {
        histogram.record(value);
    }
    store.flush();
    for value in [5, 5, 5] {
        histogram.record(value);
    }
    store.flush();
    store.histogram("cluster.up.upstream_cx_length_ms", Unit::Milliseconds);
    store.counter("cluster.up.upstream_cx_total").add(2);
    store.counter("cluster.A.upstream_cx_total");
    store.counter("cluster.q\"u\\o.upstream_rq_2xx").inc();
    store.gauge("server.live").set(1);
    store.gauge("cluster.up.upstream_cx_active").set(4);
    store
        .text("cluster_manager.cds.version_text")
        .set("v<1>&\"q'\\");
    store
}

fn snapshot(filter: &str, tags: bool) -> Snapshot {
    let query = Query {
        filter: Some(regex::Regex::new(filter).unwrap()),
        tags,
        ..Query::default()
    };
    Snapshot::take(&store(), &query)
}

fn text(filter: &str, mode: HistogramMode) -> String {
    Chunks(Text::new(snapshot(filter, false), mode)).collect()
}

fn json(filter: &str, mode: HistogramMode) -> String {
    Chunks(Json::new(snapshot(filter, false), mode)).collect()
}

fn prometheus(filter: &str, mode: HistogramMode, texts: bool) -> String {
    Chunks(Prometheus::new(snapshot(filter, true), mode, texts)).collect()
}

#[test]
fn text_of_each_kind() {
    assert_eq!(
        text("total|length|version|live", HistogramMode::Summary),
        "cluster_manager.cds.version_text: \"v<1>&\"q'\\\"\n\
         cluster.A.upstream_cx_total: 0\n\
         cluster.up.upstream_cx_total: 2\n\
         server.live: 1\n\
         cluster.up.upstream_cx_length_ms: No recorded values\n"
    );
}

#[test]
fn text_of_a_histogram() {
    let name = "cluster.up.upstream_rq_body_size:";
    let summary = "P0(5.025,5.025) P25(5.025,5.05) P50(5.05,6.05) P75(5.075,113.33333333333334) \
                   P90(5.075,116.66666666666669) P95(5.075,116.66666666666669) \
                   P99(5.075,116.66666666666669) P99.5(5.075,116.66666666666669) \
                   P99.9(5.075,116.66666666666669) P100(5.075,116.66666666666669)";
    assert_eq!(
        text("body", HistogramMode::Summary),
        format!("{name} {summary}\n")
    );
    assert_eq!(
        text("body", HistogramMode::Cumulative),
        format!(
            "{name} B0.5(0,0) B1(0,0) B5(3,3) B10(3,4) B25(3,4) B50(3,4) B100(3,5) B250(3,7) \
             B500(3,7) B1000(3,7) B2500(3,7) B5000(3,7) B10000(3,7) B30000(3,7) B60000(3,7) \
             B300000(3,7) B600000(3,7) B1.8e+06(3,7) B3.6e+06(3,7)\n"
        )
    );
    assert_eq!(
        text("body", HistogramMode::Disjoint),
        format!(
            "{name} B0.5(0,0) B1(0,0) B5(3,3) B10(0,1) B25(0,0) B50(0,0) B100(0,1) B250(0,2) \
             B500(0,0) B1000(0,0) B2500(0,0) B5000(0,0) B10000(0,0) B30000(0,0) B60000(0,0) \
             B300000(0,0) B600000(0,0) B1.8e+06(0,0) B3.6e+06(0,0)\n"
        )
    );
    assert_eq!(
        text("body", HistogramMode::Detailed),
        format!(
            "{name}\n  totals=5,0.1:3, 6,0.1:1, 100,10:1, 110,10:2\n  intervals=5,0.1:3\n  summary={summary}\n"
        )
    );
}

#[test]
fn json_is_one_object() {
    assert_eq!(json("nothing", HistogramMode::Summary), r#"{"stats":[]}"#);
    assert_eq!(
        json("version|live", HistogramMode::Summary),
        r#"{"stats":[{"name":"cluster_manager.cds.version_text","value":"v<1>&\"q'\\"},{"name":"server.live","value":1}]}"#
    );
    let summary = json("body|length", HistogramMode::Summary);
    assert!(summary.starts_with(
        r#"{"stats":[{"histograms":{"supported_quantiles":[0,25,50,75,90,95,99,99.5,99.9,100],"computed_quantiles":[{"name":"cluster.up.upstream_cx_length_ms","values":[{"cumulative":null,"interval":null},"#
    ));
    assert!(summary.ends_with(r#",{"cumulative":116.66666666666669,"interval":5.075}]}]}}]}"#));
    let detailed = json("body", HistogramMode::Detailed);
    assert!(detailed.starts_with(
        r#"{"stats":[{"histograms":{"supported_percentiles":[0,25,50,75,90,95,99,99.5,99.9,100],"details":[{"name":"cluster.up.upstream_rq_body_size","totals":[{"lower_bound":5,"width":0.1,"count":3},{"lower_bound":6,"width":0.1,"count":1},{"lower_bound":100,"width":10,"count":1},{"lower_bound":110.00000000000001,"width":10,"count":2}],"intervals":[{"lower_bound":5,"width":0.1,"count":3}],"percentiles":[{"cumulative":5.025,"interval":5.025},"#
    ));
    let cumulative = json("body", HistogramMode::Cumulative);
    assert!(cumulative.contains(
        r#"{"upper_bound":100,"interval":3,"cumulative":5},{"upper_bound":250,"interval":3,"cumulative":7}"#
    ));
    assert!(cumulative.ends_with(
        r#"{"upper_bound":3e+05,"interval":3,"cumulative":7},{"upper_bound":6e+05,"interval":3,"cumulative":7},{"upper_bound":1800000,"interval":3,"cumulative":7},{"upper_bound":3600000,"interval":3,"cumulative":7}]}]}]}"#
    ));
    for text in [summary, detailed, cumulative] {
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}

#[test]
fn prometheus_groups_by_metric() {
    assert_eq!(
        prometheus(
            "total|active|2xx|live|version",
            HistogramMode::Cumulative,
            true
        ),
        "# TYPE envoy_cluster_upstream_cx_total counter\n\
         envoy_cluster_upstream_cx_total{envoy_cluster_name=\"A\"} 0\n\
         envoy_cluster_upstream_cx_total{envoy_cluster_name=\"up\"} 2\n\
         # TYPE envoy_cluster_upstream_rq_xx counter\n\
         envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"q\\\"u\\\\o\"} 1\n\
         # TYPE envoy_cluster_upstream_cx_active gauge\n\
         envoy_cluster_upstream_cx_active{envoy_cluster_name=\"up\"} 4\n\
         # TYPE envoy_server_live gauge\n\
         envoy_server_live{} 1\n\
         # TYPE envoy_cluster_manager_cds_version_text gauge\n\
         envoy_cluster_manager_cds_version_text{text_value=\"v<1>&\\\"q'\\\\\"} 0\n"
    );
}

#[test]
fn prometheus_sorts_by_tokens() {
    let store = Store::new(Settings {
        tags: TagProducer::with_defaults_except(&[]),
        ..Settings::default()
    });
    for name in [
        "cluster_manager.added",
        "cluster.a-b.x",
        "cluster.a.x",
        "cluster.A.x",
        "cluster.z.membership",
    ] {
        store.counter(name);
    }
    let query = Query {
        tags: true,
        ..Query::default()
    };
    let prometheus = Prometheus::new(
        Snapshot::take(&store, &query),
        HistogramMode::Cumulative,
        false,
    );
    assert_eq!(
        Chunks(prometheus).collect::<String>(),
        "# TYPE envoy_cluster_membership counter\n\
         envoy_cluster_membership{envoy_cluster_name=\"z\"} 0\n\
         # TYPE envoy_cluster_x counter\n\
         envoy_cluster_x{envoy_cluster_name=\"A\"} 0\n\
         envoy_cluster_x{envoy_cluster_name=\"a\"} 0\n\
         envoy_cluster_x{envoy_cluster_name=\"a-b\"} 0\n\
         # TYPE envoy_cluster_manager_added counter\n\
         envoy_cluster_manager_added{} 0\n"
    );
}

#[test]
fn prometheus_of_a_histogram() {
    let histogram = prometheus("body", HistogramMode::Cumulative, false);
    assert!(histogram.starts_with(
        "# TYPE envoy_cluster_upstream_rq_body_size histogram\n\
         envoy_cluster_upstream_rq_body_size_bucket{envoy_cluster_name=\"up\",le=\"0.5\"} 0\n"
    ));
    assert!(histogram.ends_with(
        "envoy_cluster_upstream_rq_body_size_bucket{envoy_cluster_name=\"up\",le=\"3600000\"} 7\n\
         envoy_cluster_upstream_rq_body_size_bucket{envoy_cluster_name=\"up\",le=\"+Inf\"} 7\n\
         envoy_cluster_upstream_rq_body_size_sum{envoy_cluster_name=\"up\"} 355.5252237815537910137209109962\n\
         envoy_cluster_upstream_rq_body_size_count{envoy_cluster_name=\"up\"} 7\n"
    ));
    let summary = prometheus("body", HistogramMode::Summary, false);
    assert!(summary.contains(
        "envoy_cluster_upstream_rq_body_size{envoy_cluster_name=\"up\",quantile=\"0.995\"} 5.075000000000000177635683940025\n"
    ));
    assert!(summary.ends_with(
        "envoy_cluster_upstream_rq_body_size_sum{envoy_cluster_name=\"up\"} 15.148514851485149534937590942718\n\
         envoy_cluster_upstream_rq_body_size_count{envoy_cluster_name=\"up\"} 3\n"
    ));
    let empty = prometheus("length", HistogramMode::Summary, false);
    assert!(
        empty.contains("quantile=\"0\"} nan\n")
            && empty.contains("_sum{envoy_cluster_name=\"up\"} 0\n")
    );
}

#[test]
fn large_answers_come_in_pieces() {
    let store = Store::default();
    for i in 0..5000 {
        store.counter(&format!("cluster.c{i}.upstream_cx_total"));
    }
    let snapshot = Snapshot::take(&store, &Query::default());
    let pieces: Vec<String> = Chunks(Text::new(snapshot, HistogramMode::Summary)).collect();
    assert!(pieces.len() > 1);
    assert!(pieces.iter().all(|piece| piece.len() < 80 << 10));
    assert_eq!(pieces.concat().lines().count(), 5000);
}
