//! Route configurations: whatever compiles finds a route or none for any request, and the same one again.

use crate::support::{choice, read, request, stream_info};
use envoy_api::{Format, pb::envoy::config::route::v3::RouteConfiguration, prost_types};
use outrigger_core::{ConfigError, Context};
use outrigger_http::route::{FilterOverride, PerFilterConfig, RouteTable};
use outrigger_upstream::BuildContext;
use std::sync::Arc;

struct NoFilters;

impl PerFilterConfig for NoFilters {
    fn compile(
        &self,
        _: &str,
        _: &prost_types::Any,
    ) -> Result<Option<FilterOverride>, ConfigError> {
        Ok(None)
    }
}

/// A configuration, then after an empty line a request in each line: its path, or its host and its path.
pub fn run(data: &[u8]) {
    let (first, data) = choice(data);
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (config, requests) = data.split_at(end.unwrap_or(data.len()));
    let format = match first % 2 {
        0 => Format::Yaml,
        _ => Format::Binary,
    };
    let Some(proto) = read::<RouteConfiguration>(format, config) else {
        return;
    };
    let build = BuildContext::new(Arc::new(Context::default()));
    let Ok(table) = RouteTable::compile(&proto, &build, &NoFilters, false) else {
        return;
    };
    let info = stream_info();
    for line in requests.split(|&b| b == b'\n').chain([&b"/"[..]]) {
        let space = line.iter().position(|&b| b == b' ');
        let (host, path) = space.map_or((&b"a.test"[..], line), |at| line.split_at(at));
        let mut headers = request(host, path.trim_ascii_start());
        let found = table.find(&headers, &info);
        let again = table.find(&headers, &info);
        let same = match (&found, &again) {
            (Some(a), Some(b)) => Arc::ptr_eq(&a.route, &b.route),
            (a, b) => a.is_none() && b.is_none(),
        };
        assert!(same);
        if let Some(found) = found {
            found.finalize_request_headers(&mut headers, &info, true);
        }
    }
}
