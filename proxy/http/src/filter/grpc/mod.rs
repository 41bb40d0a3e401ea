//! What the filters for gRPC have in common: names of calls, what is a gRPC message, frames.

mod frames;

pub use frames::{FrameCounter, Seen};

use crate::local_reply::is_grpc;
use outrigger_core::{HeaderId, HeaderMap};

/// Service and method of a path `/<service>/<method>`, whatever follows a `?`.
pub fn service_and_method(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let path = path.split(|byte| *byte == b'?').next()?;
    let mut parts = path.split(|byte| *byte == b'/').filter(|p| !p.is_empty());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(service), Some(method), None) => Some((service, method)),
        _ => None,
    }
}

/// Envoy's `isGrpcResponseHeaders`. `end`: there is no body.
pub fn is_grpc_response(head: &HeaderMap, end: bool) -> bool {
    match end {
        true => head.contains(HeaderId::GrpcStatus),
        false => head.get(HeaderId::Status) == Some(b"200") && is_grpc(head),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_by_two_parts() {
        let name = |path: &'static str| service_and_method(path.as_bytes());
        let expected = Some((&b"pkg.Svc"[..], &b"Get"[..]));
        assert_eq!(name("/pkg.Svc/Get"), expected);
        assert_eq!(name("//pkg.Svc//Get/?a/b"), expected);
        for other in ["", "/", "/pkg.Svc", "/a/b/c", "?/a/b"] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
