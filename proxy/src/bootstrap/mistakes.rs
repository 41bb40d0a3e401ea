//! What Envoy finds wrong within features that this version refuses as a whole: whoever moves a configuration over shall
//! read of the mistake, not only of the missing feature.

use envoy_api::pb::envoy::config::{
    bootstrap::v3::Bootstrap,
    cluster::v3::{
        Cluster,
        cluster::{ClusterDiscoveryType, DiscoveryType, LbConfig, LbPolicy},
    },
};
use outrigger_core::ConfigError;

pub fn find(bootstrap: &Bootstrap) -> Vec<ConfigError> {
    let resources = bootstrap.static_resources.as_ref();
    let clusters = resources.map_or(&[][..], |resources| &resources.clusters);
    let mut found: Vec<_> = clusters
        .iter()
        .enumerate()
        .flat_map(|(index, cluster)| {
            let found = cluster_mistakes(cluster).into_iter();
            found.map(move |error| error.at(&format!("static_resources.clusters[{index}]")))
        })
        .collect();
    let manager = bootstrap.cluster_manager.as_ref();
    let local = manager.map_or("", |manager| &manager.local_cluster_name);
    if !local.is_empty() && clusters.iter().all(|cluster| cluster.name != local) {
        found.push(
            ConfigError::new(format!("local cluster '{local}' must be defined"))
                .at("cluster_manager.local_cluster_name"),
        );
    }
    found
}

fn cluster_mistakes(cluster: &Cluster) -> Vec<ConfigError> {
    let mut found = Vec::new();
    let mut wrong = |field: &str, reason: String| found.push(ConfigError::new(reason).at(field));
    let discovery = match &cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(number)) => DiscoveryType::try_from(*number).ok(),
        _ => None,
    };
    if discovery == Some(DiscoveryType::Eds) && cluster.eds_cluster_config.is_none() {
        let reason = "cannot create an EDS cluster without an EDS config";
        wrong("eds_cluster_config", reason.to_owned());
    }
    if discovery == Some(DiscoveryType::OriginalDst) {
        if cluster.lb_policy() != LbPolicy::ClusterProvided {
            wrong(
                "lb_policy",
                format!(
                    "cluster: LB policy {} is not valid for Cluster type ORIGINAL_DST. Only 'CLUSTER_PROVIDED' is allowed \
                     with cluster type 'ORIGINAL_DST'",
                    cluster.lb_policy().as_str_name()
                ),
            );
        }
        if cluster.load_assignment.is_some() {
            let reason = "ORIGINAL_DST clusters must have no load assignment configured";
            wrong("load_assignment", reason.to_owned());
        }
    }
    if let Some(LbConfig::MaglevLbConfig(maglev)) = &cluster.lb_config
        && maglev.table_size.is_some_and(|size| !is_prime(size))
    {
        let reason = "The table size of maglev must be prime number";
        wrong("maglev_lb_config.table_size", reason.to_owned());
    }
    found
}

fn is_prime(n: u64) -> bool {
    n > 1
        && (2..)
            .take_while(|d: &u64| d.checked_mul(*d).is_some_and(|square| square <= n))
            .all(|d| !n.is_multiple_of(d))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::{Format, MessageDescriptor, load, to_typed};

    fn found(yaml: &str) -> Vec<String> {
        let descriptor = MessageDescriptor::named("envoy.config.bootstrap.v3.Bootstrap").unwrap();
        let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
        let bootstrap: Bootstrap = to_typed(&message).unwrap();
        find(&bootstrap).iter().map(ToString::to_string).collect()
    }

    fn in_cluster(fields: &str) -> Vec<String> {
        found(&format!(
            "static_resources: {{clusters: [{{name: a}}, {{name: b, {fields}}}]}}"
        ))
    }

    #[test]
    fn mistakes_stand_where_they_are() {
        assert_eq!(
            found("cluster_manager: {local_cluster_name: x}"),
            ["cluster_manager.local_cluster_name: local cluster 'x' must be defined"]
        );
        assert_eq!(
            in_cluster("type: EDS"),
            [
                "static_resources.clusters[1].eds_cluster_config: cannot create an EDS cluster without an EDS config"
            ]
        );
        let both = in_cluster("type: ORIGINAL_DST, load_assignment: {}");
        assert!(both[0].contains("lb_policy: cluster: LB policy ROUND_ROBIN is not valid"));
        assert!(both[1].contains("load_assignment: ORIGINAL_DST clusters must have no load"));
        let table = |size: u64| in_cluster(&format!("maglev_lb_config: {{table_size: {size}}}"));
        assert_eq!(table(100).len(), 1);
        assert_eq!(table(65537), [""; 0]);
    }

    #[test]
    fn what_is_right_is_no_mistake() {
        let right = "{cluster_manager: {local_cluster_name: a}, static_resources: {clusters: [{name: a, type: EDS, \
                     eds_cluster_config: {}}, {name: b, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED}]}}";
        assert_eq!(found(right), [""; 0]);
    }

    #[test]
    fn primes() {
        let primes: Vec<u64> = (0..30).filter(|n| is_prime(*n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(5_000_011) && !is_prime(5_000_013));
    }
}
