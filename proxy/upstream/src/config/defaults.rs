//! What the bootstrap says for every cluster: the resolver of those that have none of their own, and where connections
//! come from.

use super::{
    common::{Binding, bind_config},
    dns,
};
use crate::discovery::resolver::ResolverConfig;
use envoy_api::pb::envoy::config::bootstrap::v3::Bootstrap;
use outrigger_core::{ConfigError, error::ConfigResult};

/// `typed_dns_resolver_config` and the fields before it, and `cluster_manager.upstream_bind_config`.
#[derive(Clone, Debug, Default)]
pub struct ClusterDefaults {
    pub(crate) resolver: ResolverConfig,
    pub(super) binding: Binding,
}

impl ClusterDefaults {
    pub fn compile(bootstrap: &Bootstrap) -> Result<Self, ConfigError> {
        let bind = bootstrap
            .cluster_manager
            .as_ref()
            .and_then(|manager| manager.upstream_bind_config.as_ref());
        Ok(Self {
            resolver: dns::resolver_of_bootstrap(bootstrap)?,
            binding: bind
                .map(|bind| bind_config(bind, "Bootstrap", &Binding::default()))
                .transpose()
                .at("upstream_bind_config")
                .at("cluster_manager")?
                .unwrap_or_default(),
        })
    }
}
