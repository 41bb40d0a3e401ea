//! Answers that the proxy gives itself: Envoy's exact codes, bodies, response flags and details.

mod config;

pub use config::LocalReplyConfig;

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

    /// Begins the response head: the reply's own headers, and what the `route` does to responses. The body's headers come
    /// behind, so that the route may set the content type.
    pub fn begin_head(&self, head: &mut HeaderMap, route: impl FnOnce(&mut HeaderMap)) {
        head.clear();
        set_status(head, self.code);
        for (id, value) in &self.headers {
            head.append(*id, value);
        }
        if self.as_is {
            return;
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
    }

    /// What the reply says if nothing maps it to something else.
    pub fn content(&self) -> Content<'static> {
        Content {
            code: self.code,
            body: self.body.clone(),
            content_type: TEXT,
            typed: false,
        }
    }

    /// Ends the response head. To a gRPC client every reply is a trailers-only 200; returns the body to send.
    pub fn finish_head(&self, content: Content<'_>, to: Recipient, head: &mut HeaderMap) -> Bytes {
        if self.as_is {
            return self.body.clone();
        }
        if to.grpc {
            self.finish_grpc(&content, to, head);
            return Bytes::new();
        }
        let body = content.body;
        if body.is_empty() {
            head.remove(HeaderId::ContentLength);
            head.remove(HeaderId::ContentType);
            return body;
        }
        head.set(
            HeaderId::ContentLength,
            itoa::Buffer::new().format(body.len()).as_bytes(),
        );
        let typed = head.contains(HeaderId::ContentType) && (content.typed || body == self.body);
        if !typed {
            head.set(HeaderId::ContentType, content.content_type.as_bytes());
        }
        body
    }

    fn finish_grpc(&self, content: &Content<'_>, to: Recipient, head: &mut HeaderMap) {
        head.set(HeaderId::Status, b"200");
        head.set(HeaderId::ContentType, b"application/grpc");
        if head.get(HeaderId::GrpcStatus).is_none_or(<[u8]>::is_empty) {
            let status = self
                .grpc_status
                .unwrap_or_else(|| grpc_status(content.code));
            head.set(
                HeaderId::GrpcStatus,
                itoa::Buffer::new().format(status).as_bytes(),
            );
        }
        if !content.body.is_empty() && !to.head {
            let message: &[u8] = &content.body;
            // The new line that ends JSON has no place in a header.
            let message = match message.strip_suffix(b"\n") {
                Some(line) if content.content_type == JSON => line,
                _ => message,
            };
            head.set(HeaderId::GrpcMessage, &percent_encode(message));
        }
        head.remove(HeaderId::ContentLength);
    }
}

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";

/// What a reply says.
#[derive(Debug)]
pub struct Content<'a> {
    pub code: u16,
    pub body: Bytes,
    pub content_type: &'a str,
    /// The headers of a mapper name the type already.
    pub typed: bool,
}

/// What of its request a reply depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recipient {
    pub grpc: bool,
    /// The request is a HEAD.
    pub head: bool,
}

fn set_status(head: &mut HeaderMap, code: u16) {
    head.set(
        HeaderId::Status,
        itoa::Buffer::new().format(code).as_bytes(),
    );
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

/// `grpc-message` keeps printable ASCII but `%` and `~`.
pub(crate) fn percent_encode(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    for &byte in message {
        if (b' '..b'~').contains(&byte) && byte != b'%' {
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

    fn write(
        reply: &LocalReply,
        grpc: bool,
        head: &mut HeaderMap,
        route: impl FnOnce(&mut HeaderMap),
    ) -> Bytes {
        reply.begin_head(head, route);
        let to = Recipient { grpc, head: false };
        reply.finish_head(reply.content(), to, head)
    }

    #[test]
    fn a_plain_reply_has_its_length_and_type() {
        let reply = LocalReply::new(503, "no healthy upstream", "no_healthy_upstream")
            .header(HeaderId::EnvoyOverloaded, &b"true"[..]);
        let mut head = HeaderMap::new();
        assert_eq!(
            write(&reply, false, &mut head, |_| {}),
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
        write(&LocalReply::new(200, "{}", "x"), false, &mut head, |head| {
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
        let reply = LocalReply::new(404, "", "route_not_found");
        write(&reply, false, &mut head, |head| {
            head.set(HeaderId::ContentType, b"text/css");
            head.set(HeaderId::ContentLength, b"3");
        });
        assert_eq!(lines(&head), [":status: 404"]);
    }

    #[test]
    fn a_grpc_client_gets_trailers_only() {
        let mut head = HeaderMap::new();
        let reply = LocalReply::new(404, "a%\n", "x");
        assert!(write(&reply, true, &mut head, |_| {}).is_empty());
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
