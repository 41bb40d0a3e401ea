//! `core.v3.SubstitutionFormatString`: a text or JSON format as configuration carries it.

use super::{Commands, FormatContext, Formatter, JsonFormatter};
use crate::{ConfigError, data_source, error::ConfigResult};
use envoy_api::pb::envoy::config::core::v3::{
    SubstitutionFormatString as Proto, substitution_format_string::Format,
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
                let format = data_source::read_text(source).at("text_format_source")?;
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
