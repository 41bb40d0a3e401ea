//! What an endpoint answers.

use super::connection::ActiveRequest;
use bytes::Bytes;
use http::StatusCode;
use hyper::body::Frame;
use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

pub const TEXT: &str = "text/plain; charset=UTF-8";
/// Some errors of `/config_dump` come without a charset.
pub const BARE_TEXT: &str = "text/plain";
pub const HTML: &str = "text/html; charset=UTF-8";
pub const JSON: &str = "application/json";

/// Status, type and body of an answer. The server adds the headers that all answers share.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub content_type: &'static str,
    /// Beside those that all answers have.
    pub headers: &'static [(&'static str, &'static str)],
    pub body: Body,
}

impl Reply {
    pub fn text(body: impl Into<String>) -> Self {
        Self::streamed(Body::from(body.into()))
    }

    pub fn streamed(body: Body) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: TEXT,
            headers: &[],
            body,
        }
    }

    /// What most endpoints that change something answer.
    pub fn ok() -> Self {
        Self::text("OK\n")
    }

    pub fn bad_request(body: impl Into<String>) -> Self {
        Self::text(body).with_status(StatusCode::BAD_REQUEST)
    }

    /// A JSON document as Envoy prints it.
    pub fn json(value: &serde_json::Value) -> Self {
        let mut text = envoy_api::json::print(value);
        text.push('\n');
        Self::text(text).with_type(JSON)
    }

    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    #[must_use]
    pub fn with_type(self, content_type: &'static str) -> Self {
        Self {
            content_type,
            ..self
        }
    }
}

impl Reply {
    #[must_use]
    pub fn with_headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }
}

type Pieces = Box<dyn Iterator<Item = String> + Send>;

/// A body that is made while it is sent. It never knows its length, so that every answer is chunked, as Envoy's are.
pub struct Body {
    pieces: Pieces,
    /// Lives until the body has gone out.
    request: Option<ActiveRequest>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

impl Body {
    pub fn streamed(pieces: impl Iterator<Item = String> + Send + 'static) -> Self {
        Self {
            pieces: Box::new(pieces),
            request: None,
        }
    }

    /// The body as it goes out to a HEAD: not at all, but counted.
    #[must_use]
    pub fn withheld(mut self) -> Self {
        let size: usize = self.pieces.by_ref().map(|piece| piece.len()).sum();
        if let Some(request) = &mut self.request {
            request.sent(size);
        }
        self
    }

    /// Ends the request when the body ends.
    #[must_use]
    pub fn holding(self, request: ActiveRequest) -> Self {
        Self {
            request: Some(request),
            ..self
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::streamed(std::iter::once(text))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.find(|piece| !piece.is_empty());
        if let (Some(piece), Some(request)) = (&piece, &mut self.request) {
            request.sent(piece.len());
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(Bytes::from(piece)))))
    }
}
