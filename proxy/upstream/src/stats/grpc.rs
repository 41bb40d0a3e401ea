//! Envoy's `Grpc::Context`: what a cluster counts of gRPC calls, as far as a filter asks for it.
//!
//! A stat exists once it has counted. The names of services, methods and odd statuses come from outside, so there is a
//! limit to them: what is above it counts where calls without a name do.

use hashbrown::HashMap;
use outrigger_core::stats::{Counter, Histogram, Metric, StatGroup, Unit};
use parking_lot::RwLock;
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// Methods of one cluster with stats of their own.
const MAX_METHODS: usize = 4096;
/// Statuses of one method that gRPC does not know.
const MAX_ODD_STATUSES: usize = 64;
/// `0` to `16`.
const KNOWN_STATUSES: usize = 17;

/// Which protocol a call came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcProtocol {
    Grpc,
    GrpcWeb,
}

/// `cluster.<name>.grpc.` and `cluster.<name>.grpc-web.`
#[derive(Debug, Default)]
pub struct GrpcStats {
    grpc: Calls,
    grpc_web: Calls,
}

/// Of one protocol.
#[derive(Debug, Default)]
struct Calls {
    /// Without a name.
    all: OnceLock<Arc<CallStats>>,
    /// By `<service>.<method>`.
    methods: RwLock<HashMap<Box<[u8]>, Arc<CallStats>>>,
}

/// Of calls with one name, or without.
#[derive(Debug, Default)]
pub struct CallStats {
    pub request_message_count: Counter,
    pub response_message_count: Counter,
    success: Counter,
    failure: Counter,
    total: Counter,
    /// ms
    upstream_rq_time: OnceLock<Histogram>,
    statuses: [Counter; KNOWN_STATUSES],
    odd_statuses: RwLock<HashMap<Box<[u8]>, Arc<Counter>>>,
}

impl GrpcStats {
    /// Of calls whose names do not matter.
    pub fn all(&self, protocol: GrpcProtocol) -> Arc<CallStats> {
        self.calls(protocol).all.get_or_init(Arc::default).clone()
    }

    /// Of the calls of one method.
    pub fn method(&self, protocol: GrpcProtocol, service: &[u8], method: &[u8]) -> Arc<CallStats> {
        let calls = self.calls(protocol);
        let mut name: SmallVec<[u8; 128]> = SmallVec::from_slice(service);
        name.push(b'.');
        name.extend_from_slice(method);
        if let Some(known) = calls.methods.read().get(&*name) {
            return known.clone();
        }
        let mut methods = calls.methods.write();
        if methods.len() >= MAX_METHODS && !methods.contains_key(&*name) {
            drop(methods);
            return self.all(protocol);
        }
        methods
            .entry(Box::from(&*name))
            .or_insert_with(Arc::default)
            .clone()
    }

    fn calls(&self, protocol: GrpcProtocol) -> &Calls {
        match protocol {
            GrpcProtocol::Grpc => &self.grpc,
            GrpcProtocol::GrpcWeb => &self.grpc_web,
        }
    }
}

impl CallStats {
    /// A call has ended with this `grpc-status`.
    pub fn record_status(&self, status: &[u8]) {
        let number = std::str::from_utf8(status).ok();
        // Envoy counts by the text: `00` is not `0`.
        let canonical = status == b"0" || !status.starts_with(b"0");
        let number = number
            .filter(|_| canonical)
            .and_then(|text| text.parse::<usize>().ok());
        match number.and_then(|number| self.statuses.get(number)) {
            Some(counter) => counter.inc(),
            None => self.record_odd(status),
        }
        self.record(status == b"0");
    }

    /// A call has ended.
    pub fn record(&self, success: bool) {
        match success {
            true => self.success.inc(),
            false => self.failure.inc(),
        }
        self.total.inc();
    }

    /// How long the upstream took from the end of the request to the end of the response, in milliseconds.
    pub fn record_time(&self, milliseconds: u64) {
        self.upstream_rq_time
            .get_or_init(|| Histogram::new(Unit::Milliseconds))
            .record(milliseconds);
    }

