//! How a downstream connection ends: at once, when all is written, or when the client has had time to read it.

use super::{Close, Connection};
use outrigger_core::log_debug;
use std::{future::poll_fn, task::Poll};
use tokio::time::Instant;

impl Connection {
    pub(super) async fn close(&mut self, close: Close) {
        self.log_closing(close);
        match close {
            Close::Now => return,
            Close::Flush => {
                // An error means that the client is gone already.
                let _ = poll_fn(|cx| self.codec.poll_flush(cx)).await;
            }
            Close::Delayed => self.delayed_close().await,
        }
        log_debug!("connection", &*self.info => "write flush complete");
    }

    fn log_closing(&self, close: Close) {
        // Envoy's numbers for FlushWrite and FlushWriteAndDelay.
        let kind = match close {
            Close::Now => return,
            Close::Flush => 0,
            Close::Delayed => 2,
        };
        log_debug!("connection", &*self.info => "closing data_to_write={} type={kind}",
            self.codec.bytes_encoded().saturating_sub(self.codec.bytes_written()));
        if let Some(timeout) = self.hcm.timeouts.delayed_close {
            log_debug!("connection", &*self.info =>
                "setting delayed close timer with timeout {} ms", timeout.as_millis());
        }
    }

    async fn delayed_close(&mut self) {
        let timeout = self.hcm.timeouts.delayed_close;
        let mut deadline = timeout.map(|d| Instant::now() + d);
        let mut written = self.codec.bytes_written();
        let timed_out = poll_fn(|cx| {
            let flushed = self.codec.poll_flush(cx);
            if self.codec.bytes_written() > written {
                // A slow reader is not cut off in the middle of what it still takes.
                written = self.codec.bytes_written();
                deadline = timeout.map(|d| Instant::now() + d);
            }
            match flushed {
                Poll::Ready(Ok(())) if deadline.is_none() => return Poll::Ready(false),
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                _ => {}
            }
            if self.codec.poll_drain(cx).is_ready() {
                log_debug!("connection", &*self.info => "remote early close");
                self.remote_close = true;
                return Poll::Ready(false);
            }
            self.timer.poll_deadline(cx, deadline).map(|()| true)
        })
        .await;
        if timed_out {
            log_debug!("connection", &*self.info => "triggered delayed close");
            self.summary.local_close_reason = "triggered_delayed_close_timeout".into();
            self.hcm.stats.downstream_cx_delayed_close_timeout.inc();
        }
    }
}
