//! Makes one connection to a host within the cluster's `connect_timeout`.

use super::{
    CloseReason, FailureReason, PoolFailure, UpstreamConnectionInfo,
    connection::{ConnectionGuard, PoolParts},
};
use outrigger_core::Address;
use outrigger_transport::{ConnectError, Stream, connect};
use std::sync::Arc;
use tokio::time::{Instant, timeout};

/// An established connection that nobody uses yet.
#[derive(Debug)]
pub(super) struct Connected {
    // In this order: the socket closes before the books are closed.
    pub(super) stream: Stream,
    pub(super) info: Arc<UpstreamConnectionInfo>,
    pub(super) guard: ConnectionGuard,
}

pub(super) async fn connect(
    parts: Arc<PoolParts>,
    mut guard: ConnectionGuard,
) -> Result<Connected, PoolFailure> {
    let host = parts.host_info();
    let config = &parts.config;
    let failure = |reason| PoolFailure {
        reason,
        host: Some(host.clone()),
    };
    let connecting = connect::connect(&host.address, &config.connect);
    let stream = match timeout(config.connect_timeout, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            if let ConnectError::Bind { .. } = error {
                parts.stats.bind_errors.inc();
            }
            let reason = reason(&error, &host.address);
            if let FailureReason::RemoteConnectionFailure(_) = reason {
                guard.set_reason(CloseReason::Remote);
            }
            return Err(failure(reason));
        }
        Err(_) => {
            parts.stats.upstream_cx_connect_timeout.inc();
            return Err(failure(FailureReason::Timeout));
        }
    };
    let now = Instant::now();
    guard.connected(now);
    let info = UpstreamConnectionInfo {
        id: guard.id(),
        // A peer that is gone again has no address any more; then the host's is all there is to show.
        local_address: stream
            .local_address()
            .unwrap_or_else(|_| host.address.clone()),
        remote_address: host.address.clone(),
        connect_begin: guard.begin(),
        connect_end: now,
        host,
    };
    Ok(Connected {
        stream,
        info: Arc::new(info),
        guard,
    })
}

/// As Envoy tells them apart: what the kernel refuses at once, it counts as the host's refusal and names the address.
fn reason(error: &ConnectError, address: &Address) -> FailureReason {
    match error {
        ConnectError::Socket(_) | ConnectError::Bind { .. } => {
            FailureReason::LocalConnectionFailure(error.to_string().into())
        }
        ConnectError::Immediate(_) => FailureReason::RemoteConnectionFailure(
            format!("{error}|remote_address:{address}").into(),
        ),
        ConnectError::Delayed(_) => {
            FailureReason::RemoteConnectionFailure(error.to_string().into())
        }
    }
}
