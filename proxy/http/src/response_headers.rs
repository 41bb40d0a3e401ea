//! What the connection manager does to every response, proxied or local: `date`, `server`, `via`, hop-by-hop headers.

use crate::{hop_by_hop, request_headers::append_via};
use outrigger_core::{HeaderId, HeaderMap, HeaderSet};
use std::{
    cell::RefCell,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// `server_header_transformation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerHeader {
    #[default]
    Overwrite,
    AppendIfAbsent,
    PassThrough,
}

/// The fields of the connection manager that the response depends on.
#[derive(Debug, Default)]
pub struct ResponseHeaderConfig {
    pub server: ServerHeader,
    pub server_name: Arc<str>,
    pub via: Option<Arc<str>>,
    pub always_set_request_id: bool,
}

/// What a response never carries across a proxy.
const HOP: HeaderSet = HeaderSet::of(&[
    HeaderId::KeepAlive,
    HeaderId::ProxyConnection,
    HeaderId::TransferEncoding,
]);

/// Applies them, in Envoy's order.
pub fn mutate(
    response: &mut HeaderMap,
    request: &HeaderMap,
    config: &ResponseHeaderConfig,
    now: SystemTime,
) {
    if !response.contains(HeaderId::Date) {
        with_http_date(now, |date| response.append(HeaderId::Date, date));
    }
    match config.server {
        ServerHeader::Overwrite => response.set(HeaderId::Server, config.server_name.as_bytes()),
        ServerHeader::AppendIfAbsent if !response.contains(HeaderId::Server) => {
            response.append(HeaderId::Server, config.server_name.as_bytes());
        }
        ServerHeader::AppendIfAbsent | ServerHeader::PassThrough => {}
    }
    let upgrade = hop_by_hop::is_upgrade(request) && hop_by_hop::is_upgrade(response);
    let unframed = upgrade
        && !response.contains(HeaderId::TransferEncoding)
        && !response.contains(HeaderId::ContentLength)
        && response
            .get(HeaderId::Status)
            .is_some_and(|s| !s.starts_with(b"1"));
    response.remove_all(if upgrade {
        HOP
    } else {
        HOP.union(hop_by_hop::UPGRADE)
    });
    if unframed {
        // Envoy's way to keep its codec from chunks.
        response.append(HeaderId::ContentLength, b"0");
    }
    if (config.always_set_request_id || request.contains(HeaderId::EnvoyForceTrace))
        && let Some(id) = request.get(HeaderId::RequestId)
    {
        response.set(HeaderId::RequestId, id);
    }
    if let Some(via) = &config.via {
        append_via(response, via);
    }
}

thread_local! {
    /// The `date` of the current second.
    static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// Lends the RFC 7231 date of a point in time, printed once per second and thread.
fn with_http_date(now: SystemTime, put: impl FnOnce(&[u8])) {
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    DATE.with_borrow_mut(|(cached, text)| {
        if *cached != second || text.is_empty() {
            *cached = second;
            *text = httpdate::fmt_http_date(now);
        }
        put(text.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn run(lines: &[(&str, &str)], config: &ResponseHeaderConfig) -> Vec<String> {
        let mut head = HeaderMap::new();
        for (n, v) in lines {
            head.append_raw(n.as_bytes(), v.as_bytes());
        }
        mutate(
            &mut head,
            &HeaderMap::new(),
            config,
            UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        );
        head.iter()
            .map(|(n, v)| {
                format!(
                    "{}: {}",
                    String::from_utf8_lossy(n),
                    String::from_utf8_lossy(v)
                )
            })
            .collect()
    }

    #[test]
    fn server_is_overwritten_in_place_and_date_added() {
        let config = ResponseHeaderConfig {
            server_name: "envoy".into(),
            ..Default::default()
        };
        assert_eq!(
            run(
                &[("Server", "nginx"), ("keep-alive", "5"), ("x", "y")],
                &config
            ),
            [
                "server: envoy",
                "x: y",
                "date: Tue, 14 Nov 2023 22:13:20 GMT"
            ]
        );
    }

    #[test]
    fn the_upstream_date_and_server_can_pass() {
        let config = ResponseHeaderConfig {
            server: ServerHeader::PassThrough,
            server_name: "envoy".into(),
            via: Some("1.1 me".into()),
            ..Default::default()
        };
        assert_eq!(
            run(
                &[("date", "now"), ("server", "nginx"), ("via", "1.1 up")],
                &config
            ),
            ["date: now", "server: nginx", "via: 1.1 up, 1.1 me"]
        );
    }
}
