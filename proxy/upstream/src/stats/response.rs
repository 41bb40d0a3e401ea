//! The response-code stats of a cluster: all responses, and the same by category, each from its first response on.

use outrigger_core::stats::{Metric, ResponseCodes, StatGroup};
use std::sync::OnceLock;

/// A category that appears with its first response.
type Category = OnceLock<Box<ResponseCodes>>;

/// `cluster.<name>.`: `upstream_rq_<code>`, `upstream_rq_time`, and the same below `external.`, `internal.`, `canary.`
/// and `retry.`.
#[derive(Debug)]
pub struct ResponseStats {
    all: ResponseCodes,
    canary: Category,
    external: Category,
    internal: Category,
    retry: Category,
}

impl Default for ResponseStats {
    fn default() -> Self {
        Self {
            all: ResponseCodes::main(),
            canary: Category::new(),
            external: Category::new(),
            internal: Category::new(),
            retry: Category::new(),
        }
    }
}

/// What decides in which categories a response counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseKind {
    /// The request came from inside the mesh.
    pub internal: bool,
    /// A canary host has answered.
    pub canary: bool,
    /// `suppress_grpc_request_failure_code_stats`, of a gRPC request: among all responses it counts as completed alone.
    /// The categories count it in full, as Envoy's do.
    pub suppress_codes: bool,
}

impl ResponseStats {
    /// A final response.
    pub fn charge(&self, code: u16, kind: ResponseKind) {
        record(&self.all, code, kind);
        self.side(kind.internal).record(code);
        if kind.canary {
            self.canary().record(code);
        }
    }

    /// A response that is retried and never reaches the client.
    pub fn charge_retry(&self, code: u16, kind: ResponseKind) {
        let retry = || Box::new(ResponseCodes::new("retry."));
        record(self.retry.get_or_init(retry), code, kind);
    }

    /// `upstream_rq_time` of a final response, in milliseconds.
    pub fn charge_time(&self, milliseconds: u64, kind: ResponseKind) {
        self.all.time.record(milliseconds);
        self.side(kind.internal).time.record(milliseconds);
        if kind.canary {
            self.canary().time.record(milliseconds);
        }
    }

    fn side(&self, internal: bool) -> &ResponseCodes {
        if internal {
            self.internal
                .get_or_init(|| Box::new(ResponseCodes::new("internal.")))
        } else {
            self.external
                .get_or_init(|| Box::new(ResponseCodes::new("external.")))
        }
    }

    fn canary(&self) -> &ResponseCodes {
        self.canary
            .get_or_init(|| Box::new(ResponseCodes::new("canary.")))
    }
}

fn record(codes: &ResponseCodes, code: u16, kind: ResponseKind) {
    if kind.suppress_codes {
        codes.record_completed();
    } else {
        codes.record(code);
    }
}

impl StatGroup for ResponseStats {
    fn visit(&self, visit: &mut dyn FnMut(&str, Metric<'_>)) {
        self.all.visit(visit);
        for category in [&self.canary, &self.external, &self.internal, &self.retry] {
            if let Some(codes) = category.get() {
                codes.visit(visit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(stats: &ResponseStats) -> Vec<String> {
        let mut counters = Vec::new();
        stats.visit(&mut |name, metric| {
            if let Metric::Counter(counter) = metric {
                counters.push(format!("{name} {}", counter.get()));
            }
        });
        counters
    }

    #[test]
    fn categories_appear_with_their_first_response() {
        let stats = ResponseStats::default();
        assert_eq!(counters(&stats), ["upstream_rq_completed 0"]);
        stats.charge(200, ResponseKind::default());
        let after = counters(&stats);
        assert!(after.contains(&"upstream_rq_200 1".into()), "{after:?}");
        assert!(after.contains(&"external.upstream_rq_2xx 1".into()));
        assert!(!after.iter().any(|name| name.starts_with("internal.")));
    }

    #[test]
    fn suppressed_codes_count_as_completed_and_in_their_categories() {
        let stats = ResponseStats::default();
        let kind = ResponseKind {
            suppress_codes: true,
            ..ResponseKind::default()
        };
        stats.charge(503, kind);
        stats.charge_retry(503, kind);
        assert_eq!(
            counters(&stats),
            [
                "upstream_rq_completed 1",
                "external.upstream_rq_completed 1",
                "external.upstream_rq_5xx 1",
                "external.upstream_rq_503 1",
                "retry.upstream_rq_completed 1",
            ]
        );
    }

    #[test]
    fn retries_are_counted_apart() {
        let stats = ResponseStats::default();
        stats.charge_retry(503, ResponseKind::default());
        let after = counters(&stats);
        assert!(after.contains(&"upstream_rq_completed 0".into()));
        assert!(
            after.contains(&"retry.upstream_rq_503 1".into()),
            "{after:?}"
        );
    }
}
