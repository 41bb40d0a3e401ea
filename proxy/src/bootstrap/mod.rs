//! Envoy's bootstrap: read from `-c` and `--config-yaml`, merged, and held against every rule that needs no compiling.
//! Nothing in here may act on what it reads.

mod extensions;
mod fields;
mod mistakes;
mod node;

use crate::cli::Options;
use envoy_api::{
    Diagnostic, DynamicMessage, Findings, Format, MessageDescriptor,
    pb::envoy::config::bootstrap::v3::Bootstrap as Proto, resolve_typed_structs, to_typed,
    validate,
};
use outrigger_core::{
    ConfigError,
    field::{Report, Tables},
};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A bootstrap that can be compiled.
#[derive(Debug)]
pub struct Bootstrap {
    /// As its user wrote it, with the node that the flags complete: what config dumps show.
    pub written: DynamicMessage,
    /// The same with TypedStructs replaced by what they stand for.
    pub proto: Proto,
    /// Fields that change nothing.
    pub ignored: Vec<Report>,
    /// Fields that do not exist, tolerated by `--allow-unknown-static-fields`.
    pub unknown: Vec<Diagnostic>,
}

/// Why there is no bootstrap: one line for each thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejection(pub Vec<String>);

impl Rejection {
    fn one(reason: impl Into<String>) -> Self {
        Self(vec![reason.into()])
    }
}

impl From<ConfigError> for Rejection {
    fn from(error: ConfigError) -> Self {
        Self(vec![error.to_string()])
    }
}

/// Reads, merges and checks the bootstrap that the command line names.
pub fn load(options: &Options) -> Result<Bootstrap, Rejection> {
    let descriptor = envoy_api::MessageDescriptor::named("envoy.config.bootstrap.v3.Bootstrap")
        .ok_or_else(|| Rejection::one("the descriptors of the API are damaged"))?;
    let (written, findings) = read(options, &descriptor)?;
    extensions::report(&options.disabled_extensions);
    let tables = Tables::new(extensions::without(
        fields::all(),
        &options.disabled_extensions,
    ));
    let mut bootstrap = check(
        written,
        findings,
        options.allow_unknown_static_fields,
        &tables,
    )?;
    node::complete(&mut bootstrap.written, &options.disabled_extensions).map_err(Rejection::one)?;
    Ok(bootstrap)
}

/// Merges what the command line brings, in Envoy's order: the file, `--config-yaml`, the node's flags.
fn read(
    options: &Options,
    descriptor: &MessageDescriptor,
) -> Result<(DynamicMessage, Findings), Rejection> {
    if options.config_path.is_empty() && options.config_yaml.is_empty() {
        return Err(Rejection::one(
            "At least one of --config-path or --config-yaml or Options::configProto() should be non-empty",
        ));
    }
    let mut message = DynamicMessage::new(*descriptor);
    let mut findings = Findings::default();
    let mut add = |format: Format, content: &[u8]| -> Result<(), String> {
        let (part, found) =
            envoy_api::load(descriptor, format, content).map_err(|e| e.to_string())?;
        findings.append(found);
        envoy_api::merge(&mut message, &part).map_err(|e| e.to_string())
    };
    if !options.config_path.is_empty() {
        let path = Path::new(&options.config_path);
        let content = read_file(path)?;
        add(Format::of(path), &content).map_err(Rejection::one)?;
    }
    if !options.config_yaml.is_empty() {
        add(Format::Yaml, options.config_yaml.as_bytes()).map_err(Rejection::one)?;
    }
    let node = json!({ "node": node(options) }).to_string();
    add(Format::Json, node.as_bytes()).map_err(Rejection::one)?;
    Ok((message, findings))
}

fn read_file(path: &Path) -> Result<Vec<u8>, Rejection> {
    if !path.exists() {
        return Err(Rejection::one(format!("Invalid path: {}", path.display())));
    }
    std::fs::read(path).map_err(|error| {
        Rejection::one(format!("unable to read file: {}: {error}", path.display()))
    })
}

/// What the flags say of the node; they win over the bootstrap.
fn node(options: &Options) -> Value {
    let mut node = Map::new();
    let mut set = |name: &str, value: &str| {
        if !value.is_empty() {
            node.insert(name.to_owned(), value.into());
        }
    };
    set("id", &options.service_node);
    set("cluster", &options.service_cluster);
    if !options.service_zone.is_empty() {
        node.insert("locality".into(), json!({ "zone": options.service_zone }));
    }
    Value::Object(node)
}

fn check(
    written: DynamicMessage,
    mut findings: Findings,
    allow_unknown: bool,
    tables: &Tables,
) -> Result<Bootstrap, Rejection> {
    let mut resolved = written.clone();
    findings.append(resolve_typed_structs(&mut resolved));
    let mut wrong: Vec<String> = findings.errors.iter().map(ToString::to_string).collect();
    if !allow_unknown {
        wrong.extend(findings.unknown.iter().map(|unknown| {
            format!("Protobuf message (type envoy.config.bootstrap.v3.Bootstrap reason {unknown}) has unknown fields")
        }));
    }
    if !wrong.is_empty() {
        return Err(Rejection(wrong));
    }
    // Both kinds at once: who moves a configuration over wants to see all that stands in the way.
    let verdict = tables.check(&resolved);
    let proto: Proto = to_typed(&resolved).map_err(|error| Rejection::one(error.to_string()))?;
    wrong.extend(
        validate(&resolved)
            .iter()
            .map(|d| named(&proto, &d.path, d)),
    );
    let mistakes = mistakes::find(&proto);
    wrong.extend(mistakes.iter().map(|e| named(&proto, e.path(), e)));
    wrong.extend(verdict.errors.iter().map(|e| named(&proto, e.path(), e)));
    if !wrong.is_empty() {
        return Err(Rejection(wrong));
    }
    Ok(Bootstrap {
        written,
        proto,
        ignored: verdict.ignored,
        unknown: findings.unknown,
    })
}

/// An error with the name of the listener or cluster in front that its path leads through: indices are hard to count.
fn named(proto: &Proto, path: &str, error: impl std::fmt::Display) -> String {
    let index = |list: &str| -> Option<usize> {
        let (index, _) = path.strip_prefix(list)?.split_once(']')?;
        index.parse().ok()
    };
    let resources = proto.static_resources.as_ref();
    let listener = index("static_resources.listeners[")
        .and_then(|i| Some(("listener", &resources?.listeners.get(i)?.name)));
    let cluster = || {
        let i = index("static_resources.clusters[")?;
        Some(("cluster", &resources?.clusters.get(i)?.name))
    };
    match listener.or_else(cluster) {
        Some((kind, name)) if !name.is_empty() => format!("{kind} '{name}': {error}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
