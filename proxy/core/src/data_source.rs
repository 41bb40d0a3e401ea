//! `core.v3.DataSource`: bytes of the configuration, of a file or of the environment, read once.

use crate::ConfigError;
use envoy_api::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};

/// The bytes of a data source, of any length.
pub fn read(source: &DataSource) -> Result<Vec<u8>, ConfigError> {
    Ok(match &source.specifier {
        Some(Specifier::InlineString(text)) => text.clone().into_bytes(),
        Some(Specifier::InlineBytes(bytes)) => bytes.clone(),
        Some(Specifier::Filename(path)) => std::fs::read(path)
            .map_err(|error| ConfigError::new(format!("unable to read file: {path}: {error}")))?,
        Some(Specifier::EnvironmentVariable(name)) => std::env::var_os(name)
            .ok_or_else(|| ConfigError::new(format!("Environment variable doesn't exist: {name}")))?
            .into_encoded_bytes(),
        None => return Err(ConfigError::new("is required").at("specifier")),
    })
}

/// The same where only text will do.
pub fn read_text(source: &DataSource) -> Result<String, ConfigError> {
    String::from_utf8(read(source)?).map_err(|_| ConfigError::new("is not UTF-8"))
}
