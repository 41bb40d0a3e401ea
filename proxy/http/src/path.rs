//! Makes path and host of a request canonical, or says what is wrong with them, before anything matches on them.

use crate::{
    hcm::HttpConnectionManager,
    local_reply::{LocalReply, is_grpc},
    normalize,
};
use envoy_api::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::PathWithEscapedSlashesAction as Slashes;
use memchr::memchr;
use outrigger_core::{ConnectionInfo, HeaderId, HeaderMap, Method};

/// Checks and rewrites `:authority` and `:path` in place.
pub fn sanitize(
    headers: &mut HeaderMap,
    hcm: &HttpConnectionManager,
    connection: &ConnectionInfo,
    method: Method,
) -> Result<(), LocalReply> {
    if !headers.contains(HeaderId::Authority) {
        return Err(LocalReply::new(400, "", "missing_host_header"));
    }
    match headers.get(HeaderId::Path) {
        None | Some([]) if method == Method::Connect => {}
        None | Some([]) => return Err(LocalReply::new(404, "", "missing_path_rejected")),
        Some([b'/', ..]) => {}
        Some(_) => {
            hcm.stats.downstream_rq_non_relative_path.inc();
            return Err(LocalReply::new(404, "", "absolute_path_rejected"));
        }
    }
    if method != Method::Connect {
        sanitize_path(headers, hcm)?;
    }
    sanitize_host(headers, hcm, connection);
    Ok(())
}

fn sanitize_path(headers: &mut HeaderMap, hcm: &HttpConnectionManager) -> Result<(), LocalReply> {
    let options = &hcm.path;
    let refused = || {
        hcm.stats.downstream_rq_failed_path_normalization.inc();
        LocalReply::new(400, "", "path_normalization_failed")
    };
    if let Some(path) = headers.get(HeaderId::Path)
        && let Some(fragment) = memchr(b'#', path)
    {
        if options.reject_fragment.get() {
            return Err(refused());
        }
        let path = path.get(..fragment).unwrap_or_default().to_vec();
        headers.set(HeaderId::Path, &path);
    }
    let mut redirect = false;
    if !matches!(
        options.escaped_slashes,
        Slashes::ImplementationSpecificDefault | Slashes::KeepUnchanged
    ) && let Some(unescaped) = headers
        .get(HeaderId::Path)
        .and_then(normalize::unescape_slashes)
    {
        // The log of a refused request shows the path without escapes.
        headers.set(HeaderId::Path, &unescaped);
        match options.escaped_slashes {
            Slashes::RejectRequest => return Err(refused()),
            action => redirect = action == Slashes::UnescapeAndRedirect,
        }
    }
    if options.normalize
        && let Some(path) = headers.get(HeaderId::Path)
        && let Some(canonical) = normalize::canonical(path).map_err(|_| refused())?
    {
        headers.set(HeaderId::Path, &canonical);
    }
    if options.merge_slashes
        && let Some(merged) = headers
            .get(HeaderId::Path)
            .and_then(normalize::merge_slashes)
    {
        headers.set(HeaderId::Path, &merged);
    }
    if redirect && is_grpc(headers) {
        // A gRPC client follows no redirects.
        return Err(refused());
    }
    if redirect {
        hcm.stats
            .downstream_rq_redirected_with_normalized_path
            .inc();
        let location = headers.get(HeaderId::Path).unwrap_or_default().to_vec();
        return Err(LocalReply::new(307, "", "path_normalization_failed")
            .header(HeaderId::Location, location));
    }
    Ok(())
}

fn sanitize_host(
    headers: &mut HeaderMap,
    hcm: &HttpConnectionManager,
    connection: &ConnectionInfo,
) {
    let options = &hcm.path;
    if !(options.strip_matching_host_port
        || options.strip_any_host_port
        || options.strip_trailing_host_dot)
    {
        return;
    }
    let Some(authority) = headers.get(HeaderId::Authority) else {
        return;
    };
    let (mut host, mut port) = split_port(authority);
    if options.strip_trailing_host_dot {
        host = host.strip_suffix(b".").unwrap_or(host);
    }
    let local_port = connection.local_address.ip().map(|a| a.port());
    let strips = options.strip_any_host_port
        || options.strip_matching_host_port
            && local_port.is_some()
            && parse_port(port) == local_port;
    if strips {
        port = b"";
    }
    if host.len() + port.len() < authority.len() {
        let stripped = [host, port].concat();
        headers.set(HeaderId::Authority, &stripped);
    }
}

/// Splits `host:port` into `host` and `:port`; the colons of a bracketed IPv6 address belong to the host.
fn split_port(authority: &[u8]) -> (&[u8], &[u8]) {
    let at = match authority.iter().rposition(|&b| b == b':') {
        Some(at) if !authority.get(at..).unwrap_or_default().contains(&b']') => at,
        _ => return (authority, b""),
    };
    match parse_port(authority.get(at..).unwrap_or_default()) {
        Some(_) => authority.split_at(at),
        None => (authority, b""),
    }
}

fn parse_port(port: &[u8]) -> Option<u16> {
    std::str::from_utf8(port.strip_prefix(b":")?)
        .ok()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_split_off_hosts() {
        for (authority, host, port) in [
            ("a", "a", ""),
            ("a:80", "a", ":80"),
            ("[::1]:80", "[::1]", ":80"),
            ("[::1]", "[::1]", ""),
            ("a:", "a:", ""),
            ("a:x", "a:x", ""),
        ] {
            assert_eq!(
                split_port(authority.as_bytes()),
                (host.as_bytes(), port.as_bytes()),
                "{authority}"
            );
        }
    }
}
