//! A downstream connection as the access log of its listener sees it: one line at the end, over all its requests.

use crate::hcm::Connection;
use outrigger_core::{
    Protocol, ResponseFlags, StreamInfo, formatter::FormatContext, stream_info::DetectedCloseType,
};
use std::borrow::Cow;

/// What is noted while the connection lives; its bytes the codec counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub protocol: Option<Protocol>,
    /// Only what concerns the connection: a request that fails alone is not in it.
    pub flags: ResponseFlags,
    pub local_close_reason: Cow<'static, str>,
    pub termination_details: Cow<'static, str>,
}

impl Summary {
    /// Notes what network filters have said of the connection.
    pub fn take(&mut self, info: &mut StreamInfo) {
        self.flags = info.flags;
        self.local_close_reason = std::mem::take(&mut info.downstream_local_close_reason);
        self.termination_details = std::mem::take(&mut info.connection_termination_details);
    }

    /// Writes the line about a connection that is over.
    pub fn log(&self, connection: &Connection) {
        let logs = &connection.hcm.listener_access_logs;
        if logs.is_empty() {
            return;
        }
        let mut info = StreamInfo::of_connection(connection.info.clone());
        info.protocol = self.protocol;
        info.flags = self.flags;
        info.downstream_local_close_reason = self.local_close_reason.clone();
        info.connection_termination_details = self.termination_details.clone();
        if connection.codec.was_reset() {
            info.downstream_detected_close_type = DetectedCloseType::RemoteReset;
        }
        info.body_bytes_received = connection.codec.bytes_read();
        info.body_bytes_sent = connection.codec.bytes_written();
        logs.log(&FormatContext::new(&info));
    }
}
