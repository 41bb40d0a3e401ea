//! What the connection manager does to a request before it is routed: Envoy's `mutateRequestHeaders`, in its order.
//!
//! Who the client is (`x-forwarded-for`), whether it is internal, which of Envoy's own headers it may send, and the
//! request id are decided here, once, for everything behind.

use crate::{
    hop_by_hop,
    original_ip::{Detection, Detector},
    referer, request_id,
};
use outrigger_core::{
    Address, ConnectionInfo, HeaderId, HeaderMap, HeaderName, HeaderSet, matcher::CidrList,
};
use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

/// The fields of the connection manager that these mutations depend on.
#[derive(Debug, Default)]
pub struct RequestHeaderConfig {
    pub use_remote_address: bool,
    pub xff_num_trusted_hops: usize,
    /// In place of `x-forwarded-for`, if there are any.
    pub original_ip: Box<[Detector]>,
    pub skip_xff_append: bool,
    /// `forward_client_cert_details: ALWAYS_FORWARD_ONLY`. All other ways come to the same without TLS: what a client says of
    /// its certificate is no news.
    pub forwards_client_cert: bool,
    pub append_x_forwarded_port: bool,
    /// `forward_proto_config`: the ports of a PROXY header's destination that mean `https`. All others mean `http` anyway.
    pub https_ports: Box<[u32]>,
    /// `internal_address_config.cidr_ranges`; empty (the default): no address is internal.
    pub internal_addresses: CidrList,
    pub internal_unix_sockets: bool,
    /// `add_user_agent`: the local cluster's name, to be sent as user agent.
    pub user_agent: Option<Arc<str>>,
    pub node_id: Arc<str>,
    pub via: Option<Arc<str>>,
    pub generate_request_id: bool,
    pub preserve_external_request_id: bool,
    /// Appended to XFF in place of a loopback peer.
    pub local_address: Option<IpAddr>,
    /// `scheme_header_transformation`: what every request is said to have come by.
    pub scheme: Option<&'static str>,
    /// The router makes it that of the upstream connection.
    pub match_upstream: bool,
}

impl RequestHeaderConfig {
    /// How the client came, by what a proxy in front says: the connection itself is plaintext in any case until transport
    /// sockets other than `raw_buffer` arrive.
    fn scheme_of(&self, connection: &ConnectionInfo) -> &'static [u8] {
        let restored = connection.local_address_restored && !self.https_ports.is_empty();
        let wanted = connection.local_address.ip().filter(|_| restored);
        match wanted {
            Some(address) if self.https_ports.contains(&address.port().into()) => b"https",
            _ => b"http",
        }
    }
}

/// What the mutations found out.
#[derive(Debug, Default)]
pub struct Origin {
    /// The trusted client address, if it is not the peer of the connection.
    pub remote_address: Option<Address>,
    /// The request comes from inside: Envoy's control headers are honoured.
    pub internal: bool,
}

/// Control headers that only an internal client may send.
const INTERNAL_ONLY: HeaderSet = HeaderSet::of(&[
    HeaderId::EnvoyRetriableStatusCodes,
    HeaderId::EnvoyRetriableHeaderNames,
    HeaderId::EnvoyRetryOn,
    HeaderId::EnvoyRetryGrpcOn,
    HeaderId::EnvoyMaxRetries,
    HeaderId::EnvoyUpstreamAltStatName,
    HeaderId::EnvoyUpstreamRqTimeoutMs,
    HeaderId::EnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::EnvoyUpstreamRqTimeoutAltResponse,
    HeaderId::EnvoyExpectedRqTimeoutMs,
    HeaderId::EnvoyForceTrace,
    HeaderId::EnvoyIpTags,
    HeaderId::EnvoyHedgeOnPerTryTimeout,
    HeaderId::EnvoyUpstreamStreamDurationMs,
]);

/// Further headers that an edge proxy does not take from outside.
const EDGE_ONLY: HeaderSet = HeaderSet::of(&[
    HeaderId::EnvoyDecoratorOperation,
    HeaderId::EnvoyDownstreamServiceCluster,
    HeaderId::EnvoyDownstreamServiceNode,
    HeaderId::EnvoyOriginalPath,
    HeaderId::EnvoyOriginalHost,
]);