    #[cold]
    fn record_odd(&self, status: &[u8]) {
        if let Some(counter) = self.odd_statuses.read().get(status) {
            return counter.inc();
        }
        let mut statuses = self.odd_statuses.write();
        if statuses.len() < MAX_ODD_STATUSES {
            let counter = statuses
                .entry(Box::from(status))
                .or_insert_with(Arc::default);
            counter.inc();
        }
    }

    fn visit(&self, prefix: &str, visit: &mut dyn FnMut(&str, Metric<'_>)) {
        let mut counter = |name: &str, counter: &Counter| {
            if counter.used() {
                visit(&format!("{prefix}.{name}"), Metric::Counter(counter));
            }
        };
        counter("request_message_count", &self.request_message_count);
        counter("response_message_count", &self.response_message_count);
        counter("success", &self.success);
        counter("failure", &self.failure);
        counter("total", &self.total);
        for (status, count) in self.statuses.iter().enumerate() {
            counter(&status.to_string(), count);
        }
        for (status, count) in &*self.odd_statuses.read() {
            counter(&String::from_utf8_lossy(status).replace(':', "_"), count);
        }
        if let Some(time) = self.upstream_rq_time.get() {
            visit(
                &format!("{prefix}.upstream_rq_time"),
                Metric::Histogram(time),
            );
        }
    }
}

impl StatGroup for GrpcStats {
    fn visit(&self, visit: &mut dyn FnMut(&str, Metric<'_>)) {
        for (protocol, calls) in [("grpc", &self.grpc), ("grpc-web", &self.grpc_web)] {
            if let Some(all) = calls.all.get() {
                all.visit(protocol, visit);
            }
            for (name, stats) in &*calls.methods.read() {
                let name = String::from_utf8_lossy(name).replace(':', "_");
                stats.visit(&format!("{protocol}.{name}"), visit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stats: &GrpcStats) -> Vec<String> {
        let mut lines = Vec::new();
        stats.visit(&mut |name, metric| match metric {
            Metric::Counter(counter) => lines.push(format!("{name}: {}", counter.get())),
            _ => lines.push(name.to_owned()),
        });
        lines.sort();
        lines
    }

    #[test]
    fn stats_exist_once_they_have_counted() {
        let stats = GrpcStats::default();
        let call = stats.method(GrpcProtocol::Grpc, b"pkg.Svc", b"Get");
        assert!(shown(&stats).is_empty());
        call.record_status(b"0");
        stats
            .method(GrpcProtocol::Grpc, b"pkg.Svc", b"Get")
            .record_status(b"17");
        stats.all(GrpcProtocol::GrpcWeb).record_status(b"5");
        stats.all(GrpcProtocol::GrpcWeb).record_time(1);
        assert_eq!(
            shown(&stats),
            [
                "grpc-web.5: 1",
                "grpc-web.failure: 1",
                "grpc-web.total: 1",
                "grpc-web.upstream_rq_time",
                "grpc.pkg.Svc.Get.0: 1",
                "grpc.pkg.Svc.Get.17: 1",
                "grpc.pkg.Svc.Get.failure: 1",
                "grpc.pkg.Svc.Get.success: 1",
                "grpc.pkg.Svc.Get.total: 2",
            ]
        );
    }

    #[test]
    fn names_from_outside_do_not_grow_without_a_limit() {
        let stats = GrpcStats::default();
        for i in 0..MAX_METHODS + 10 {
            let method = i.to_string();
            let call = stats.method(GrpcProtocol::Grpc, b"s", method.as_bytes());
            call.request_message_count.inc();
        }
        let all = stats.all(GrpcProtocol::Grpc);
        assert_eq!(all.request_message_count.get(), 10);
        for i in 0..1000 {
            all.record_status(format!("odd{i}").as_bytes());
        }
        assert_eq!(all.odd_statuses.read().len(), MAX_ODD_STATUSES);
        assert_eq!(all.total.get(), 1000);
    }
}
