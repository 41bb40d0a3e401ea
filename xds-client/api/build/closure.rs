//! Chooses the files of a descriptor set to generate Rust types for.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use prost_types::FileDescriptorSet;
use protox::prost::Message;

/// Names of the files in an encoded descriptor set.
pub fn file_names(set: &[u8]) -> Result<Vec<String>, Box<dyn Error>> {
    Ok(FileDescriptorSet::decode(set)?
        .file
        .into_iter()
        .filter_map(|f| f.name)
        .collect())
}

/// The files whose name starts with one of `prefixes`, and all that they import.
pub fn typed(mut set: FileDescriptorSet, prefixes: &[&str]) -> FileDescriptorSet {
    let imports: BTreeMap<&str, &[String]> = set
        .file
        .iter()
        .map(|f| (f.name(), f.dependency.as_slice()))
        .collect();
    let mut wanted = BTreeSet::new();
    let mut pending: Vec<&str> = imports
        .keys()
        .copied()
        .filter(|name| prefixes.iter().any(|p| name.starts_with(p)))
        .collect();
    while let Some(name) = pending.pop() {
        if wanted.insert(name.to_owned()) {
            pending.extend(
                imports
                    .get(name)
                    .into_iter()
                    .copied()
                    .flatten()
                    .map(String::as_str),
            );
        }
    }
    set.file.retain(|f| wanted.contains(f.name()));
    set
}
