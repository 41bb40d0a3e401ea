//! `core.v3.Metadata` as the data path reads it: by filter namespace and key path.

use envoy_api::pb::envoy::config::core::v3::Metadata as Proto;
use prost_types::{Struct, Value, value::Kind};

/// Metadata of a route, a cluster, a host or a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    namespaces: Vec<(String, Struct)>,
}

impl Metadata {
    pub fn compile(proto: Option<&Proto>) -> Self {
        let mut namespaces: Vec<_> = proto
            .map(|m| {
                m.filter_metadata
                    .iter()
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect()
            })
            .unwrap_or_default();
        namespaces.sort_by(|a: &(String, Struct), b| a.0.cmp(&b.0));
        Self { namespaces }
    }

    /// The message that it was compiled from; `None` if there is nothing in it.
    pub fn to_proto(&self) -> Option<Proto> {
        (!self.is_empty()).then(|| Proto {
            filter_metadata: self.namespaces.iter().cloned().collect(),
            ..Proto::default()
        })
    }

    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// A whole namespace, such as `envoy.lb`.
    pub fn namespace(&self, name: &str) -> Option<&Struct> {
        self.namespaces
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, s)| s)
    }

    /// The value under a path of keys in a namespace.
    pub fn get(&self, namespace: &str, path: &[impl AsRef<str>]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        let mut value = self.namespace(namespace)?.fields.get(first.as_ref())?;
        for key in rest {
            let Some(Kind::StructValue(inner)) = &value.kind else {
                return None;
            };
            value = inner.fields.get(key.as_ref())?;
        }
        Some(value)
    }

    /// Adds a namespace, or the fields of one that is there already; those of the same name are replaced.
    pub fn merge(&mut self, namespace: &str, fields: &Struct) {
        match self.namespaces.iter_mut().find(|(n, _)| n == namespace) {
            Some((_, known)) => known.fields.extend(fields.fields.clone()),
            None => self.namespaces.push((namespace.to_owned(), fields.clone())),
        }
    }

    /// Overwrites one key, as a filter that writes dynamic metadata does.
    pub fn set(&mut self, namespace: &str, key: &str, value: Value) {
        let at = match self.namespaces.iter().position(|(n, _)| n == namespace) {
            Some(at) => at,
            None => {
                self.namespaces
                    .push((namespace.to_owned(), Struct::default()));
                self.namespaces.len() - 1
            }
        };
        if let Some((_, fields)) = self.namespaces.get_mut(at) {
            fields.fields.insert(key.to_owned(), value);
        }
    }
}
