//! Queries and what Envoy 1.40 answers.
#![allow(clippy::unwrap_used)]

use crate::admin::tests::start;
use serde_json::{Value, json};

fn types(dump: &Value) -> Vec<&str> {
    let configs = dump["configs"].as_array().unwrap();
    configs
        .iter()
        .map(|config| {
            config["@type"]
                .as_str()
                .unwrap()
                .rsplit('.')
                .next()
                .unwrap()
        })
        .collect()
}

/// The names of the clusters in a flat dump.
fn clusters(dump: &Value) -> Vec<&str> {
    let configs = dump["configs"].as_array().unwrap();
    configs
        .iter()
        .map(|config| config["cluster"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn sections_stand_in_envoys_order() {
    let admin = start().await;
    let dump = admin.get("/config_dump").await.json();
    assert_eq!(
        types(&dump),
        [
            "BootstrapConfigDump",
            "ClustersConfigDump",
            "ListenersConfigDump",
            "ScopedRoutesConfigDump",
            "RoutesConfigDump",
            "SecretsConfigDump"
        ]
    );
    let configs = &dump["configs"];
    assert_eq!(configs[0]["bootstrap"]["node"], json!({"id": "nid"}));
    assert_eq!(configs[0]["last_updated"], "1970-01-01T00:00:01.500Z");
    let names: Vec<&Value> = configs[1]["static_clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| &cluster["cluster"]["name"])
        .collect();
    assert_eq!(names, ["a", "a-b", "up"]);
    assert_eq!(configs[2]["static_listeners"][1]["listener"]["name"], "l6");
    assert_eq!(
        configs[4]["static_route_configs"][0]["route_config"]["name"],
        "r"
    );
    let text = admin.get("/config_dump").await.body;
    assert!(text.starts_with("{\n \"configs\": [\n  {\n   \"@type\": \"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump\",\n"));
    assert!(text.ends_with("\n}\n") && text.contains("[redacted]") && !text.contains("hidden"));
}

#[tokio::test]
async fn endpoints_on_demand() {
    let admin = start().await;
    let dump = admin.get("/config_dump?include_eds").await.json();
    assert_eq!(types(&dump)[2], "EndpointsConfigDump");
    let endpoints = &dump["configs"][2]["static_endpoint_configs"][2]["endpoint_config"];
    assert_eq!(endpoints["cluster_name"], "up");
    assert_eq!(endpoints["policy"], json!({"overprovisioning_factor": 140}));
    assert_eq!(
        endpoints["endpoints"][0],
        json!({
            "locality": {},
            "lb_endpoints": [{
                "endpoint": {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 27102}},
                    "health_check_config": {},
                },
                "health_status": "HEALTHY",
                "load_balancing_weight": 1,
            }],
            "load_balancing_weight": 0,
        })
    );
}

#[tokio::test]
async fn one_repeated_field() {
    let admin = start().await;
    let dump = admin
        .get("/config_dump?resource=static_clusters")
        .await
        .json();
    assert_eq!(types(&dump), ["StaticCluster"; 3]);
    assert_eq!(clusters(&dump), ["a", "a-b", "up"]);
    // A name has to match as a whole.
    let dump = admin
        .get("/config_dump?resource=static_clusters&name_regex=a")
        .await
        .json();
    assert_eq!(clusters(&dump), ["a"]);
    let dump = admin
        .get("/config_dump?resource=static_clusters&mask=cluster.name")
        .await
        .json();
    assert_eq!(
        dump["configs"][2],
        json!({
            "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster",
            "cluster": {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "up"},
        })
    );
    let answer = admin.get("/config_dump?resource=dynamic_listeners").await;
    assert_eq!((answer.status(), answer.body.as_str()), (200, "{}\n"));
}

#[tokio::test]
async fn masks_and_names_filter_the_sections() {
    let admin = start().await;
    let dump = admin
        .get("/config_dump?mask=bootstrap.node.id")
        .await
        .json();
    assert_eq!(
        dump,
        json!({"configs": [{
            "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
            "bootstrap": {"node": {"id": "nid"}},
        }]})
    );
    let dump = admin.get("/config_dump?name_regex=l6|up").await.json();
    let configs = &dump["configs"];
    assert_eq!(configs[1]["static_clusters"].as_array().unwrap().len(), 1);
    assert_eq!(configs[2]["static_listeners"][0]["listener"]["name"], "l6");
    assert_eq!(configs[4].get("static_route_configs"), None);
}

#[tokio::test]
async fn refusals() {
    let admin = start().await;
    for (query, status, body) in [
        ("resource=bogus", 404, "bogus not found in config dump"),
        (
            "resource=bootstrap",
            400,
            "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field",
        ),
        (
            "mask=bogus",
            400,
            "FieldMask bogus could not be successfully applied to any configs.",
        ),
        (
            "mask=static_clusters.version_info",
            400,
            "FieldMask static_clusters.version_info could not be successfully applied to any configs.",
        ),
        (
            "resource=static_clusters&mask=bogus",
            400,
            "FieldMask paths: \"bogus\" could not be successfully used.",
        ),
        (
            "name_regex=(",
            400,
            "INVALID_ARGUMENT: Error while parsing name_regex from (: missing ): (",
        ),
    ] {
        let answer = admin.get(&format!("/config_dump?{query}")).await;
        assert_eq!((answer.status(), answer.body.as_str()), (status, body));
        assert!(
            answer.head.contains("content-type: text/plain\r\n"),
            "{query}"
        );
    }
}
