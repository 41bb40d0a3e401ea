//! Envoy's RBAC, for requests and for connections. What cannot be decided must never let anybody in: rules that this version
//! does not have are refused with the configuration.

mod engine;
mod permission;
mod policy_tree;
mod principal;
mod sourced_metadata;

pub use engine::{CompileTemplate, Engine, Input, Mode, Policy, UriTemplate, Verdict};

use crate::ConfigError;

/// A rule about requests where there are none.
fn needs_request(field: &str) -> ConfigError {
    ConfigError::new(format!(
        "Found {field} rule, not supported by RBAC network filter"
    ))
    .at(field)
}
