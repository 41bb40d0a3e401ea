//! The graceful end of `--drain-on-sigterm`: listeners close, clients are asked to go elsewhere, and what is in flight is
//! finished, for no longer than `--drain-time-s`. Envoy has no such end; its SIGTERM cuts what is in flight.

use super::build::Parts;
use crate::lifecycle::Lifecycle;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often is looked whether the last connection has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until the process is asked to end gracefully, and ends when it has.
pub async fn finish(parts: &Parts, life: &Lifecycle) {
    life.ending().await;
    let time = parts.drain.time();
    let deadline = Instant::now() + time;
    tracing::info!(target: "main", "draining for at most {}s", time.as_secs());
    // Whoever asks whether to send requests here is told not to.
    life.fail_health_checks(true);
    parts.drain.fail_health_checks(true);
    parts.stats.show_state(life);
    parts.drain.end();
    parts.listeners.finish_listeners();
    while !parts.listeners.is_quiet() {
        if Instant::now() >= deadline {
            let open = parts.listeners.open_connections();
            tracing::warn!(target: "main", "{open} connections did not end within the drain time");
            return;
        }
        sleep(LOOK).await;
    }
    tracing::info!(target: "main", "drained");
}
