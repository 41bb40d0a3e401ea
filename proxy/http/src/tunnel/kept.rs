//! `propagate_response_headers` and `propagate_response_trailers`: what a session keeps of the answer to its tunnel.

use envoy_api::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::TunnelingConfig as Proto;
use outrigger_core::{HeaderMap, stream_info::FilterState};

/// Which parts of an answer are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    headers: bool,
    trailers: bool,
}

impl Kept {
    pub fn compile(proto: &Proto) -> Self {
        Self {
            headers: proto.propagate_response_headers,
            trailers: proto.propagate_response_trailers,
        }
    }

    /// The headers of an answer, behind its status.
    pub fn headers(self, status: u16, head: &HeaderMap) -> Option<FilterState> {
        let status = (":status".to_owned(), status.to_string());
        self.headers.then(|| object(Some(status), head))
    }

    pub fn trailers(self, trailers: &HeaderMap) -> Option<FilterState> {
        (self.trailers && !trailers.is_empty()).then(|| object(None, trailers))
    }
}

fn object(first: Option<(String, String)>, message: &HeaderMap) -> FilterState {
    let fields = message.iter().filter(|(name, _)| *name != b":status");
    let fields = fields.map(|(name, value)| (text(name), text(value)));
    FilterState::Headers(first.into_iter().chain(fields).collect())
}

/// A space stands for what is no character, as in the JSON of Envoy's messages.
fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(' ');
        }
    }
    text
}
