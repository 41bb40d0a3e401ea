//! Expands the short form of a case file into a whole Envoy bootstrap. Everything that it adds is plain Envoy
//! configuration; both proxies get the same text but for ports and file paths.

use crate::bytes::{Names, expand};
use crate::case::Config;
use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

/// The access log line of a listener that names none: what identifies an outcome and does not depend on time.
pub const HTTP_LOG: &str = "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL% %REQ(:AUTHORITY)% code=%RESPONSE_CODE% \
flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% rx=%BYTES_RECEIVED% tx=%BYTES_SENT% cluster=%UPSTREAM_CLUSTER% \
host=%UPSTREAM_HOST% route=%ROUTE_NAME% attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON% \
termination=%CONNECTION_TERMINATION_DETAILS%\n";

/// The same for `tcp_proxy`.
pub const TCP_LOG: &str = "tcp code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% rx=%BYTES_RECEIVED% \
tx=%BYTES_SENT% cluster=%UPSTREAM_CLUSTER% host=%UPSTREAM_HOST% chain=%FILTER_CHAIN_NAME% \
attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON% dlcr=%DOWNSTREAM_LOCAL_CLOSE_REASON% \
ulcr=%UPSTREAM_LOCAL_CLOSE_REASON% ddct=%DOWNSTREAM_DETECTED_CLOSE_TYPE% udct=%UPSTREAM_DETECTED_CLOSE_TYPE%\n";

const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
const TCP_PROXY: &str =
    "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const FILE_LOG: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";

/// The bootstrap with its placeholders still in it.
pub fn compose(config: &Config) -> Result<Value> {
    let mut listeners = Vec::new();
    for (name, short) in &config.listeners {
        listeners.push(listener(name, short)?);
    }
    let mut clusters = Vec::new();
    for (name, short) in &config.clusters {
        clusters.push(cluster(name, short)?);
    }
    if config.clusters.is_empty() {
        clusters.push(cluster("up", &Value::Null)?);
    }
    let mut bootstrap = json!({
        "node": {"id": "node-1", "cluster": "differential"},
        "admin": {"address": address("127.0.0.1", "{{admin}}")},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    });
    if !config.runtime.is_empty() {
        let layer = json!({"name": "static", "static_layer": config.runtime});
        bootstrap["layered_runtime"] = json!({"layers": [layer]});
    }
    merge(&mut bootstrap, &Value::Object(config.bootstrap.clone()));
    Ok(bootstrap)
}

/// Every name that stands in double braces and is to become a port.
pub fn port_names(bootstrap: &Value) -> Vec<String> {
    let text = bootstrap.to_string();
    let mut out: Vec<String> = text
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}"))
        .map(|(name, _)| name.to_owned())
        .filter(|name| {
            !name.starts_with("repeat ")
                && !name.starts_with("base64 ")
                && !["log", "dir"].contains(&name.as_str())
        })
        .collect();
    out.sort();
    out.dedup();
    out
}

/// Fills the placeholders in every string.
pub fn fill(value: &mut Value, names: &Names) {
    match value {
        Value::String(text) => *text = expand(text, names),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, names)),
        Value::Object(map) => map.values_mut().for_each(|item| fill(item, names)),
        _ => {}
    }
}

fn address(ip: &str, port: &str) -> Value {
    json!({"socket_address": {"address": ip, "port_value": port}})
}

fn listener(name: &str, short: &Value) -> Result<Value> {
    let Value::Object(short) = short else {
        bail!("listener {name} must be a mapping")
    };
    let mut out = short.clone();
    let chain = take_chain(&mut out, name)?;
    out.entry("name").or_insert_with(|| json!(name));
    out.entry("address")
        .or_insert_with(|| address("127.0.0.1", &format!("{{{{{name}}}}}")));
    if let Some(filters) = chain {
        out.insert("filter_chains".to_owned(), json!([{"filters": filters}]));
    }
    for key in ["filter_chains", "default_filter_chain"] {
        match out.get_mut(key) {
            Some(Value::Array(chains)) => {
                for chain in chains {
                    expand_chain(chain, name)?;
                }
            }
            Some(chain) => expand_chain(chain, name)?,
            None => {}
        }
    }
    Ok(Value::Object(out))
}

fn expand_chain(chain: &mut Value, name: &str) -> Result<()> {
    if let Value::Object(chain) = chain
        && let Some(filters) = take_chain(chain, name)?
    {
        chain.insert("filters".to_owned(), filters);
    }
    Ok(())
}

/// Takes `http` (with `routes` or `virtual_hosts`), `tcp`, `filters_before` and `log` out of a listener or a filter chain
/// and yields the network filters that they stand for.
fn take_chain(map: &mut Map<String, Value>, name: &str) -> Result<Option<Value>> {
    let routes = map.remove("routes");
    let hosts = map.remove("virtual_hosts");
    let log = map.remove("log");
    let before = map.remove("filters_before");
    let terminal = match (map.remove("http"), map.remove("tcp")) {
        (Some(hcm), None) => http(name, hcm, routes, hosts, log)?,
        (None, Some(tcp)) => tcp_proxy(name, tcp, log)?,
        (None, None)
            if routes.is_none() && hosts.is_none() && log.is_none() && before.is_none() =>
        {
            return Ok(None);
        }
        _ => bail!("listener {name}: one of `http` and `tcp` is needed"),
    };
    let mut filters = match before {
        Some(Value::Array(filters)) => filters,
        _ => Vec::new(),
    };
    filters.push(terminal);
    Ok(Some(Value::Array(filters)))
}

