//! `/stats` in every format, and what it refuses.

use super::start;

#[tokio::test]
async fn stats_in_every_format() {
    let admin = start().await;
    admin.state.stats.counter("cluster.up.x_total").inc();
    admin.state.stats.text("t").set("<b>");
    assert_eq!(
        admin.get("/stats?filter=up.x_total|^t$").await.body,
        "t: \"<b>\"\ncluster.up.x_total: 1\n"
    );
    assert_eq!(
        admin.get("/stats?filter=up.x_total&format=json").await.body,
        r#"{"stats":[{"name":"cluster.up.x_total","value":1}]}"#
    );
    let prometheus = "# TYPE envoy_cluster_up_x_total counter\nenvoy_cluster_up_x_total{} 1\n";
    for path in ["/stats?format=prometheus&", "/stats/prometheus?"] {
        assert_eq!(
            admin.get(&format!("{path}filter=up.x_total")).await.body,
            prometheus
        );
    }
    let html = admin.get("/stats?filter=^t$&format=html").await.body;
    assert!(
        html.contains("<pre>t: &quot;&lt;b&gt;&quot;\n</pre>"),
        "{html}"
    );
    let own = admin
        .get("/stats?filter=admin.*(rq_active|cx_active|rq_4xx)")
        .await
        .body;
    assert_eq!(
        own,
        "http.admin.downstream_cx_active: 1\n\
         http.admin.downstream_rq_4xx: 0\n\
         http.admin.downstream_rq_active: 1\n\
         listener.admin.downstream_cx_active: 1\n\
         listener.admin.downstream_pre_cx_active: 0\n\
         listener.admin.http.admin.downstream_rq_4xx: 0\n\
         listener.admin.main_thread.downstream_cx_active: 1\n"
    );
}

#[tokio::test]
async fn stats_refuses_what_it_does_not_know() {
    let admin = start().await;
    for (query, body) in [
        ("filter=(", "Invalid re2 regex: missing ): ("),
        ("type=x", "invalid &type= param"),
        (
            "format=x",
            "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n",
        ),
        (
            "hidden=x",
            "usage: /stats?hidden=(include|only|exclude)\n\n",
        ),
        (
            "histogram_buckets=x",
            "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|prometheusnative)\n",
        ),
        (
            "histogram_buckets=prometheusnative",
            "Invalid histogram_buckets type for non prometheus stats type",
        ),
        (
            "format=prometheus&histogram_buckets=disjoint",
            "unsupported prometheus histogram bucket mode",
        ),
    ] {
        let answer = admin.get(&format!("/stats?{query}")).await;
        assert_eq!(
            (answer.status(), answer.body.as_str()),
            (400, body),
            "{query}"
        );
    }
}
