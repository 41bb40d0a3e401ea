//! A stream that begins again with another request, of which the client sees nothing: Envoy's `recreateStream`.

use super::{ActiveStream, Deadlines, HeldBody, Step};
use crate::{
    codec::BodyEvent, filter::custom_response::RedirectPolicy, hcm::HttpConnectionManager,
    local_reply::is_grpc, path, route::internal_redirect::PreviousRoutes, router,
};
use bytes::Bytes;
use outrigger_core::{
    HeaderId, HeaderMap, Method, StreamInfo, log_debug, stream_info::FilterState,
};
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Where Envoy keeps the number of redirects, for logs and filters to see.
const COUNT: &str = "num_internal_redirects";

/// What a stream keeps of itself when it begins again.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// The routes that led on by a redirect.
    pub previous_routes: PreviousRoutes,
    /// Redirects that were followed, once one was there that might be.
    internal_redirects: Option<u32>,
    /// The policy that has another response in the place of the upstream's, and the status of that one.
    pub custom_response: Option<(Arc<RedirectPolicy>, u16)>,
    /// When the stream began for the last time, since it began for the first.
    begun: Option<Duration>,
    /// The body of the request, to be sent again; `None` once it has ended.
    body: Option<HeldBody>,
    /// The stream ends here, to begin again.
    pending: bool,
}

impl Past {
    /// The next piece of a body that is sent again. The codec has no more of it.
    pub(super) fn next_piece(&mut self) -> Option<BodyEvent> {
        let body = self.body.as_mut()?;
        match body.pop() {
            Some(piece) => Some(BodyEvent::Data(piece)),
            None => {
                self.body = None;
                Some(BodyEvent::End)
            }
        }
    }
}

impl<'a> ActiveStream<'a> {
    pub fn past(&mut self) -> &mut Past {
        self.past.get_or_insert_default()
    }

    /// Redirects that were followed so far.
    pub fn internal_redirects(&mut self) -> u32 {
        let count = *self.past().internal_redirects.get_or_insert(0);
        show_count(&mut self.info, count);
        count
    }

    /// The policy that has asked for this response in the place of another, and the status of that one.
    pub fn custom_response(&self) -> Option<(Arc<RedirectPolicy>, u16)> {
        self.past.as_ref()?.custom_response.clone()
    }

    /// One more redirect is followed.
    pub fn count_redirect(&mut self) {
        let count = self.internal_redirects() + 1;
        self.past().internal_redirects = Some(count);
        show_count(&mut self.info, count);
    }

    /// Ends the stream with what it has, for another in its place whose head the request has become. The response so far
    /// is for the log alone.
    pub fn begin_again(&mut self) {
        self.info.details = Cow::Borrowed("internal_redirect");
        let past = self.past();
        past.body = None;
        past.pending = true;
    }

    /// The body of the request with which the stream [begins again](Self::begin_again); without it, that has none.
    pub fn send_again(&mut self, body: &[Bytes]) {
        let mut held = HeldBody::default();
        for piece in body {
            held.push(piece.clone());
        }
        self.past().body = (held.len() > 0).then_some(held);
    }

    /// The stream has ended, to begin again.
    pub(super) fn is_to_begin_again(&self) -> bool {
        self.past.as_ref().is_some_and(|past| past.pending)
    }

    /// The client came by `https`, as far as the connection tells.
    pub fn is_https(&self) -> bool {
        let scheme = self.messages.request.get(HeaderId::Scheme);
        let http = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http"));
        !http && self.info.connection.tls.is_some()
    }

    /// When the stream began, for whatever is limited in time.
    pub(super) fn begun(&self) -> Instant {
        let begun = self.past.as_ref().and_then(|past| past.begun);
        self.info.start + begun.unwrap_or_default()
    }

    /// When the router had the whole request, since the start of the stream. Who begins again has it at once.
    pub fn received_at(&self) -> Option<Duration> {
        let begun = self.past.as_ref().and_then(|past| past.begun);
        begun.or(self.info.timing.downstream_rx_end)
    }

    /// The log has the line about the redirect; then everything that the stream knew is forgotten but what the client did.
    #[cold]
    fn forget(&mut self, hcm: &'a HttpConnectionManager) {
        self.response_started = true;
        self.log();
        self.response_started = false;
        self.logged = false;
        let now = Instant::now();
        let connection = self.info.connection.clone();
        let (start_time, start) = (self.info.start_time, self.info.start);
        let fresh = StreamInfo::new(connection, start_time, start, fastrand::u64(..));
        let old = std::mem::replace(&mut self.info, fresh);
        self.info.protocol = old.protocol;
        self.info.timing.downstream_rx_end = old.timing.downstream_rx_end;
        self.info.body_bytes_received = old.body_bytes_received;
        self.info.downstream_header_bytes_received = old.downstream_header_bytes_received;
        self.info.downstream_decompressed_header_bytes_received =
            old.downstream_decompressed_header_bytes_received;
        let past = self.past();
        past.pending = false;
        past.begun = Some(now - start);
        let (count, has_body) = (past.internal_redirects, past.body.is_some());
        if let Some(count) = count {
            show_count(&mut self.info, count);
        }
        self.messages.request_trailers.clear();
        self.messages.response.clear();
        self.messages.response_trailers.clear();
        self.messages.filters.clear();
        self.messages.request_body.clear();
        self.messages.response_body.clear();
        self.route = None;
        self.filters = &hcm.filters;
        self.deadlines = Deadlines::new(hcm, now);
        // The client has sent all of it.
        self.deadlines.request = None;
        self.request_complete = !has_body;
        self.refusal = None;
        self.paused = true;
    }

    /// Begins again with the request as it now stands. What the client was asked about itself is not asked again.
    #[cold]
    pub(super) fn recreate(&mut self) -> Step {
        let hcm = self.hcm;
        self.forget(hcm);
        log_debug!("http", &self.info => "new stream");
        if let Some(protocol) = self.info.protocol {
            hcm.stats.charge_request(protocol);
        }
        // Of HTTP/2, the connection counts what its client asks for.
        if !self.connection.codec.is_multiplexed() {
            self.connection.count_request();
            self.note_last_request();
        }
        let request = &mut self.messages.request;
        self.method = Method::from_bytes(request.get(HeaderId::Method).unwrap_or_default());
        self.grpc = is_grpc(request);
        if hcm.overload.state.refuses_request() {
            return Step::Reply(self.overloaded());
        }
        correct_scheme(request);
        if let Err(reply) = path::sanitize(request, hcm, &self.connection.info, self.method) {
            self.find_route();
            router::name_cluster(self);
            return Step::Reply(reply);
        }
        self.enter_filters()
    }
}

fn show_count(info: &mut StreamInfo, count: u32) {
    let count = FilterState::Number(count.into());
    info.filter_state.insert(COUNT.to_owned(), count);
}

/// A redirect may name a scheme that is none of HTTP's.
fn correct_scheme(request: &mut HeaderMap) {
    let known = |scheme: &[u8]| {
        scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
    };
    if !request.get(HeaderId::Scheme).is_some_and(known) {
        let https = request.get(HeaderId::ForwardedProto) == Some(b"https");
        request.set(HeaderId::Scheme, if https { b"https" } else { b"http" });
    }
}