/// Nobody could say who the client is: the code that it gets.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown(pub u16);

/// Applies every mutation. `internal_only` are the route table's `internal_only_headers`.
pub fn mutate(
    headers: &mut HeaderMap,
    config: &RequestHeaderConfig,
    connection: &ConnectionInfo,
    internal_only: &[HeaderName],
) -> Result<Origin, Unknown> {
    hop_by_hop::strip_request(headers);
    let peer = &connection.remote_address;
    let (remote_address, single_address) = if config.use_remote_address {
        edge_address(headers, config, peer)
    } else if config.original_ip.is_empty() {
        forwarded_address(headers, config)
    } else {
        detected_address(headers, config, peer)?
    };
    if config.use_remote_address && config.xff_num_trusted_hops == 0
        || !headers.contains(HeaderId::ForwardedProto)
    {
        headers.set(HeaderId::ForwardedProto, config.scheme_of(connection));
    }
    if config.append_x_forwarded_port
        && (config.use_remote_address && config.xff_num_trusted_hops == 0
            || !headers.contains(HeaderId::ForwardedPort))
        && let Some(local) = connection.local_address.ip()
    {
        headers.set(
            HeaderId::ForwardedPort,
            itoa::Buffer::new().format(local.port()).as_bytes(),
        );
    }

    // Only a request in absolute form says its scheme itself.
    if !headers.contains(HeaderId::Scheme) {
        let https = headers
            .get(HeaderId::ForwardedProto)
            .is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"));
        headers.set(HeaderId::Scheme, if https { b"https" } else { b"http" });
    }
    if let Some(scheme) = config.scheme {
        headers.set(HeaderId::Scheme, scheme.as_bytes());
        headers.set(HeaderId::ForwardedProto, scheme.as_bytes());
    }

    let client = remote_address.as_ref().unwrap_or(peer);
    let internal = single_address && is_internal(client, config);
    let edge = !internal && config.use_remote_address;
    if internal {
        headers.set(HeaderId::EnvoyInternal, b"true");
    } else {
        remove_control_headers(headers, edge, internal_only);
    }
    let referer = headers.get(HeaderId::Referer);
    if referer.is_some_and(|value| !referer::is_valid(value)) {
        headers.remove(HeaderId::Referer);
    }
    if let Some(user_agent) = &config.user_agent {
        headers.set(
            HeaderId::EnvoyDownstreamServiceCluster,
            user_agent.as_bytes(),
        );
        if headers
            .get(HeaderId::UserAgent)
            .is_none_or(<[u8]>::is_empty)
        {
            headers.set(HeaderId::UserAgent, user_agent.as_bytes());
        }
        if !config.node_id.is_empty() {
            headers.set(
                HeaderId::EnvoyDownstreamServiceNode,
                config.node_id.as_bytes(),
            );
        }
    }
    if let Some(via) = &config.via {
        append_via(headers, via);
    }
    if edge && let Some(ip) = client.ip() {
        set_ip(headers, HeaderId::EnvoyExternalAddress, ip.ip());
    }
    set_request_id(headers, config, edge);
    // Without a client certificate there is nothing to forward, and a client's own claim is never trusted.
    if !config.forwards_client_cert {
        headers.remove(HeaderId::ForwardedClientCert);
    }
    Ok(Origin {
        remote_address,
        internal,
    })
}

/// `use_remote_address: true`: the trusted address, and whether XFF names just one.
fn edge_address(
    headers: &mut HeaderMap,
    config: &RequestHeaderConfig,
    peer: &Address,
) -> (Option<Address>, bool) {
    let single = !headers.contains(HeaderId::ForwardedFor);
    let trusted = match config.xff_num_trusted_hops {
        0 => None,
        hops => address_from_xff(headers, hops - 1).map(|(address, _)| address),
    };
    if !config.skip_xff_append {
        append_peer(headers, config, peer);
    }
    (trusted, single)
}

