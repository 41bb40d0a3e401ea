//! The messages of the dump in Envoy's order: bootstrap, clusters, endpoints, listeners, scoped routes, routes, secrets.

use crate::admin::state::AdminState;
use envoy_api::{
    DynamicMessage, MessageDescriptor, Value, pack,
    pb::envoy::{
        admin::v3::{
            BootstrapConfigDump, ClustersConfigDump, EndpointsConfigDump, ListenersConfigDump,
            RoutesConfigDump, ScopedRoutesConfigDump, SecretsConfigDump,
            clusters_config_dump::StaticCluster, endpoints_config_dump::StaticEndpointConfig,
            listeners_config_dump::StaticListener, routes_config_dump::StaticRouteConfig,
            secrets_config_dump::StaticSecret,
        },
        config::{
            bootstrap::v3::bootstrap::StaticResources,
            core::v3::{
                Address as AddressProto, HealthStatus, Locality, Pipe, SocketAddress,
                address::Address as AddressKind, socket_address::PortSpecifier,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
                cluster_load_assignment::Policy, endpoint::HealthCheckConfig,
                lb_endpoint::HostIdentifier,
            },
            listener::v3::{Listener, filter::ConfigType},
            route::v3::RouteConfiguration,
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier,
        },
    },
    prost_types::Timestamp,
    to_dynamic, unpack,
};
use outrigger_core::Address;
use outrigger_upstream::{Cluster, Host, host::EdsHealth};
use prost::{Message, Name};
use std::{collections::BTreeMap, sync::Arc};

/// All sections; endpoints only on demand.
pub fn all(state: &AdminState, include_endpoints: bool) -> Vec<DynamicMessage> {
    let resources = state.bootstrap.typed().static_resources.unwrap_or_default();
    let since = Some(Timestamp::from(state.started_at));
    let mut sections = vec![
        bootstrap_section(state, since),
        section(&clusters(&resources, since)),
    ];
    if include_endpoints {
        sections.push(section(&endpoints(state)));
    }
    sections.extend([
        section(&ListenersConfigDump {
            static_listeners: resources
                .listeners
                .iter()
                .map(|listener| StaticListener {
                    listener: Some(pack(listener)),
                    last_updated: since,
                })
                .collect(),
            ..Default::default()
        }),
        section(&ScopedRoutesConfigDump::default()),
        section(&RoutesConfigDump {
            static_route_configs: resources
                .listeners
                .iter()
                .flat_map(inline_routes)
                .map(|route_config| StaticRouteConfig {
                    route_config: Some(pack(&route_config)),
                    last_updated: since,
                })
                .collect(),
            ..Default::default()
        }),
        section(&SecretsConfigDump {
            static_secrets: resources
                .secrets
                .iter()
                .map(|secret| StaticSecret {
                    name: secret.name.clone(),
                    secret: Some(pack(secret)),
                    last_updated: since,
                })
                .collect(),
            ..Default::default()
        }),
    ]);
    sections.into_iter().flatten().collect()
}

/// A message that can be masked and printed.
fn section<T: Message + Name>(message: &T) -> Option<DynamicMessage> {
    let descriptor = MessageDescriptor::of::<T>()?;
    to_dynamic(message, descriptor).ok()
}

/// Holds the bootstrap as it was loaded, not by way of the generated type.
fn bootstrap_section(state: &AdminState, since: Option<Timestamp>) -> Option<DynamicMessage> {
    let mut dump = section(&BootstrapConfigDump {
        bootstrap: None,
        last_updated: since,
    })?;
    dump.set_field_by_name("bootstrap", Value::Message(state.bootstrap.message()?));
    Some(dump)
}

fn clusters(resources: &StaticResources, since: Option<Timestamp>) -> ClustersConfigDump {
    let mut clusters: Vec<_> = resources.clusters.iter().collect();
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    ClustersConfigDump {
        static_clusters: clusters
            .into_iter()
            .map(|cluster| StaticCluster {
                cluster: Some(pack(cluster)),
                last_updated: since,
            })
            .collect(),
        ..Default::default()
    }
}

/// The route configurations that connection managers hold themselves.
fn inline_routes(listener: &Listener) -> Vec<RouteConfiguration> {
    let chains = listener
        .filter_chains
        .iter()
        .chain(&listener.default_filter_chain);
    chains
        .flat_map(|chain| &chain.filters)
        .filter_map(|filter| match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => unpack::<HttpConnectionManager>(any).ok(),
            _ => None,
        })
        .filter_map(|manager| match manager.route_specifier {
            Some(RouteSpecifier::RouteConfig(routes)) => Some(routes),
            _ => None,
        })
        .collect()
}

fn endpoints(state: &AdminState) -> EndpointsConfigDump {
    let mut clusters = state.clusters.clusters();
    clusters.sort_by(|a, b| a.info.name.cmp(&b.info.name));
    EndpointsConfigDump {
        static_endpoint_configs: clusters
            .iter()
            .map(|cluster| StaticEndpointConfig {
                endpoint_config: Some(pack(&assignment(cluster))),
                last_updated: None,
            })
            .collect(),
        ..Default::default()
    }
}

/// The present hosts of a cluster by priority and locality.
fn assignment(cluster: &Arc<Cluster>) -> ClusterLoadAssignment {
    let mut groups: BTreeMap<_, Vec<LbEndpoint>> = BTreeMap::new();
    let hosts = cluster.hosts();
    for host in hosts.hosts() {
        groups
            .entry((host.priority, host.locality.clone()))
            .or_default()
            .push(endpoint(host));
    }
    ClusterLoadAssignment {
        cluster_name: cluster.info.name.to_string(),
        endpoints: groups
            .into_iter()
            .map(|((priority, locality), lb_endpoints)| LocalityLbEndpoints {
                locality: Some(Locality {
                    region: locality.region.clone(),
                    zone: locality.zone.clone(),
                    sub_zone: locality.sub_zone.clone(),
                }),
                // Envoy prints it even where it is not given.
                load_balancing_weight: Some(hosts.locality_weight(priority, &locality)),
                lb_endpoints,
                priority,
                ..Default::default()
            })
            .collect(),
        policy: Some(Policy {
            overprovisioning_factor: Some(hosts.overprovisioning_factor()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn endpoint(host: &Host) -> LbEndpoint {
    let info = host.info();
    let health = match host.eds_health() {
        // A host of unknown health counts as healthy and is shown so.
        EdsHealth::Unknown | EdsHealth::Healthy => HealthStatus::Healthy,
        EdsHealth::Unhealthy => HealthStatus::Unhealthy,
        EdsHealth::Draining => HealthStatus::Draining,
        EdsHealth::Timeout => HealthStatus::Timeout,
        EdsHealth::Degraded => HealthStatus::Degraded,
    };
    LbEndpoint {
        health_status: health as i32,
        metadata: info.metadata.to_proto(),
        load_balancing_weight: Some(host.weight()),
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address(&info.address)),
            health_check_config: Some(HealthCheckConfig::default()),
            hostname: info.hostname.to_string(),
            ..Default::default()
        })),
    }
}

fn address(address: &Address) -> AddressProto {
    let kind = match address {
        Address::Ip(ip) => AddressKind::SocketAddress(SocketAddress {
            address: ip.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(ip.port().into())),
            ..Default::default()
        }),
        Address::Pipe(path) => AddressKind::Pipe(Pipe {
            path: path.display().to_string(),
            ..Default::default()
        }),
    };
    AddressProto {
        address: Some(kind),
    }
}
