//! What network filters in front of a terminal filter say of a connection. They decide at once: a filter never holds a
//! connection for later, but for the time that it shall wait before it ends.

use crate::StreamInfo;
use std::time::Duration;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    Continue,
    /// It ends, for a reason that the stream info tells, once this time has passed.
    Close(Duration),
}

impl Verdict {
    /// Ends a connection. The reason is logged for both sides of it.
    pub fn close(reason: &'static str, delay: Option<Duration>, info: &mut StreamInfo) -> Self {
        info.downstream_local_close_reason = reason.into();
        Self::Close(delay.unwrap_or_default())
    }
}

/// The filters in front of a terminal filter, for one connection. Dropped with it.
pub trait ConnectionFilters: Send + Sync {
    /// Asked before anything is done for the connection.
    fn on_new_connection(&mut self, info: &mut StreamInfo) -> Verdict;

    /// Whether they want to be asked when bytes come.
    fn want_data(&self) -> bool;

    /// Asked when the first bytes, or the end, have come from the client, and before anybody acts on them; each time if
    /// [`Self::want_data`] is still true afterwards.
    fn on_data(&mut self, info: &mut StreamInfo) -> Verdict;
}
