//! How a stream ends other than by a complete response, what is counted then, and what becomes of the connection.

use super::{ActiveStream, Expired};
use crate::{
    codec::{
        CodecError,
        h1::server::RequestError,
        h2::{HeadError, MESSAGING_RULE, server::Ending},
    },
    hcm::{Close, DrainState},
    local_reply::LocalReply,
};
use envoy_api::pb::envoy::data::accesslog::v3::AccessLogType;
use outrigger_core::{HeaderId, Protocol, ResponseFlag, formatter::FormatContext, log_debug};
use std::{borrow::Cow, time::Duration};

/// gRPC's DEADLINE_EXCEEDED.
const DEADLINE_EXCEEDED: u32 = 4;

impl ActiveStream<'_> {
    /// The reply to a stream deadline that passed before the response began.
    #[cold]
    pub fn expired_reply(&mut self, expired: Expired) -> LocalReply {
        let stats = &self.hcm.stats;
        let code = if self.received { 504 } else { 408 };
        match expired {
            Expired::StreamIdle => {
                stats.downstream_rq_idle_timeout.inc();
                LocalReply::new(code, "stream timeout", "stream_idle_timeout")
                    .flag(ResponseFlag::StreamIdleTimeout)
            }
            Expired::Request => {
                stats.downstream_rq_timeout.inc();
                LocalReply::new(408, "request timeout", "request_overall_timeout")
            }
            Expired::MaxStreamDuration => {
                stats.downstream_rq_max_duration_reached.inc();
                LocalReply::new(code, "downstream duration timeout", "max_duration_timeout")
                    .grpc_status(DEADLINE_EXCEEDED)
            }
            Expired::UpstreamMaxDuration => LocalReply::new(
                504,
                "upstream max stream duration reached",
                "upstream_max_stream_duration_reached",
            )
            .flag(ResponseFlag::UpstreamMaxStreamDurationReached),
            Expired::Route => LocalReply::new(504, "upstream request timeout", "response_timeout")
                .flag(ResponseFlag::UpstreamRequestTimeout),
            Expired::PerTryIdle => LocalReply::new(
                504,
                "upstream request timeout",
                "upstream_per_try_idle_timeout",
            )
            .flag(ResponseFlag::UpstreamRequestTimeout),
        }
    }

    /// A deadline passed while the response was on its way: nothing can be said any more but by closing.
    #[cold]
    pub(super) fn expire_response(&mut self, expired: Expired) -> Option<Close> {
        let reply = self.expired_reply(expired);
        if let Some(flag) = reply.flag {
            self.info.set_flag(flag);
        }
        self.info.details = reply.details;
        self.reset_response()
    }

    /// Ends a response that cannot be completed: the client sees the connection close.
    #[cold]
    pub(super) fn reset_response(&mut self) -> Option<Close> {
        let stats = &self.hcm.stats;
        stats.downstream_rq_tx_reset.inc();
        stats.downstream_rq_rx_reset.inc();
        self.connection.active_request = false;
        self.log();
        Some(self.close())
    }

    /// The client is gone.
    #[cold]
    pub(super) fn disconnected(&mut self) -> Option<Close> {
        self.connection.set_remote_close();
        self.hcm.stats.downstream_rq_rx_reset.inc();
        let (flag, details) = match self.connection.codec.ending() {
            Ending::Reset(_) => (ResponseFlag::DownstreamRemoteReset, "http2.remote_reset"),
            Ending::Invalid(_) => (ResponseFlag::DownstreamProtocolError, "http2.remote_reset"),
            Ending::Malformed => (ResponseFlag::DownstreamProtocolError, MESSAGING_RULE),
            Ending::Local(details) => (ResponseFlag::DownstreamConnectionTermination, details),
            Ending::Violation(details) => (ResponseFlag::DownstreamProtocolError, details),
            Ending::Open | Ending::Closed => (
                ResponseFlag::DownstreamConnectionTermination,
                "downstream_remote_disconnect",
            ),
        };
        self.info.set_flag(flag);
        self.info.details = Cow::Borrowed(details);
        log_debug!("http", &self.info =>
            "stream reset: reset reason: connection termination, response details: -");
        self.log();
        Some(Close::Now)
    }

    /// The head of a stream breaks HTTP/2's rules or a limit: nothing is answered.
    #[cold]
    pub fn refuse(&mut self, error: HeadError) {
        let hcm = self.hcm;
        hcm.stats.charge_request(Protocol::Http2);
        hcm.stats.downstream_rq_rx_reset.inc();
        self.info.protocol = Some(Protocol::Http2);
        let stats = hcm.http2_stats.get();
        let (flag, details) = match error {
            HeadError::Malformed | HeadError::InvalidField => {
                stats.rx_messaging_error.inc();
                let details = match error {
                    HeadError::InvalidField => "http2.invalid.header.field",
                    _ => MESSAGING_RULE,
                };
                (ResponseFlag::DownstreamProtocolError, details)
            }
            HeadError::TooManyHeaders => {
                stats.header_overflow.inc();
                (
                    ResponseFlag::DownstreamRemoteReset,
                    "http2.too_many_headers",
                )
            }
            HeadError::TooLarge => {
                stats.header_list_size_too_large.inc();
                (
                    ResponseFlag::DownstreamRemoteReset,
                    "http2.header_list_size_too_large",
                )
            }
            HeadError::Underscore => {
                stats.requests_rejected_with_underscores_in_headers.inc();
                (
                    ResponseFlag::DownstreamRemoteReset,
                    "http2.unexpected_underscore",
                )
            }
        };
        self.info.set_flag(flag);
        self.info.details = Cow::Borrowed(details);
        self.log();
    }

    /// The request cannot go on. A client that broke the protocol before its response began is told so.
    pub(super) async fn downstream_failed(&mut self, error: RequestError) -> Option<Close> {
        match error {
            RequestError::Closed => self.disconnected(),
            RequestError::Refused => match self.refusal.take() {
                Some(reply) if !self.response_started => self.send_local_reply(*reply).await,
                _ => self.reset_response(),
            },
            RequestError::Codec(error) if self.response_started => {
                let stats = &self.hcm.stats;
                stats.downstream_cx_protocol_error.inc();
                stats.downstream_rq_rx_reset.inc();
                let flag = ResponseFlag::DownstreamProtocolError;
                self.connection.summary.flags.set(flag);
                self.info.set_flag(flag);
                self.info.details = Cow::Borrowed(error.details);
                self.connection.break_off_request();
                self.log();
                Some(Close::Delayed)
            }
            RequestError::Codec(error) => self.protocol_error(error).await,
        }
    }

    /// The codec's own answer.
    pub(super) async fn protocol_error(&mut self, error: CodecError) -> Option<Close> {
        self.hcm.stats.downstream_cx_protocol_error.inc();
        let flag = ResponseFlag::DownstreamProtocolError;
        self.connection.summary.flags.set(flag);
        log_debug!("http", &self.info => "dispatch error: http/1.1 protocol error: {}", error.details);
        let reply = LocalReply::new(error.status, error.body, error.details).flag(flag);
        self.send_local_reply(reply).await
    }

    /// The response is written: account, log, and say what becomes of the connection.
    pub(super) fn finish(&mut self) -> Option<Close> {
        let now = self.info.elapsed();
        log_debug!("http", &self.info => "Codec completed encoding stream.");
        self.info.timing.downstream_tx_end = Some(now);
        self.connection.idle_since = Some(self.info.start + now);
        if !self.received {
            // What still comes of the request is of no use to anybody.
            log_debug!("http", &self.info => "doEndStream() resetting stream");
            log_debug!("http", &self.info =>
                "stream reset: reset reason: local reset, response details: {}", self.info.details);
            self.hcm.stats.downstream_rq_rx_reset.inc();
        }
        self.connection.active_request = false;
        self.log_at(now);
        let draining = self.connection.drain == DrainState::Closing;
        if !draining && !self.connection.codec.response_ends_by_close() {
            return None;
        }
        self.connection.summary.local_close_reason = "deferred_close_on_drained_connection".into();
        Some(self.close())
    }

    /// A client that has said all it wanted can be closed at once: no race is left to avoid. Envoy knows that only of
    /// streams that had to wait for an upstream.
    fn close(&self) -> Close {
        let framed_by_close = self.info.protocol == Some(Protocol::Http10)
            && !self.messages.response.contains(HeaderId::ContentLength);
        let expected = self.saw_connection_close && self.received;
        if self.info.attempt_count > 0 && (framed_by_close || expected) {
            Close::Flush
        } else {
            Close::Delayed
        }
    }

    /// One access-log line about the stream as it stands.
    pub(super) fn log_line(&self, log_type: AccessLogType) {
        self.hcm.access_logs.log(&FormatContext {
            request: Some(&self.messages.request),
            response: self.response_started.then_some(&self.messages.response),
            trailers: Some(&self.messages.response_trailers),
            info: &self.info,
            // Envoy shows it to the format of local replies alone.
            local_reply_body: b"",
            log_type,
        });
    }

    /// The stream is over: durations, bytes and the line about it.
    pub(super) fn log(&mut self) {
        self.log_at(self.info.elapsed());
    }

    fn log_at(&mut self, elapsed: Duration) {
        self.info.timing.complete = Some(elapsed);
        self.logged = true;
        let codec = &self.connection.codec;
        // Envoy counts what it hands to its parser, which is all that was read, whether or not it was a request.
        let (received, sent) = (codec.bytes_read(), codec.bytes_encoded());
        self.info.downstream_wire_bytes_received =
            received.saturating_sub(self.connection.consumed);
        self.info.downstream_wire_bytes_sent = sent.saturating_sub(self.encoded_before);
        self.log_line(AccessLogType::DownstreamEnd);
        let hcm = self.hcm;
        let since = elapsed.saturating_sub(self.begun() - self.info.start);
        hcm.stats
            .downstream_rq_time
            .record(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    }
}
