//! The network filters in front of the connection manager: asked when the connection is new, and when bytes have come.

use super::Connection;
use outrigger_core::{
    StreamInfo,
    network_filter::{ConnectionFilters, Verdict},
};
use std::{sync::Arc, time::Duration};

impl Connection {
    /// What the network filters say; what they leave behind is the connection's.
    pub(super) fn ask(
        &mut self,
        ask: impl FnOnce(&mut dyn ConnectionFilters, &mut StreamInfo) -> Verdict,
    ) -> Verdict {
        let Some(filters) = &mut self.filters else {
            return Verdict::Continue;
        };
        let mut info = StreamInfo::of_connection(self.info.clone());
        let verdict = ask(filters.as_mut(), &mut info);
        self.summary.take(&mut info);
        if info.dynamic_metadata.is_empty() && info.filter_state.is_empty() {
            return verdict;
        }
        let state = Arc::make_mut(&mut self.info).state_mut();
        state.dynamic_metadata = info.dynamic_metadata;
        state.filter_state = info.filter_state;
        verdict
    }

    /// Whether a network filter refuses what has come since it was asked last.
    pub(super) fn refused(&mut self) -> Option<Duration> {
        if !self
            .filters
            .as_ref()
            .is_some_and(|filters| filters.want_data())
        {
            return None;
        }
        if self.codec.bytes_read() == self.asked {
            return None;
        }
        self.asked = self.codec.bytes_read();
        match self.ask(|filters, info| filters.on_data(info)) {
            Verdict::Continue => None,
            Verdict::Close(delay) => Some(delay),
        }
    }
}

/// In a box, so that those who wait for nothing do not pay for its size.
pub(super) async fn wait(delay: Duration) {
    if !delay.is_zero() {
        Box::pin(tokio::time::sleep(delay)).await;
    }
}
