//! `core.v3.Metadata` as the data path reads it: by filter namespace and key path.

use envoy_api::pb::envoy::config::core::v3::Metadata as Proto;
use prost_types::{Struct, Value, value::Kind};
use std::{borrow::Cow, sync::Arc};

/// Metadata of a route, a cluster, a host or a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Shared: a filter leaves the same fields behind in stream after stream.
    namespaces: Vec<(Cow<'static, str>, Arc<Struct>)>,
}

impl Metadata {
    pub fn compile(proto: Option<&Proto>) -> Self {
        let mut namespaces: Vec<_> = proto
            .map(|m| {
                m.filter_metadata
                    .iter()
                    .map(|(k, v)| (Cow::Owned(k.clone()), Arc::new(v.clone())))
                    .collect()
            })
            .unwrap_or_default();
        namespaces.sort_by(|a: &(Cow<'_, str>, Arc<Struct>), b| a.0.cmp(&b.0));
        Self { namespaces }
    }

    /// The message that it was compiled from; `None` if there is nothing in it.
    pub fn to_proto(&self) -> Option<Proto> {
        (!self.is_empty()).then(|| Proto {
            filter_metadata: self
                .namespaces
                .iter()
                .map(|(name, fields)| (name.to_string(), Struct::clone(fields)))
                .collect(),
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
            .map(|(_, s)| &**s)
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
    pub fn merge(&mut self, namespace: impl Into<Cow<'static, str>>, fields: &Arc<Struct>) {
        let namespace = namespace.into();
        match self.namespaces.iter_mut().find(|(n, _)| *n == namespace) {
            Some((_, known)) => Arc::make_mut(known).fields.extend(fields.fields.clone()),
            None => self.namespaces.push((namespace, fields.clone())),
        }
    }

    /// Overwrites one key, as a filter that writes dynamic metadata does.
    pub fn set(&mut self, namespace: &str, key: &str, value: Value) {
        let at = match self.namespaces.iter().position(|(n, _)| n == namespace) {
            Some(at) => at,
            None => {
                self.namespaces
                    .push((Cow::Owned(namespace.to_owned()), Arc::default()));
                self.namespaces.len() - 1
            }
        };
        if let Some((_, fields)) = self.namespaces.get_mut(at) {
            Arc::make_mut(fields).fields.insert(key.to_owned(), value);
        }
    }
}
