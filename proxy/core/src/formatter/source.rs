//! `core.v3.SubstitutionFormatString`: a text or JSON format as configuration carries it.

use super::{Commands, FormatContext, Formatter, JsonFormatter};
use crate::{ConfigError, error::ConfigResult};
use envoy_api::pb::envoy::config::core::v3::{
    DataSource, SubstitutionFormatString as Proto, data_source::Specifier,
    substitution_format_string::Format,
};

/// A format of either kind.
#[derive(Clone, Debug)]
pub enum SubstitutionFormat {
    Text(Formatter),
    /// Ends with a new line of its own.
    Json(JsonFormatter),
}

impl SubstitutionFormat {
    #[allow(deprecated)]
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let commands = Commands::compile_extensions(&proto.formatters)?;
        let omit_empty = proto.omit_empty_values;
        let text = |text: &str| Formatter::compile_with(text, &commands, omit_empty);
        Ok(match &proto.format {
            Some(Format::TextFormat(format)) => Self::Text(text(format).at("text_format")?),
            Some(Format::TextFormatSource(source)) => {
                let format = read(source).at("text_format_source")?;
                Self::Text(text(&format).at("text_format_source")?)
            }
            Some(Format::JsonFormat(format)) => {
                let json = JsonFormatter::compile(format, &commands, omit_empty);
                Self::Json(json.at("json_format")?)
            }
            None => return Err(ConfigError::new("is required").at("format")),
        })
    }

    /// Appends the text for one stream.
    pub fn render(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Text(format) => format.render(cx, out),
            Self::Json(format) => format.render(cx, out),
        }
    }

    /// What a body of this format is, unless `content_type` says otherwise.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "text/plain",
            Self::Json(_) => "application/json",
        }
    }
}

/// The text of a data source, read once.
fn read(source: &DataSource) -> Result<String, ConfigError> {
    let bytes = match &source.specifier {
        Some(Specifier::InlineString(text)) => return Ok(text.clone()),
        Some(Specifier::InlineBytes(bytes)) => bytes.clone(),
        Some(Specifier::Filename(path)) => std::fs::read(path)
            .map_err(|error| ConfigError::new(format!("unable to read file: {path}: {error}")))?,
        Some(Specifier::EnvironmentVariable(name)) => std::env::var_os(name)
            .ok_or_else(|| ConfigError::new(format!("Environment variable doesn't exist: {name}")))?
            .into_encoded_bytes(),
        None => return Err(ConfigError::new("is required").at("specifier")),
    };
    String::from_utf8(bytes).map_err(|_| ConfigError::new("is not UTF-8"))
}
