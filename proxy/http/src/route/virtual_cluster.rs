//! `VirtualCluster`: the requests of a virtual host that are counted together, by what their headers say.

use envoy_api::pb::envoy::config::route::v3::VirtualCluster as Proto;
use outrigger_core::{
    ConfigError, HeaderMap,
    error::ConfigResult,
    matcher::HeaderMatchers,
    stat_group,
    stats::{Metric, ResponseCodes, StatGroup, Store},
};
use std::sync::Arc;

stat_group! {
    /// What is counted of requests beside their responses, there from the start.
    pub struct RequestCounters {
        counter upstream_rq_retry,
        counter upstream_rq_retry_limit_exceeded,
        counter upstream_rq_retry_overflow,
        counter upstream_rq_retry_success,
        counter upstream_rq_timeout,
        counter upstream_rq_total,
    }
}

/// `vhost.<virtual host>.vcluster.<name>.` or `vhost.<virtual host>.route.<stat_prefix>.`
#[derive(Debug)]
pub struct RequestStats {
    pub counters: RequestCounters,
    /// The responses, each stat from its first on.
    pub responses: ResponseCodes,
}

impl RequestStats {
    /// `kind` is `vcluster` or `route`.
    pub(super) fn register(store: &Store, virtual_host: &str, kind: &str, name: &str) -> Arc<Self> {
        let stats = Self {
            counters: RequestCounters::default(),
            responses: ResponseCodes::new(""),
        };
        store.register_verbatim(&format!("vhost.{virtual_host}.{kind}.{name}."), stats)
    }
}

impl StatGroup for RequestStats {
    fn visit(&self, visit: &mut dyn FnMut(&str, Metric<'_>)) {
        self.counters.visit(visit);
        self.responses.visit(visit);
    }
}

/// A compiled virtual cluster.
#[derive(Debug)]
pub struct VirtualCluster {
    /// `%VIRTUAL_CLUSTER_NAME%`; the one that takes the rest has a name in stats alone.
    pub name: Option<Arc<str>>,
    pub stats: Arc<RequestStats>,
    /// All have to match.
    headers: HeaderMatchers,
}

/// Those of one virtual host: the first that matches counts, the last takes whatever is left.
#[derive(Debug, Default)]
pub(super) struct VirtualClusters(Box<[VirtualCluster]>);

impl VirtualClusters {
    pub(super) fn compile(
        protos: &[Proto],
        virtual_host: &str,
        store: &Store,
    ) -> Result<Self, ConfigError> {
        if protos.is_empty() {
            return Ok(Self::default());
        }
        let stats = |name| RequestStats::register(store, virtual_host, "vcluster", name);
        let mut clusters = Vec::with_capacity(protos.len() + 1);
        for (index, proto) in protos.iter().enumerate() {
            let headers = compile_headers(proto).at_index("virtual_clusters", index)?;
            clusters.push(VirtualCluster {
                name: Some(proto.name.as_str().into()),
                stats: stats(&proto.name),
                headers,
            });
        }
        clusters.push(VirtualCluster {
            name: None,
            stats: stats("other"),
            headers: HeaderMatchers::default(),
        });
        Ok(Self(clusters.into()))
    }

    pub(super) fn find(&self, headers: &HeaderMap) -> Option<&VirtualCluster> {
        self.0
            .iter()
            .find(|cluster| cluster.headers.all_match(headers))
    }
}

fn compile_headers(proto: &Proto) -> Result<HeaderMatchers, ConfigError> {
    if proto.name.is_empty() {
        return Err(ConfigError::new("value length must be at least 1 characters").at("name"));
    }
    if proto.headers.is_empty() {
        return Err(ConfigError::new("virtual clusters must define 'headers'"));
    }
    HeaderMatchers::compile(&proto.headers).at("headers")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, deprecated)]
    use super::*;
    use envoy_api::pb::envoy::config::route::v3::{
        HeaderMatcher, header_matcher::HeaderMatchSpecifier,
    };
    use outrigger_core::HeaderId;

    fn prefix(name: &str, prefix: &str) -> Proto {
        Proto {
            name: name.into(),
            headers: vec![HeaderMatcher {
                name: ":path".into(),
                header_match_specifier: Some(HeaderMatchSpecifier::PrefixMatch(prefix.into())),
                ..Default::default()
            }],
        }
    }

    fn find<'a>(clusters: &'a VirtualClusters, path: &str) -> Option<&'a str> {
        let mut headers = HeaderMap::new();
        headers.set(HeaderId::Path, path.as_bytes());
        Some(clusters.find(&headers)?.name.as_deref().unwrap_or("other"))
    }

    #[test]
    fn the_first_match_counts_and_other_takes_the_rest() {
        let store = Store::default();
        let protos = [prefix("deep", "/a/b"), prefix("a", "/a")];
        let clusters = VirtualClusters::compile(&protos, "host:80", &store).unwrap();
        assert_eq!(find(&clusters, "/a/b/c"), Some("deep"));
        assert_eq!(find(&clusters, "/a/c"), Some("a"));
        assert_eq!(find(&clusters, "/"), Some("other"));
        let mut names = Vec::new();
        store.visit(&mut |name, _| names.push(name.to_owned()));
        assert!(names.contains(&"vhost.host:80.vcluster.deep.upstream_rq_total".into()));
        assert_eq!(names.len(), 18);
        let none = VirtualClusters::compile(&[], "host", &store).unwrap();
        assert_eq!(find(&none, "/"), None);
    }

    #[test]
    fn a_cluster_without_headers_or_name_is_refused() {
        let compile = |proto| {
            VirtualClusters::compile(&[proto], "host", &Store::default())
                .unwrap_err()
                .to_string()
        };
        let without = Proto {
            name: "a".into(),
            ..Default::default()
        };
        assert_eq!(
            compile(without),
            "virtual_clusters[0]: virtual clusters must define 'headers'"
        );
        assert_eq!(
            compile(prefix("", "/")),
            "virtual_clusters[0].name: value length must be at least 1 characters"
        );
    }
}
