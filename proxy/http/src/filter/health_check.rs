//! `envoy.filters.http.health_check`: answers health checks for the proxy itself, or remembers what the upstream answered
//! to them.

use super::{Decision, FilterContext, FilterState, Instance, Pause};
use crate::{local_reply::LocalReply, stats::TracingStats, stream::ActiveStream};
use envoy_api::pb::envoy::extensions::filters::http::health_check::v3::HealthCheck as Proto;
use outrigger_core::{
    ConfigError, HeaderId, ResponseFlag, Slot,
    error::{ConfigResult, required},
    matcher::HeaderMatchers,
    stat_group,
};
use outrigger_upstream::Cluster;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

stat_group! {
    /// `http.<stat_prefix>.health_check.`: of the answers that the filter gives itself.
    pub struct HealthCheckStats {
        counter request_total,
        counter ok,
        counter failed,
        counter cached_response,
        counter degraded,
        counter failed_cluster_not_found,
        counter failed_cluster_empty,
        counter failed_cluster_unhealthy,
    }
}

/// The filter.
#[derive(Debug)]
pub struct HealthCheck {
    stats: Arc<HealthCheckStats>,
    tracing_stats: Arc<TracingStats>,
    pass_through: bool,
    headers: HeaderMatchers,
    /// With the least percentage of hosts that must be well.
    clusters: Box<[(Arc<Slot<Cluster>>, u64)]>,
    cache: Option<Cache>,
    local_cluster: Arc<str>,
}

/// What the upstream answered last. It is forgotten at regular times, whenever it was remembered.
#[derive(Debug)]
struct Cache {
    time: Duration,
    start: Instant,
    last: Mutex<Option<Remembered>>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    period: u128,
    code: u16,
    degraded: bool,
}

impl Cache {
    fn period(&self) -> u128 {
        self.start.elapsed().as_nanos() / self.time.as_nanos().max(1)
    }

    fn get(&self) -> Option<Remembered> {
        let period = self.period();
        self.last.lock().filter(|last| last.period == period)
    }

    fn set(&self, code: u16, degraded: bool) {
        *self.last.lock() = Some(Remembered {
            period: self.period(),
            code,
            degraded,
        });
    }
}

impl HealthCheck {
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        let pass_through = required(proto.pass_through_mode, "pass_through_mode")?;
        let time = proto.cache_time.unwrap_or_default();
        let time = Duration::try_from(time)
            .map_err(|_| ConfigError::new("Invalid duration").at("cache_time"))?;
        if !pass_through && !time.is_zero() {
            return Err(ConfigError::new(
                "cache_time_ms must not be set when path_through_mode is disabled",
            )
            .at("cache_time"));
        }
        let mut named: Vec<_> = proto.cluster_min_healthy_percentages.iter().collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        let clusters = named.into_iter().map(|(name, percent)| {
            // Envoy looks at whole percents only.
            (context.build.clusters.slot(name), percent.value as u64)
        });
        Ok(Self {
            stats: context.stats("health_check.", HealthCheckStats::default()),
            tracing_stats: context.stats("tracing.", TracingStats::default()),
            pass_through,
            headers: HeaderMatchers::compile(&proto.headers).at("headers")?,
            clusters: clusters.collect(),
            cache: (!time.is_zero()).then(|| Cache {
                time,
                start: Instant::now(),
                last: Mutex::default(),
            }),
            local_cluster: context.build.context.local_info.cluster.clone(),
        })
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) -> Decision {
        if !self.headers.all_match(&stream.messages.request) {
            return Decision::Continue;
        }
        stream.info.health_check = true;
        // Envoy counts them as what is not traced, with tracing or without.
        self.tracing_stats.health_check.inc();
        let states = &mut stream.messages.filters;
        states.set(at.place, FilterState::HealthCheck);
        let remembers = self
            .cache
            .as_ref()
            .is_some_and(|cache| cache.get().is_some());
        if self.pass_through && !remembers && !has_failed(stream) {
            return Decision::Continue;
        }
        if stream.is_received() {
            return Decision::reply(self.answer(stream));
        }
        Decision::Pause(Pause::EndOfRequest)
    }

    /// The request is complete, and nobody wants its body.
    pub(crate) fn resume(&self, stream: &mut ActiveStream<'_>) -> Decision {
        Decision::reply(self.answer(stream))
    }

    fn answer(&self, stream: &ActiveStream<'_>) -> LocalReply {
        self.stats.request_total.inc();
        if has_failed(stream) {
            return self.unwell("health_check_failed");
        }
        if let Some(last) = self.cache.as_ref().and_then(Cache::get) {
            return self.remembered(last);
        }
        for (slot, least) in &self.clusters {
            let Some(cluster) = slot.load_full() else {
                self.stats.failed_cluster_not_found.inc();
                return self.unwell("health_check_failed_no_cluster_found");
            };
            let stats = &cluster.stats;
            let total = stats.membership_total.get();
            let well = stats.membership_healthy.get() + stats.membership_degraded.get();
            if total == 0 && *least > 0 {
                self.stats.failed_cluster_empty.inc();
                return self.unwell("health_check_failed_cluster_empty");
            }
            if 100 * well < total * least {
                self.stats.failed_cluster_unhealthy.inc();
                return self.unwell("health_check_failed_cluster_unhealthy");
            }
        }
        self.stats.ok.inc();
        let details = match self.clusters.is_empty() {
            true => "health_check_ok",
            false => "health_check_ok_cluster_healthy",
        };
        LocalReply::new(200, "", details)
    }

    /// What the upstream has said.
    fn remembered(&self, last: Remembered) -> LocalReply {
        self.stats.cached_response.inc();
        let mut reply = LocalReply::new(last.code, "", "health_check_cached");
        if (200..300).contains(&last.code) {
            self.stats.ok.inc();
        } else {
            self.stats.failed.inc();
            reply = reply.flag(ResponseFlag::FailedLocalHealthCheck);
        }
        if !last.degraded {
            return reply;
        }
        self.stats.degraded.inc();
        reply.header(HeaderId::EnvoyDegraded, &b""[..])
    }

    fn unwell(&self, details: &'static str) -> LocalReply {
        self.stats.failed.inc();
        LocalReply::new(503, "", details).flag(ResponseFlag::FailedLocalHealthCheck)
    }

    pub(crate) fn encode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let failed = has_failed(stream);
        let messages = &mut *stream.messages;
        if messages.filters.take(at.place).is_some() {
            if let Some(cache) = &self.cache {
                let code = messages.response.get_str(HeaderId::Status);
                let code = code.and_then(|code| code.parse().ok()).unwrap_or(0);
                cache.set(code, messages.response.contains(HeaderId::EnvoyDegraded));
            }
            let name = self.local_cluster.as_bytes();
            let id = HeaderId::EnvoyUpstreamHealthCheckedCluster;
            messages.response.set(id, name);
        }
        if failed {
            let id = HeaderId::EnvoyImmediateHealthCheckFail;
            messages.response.set(id, b"true");
        }
    }
}

/// `/healthcheck/fail`
fn has_failed(stream: &ActiveStream<'_>) -> bool {
    stream.hcm.drain.health_checks_fail()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_forgotten_in_time() {
        let cache = Cache {
            time: Duration::from_secs(10),
            start: Instant::now(),
            last: Mutex::default(),
        };
        assert!(cache.get().is_none());
        tokio::time::advance(Duration::from_secs(8)).await;
        cache.set(503, false);
        assert_eq!(cache.get().map(|last| last.code), Some(503));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(cache.get().is_none());
    }
}
