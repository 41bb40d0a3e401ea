//! What the node says of this program beside what its user says: name, version and extensions, for config dumps.

use super::extensions;
use crate::cli;
use envoy_api::{DynamicMessage, Format};
use serde_json::{Value, json};

/// Completes `node` in a bootstrap. Envoy's name stands there, because tools look for it; the version is Outrigger's own.
pub fn complete(bootstrap: &mut DynamicMessage, disabled: &[String]) -> Result<(), String> {
    let version = cli::build_version();
    let mut parts = version.split('/');
    let mut part = || parts.next().unwrap_or_default();
    let (revision, number, status, kind, tls) = (part(), part(), part(), part(), part());
    let mut numbers = number.split('.').map(|n| n.parse().unwrap_or(0_u32));
    let mut next = || numbers.next().unwrap_or(0);
    let extensions: Vec<Value> = extensions::all()
        .map(|extension| {
            json!({
                "name": extension.name,
                "category": extension.category,
                "disabled": extension.is_disabled(disabled),
                "type_urls": [extension.message],
            })
        })
        .collect();
    let node = json!({"node": {
        "user_agent_name": "envoy",
        "user_agent_build_version": {
            "version": {"major_number": next(), "minor_number": next(), "patch": next()},
            "metadata": {
                "revision.sha": revision,
                "revision.status": status,
                "build.type": kind,
                "ssl.version": tls,
            },
        },
        "extensions": extensions,
    }});
    let text = node.to_string();
    let (part, _) = envoy_api::load(&bootstrap.descriptor(), Format::Json, text.as_bytes())
        .map_err(|error| error.to_string())?;
    envoy_api::merge(bootstrap, &part).map_err(|error| error.to_string())
}
