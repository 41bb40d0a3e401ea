//! What a codec finds wrong with a peer's bytes, in the words that Envoy answers and logs.

/// A message that breaks the protocol. The connection that sent it cannot be used any further.
///
/// Downstream, the connection manager answers `status` with `body` and logs `details` with flag `DPE`; upstream, every
/// such error is a reset with reason "protocol error" (502, flag `UPE`) and only `message` is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CodecError {
    /// 400, 426, 431 or 501.
    pub status: u16,
    /// Body of the local reply.
    pub body: &'static str,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: &'static str,
    /// What was wrong, for debug logs.
    pub message: &'static str,
}

impl CodecError {
    /// 400 `http1.codec_error`: whatever the parser itself refuses.
    pub const fn malformed(message: &'static str) -> Self {
        Self::bad_request("http1.codec_error", message)
    }

    /// 400 with details of its own.
    pub const fn bad_request(details: &'static str, message: &'static str) -> Self {
        Self {
            status: 400,
            body: "Bad Request",
            details,
            message,
        }
    }

    /// 431: the head or the trailers are longer than `max_request_headers_kb`.
    pub const HEADERS_TOO_LARGE: Self = Self {
        status: 431,
        body: "Request Header Fields Too Large",
        details: "http1.headers_too_large",
        message: "headers size exceeds limit",
    };

    /// 431: more lines than `max_headers_count`.
    pub const TOO_MANY_HEADERS: Self = Self {
        status: 431,
        body: "Request Header Fields Too Large",
        details: "http1.too_many_headers",
        message: "headers count exceeds limit",
    };

    /// 426: not HTTP/1.1, and `accept_http_10` is off.
    pub const LOW_VERSION: Self = Self {
        status: 426,
        body: "Upgrade Required",
        details: "low_version",
        message: "HTTP version is too low",
    };

    /// 501: a transfer coding other than `chunked`.
    pub const TRANSFER_ENCODING: Self = Self {
        status: 501,
        body: "Not Implemented",
        details: "http1.invalid_transfer_encoding",
        message: "unsupported transfer encoding",
    };

    /// 400: `content-length` beside `transfer-encoding`.
    pub const CHUNKED_LENGTH: Self = Self::bad_request(
        "http1.content_length_and_chunked_not_allowed",
        "both 'Content-Length' and 'Transfer-Encoding' are set",
    );

    /// 400: a control character in the head.
    pub const INVALID_CHARACTERS: Self =
        Self::bad_request("http1.invalid_characters", "header has invalid characters");

    /// 400: an absolute-form or CONNECT target that is no URL.
    pub const INVALID_URL: Self =
        Self::bad_request("http1.invalid_url", "invalid url in request line");

    /// 400: an absolute-form target with a scheme other than `http` and `https`.
    pub const INVALID_SCHEME: Self = Self::bad_request("http1.invalid_scheme", "invalid scheme");

    /// 400: `host` holds what no authority can.
    pub const INVALID_AUTHORITY: Self =
        Self::bad_request("http.invalid_authority", "invalid authority");

    /// 400: `connection` nominates what tells the origin of the request.
    pub const CONNECTION_HEADER: Self = Self::bad_request(
        "http1.connection_header_rejected",
        "invalid nominated headers in connection",
    );

    /// 400: `headers_with_underscores_action` is `REJECT_REQUEST`.
    pub const UNDERSCORE: Self = Self::bad_request(
        "http1.unexpected_underscore",
        "header name contains underscores",
    );
}
