//! `/clusters`: every cluster with its limits and its hosts.

use super::{listeners::address, params::Params, reply::Reply, state::AdminState, stats};
use outrigger_upstream::{Cluster, Host, Priority, host::EdsHealth};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub fn clusters(state: &AdminState, params: &Params) -> Reply {
    let filter = match params.non_empty("filter").map(stats::search_regex) {
        None => None,
        Some(Ok(filter)) => Some(filter),
        Some(Err(_)) => return Reply::bad_request("Invalid re2 regex"),
    };
    let mut clusters = state.clusters.clusters();
    clusters.retain(|cluster| {
        filter
            .as_ref()
            .is_none_or(|filter| filter.is_match(&cluster.info.name))
    });
    if params.get("format") == Some("json") {
        let statuses: Vec<Value> = clusters.iter().map(|cluster| status(cluster)).collect();
        return Reply::json(&match statuses.as_slice() {
            [] => json!({}),
            statuses => json!({ "cluster_statuses": statuses }),
        });
    }
    Reply::text(clusters.iter().map(text).collect::<String>())
}

fn text(cluster: &Arc<Cluster>) -> String {
    let name = &cluster.info.name;
    let mut out = format!(
        "{name}::observability_name::{}\n",
        cluster.info.observability_name
    );
    for (label, priority) in [
        ("default_priority", Priority::Default),
        ("high_priority", Priority::High),
    ] {
        let limits = cluster.breakers.of(priority).thresholds();
        for (key, limit) in [
            ("max_connections", limits.max_connections),
            ("max_pending_requests", limits.max_pending_requests),
            ("max_requests", limits.max_requests),
            ("max_retries", limits.max_retries),
        ] {
            out.push_str(&format!("{name}::{label}::{key}::{limit}\n"));
        }
    }
    out.push_str(&format!(
        "{name}::added_via_api::{}\n",
        cluster.added_via_api
    ));
    for host in cluster.hosts().hosts() {
        let info = host.info();
        for (key, value) in host_lines(host) {
            out.push_str(&format!("{name}::{}::{key}::{value}\n", info.address));
        }
    }
    out
}

/// What the text form shows of a host, in its order.
fn host_lines(host: &Host) -> Vec<(&'static str, String)> {
    let info = host.info();
    let mut lines = host_stats(host);
    lines.sort_unstable_by_key(|(name, ..)| *name);
    let mut lines: Vec<(&'static str, String)> = lines
        .into_iter()
        .map(|(name, value, _)| (name, value.to_string()))
        .collect();
    lines.extend([
        ("hostname", info.hostname.to_string()),
        ("health_flags", host.health_flags().to_owned()),
        ("weight", host.weight().to_string()),
        ("region", host.locality.region.clone()),
        ("zone", host.locality.zone.clone()),
        ("sub_zone", host.locality.sub_zone.clone()),
        ("canary", info.canary.to_string()),
        ("priority", host.priority.to_string()),
        // Outlier detection fills these in; without it Envoy shows -1.
        ("success_rate", "-1".to_owned()),
        ("local_origin_success_rate", "-1".to_owned()),
    ]);
    lines
}

/// Name, value and whether it is a gauge: counters first, as the JSON form has them.
fn host_stats(host: &Host) -> Vec<(&'static str, u64, bool)> {
    let stats = &host.stats;
    vec![
        ("cx_connect_fail", stats.cx_connect_fail.get(), false),
        ("cx_total", stats.cx_total.get(), false),
        ("rq_error", stats.rq_error.get(), false),
        ("rq_success", stats.rq_success.get(), false),
        ("rq_timeout", stats.rq_timeout.get(), false),
        ("rq_total", stats.rq_total.get(), false),
        ("cx_active", stats.cx_active.get(), true),
        ("rq_active", stats.rq_active.get(), true),
        ("rq_pending_active", stats.rq_pending_active.get(), true),
    ]
}

/// `admin.v3.ClusterStatus`; what has its default value is left out.
fn status(cluster: &Cluster) -> Value {
    let mut fields = Map::new();
    fields.insert("name".into(), (*cluster.info.name).into());
    if cluster.added_via_api {
        fields.insert("added_via_api".into(), true.into());
    }
    let hosts: Vec<Value> = cluster
        .hosts()
        .hosts()
        .iter()
        .map(|host| host_status(host))
        .collect();
    if !hosts.is_empty() {
        fields.insert("host_statuses".into(), hosts.into());
    }
    let limits = |priority: Priority| {
        let limits = cluster.breakers.of(priority).thresholds();
        let mut fields = Map::new();
        if priority == Priority::High {
            fields.insert("priority".into(), "HIGH".into());
        }
        for (key, limit) in [
            ("max_connections", limits.max_connections),
            ("max_pending_requests", limits.max_pending_requests),
            ("max_requests", limits.max_requests),
            ("max_retries", limits.max_retries),
        ] {
            fields.insert(key.into(), limit.into());
        }
        Value::from(fields)
    };
    let thresholds = [limits(Priority::Default), limits(Priority::High)];
    fields.insert(
        "circuit_breakers".into(),
        json!({ "thresholds": thresholds }),
    );
    fields.insert(
        "observability_name".into(),
        (*cluster.info.observability_name).into(),
    );
    fields.into()
}

/// `admin.v3.HostStatus`.
fn host_status(host: &Host) -> Value {
    let info = host.info();
    let stats: Vec<Value> = host_stats(host)
        .into_iter()
        .map(|(name, value, is_gauge)| {
            let mut fields = Map::new();
            if is_gauge {
                fields.insert("type".into(), "GAUGE".into());
            }
            if value != 0 {
                fields.insert("value".into(), value.to_string().into());
            }
            fields.insert("name".into(), name.into());
            fields.into()
        })
        .collect();
    // A host of unknown health counts as healthy and is shown so.
    let health = match host.eds_health() {
        EdsHealth::Unknown => EdsHealth::Healthy,
        health => health,
    };
    let mut fields = Map::new();
    fields.insert("address".into(), address(&info.address));
    fields.insert("stats".into(), stats.into());
    fields.insert(
        "health_status".into(),
        json!({"eds_health_status": health.as_str()}),
    );
    fields.insert("weight".into(), host.weight().into());
    if !info.hostname.is_empty() {
        fields.insert("hostname".into(), (*info.hostname).into());
    }
    if host.priority != 0 {
        fields.insert("priority".into(), host.priority.into());
    }
    let locality = [
        ("region", &host.locality.region),
        ("zone", &host.locality.zone),
        ("sub_zone", &host.locality.sub_zone),
    ];
    let locality: Map<String, Value> = locality
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), value.as_str().into()))
        .collect();
    fields.insert("locality".into(), locality.into());
    fields.into()
}
