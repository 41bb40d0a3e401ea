//! Answers that the proxy gives itself: Envoy's exact codes, bodies, response flags and details.

use crate::route::HeaderParser;
use bytes::Bytes;
use outrigger_core::{HeaderId, HeaderMap, ResponseFlag, StreamInfo};
use std::{borrow::Cow, sync::Arc};

/// One local reply, before it runs through the response path like any other response.
#[derive(Debug, Clone)]
pub struct LocalReply {
    pub code: u16,
    pub body: Bytes,
    pub flag: Option<ResponseFlag>,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: Cow<'static, str>,
    /// Headers that stand before `content-length`.
    pub headers: Vec<(HeaderId, Cow<'static, [u8]>)>,
    /// What a gRPC client is told, if it does not follow from the code.
    pub grpc_status: Option<u32>,
    /// Neither the route nor gRPC changes it.
    pub as_is: bool,
    /// The route adds its headers.
    pub route_headers: bool,
    /// No filter sees it.
    pub direct: bool,
    /// What is added behind the headers of the route.
    pub amend: Option<Box<Amendment>>,
    /// The head of an upstream's response that this one stands for: its headers come behind those of the route.
    pub copied: Option<Box<HeaderMap>>,
}

/// Headers that a filter adds to its reply.
#[derive(Debug, Clone)]
pub struct Amendment {
    pub headers: Arc<HeaderParser>,
    /// Seconds; for a reply whose headers do not say that already.
    pub retry_after: Option<u64>,
    /// Replaces what the route says.
    pub content_type: Option<Arc<str>>,
}

impl Amendment {
    pub fn apply(&self, head: &mut HeaderMap, request: &HeaderMap, info: &StreamInfo) {
        self.headers.evaluate_response(head, Some(request), info);
        if let Some(content_type) = &self.content_type {
            // Moves behind the others, as in Envoy.
            head.remove(HeaderId::ContentType);
            head.append(HeaderId::ContentType, content_type.as_bytes());
        }
        if let Some(seconds) = self.retry_after
            && !head.contains(HeaderId::RetryAfter)
        {
            head.append(
                HeaderId::RetryAfter,
                itoa::Buffer::new().format(seconds).as_bytes(),
            );
        }
    }
}

impl LocalReply {
    #[cold]
    pub fn new(code: u16, body: &'static str, details: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            body: Bytes::from_static(body.as_bytes()),
            flag: None,
            details: details.into(),
            headers: Vec::new(),
            grpc_status: None,
            as_is: false,
            route_headers: true,
            direct: false,
            amend: None,
            copied: None,
        }
    }

    #[must_use]
    pub fn flag(mut self, flag: ResponseFlag) -> Self {
        self.flag = Some(flag);
        self
    }

    #[must_use]
    pub fn grpc_status(mut self, status: u32) -> Self {
        self.grpc_status = Some(status);
        self
    }

    #[must_use]
    pub fn header(mut self, id: HeaderId, value: impl Into<Cow<'static, [u8]>>) -> Self {
        self.headers.push((id, value.into()));
        self
    }

    /// Writes the response head. To a gRPC client every reply is a trailers-only 200; returns the body to send. What the
    /// `route` does to responses comes before the body's headers, so that it may set the content type.
    pub fn write_head(
        &self,
        grpc: bool,
        head: &mut HeaderMap,
        route: impl FnOnce(&mut HeaderMap),
    ) -> Bytes {
        head.clear();
        let mut digits = itoa::Buffer::new();
        head.append(HeaderId::Status, digits.format(self.code).as_bytes());
        for (id, value) in &self.headers {
            head.append(*id, value);
        }
        if self.as_is {
            return self.body.clone();
        }
        route(head);
        for (id, name, value) in self.copied.iter().flat_map(|copied| copied.iter_ids()) {
            if !matches!(
                id,
                HeaderId::Status | HeaderId::ContentLength | HeaderId::ContentType
            ) {
                head.append_raw(name, value);
            }
        }
        if grpc {
            head.set(HeaderId::Status, b"200");
            head.set(HeaderId::ContentType, b"application/grpc");
            head.set(
                HeaderId::GrpcStatus,
                digits
                    .format(self.grpc_status.unwrap_or_else(|| grpc_status(self.code)))
                    .as_bytes(),
            );
            if !self.body.is_empty() {
                head.set(HeaderId::GrpcMessage, &percent_encode(&self.body));
            }
            return Bytes::new();
        }
        if !self.body.is_empty() {
            head.set(
                HeaderId::ContentLength,
                digits.format(self.body.len()).as_bytes(),
            );
            if !head.contains(HeaderId::ContentType) {
                head.append(HeaderId::ContentType, b"text/plain");
            }
        }
        self.body.clone()
    }
}

/// `application/grpc` or `application/grpc+…`, but not `application/grpc-web`.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(HeaderId::ContentType)
        .and_then(|t| t.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

/// Envoy's `httpToGrpcStatus`.
pub(crate) fn grpc_status(code: u16) -> u32 {
    match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// `grpc-message` keeps printable ASCII but `%`.
pub(crate) fn percent_encode(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    for &byte in message {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(map: &HeaderMap) -> Vec<String> {
        map.iter()
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
    fn a_plain_reply_has_its_length_and_type() {
        let reply = LocalReply::new(503, "no healthy upstream", "no_healthy_upstream")
            .header(HeaderId::EnvoyOverloaded, &b"true"[..]);
        let mut head = HeaderMap::new();
        assert_eq!(
            reply.write_head(false, &mut head, |_| {}),
            "no healthy upstream"
        );
        assert_eq!(
            lines(&head),
            [
                ":status: 503",
                "x-envoy-overloaded: true",
                "content-length: 19",
                "content-type: text/plain"
            ]
        );
    }

    #[test]
    fn the_route_may_set_the_type() {
        let mut head = HeaderMap::new();
        LocalReply::new(200, "{}", "x").write_head(false, &mut head, |head| {
            head.set(HeaderId::ContentType, b"application/json");
        });
        assert_eq!(
            lines(&head),
            [
                ":status: 200",
                "content-type: application/json",
                "content-length: 2"
            ]
        );
    }

    #[test]
    fn an_empty_reply_has_no_type() {
        let mut head = HeaderMap::new();
        LocalReply::new(404, "", "route_not_found").write_head(false, &mut head, |_| {});
        assert_eq!(lines(&head), [":status: 404"]);
    }

    #[test]
    fn a_grpc_client_gets_trailers_only() {
        let mut head = HeaderMap::new();
        let reply = LocalReply::new(404, "a%\n", "x");
        assert!(reply.write_head(true, &mut head, |_| {}).is_empty());
        assert_eq!(
            lines(&head),
            [
                ":status: 200",
                "content-type: application/grpc",
                "grpc-status: 12",
                "grpc-message: a%25%0A"
            ]
        );
    }
}