fn http(
    name: &str,
    short: Value,
    routes: Option<Value>,
    hosts: Option<Value>,
    log: Option<Value>,
) -> Result<Value> {
    let mut hcm = json!({"@type": HCM, "stat_prefix": name});
    merge(&mut hcm, &short);
    let Value::Object(out) = &mut hcm else {
        bail!("listener {name}: `http` must be a mapping")
    };
    out.entry("access_log")
        .or_insert_with(|| access_log(log.as_ref(), HTTP_LOG));
    let router = json!({"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}});
    match out.get_mut("http_filters") {
        // The router ends every chain; only a case about it writes it out.
        Some(Value::Array(filters)) if !filters.iter().any(|f| f["name"] == router["name"]) => {
            filters.push(router)
        }
        Some(_) => {}
        None => {
            out.insert("http_filters".to_owned(), json!([router]));
        }
    }
    let dynamic = ["rds", "scoped_routes"]
        .iter()
        .any(|key| out.contains_key(*key));
    if !dynamic
        && let Value::Object(config) = out.entry("route_config").or_insert_with(|| json!({}))
    {
        config
            .entry("name")
            .or_insert_with(|| json!(format!("{name}_routes")));
        let routes = routes
            .unwrap_or_else(|| json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]));
        let hosts =
            hosts.unwrap_or_else(|| json!([{"name": "all", "domains": ["*"], "routes": routes}]));
        config.entry("virtual_hosts").or_insert(hosts);
    }
    Ok(json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}))
}

fn tcp_proxy(name: &str, short: Value, log: Option<Value>) -> Result<Value> {
    let mut tcp = json!({"@type": TCP_PROXY, "stat_prefix": name});
    merge(&mut tcp, &short);
    let Value::Object(out) = &mut tcp else {
        bail!("listener {name}: `tcp` must be a mapping")
    };
    out.entry("access_log")
        .or_insert_with(|| access_log(log.as_ref(), TCP_LOG));
    if !out.contains_key("weighted_clusters") {
        out.entry("cluster").or_insert_with(|| json!("up"));
    }
    Ok(json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": tcp}))
}

/// A file access log: `log` is a text format or a mapping for JSON.
fn access_log(log: Option<&Value>, default: &str) -> Value {
    let format = match log {
        Some(Value::Object(map)) => json!({"json_format": map}),
        Some(Value::String(text)) => json!({"text_format_source": {"inline_string": text}}),
        _ => json!({"text_format_source": {"inline_string": default}}),
    };
    json!([{"name": "envoy.access_loggers.file", "typed_config": {"@type": FILE_LOG, "path": "{{log}}", "log_format": format}}])
}

fn cluster(name: &str, short: &Value) -> Result<Value> {
    let mut out = match short {
        Value::Object(map) => map.clone(),
        Value::Null => Map::new(),
        _ => bail!("cluster {name} must be a mapping"),
    };
    out.entry("name").or_insert_with(|| json!(name));
    out.entry("connect_timeout").or_insert_with(|| json!("1s"));
    let to = out.remove("to").unwrap_or_else(|| json!([name]));
    if !out.contains_key("load_assignment")
        && out
            .get("type")
            .is_none_or(|kind| kind == "STATIC" || kind == "STRICT_DNS")
    {
        let Value::Array(to) = to else {
            bail!("cluster {name}: `to` must be a list")
        };
        let hosts = to.iter().filter_map(Value::as_str).map(|upstream| {
            let at = address("127.0.0.1", &format!("{{{{{upstream}}}}}"));
            json!({"endpoint": {"address": at}})
        });
        let assignment = json!({"cluster_name": name, "endpoints": [{"lb_endpoints": hosts.collect::<Vec<_>>()}]});
        out.insert("load_assignment".to_owned(), assignment);
    }
    Ok(Value::Object(out))
}

/// Merges mappings deeply; anything else is replaced, null removes.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn config(text: &str) -> Config {
        serde_json::from_value(crate::yaml::load(text).unwrap()).unwrap()
    }

    #[test]
    fn a_short_listener_becomes_a_whole_bootstrap() {
        let out = compose(&config("listeners: {main: {http: {server_name: x}}}")).unwrap();
        let chain = &out["static_resources"]["listeners"][0]["filter_chains"][0];
        let hcm = &chain["filters"][0]["typed_config"];
        assert_eq!(hcm["stat_prefix"], "main");
        assert_eq!(hcm["server_name"], "x");
        assert_eq!(hcm["http_filters"][0]["name"], "envoy.filters.http.router");
        assert_eq!(port_names(&out), ["admin", "main", "up"]);
    }

    #[test]
    fn what_the_case_says_wins() {
        let text = "listeners: {main: {tcp: {cluster: none}}}\nclusters: {none: {to: []}}\nbootstrap: {admin: null}";
        let out = compose(&config(text)).unwrap();
        assert!(out.get("admin").is_none());
        assert_eq!(
            out["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"],
            json!([])
        );
    }
}
