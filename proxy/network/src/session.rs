//! The upstream's side of a session: a connection of its own, or a tunnel through HTTP.

use crate::copy::Relayed;
use outrigger_core::stream_info::FilterState;
use outrigger_transport::Stream;
use outrigger_upstream::{CloseReason, TcpConnection, UpstreamConnectionInfo, tunnel::Tunnel};
use std::sync::Arc;
use tokio::net::TcpStream;

/// What a relay needs of it.
pub(crate) trait Session {
    type Io: Relayed;

    /// Whoever carries the bytes counts them for the cluster.
    const COUNTS_BYTES: bool;

    fn info(&self) -> &Arc<UpstreamConnectionInfo>;

    fn io(&mut self) -> &mut Self::Io;

    /// Those of the response that carried its bytes, if they are kept.
    fn trailers(&mut self) -> Option<FilterState> {
        None
    }

    /// The end that follows is a reset, where there are any.
    fn reset(&self);

    fn end(self, reason: CloseReason);
}

impl Session for TcpConnection {
    type Io = Stream;
    const COUNTS_BYTES: bool = false;

    fn info(&self) -> &Arc<UpstreamConnectionInfo> {
        &self.info
    }

    fn io(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn reset(&self) {
        self.stream.reset();
    }

    fn end(self, reason: CloseReason) {
        self.close(reason);
    }
}

impl Session for Box<dyn Tunnel> {
    type Io = Self;
    const COUNTS_BYTES: bool = true;

    fn info(&self) -> &Arc<UpstreamConnectionInfo> {
        (**self).info()
    }

    fn io(&mut self) -> &mut Self {
        self
    }

    fn trailers(&mut self) -> Option<FilterState> {
        (**self).trailers()
    }

    fn reset(&self) {}

    fn end(self, _reason: CloseReason) {
        self.close();
    }
}

impl Relayed for Box<dyn Tunnel> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn end_write(&mut self) {
        (**self).end_write();
    }

    fn ends_by_drop(&self) -> bool {
        false
    }
}
