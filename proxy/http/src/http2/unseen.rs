//! Requests that the codec never shows: heads that are malformed, too large, too late or cut off. Each is a stream that
//! is counted and logged all the same.

use super::{End, Http2Connection, PING_TIMEOUT};
use crate::{
    codec::h2::{MESSAGING_RULE, Unseen, Violation, server::CODEC_ERROR},
    local_reply::{LocalReply, Recipient},
    response_headers,
};
use outrigger_core::{HeaderMap, Protocol, ResponseFlag, StreamInfo, formatter::FormatContext};
use outrigger_upstream::frames::{self, Flood};
use std::{borrow::Cow, time::SystemTime};
use tokio::time::Instant;

impl Http2Connection<'_> {
    /// Logs what the codec has answered by itself.
    pub(super) fn log_unseen(&mut self) {
        for _ in 0..self.signals.take(Unseen::Malformed) {
            self.stats.rx_messaging_error.inc();
            self.stats.tx_reset.inc();
            self.log(ResponseFlag::DownstreamProtocolError, MESSAGING_RULE);
        }
        for _ in 0..self.signals.take(Unseen::TooLarge) {
            self.stats.header_list_size_too_large.inc();
            self.stats.tx_reset.inc();
            self.log(
                ResponseFlag::DownstreamRemoteReset,
                "http2.header_list_size_too_large",
            );
        }
        let refused = self.signals.take(Unseen::Refused).into();
        self.stats.stream_refused_errors.add(refused);
        self.stats.tx_reset.add(refused);
    }

    /// Logs the stream whose head the end of the connection has cut off, or that has caused it.
    pub(super) fn log_unfinished_head(&mut self, end: &End) {
        let protocol_error = ResponseFlag::DownstreamProtocolError;
        match end {
            End::Violation(Violation::Head(_)) => {
                self.stats.rx_messaging_error.inc();
                self.log(protocol_error, MESSAGING_RULE);
            }
            _ if self.signals.head().is_none() => {}
            End::Violation(Violation::Flood(Flood::EmptyFrames, on))
                if self.signals.head() == Some(*on) =>
            {
                self.log(protocol_error, "http2.inbound_empty_frames_flood");
            }
            End::Violation(Violation::Flood(flood, _)) => {
                self.log(protocol_error, flood.codec_error());
            }
            End::Violation(Violation::Trailers(_)) | End::Protocol | End::Head => {
                self.log(protocol_error, CODEC_ERROR);
            }
            End::PingTimeout => {
                self.log(ResponseFlag::DownstreamConnectionTermination, PING_TIMEOUT)
            }
            End::Remote | End::Drained | End::Abort => self.log(
                ResponseFlag::DownstreamConnectionTermination,
                "downstream_remote_disconnect",
            ),
        }
    }

    /// Begins to wait for the rest of a head.
    pub(super) fn watch_head(&mut self) {
        let head = self.signals.head();
        if self.head.map(|(stream, _)| stream) != head {
            self.head = head.map(|stream| (stream, Instant::now()));
        }
    }

    /// When `request_headers_timeout` ends for the head that is on its way.
    pub(super) fn head_deadline(&self) -> Option<Instant> {
        let (stream, since) = self.head?;
        let timeout = self.hcm.timeouts.request_headers?;
        (!self.late.contains(&stream)).then_some(since + timeout)
    }

    /// A head did not arrive in time. Its stream is answered between the frames of the codec, which does not know of it
    /// yet, in an encoding that changes nothing of the connection's state.
    pub(super) fn head_timeout(&mut self) {
        let Some((stream, since)) = self.head else {
            return;
        };
        self.late.push(stream);
        let stats = &self.hcm.stats;
        stats.downstream_rq_header_timeout.inc();
        stats.downstream_rq_response_before_rq_complete.inc();
        self.stats.tx_reset.inc();
        let reply = LocalReply::new(408, "request header timeout", "request_header_timeout");
        let mut response = HeaderMap::new();
        let now = SystemTime::now();
        let mut info = self.stream_info(now, since);
        info.details = reply.details.clone();
        let request = HeaderMap::new();
        reply.begin_head(&mut response, |_| {});
        let content = match &self.hcm.local_replies {
            Some(config) => config.map(&reply, &request, &mut response, &mut info),
            None => reply.content(),
        };
        info.response_code = content.code;
        let body = reply.finish_head(content, Recipient::default(), &mut response);
        response_headers::mutate(&mut response, &request, &self.hcm.response_headers, now);
        stats.charge_response(info.response_code);
        self.hcm.listener_stats.charge_response(info.response_code);
        let mut out = Vec::new();
        frames::write_message(&mut out, stream, response.iter(), &body);
        self.signals.write(&out);
        info.body_bytes_sent = body.len() as u64;
        self.account(&info, Some(&response));
    }

    fn stream_info(&self, time: SystemTime, start: Instant) -> StreamInfo {
        let mut info = StreamInfo::new(self.info.clone(), time, start, fastrand::u64(..));
        info.protocol = Some(Protocol::Http2);
        info
    }

    /// The line about a request that ended without a response.
    fn log(&self, flag: ResponseFlag, details: &'static str) {
        let mut info = self.stream_info(SystemTime::now(), Instant::now());
        info.set_flag(flag);
        info.details = Cow::Borrowed(details);
        self.account(&info, None);
    }

    fn account(&self, info: &StreamInfo, response: Option<&HeaderMap>) {
        self.hcm.stats.charge_request(Protocol::Http2);
        self.hcm.stats.downstream_rq_rx_reset.inc();
        let mut context = FormatContext::new(info);
        context.response = response;
        self.hcm.access_logs.log(&context);
    }
}
