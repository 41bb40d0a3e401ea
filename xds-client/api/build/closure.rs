//! What an encoded descriptor set holds.

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
