//! Envoy's RBAC, for requests and for connections. What cannot be decided must never let anybody in: rules that this version
//! does not have are refused with the configuration.

mod engine;
mod permission;
mod policy_tree;
mod principal;
mod sourced_metadata;

pub use engine::{CompileTemplate, Engine, Input, Mode, Policy, UriTemplate, Verdict};

use crate::{ConfigError, metadata::Metadata, stat_group};
use envoy_api::prost_types::{Value, value::Kind};

stat_group! {
    /// `<stat_prefix>.rbac.`, for requests with the filter's own `rules_stat_prefix` behind it.
    pub struct RbacStats {
        counter allowed,
        counter denied,
    }
}

stat_group! {
    /// `<stat_prefix>.rbac.[<shadow_rules_stat_prefix>.]`
    pub struct ShadowStats {
        counter shadow_allowed,
        counter shadow_denied,
    }
}

impl Verdict<'_> {
    /// Leaves for the access logs what LOG rules say of them.
    pub fn leave_log_hint(&self, metadata: &mut Metadata) {
        if let Some(hint) = self.log_hint {
            let hint = Value {
                kind: Some(Kind::BoolValue(hint)),
            };
            metadata.set("envoy.common", "access_log_hint", hint);
        }
    }
}

/// A rule about requests where there are none.
fn needs_request(field: &str) -> ConfigError {
    ConfigError::new(format!(
        "Found {field} rule, not supported by RBAC network filter"
    ))
    .at(field)
}
