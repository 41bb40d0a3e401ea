//! Makes one connection to a host within the cluster's `connect_timeout`. A host with several addresses is tried at each
//! of them (happy eyeballs).

use super::{
    CloseReason, FailureReason, PoolFailure, UpstreamConnectionInfo,
    connection::{ConnectionGuard, PoolParts},
};
use outrigger_core::{Address, decoy, log::Tags, log_debug};
use outrigger_transport::{ConnectError, Stream, connect, happy_eyeballs};
use std::sync::Arc;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

/// An established connection that nobody uses yet.
#[derive(Debug)]
pub(super) struct Connected {
    // In this order: the socket closes before the books are closed.
    pub(super) stream: Stream,
    pub(super) info: Arc<UpstreamConnectionInfo>,
    pub(super) guard: ConnectionGuard,
}

impl Connected {
    /// For the log.
    pub(super) fn tags(&self) -> Tags {
        Tags::connection(self.info.id)
    }
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
    let addresses = parts.host.addresses().clone();
    let connecting = async {
        match &addresses {
            None => {
                log_debug!("connection", guard.tags() => "connecting to {}", host.address);
                (host.address.clone(), attempt(&parts, &host.address).await)
            }
            // In a box: a host with one address, which is nearly every host, does not pay for its size.
            Some(addresses) => Box::pin(race(&parts, &host.address, addresses)).await,
        }
    };
    decoy::stand_before(guard.begin() + config.connect_timeout);
    let (remote_address, stream) = match timeout(config.connect_timeout, connecting).await {
        Ok((address, Ok(stream))) => (address, stream),
        Ok((_, Err(reason))) => {
            log_debug!("connection", guard.tags() => "{}", reason.transport_failure());
            log_debug!("pool", guard.tags() => "client disconnected, failure reason: {}",
                reason.transport_failure());
            if let FailureReason::RemoteConnectionFailure(_) = reason {
                guard.set_reason(CloseReason::Remote);
            }
            return Err(failure(reason));
        }
        Err(_) => {
            log_debug!("pool", guard.tags() => "connect timeout");
            parts.stats.upstream_cx_connect_timeout.inc();
            return Err(failure(FailureReason::Timeout));
        }
    };
    if let Some(header) = &parts.header {
        guard.count(0, header.len() as u64);
    }
    log_debug!("connection", guard.tags() => "connected");
    let now = Instant::now();
    guard.connected(now);
    let info = UpstreamConnectionInfo {
        id: guard.id(),
        local_address: match &stream {
            Stream::Tcp(_) => stream.local_address().ok(),
            Stream::Unix(_) => None,
        },
        remote_address,
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

/// The first of the addresses that connects. Each attempt is a connection of its own in `upstream_cx_total` and in
/// nothing else; the first has been counted.
async fn race(
    parts: &PoolParts,
    default: &Address,
    addresses: &[Address],
) -> (Address, Result<Stream, FailureReason>) {
    let attempts = addresses.iter().enumerate();
    let won = happy_eyeballs::race(attempts, |(index, address)| {
        if index > 0 {
            parts.stats.upstream_cx_total.inc();
            parts.host.stats.cx_total.inc();
        }
        attempt(parts, address)
    });
    match won.await {
        Some(Ok(((_, address), stream))) => (address.clone(), Ok(stream)),
        Some(Err(reason)) => (default.clone(), Err(reason)),
        None => (default.clone(), attempt(parts, default).await),
    }
}

async fn attempt(parts: &PoolParts, address: &Address) -> Result<Stream, FailureReason> {
    let connecting = connect::connect(address, &parts.config.connect);
    let mut stream = connecting.await.map_err(|error| {
        if let ConnectError::Bind { .. } = error {
            parts.stats.bind_errors.inc();
        }
        reason(&error, address)
    })?;
    if let Some(header) = &parts.header {
        let written = stream.write_all(header).await;
        written
            .map_err(|error| FailureReason::RemoteConnectionFailure(error.to_string().into()))?;
    }
    Ok(stream)
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