fn append_peer(headers: &mut HeaderMap, config: &RequestHeaderConfig, peer: &Address) {
    let Some(ip) = peer.ip().map(|a| a.ip()) else {
        return;
    };
    // To Envoy no other address of 127.0.0.0/8 is a loopback address.
    let loopback = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let shown = config.local_address.filter(|_| loopback.contains(&ip));
    append_ip(headers, shown.unwrap_or(ip));
}

/// `original_ip_detection_extensions`: the first that finds an address has the last word.
fn detected_address(
    headers: &mut HeaderMap,
    config: &RequestHeaderConfig,
    peer: &Address,
) -> Result<(Option<Address>, bool), Unknown> {
    for detector in &config.original_ip {
        let detection = detector.detect(headers, peer);
        if detector.appends() {
            append_peer(headers, config, peer);
        }
        match detection {
            Detection::Found(address, single) => return Ok((Some(address), single)),
            Detection::Rejected(code) => return Err(Unknown(code)),
            Detection::None => {}
        }
    }
    Ok((None, false))
}

/// `use_remote_address: false`: XFF is believed and left as it is.
fn forwarded_address(headers: &HeaderMap, config: &RequestHeaderConfig) -> (Option<Address>, bool) {
    match address_from_xff(headers, config.xff_num_trusted_hops) {
        Some((address, single)) => (Some(address), single),
        None => (None, false),
    }
}

/// The `skip`-th address from the end of XFF, and whether it is the only one. One that is no address counts as none.
pub fn address_from_xff(headers: &HeaderMap, skip: usize) -> Option<(Address, bool)> {
    let value = headers.get_str(HeaderId::ForwardedFor)?;
    let text = value.rsplit(',').nth(skip)?.trim();
    let ip: IpAddr = text.parse().ok()?;
    Some((
        SocketAddr::new(ip, 0).into(),
        skip == 0 && !value.contains(','),
    ))
}

fn is_internal(client: &Address, config: &RequestHeaderConfig) -> bool {
    match client.ip() {
        Some(addr) => config.internal_addresses.contains(addr.ip()),
        None => config.internal_unix_sockets,
    }
}

fn remove_control_headers(headers: &mut HeaderMap, edge: bool, internal_only: &[HeaderName]) {
    headers.remove_all(if edge {
        INTERNAL_ONLY.union(EDGE_ONLY)
    } else {
        INTERNAL_ONLY
    });
    for name in internal_only {
        headers.remove_name(name);
    }
}

/// Envoy joins `via` with a comma and a space.
pub fn append_via(headers: &mut HeaderMap, via: &str) {
    match headers.get(HeaderId::Via) {
        Some(old) if !old.is_empty() => {
            let joined = [old, b", ", via.as_bytes()].concat();
            headers.set(HeaderId::Via, &joined);
        }
        _ => headers.set(HeaderId::Via, via.as_bytes()),
    }
}

fn set_request_id(headers: &mut HeaderMap, config: &RequestHeaderConfig, edge: bool) {
    let present = headers.contains(HeaderId::RequestId);
    if present && edge && config.preserve_external_request_id {
        request_id::clear_trace_reason(headers);
    } else if config.generate_request_id
        && (!present || edge && !config.preserve_external_request_id)
    {
        headers.set(HeaderId::RequestId, &request_id::generate());
    }
}

fn append_ip(headers: &mut HeaderMap, ip: IpAddr) {
    with_ip(ip, |text| headers.append(HeaderId::ForwardedFor, text));
}

fn set_ip(headers: &mut HeaderMap, id: HeaderId, ip: IpAddr) {
    with_ip(ip, |text| headers.set(id, text));
}

