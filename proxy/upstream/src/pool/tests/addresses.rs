//! Hosts with several addresses.

use super::*;

/// A STATIC cluster of one host that is at all of these.
fn several(addresses: &[SocketAddr]) -> proto::Cluster {
    let (first, more) = addresses.split_first().unwrap();
    let mut host = lb_endpoint(*first);
    let Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint)) = &mut host.host_identifier
    else {
        panic!("lb_endpoint() makes an endpoint")
    };
    endpoint.additional_addresses = more
        .iter()
        .map(|address| endpoint::endpoint::AdditionalAddress {
            address: Some(socket_address(*address)),
        })
        .collect();
    of_host(host)
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let (listener, address) = listener().await;
    let refuses = closed_port().await;
    let cluster = build(&several(&[refuses, refuses, address]));
    let (connection, _peer) = connection(&cluster, &listener).await;
    assert_eq!(connection.info.remote_address.ip(), Some(address));
    assert_eq!(connection.info.host.address.ip(), Some(refuses));
    let host = cluster.hosts().hosts()[0].clone();
    let stats = &cluster.stats;
    assert_eq!(stats.upstream_cx_total.get(), 3);
    assert_eq!(host.stats.cx_total.get(), 3);
    assert_eq!(stats.upstream_cx_active.get(), 1);
    assert_eq!(stats.upstream_cx_http1_total.get(), 1);
    assert_eq!(stats.upstream_cx_connect_fail.get(), 0);
    assert_eq!(stats.upstream_cx_destroy.get(), 0);
}

#[tokio::test]
async fn one_failure_is_told_when_all_addresses_refuse() {
    let refuses = closed_port().await;
    let cluster = build(&several(&[refuses, refuses]));
    let failure = request(&cluster).await.unwrap_err();
    assert!(matches!(
        failure.reason,
        FailureReason::RemoteConnectionFailure(_)
    ));
    let stats = &cluster.stats;
    until(|| stats.upstream_cx_active.get() == 0).await;
    assert_eq!(stats.upstream_cx_total.get(), 2);
    assert_eq!(stats.upstream_cx_connect_fail.get(), 1);
    assert_eq!(stats.upstream_cx_destroy_remote.get(), 1);
}

#[tokio::test]
async fn every_source_that_cannot_be_bound_counts() {
    let (listener, address) = listener().await;
    let cluster = build(&proto::Cluster {
        upstream_bind_config: Some(core::BindConfig {
            source_address: Some(source_address("::1")),
            ..Default::default()
        }),
        ..several(&[address, address])
    });
    let failure = request(&cluster).await.unwrap_err();
    assert!(matches!(
        failure.reason,
        FailureReason::LocalConnectionFailure(_)
    ));
    assert_eq!(cluster.stats.bind_errors.get(), 2);
    drop(listener);
}
