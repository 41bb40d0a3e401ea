//! Route configurations in YAML and what they do to requests, as Envoy 1.40 answers.
#![allow(clippy::unwrap_used)]

mod domains;
mod headers;
mod matching;
mod model;
mod redirects;
mod rewrites;
mod trees;
mod validation;

use super::*;
use envoy_api::{
    Format, MessageDescriptor, load, pb::envoy::config::route::v3::RouteConfiguration, prost_types,
    to_typed,
};
use outrigger_core::{
    Address, ConfigError, ConnectionInfo, Context, HeaderId, HeaderMap, StreamInfo,
};
use outrigger_upstream::BuildContext;
use std::{sync::Arc, time::SystemTime};

/// Takes every override as its value; nobody knows the type of one filter's.
struct Filters;

impl PerFilterConfig for Filters {
    fn compile(
        &self,
        filter_name: &str,
        config: &prost_types::Any,
    ) -> Result<Option<FilterOverride>, ConfigError> {
        match filter_name {
            "bad" => Err(ConfigError::new("no such filter")),
            "none" => Ok(None),
            _ => Ok(Some(Arc::new(config.value.clone()))),
        }
    }
}

fn compile_with(yaml: &str, validate_clusters: bool) -> Result<Arc<RouteTable>, ConfigError> {
    let descriptor = MessageDescriptor::named("envoy.config.route.v3.RouteConfiguration").unwrap();
    let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
    let proto: RouteConfiguration = to_typed(&message).unwrap();
    let build = BuildContext::new(Arc::new(Context::default()));
    RouteTable::compile(&proto, &build, &Filters, validate_clusters)
}

fn compile(yaml: &str) -> Arc<RouteTable> {
    compile_with(yaml, false).unwrap()
}

/// A table with one virtual host for every domain, whose routes these are (flow style, one per line).
fn routes(lines: &[&str]) -> Arc<RouteTable> {
    compile(&one_host(lines))
}

fn one_host(lines: &[&str]) -> String {
    let routes: String = lines.iter().map(|line| format!("  - {line}\n")).collect();
    format!("name: rc\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  routes:\n{routes}")
}

pub(crate) fn info(stream_id: u64) -> StreamInfo {
    let address = Address::Ip("127.0.0.1:1".parse().unwrap());
    let now = tokio::time::Instant::now();
    let connection = ConnectionInfo::new(1, address.clone(), address);
    StreamInfo::new(Arc::new(connection), SystemTime::UNIX_EPOCH, now, stream_id)
}

/// A GET of this path from host `h` over plain HTTP, with more headers (which may overwrite those).
fn get(path: &str, more: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.set(HeaderId::Method, b"GET");
    headers.set(HeaderId::Authority, b"h");
    headers.set(HeaderId::Path, path.as_bytes());
    headers.set(HeaderId::Scheme, b"http");
    headers.set(HeaderId::ForwardedProto, b"http");
    for (name, value) in more {
        match HeaderId::lookup(name.as_bytes()) {
            HeaderId::Custom => {
                headers.append_raw(name.as_bytes(), value.as_bytes());
            }
            id if id.is_pseudo() || id == HeaderId::ForwardedProto => {
                headers.set(id, value.as_bytes());
            }
            id => headers.append(id, value.as_bytes()),
        }
    }
    headers
}

/// The body of the direct response that answers, or `-`.
fn answer(table: &RouteTable, headers: &HeaderMap) -> String {
    match table.find(headers, &info(0)).map(|found| found.route) {
        Some(route) => match &route.action {
            Action::DirectResponse(direct) => String::from_utf8(direct.body.to_vec()).unwrap(),
            other => format!("{other:?}"),
        },
        None => "-".into(),
    }
}

/// The lines of a head that a test is about, without pseudo headers and `x-forwarded-proto`.
fn lines(headers: &HeaderMap) -> Vec<String> {
    headers
        .iter_ids()
        .filter(|(id, ..)| !id.is_pseudo() && *id != HeaderId::ForwardedProto)
        .map(|(_, name, value)| {
            format!(
                "{}: {}",
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value)
            )
        })
        .collect()
}

/// A request after its route has finalized it: host, path and the other lines.
fn finalized(table: &RouteTable, mut headers: HeaderMap) -> (String, String, Vec<String>) {
    let info = info(0);
    let found = table.find(&headers, &info).unwrap();
    found.finalize_request_headers(&mut headers, &info, true);
    let text = |id| String::from_utf8(headers.get(id).unwrap().to_vec()).unwrap();
    (
        text(HeaderId::Authority),
        text(HeaderId::Path),
        lines(&headers),
    )
}