/// Prints an address without allocating.
fn with_ip(ip: IpAddr, put: impl FnOnce(&[u8])) {
    let mut buffer = [0; 48];
    let room = buffer.len();
    let mut cursor = &mut buffer[..];
    // 48 bytes hold every address: the longest IPv6 form has 45.
    let left = if write!(cursor, "{ip}").is_ok() {
        cursor.len()
    } else {
        room
    };
    put(buffer.get(..room - left).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::config::core::v3::CidrRange;

    fn connection(remote: &str) -> ConnectionInfo {
        let local: Address = "10.0.0.1:8080".parse::<SocketAddr>().unwrap().into();
        let remote: Address = remote.parse::<SocketAddr>().unwrap().into();
        ConnectionInfo::new(1, local, remote)
    }

    fn run(
        lines: &[(&str, &str)],
        config: &RequestHeaderConfig,
        remote: &str,
    ) -> (HeaderMap, Origin) {
        let mut headers = HeaderMap::new();
        for (n, v) in lines {
            headers.append_raw(n.as_bytes(), v.as_bytes());
        }
        let origin = mutate(&mut headers, config, &connection(remote), &[]).unwrap();
        (headers, origin)
    }

    fn xff(headers: &HeaderMap) -> Option<&str> {
        headers.get_str(HeaderId::ForwardedFor)
    }

    #[test]
    fn a_sidecar_leaves_xff_alone_and_believes_it() {
        let config = RequestHeaderConfig::default();
        let (headers, origin) = run(
            &[("x-forwarded-for", "1.1.1.1, 2.2.2.2")],
            &config,
            "9.9.9.9:1",
        );
        assert_eq!(xff(&headers), Some("1.1.1.1, 2.2.2.2"));
        assert_eq!(origin.remote_address.unwrap().to_string(), "2.2.2.2:0");
        let (_, origin) = run(&[("x-forwarded-for", "nonsense")], &config, "9.9.9.9:1");
        assert!(origin.remote_address.is_none());
    }

    #[test]
    fn an_edge_appends_its_peer_and_overwrites_the_scheme() {
        let config = RequestHeaderConfig {
            use_remote_address: true,
            ..Default::default()
        };
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-envoy-retry-on", "5xx"),
        ];
        let (headers, origin) = run(&lines, &config, "9.9.9.9:1");
        assert_eq!(xff(&headers), Some("1.1.1.1,9.9.9.9"));
        assert_eq!(headers.get(HeaderId::ForwardedProto), Some(&b"http"[..]));
        assert_eq!(
            headers.get(HeaderId::EnvoyExternalAddress),
            Some(&b"9.9.9.9"[..])
        );
        assert!(!headers.contains(HeaderId::EnvoyRetryOn));
        assert!(!origin.internal);
    }

    #[test]
    fn trusted_hops_count_from_the_end() {
        let config = RequestHeaderConfig {
            use_remote_address: true,
            xff_num_trusted_hops: 2,
            ..Default::default()
        };
        let (_, origin) = run(
            &[("x-forwarded-for", "1.1.1.1,2.2.2.2,3.3.3.3")],
            &config,
            "9.9.9.9:1",
        );
        assert_eq!(origin.remote_address.unwrap().to_string(), "2.2.2.2:0");
    }

    #[test]
    fn an_internal_client_keeps_its_control_headers() {
        let config = RequestHeaderConfig {
            use_remote_address: true,
            internal_addresses: CidrList::compile(&[CidrRange {
                address_prefix: "10.0.0.0".into(),
                prefix_len: Some(8),
            }])
            .unwrap(),
            ..Default::default()
        };
        let (headers, origin) = run(&[("x-envoy-max-retries", "3")], &config, "10.1.1.1:5");
        assert!(origin.internal);
        assert_eq!(headers.get(HeaderId::EnvoyInternal), Some(&b"true"[..]));
        assert!(headers.contains(HeaderId::EnvoyMaxRetries));
        let (headers, _) = run(&[("x-forwarded-for", "10.2.2.2")], &config, "10.1.1.1:5");
        assert!(
            !headers.contains(HeaderId::EnvoyInternal),
            "two addresses are never internal"
        );
    }

    #[test]
    fn request_ids_are_generated_at_the_edge_and_kept_inside() {
        let mut config = RequestHeaderConfig {
            generate_request_id: true,
            ..Default::default()
        };
        let (headers, _) = run(&[("x-request-id", "mine")], &config, "9.9.9.9:1");
        assert_eq!(headers.get(HeaderId::RequestId), Some(&b"mine"[..]));
        config.use_remote_address = true;
        let (headers, _) = run(&[("x-request-id", "mine")], &config, "9.9.9.9:1");
        assert_eq!(headers.get(HeaderId::RequestId).map(<[u8]>::len), Some(36));
    }
}
