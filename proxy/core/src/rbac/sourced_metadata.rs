//! `rbac.v3.SourcedMetadata`: the metadata of the stream or of its route.

use super::engine::Input;
use crate::{
    ConfigError,
    error::{ConfigResult, required},
    matcher::MetadataMatcher,
    metadata::Metadata,
};
use envoy_api::pb::envoy::config::rbac::v3::{MetadataSource, SourcedMetadata as Proto};

#[derive(Debug)]
pub struct SourcedMetadata {
    matcher: MetadataMatcher,
    source: MetadataSource,
}

impl SourcedMetadata {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let matcher = required(proto.metadata_matcher.as_ref(), "metadata_matcher")?;
        Ok(Self {
            matcher: MetadataMatcher::compile(matcher).at("metadata_matcher")?,
            source: proto.metadata_source(),
        })
    }

    pub fn is_match(&self, input: Input<'_>) -> bool {
        match (self.source, input.route_metadata) {
            (MetadataSource::Dynamic, _) => self.matcher.is_match(&input.info.dynamic_metadata),
            (MetadataSource::Route, Some(metadata)) => self.matcher.is_match(metadata),
            (MetadataSource::Route, None) => self.matcher.is_match(&Metadata::default()),
        }
    }
}
