//! Interim responses of the upstream.

use super::Forwarding;
use crate::stream::ActiveStream;

impl Forwarding {
    /// The first interim response goes to the client if the connection manager forwards them. With it the response has
    /// begun: there are no retries any more.
    #[cold]
    pub(super) fn on_interim(&mut self, stream: &mut ActiveStream<'_>, status: u16) {
        self.interim = true;
        self.retry = None;
        self.close_parked(stream);
        self.charge.reply(&self.cluster, status);
        let hcm = stream.hcm;
        if hcm.proxy_100_continue {
            hcm.stats.charge_response(status);
            hcm.listener_stats.charge_response(status);
            let to = stream.response_context();
            stream
                .connection
                .codec
                .send_informational(&stream.messages.response, to);
        }
    }
}

/// The interim responses that Envoy knows; others are swallowed by its codec.
pub(super) const fn is_forwarded(status: u16) -> bool {
    matches!(status, 100 | 102 | 103 | 104)
}
