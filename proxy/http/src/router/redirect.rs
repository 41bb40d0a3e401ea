//! Internal redirects: an upstream's redirect that we follow in the client's place, if the route's policy allows it. One
//! that cannot be followed goes to the client.

use super::{Forwarding, name_cluster};
use crate::{
    codec::h1::{Url, parse_url},
    route::{InternalRedirectPolicy, internal_redirect::Target},
    stream::ActiveStream,
};
use outrigger_core::{HeaderId, HeaderMap, log_debug};

/// The status that says where the answer is, whatever was asked for.
const SEE_OTHER: u16 = 303;

/// What becomes of the body of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    SentAgain,
    Dropped,
}

impl Forwarding {
    /// Envoy's `setupRedirect`: true if the request has become the one that the response asks for, with which the stream
    /// is to begin again.
    #[cold]
    pub(super) fn follow_redirect(&mut self, stream: &mut ActiveStream<'_>, status: u16) -> bool {
        let policy = self.forward();
        let policy = policy.and_then(|forward| forward.internal_redirect_policy.clone());
        let Some(policy) = policy.filter(|policy| policy.concerns(status)) else {
            return false;
        };
        log_debug!("router", &stream.info => "attempting internal redirect");
        // What was not kept of a request cannot be sent again.
        let whole = stream.request_complete && self.replay.is_replayable();
        let body = whole.then(|| convert(stream, &policy, status)).flatten();
        let stats = &self.cluster.stats;
        let Some(body) = body else {
            stats.upstream_internal_redirect_failed_total.inc();
            return false;
        };
        log_debug!("router", &stream.info => "Internal redirect succeeded");
        stats.upstream_internal_redirect_succeeded_total.inc();
        stream.info.response_code = status;
        stream.begin_again();
        if body == Body::SentAgain {
            stream.send_again(self.replay.pieces());
        }
        true
    }
}

/// Envoy's `convertRequestHeadersForInternalRedirect`, with its reasons against it in its order. A route that was found
/// is the stream's from there on, even if it is refused then.
fn convert(
    stream: &mut ActiveStream<'_>,
    policy: &InternalRedirectPolicy,
    status: u16,
) -> Option<Body> {
    let stats = &stream.hcm.router_stats;
    let location = stream.messages.response.get(HeaderId::Location)?.to_vec();
    if !stream.messages.request.contains(HeaderId::Path) {
        return None;
    }
    let Some(url) = parse_url(&location) else {
        stats.passthrough_internal_redirect_bad_location.inc();
        return None;
    };
    let from_https = stream.is_https();
    let to_https = !url.scheme.eq_ignore_ascii_case(b"http");
    if !policy.allow_cross_scheme_redirect && from_https != to_https {
        stats.passthrough_internal_redirect_unsafe_scheme.inc();
        return None;
    }
    if stream.internal_redirects() >= policy.max_internal_redirects {
        stats.passthrough_internal_redirect_too_many_redirects.inc();
        return None;
    }
    let messages = &mut *stream.messages;
    let before = messages.request.clone();
    copy_headers(policy, &messages.response, &mut messages.request);
    lead_to(stream, &url);
    let refused = match &stream.route {
        None => Some(&stats.passthrough_internal_redirect_no_route),
        Some(found) => {
            let target = Target {
                route: &found.route.info.name.clone(),
                from_https,
                to_https,
            };
            let accepted = policy.accepts(target, &mut stream.past().previous_routes);
            (!accepted).then_some(&stats.passthrough_internal_redirect_predicate)
        }
    };
    if let Some(refused) = refused {
        refused.inc();
        stream.messages.request = before;
        return None;
    }
    stream.count_redirect();
    let request = &mut stream.messages.request;
    let body = see_other(request, status);
    request.set(HeaderId::EnvoyOriginalUrl, &url_of(&before, from_https));
    Some(body)
}

/// `response_headers_to_copy`.
fn copy_headers(policy: &InternalRedirectPolicy, response: &HeaderMap, request: &mut HeaderMap) {
    for name in &policy.response_headers_to_copy {
        request.remove_name(name);
        for value in response.get_all(name) {
            request.append_name(name, value);
        }
    }
}

/// Points the request to another place, and the stream to the route from there.
pub(crate) fn lead_to(stream: &mut ActiveStream<'_>, url: &Url<'_>) {
    point_to(&mut stream.messages.request, url);
    stream.find_route();
    stream.info.cluster = None;
    name_cluster(stream);
}

fn point_to(request: &mut HeaderMap, url: &Url<'_>) {
    request.set(HeaderId::Scheme, url.scheme);
    request.set(HeaderId::Authority, url.authority);
    request.set(HeaderId::Path, url.path_and_query());
}

/// Makes a request for what another place holds one of GET, and tells what becomes of its body.
fn see_other(request: &mut HeaderMap, status: u16) -> Body {
    let method = request.get(HeaderId::Method);
    if status != SEE_OTHER || matches!(method, Some(b"GET" | b"HEAD")) {
        return Body::SentAgain;
    }
    request.set(HeaderId::Method, b"GET");
    request.remove(HeaderId::ContentLength);
    Body::Dropped
}

/// The URL of a request as it went upstream.
fn url_of(request: &HeaderMap, https: bool) -> Vec<u8> {
    let host = request.get(HeaderId::Authority).unwrap_or_default();
    let path = request.get(HeaderId::Path).unwrap_or_default();
    let scheme: &[u8] = if https { b"https" } else { b"http" };
    [scheme, b"://", host, path].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &[u8]) -> HeaderMap {
        let mut request = HeaderMap::new();
        for (id, value) in [
            (HeaderId::Method, method),
            (HeaderId::Scheme, b"http"),
            (HeaderId::Authority, b"a.test"),
            (HeaderId::Path, b"/x"),
            (HeaderId::ContentLength, b"5"),
        ] {
            request.append(id, value);
        }
        request
    }

    #[test]
    fn a_request_is_led_to_another_place() {
        let mut next = request(b"GET");
        if let Some(url) = parse_url(b"https://me@b.test:81/to?q#f") {
            point_to(&mut next, &url);
        }
        assert_eq!(url_of(&next, true), b"https://b.test:81/to?q");
        assert_eq!(next.get(HeaderId::Scheme), Some(&b"https"[..]));
    }

    #[test]
    fn only_303_makes_a_get_of_a_post() {
        let mut next = request(b"POST");
        assert_eq!(see_other(&mut next, 307), Body::SentAgain);
        assert_eq!(next.get(HeaderId::Method), Some(&b"POST"[..]));
        assert_eq!(see_other(&mut next, 303), Body::Dropped);
        assert_eq!(next.get(HeaderId::Method), Some(&b"GET"[..]));
        assert!(!next.contains(HeaderId::ContentLength));
        assert_eq!(see_other(&mut request(b"HEAD"), 303), Body::SentAgain);
    }
}
