//! `envoy.filters.http.set_metadata`: puts fixed values into the metadata of every stream.

use super::FilterContext;
use crate::stream::ActiveStream;
use envoy_api::{
    pb::envoy::extensions::filters::http::set_metadata::v3::Config as Proto,
    prost_types::{Struct, Value, value::Kind},
};
use outrigger_core::stat_group;
use std::sync::Arc;

stat_group! {
    /// `http.<stat_prefix>.set_metadata.`
    pub struct SetMetadataStats {
        counter overwrite_denied,
    }
}

/// The filter.
#[derive(Debug)]
pub struct SetMetadata {
    entries: Box<[Entry]>,
    stats: Arc<SetMetadataStats>,
}

/// What goes into one namespace.
#[derive(Debug)]
struct Entry {
    namespace: Box<str>,
    value: Arc<Struct>,
    /// A namespace that is there already is added to; otherwise it is left alone.
    overwrite: bool,
}

impl SetMetadata {
    #[allow(deprecated)]
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Self {
        let entry = |namespace: &str, value: &Option<Struct>, overwrite| Entry {
            namespace: namespace.into(),
            value: Arc::new(value.clone().unwrap_or_default()),
            overwrite,
        };
        let entries = proto.metadata.iter();
        let entries = entries.map(|e| entry(&e.metadata_namespace, &e.value, e.allow_overwrite));
        // The older form, which always adds to what is there.
        let older = proto
            .value
            .as_ref()
            .filter(|_| !proto.metadata_namespace.is_empty());
        let older = older.map(|_| entry(&proto.metadata_namespace, &proto.value, true));
        Self {
            entries: older.into_iter().chain(entries).collect(),
            stats: context.stats("set_metadata.", SetMetadataStats::default()),
        }
    }

    pub(crate) fn decode_headers(&self, stream: &mut ActiveStream<'_>) {
        let metadata = &mut stream.info.dynamic_metadata;
        for entry in &self.entries {
            match metadata.namespace(&entry.namespace) {
                None => metadata.merge(entry.namespace.to_string(), &entry.value),
                Some(known) if entry.overwrite => {
                    let mut updated = known.clone();
                    update(&mut updated, &entry.value);
                    metadata.merge(entry.namespace.to_string(), &Arc::new(updated));
                }
                Some(_) => self.stats.overwrite_denied.inc(),
            }
        }
    }
}

/// Envoy's `StructUtil::update`: structures are merged, lists are joined, everything else is replaced.
fn update(into: &mut Struct, from: &Struct) {
    for (key, value) in &from.fields {
        match into.fields.get_mut(key) {
            Some(known) => update_value(known, value),
            None => {
                into.fields.insert(key.clone(), value.clone());
            }
        }
    }
}

fn update_value(into: &mut Value, from: &Value) {
    match (&mut into.kind, &from.kind) {
        (Some(Kind::StructValue(into)), Some(Kind::StructValue(from))) => update(into, from),
        (Some(Kind::ListValue(into)), Some(Kind::ListValue(from))) => {
            into.values.extend(from.values.iter().cloned());
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: f64) -> Value {
        Value {
            kind: Some(Kind::NumberValue(n)),
        }
    }

    fn fields(of: &[(&str, Value)]) -> Struct {
        let fields = of
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()));
        Struct {
            fields: fields.collect(),
        }
    }

    #[test]
    fn structures_are_merged_and_the_rest_replaced() {
        let deep = |of: &[(&str, Value)]| Value {
            kind: Some(Kind::StructValue(fields(of))),
        };
        let mut into = fields(&[("a", number(1.0)), ("d", deep(&[("x", number(1.0))]))]);
        let from = fields(&[("a", number(2.0)), ("d", deep(&[("y", number(2.0))]))]);
        update(&mut into, &from);
        let both = deep(&[("x", number(1.0)), ("y", number(2.0))]);
        assert_eq!(into, fields(&[("a", number(2.0)), ("d", both)]));
    }
}
