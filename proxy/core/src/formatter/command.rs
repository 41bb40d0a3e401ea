//! The closed list of commands: what each is compiled to, and which argument and length it may have.

use super::{
    address::AddressOperator,
    coalesce::Coalesce,
    durations::CommonDuration,
    field::{NumberField, TextField},
    grpc::GrpcStatusForm,
    header::{HeaderOperator, PathOperator, QueryOperator, ServerNameOperator, Source},
    operator::{Operator, truncate},
    parse::Command,
    time::{TimeOperator, TimeSource, Validity},
    tls::TlsOperator,
    value::{FilterStateOperator, FilterStateSource, MetadataOperator, MetadataSource},
};
use crate::{ConfigError, error::ConfigResult};
use envoy_api::{pb::envoy::config::core::v3::TypedExtensionConfig, type_name};

/// The commands that a format may use: the built-in ones and those of the configured formatter extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Commands {
    req_without_query: bool,
}

impl Commands {
    /// The commands with those of `formatters` (`SubstitutionFormatString.formatters` and the like) added.
    pub fn compile_extensions(formatters: &[TypedExtensionConfig]) -> Result<Self, ConfigError> {
        let mut commands = Self::default();
        for (index, extension) in formatters.iter().enumerate() {
            commands.add(extension).at_index("formatters", index)?;
        }
        Ok(commands)
    }

    fn add(&mut self, extension: &TypedExtensionConfig) -> Result<(), ConfigError> {
        let config = crate::error::required(extension.typed_config.as_ref(), "typed_config")?;
        match type_name(&config.type_url) {
            "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery" => {
                self.req_without_query = true;
                Ok(())
            }
            // METADATA is built in.
            "envoy.extensions.formatter.metadata.v3.Metadata" => Ok(()),
            other => Err(
                ConfigError::new(format!("formatter extension {other} is not supported"))
                    .at("typed_config"),
            ),
        }
    }

    /// True if there is a command of that name.
    pub(super) fn knows(&self, name: &str) -> bool {
        !matches!(
            self.operator(&Command {
                name,
                ..Command::default()
            }),
            Ok(None)
        )
    }

    pub(super) fn compile(&self, command: &Command<'_>) -> Result<Operator, ConfigError> {
        self.operator(command)?.ok_or_else(|| {
            ConfigError::new(format!(
                "Not supported field in StreamInfo: {}",
                command.name
            ))
        })
    }

    /// The operator of a command; `None` if there is no such command.
    fn operator(&self, command: &Command<'_>) -> Result<Option<Operator>, ConfigError> {
        let name = command.name;
        if let Some(field) = NumberField::named(name) {
            bare(command)?;
            return Ok(Some(Operator::Number(field)));
        }
        if let Some(field) = TextField::named(name) {
            bare(command)?;
            return Ok(Some(Operator::Text(field)));
        }
        if let Some(operator) = AddressOperator::named(name, command.argument) {
            if operator.takes_argument() {
                no_length(command)?;
            } else {
                bare(command)?;
            }
            return Ok(Some(Operator::Address(operator)));
        }
        if let Some(operator) = TlsOperator::named(name) {
            bare(command)?;
            return Ok(Some(Operator::Tls(operator)));
        }
        if let Some((source, local)) = time_source(name) {
            no_length(command)?;
            let operator = TimeOperator::compile(source, command.argument, local)?;
            return Ok(Some(Operator::Time(operator)));
        }
        self.with_argument(command)
    }

    fn with_argument(&self, command: &Command<'_>) -> Result<Option<Operator>, ConfigError> {
        let header = |source| {
            argument(command)?;
            HeaderOperator::compile(command, source)
        };
        let metadata = |source| {
            argument(command)?;
            Ok(MetadataOperator::new(
                source,
                command.argument,
                command.max_len,
            ))
        };
        Ok(Some(match command.name {
            "REQ" | "REQUEST_HEADER" => Operator::Header(header(Source::Request)?),
            "RESP" | "RESPONSE_HEADER" => Operator::Header(header(Source::Response)?),
            "TRAILER" | "RESPONSE_TRAILER" => Operator::Header(header(Source::Trailers)?),
            "REQ_WITHOUT_QUERY" if self.req_without_query => {
                Operator::Header(header(Source::Request)?.without_query())
            }
            "PATH" => Operator::Path(PathOperator::compile(command)?),
            "QUERY_PARAM" => {
                argument(command)?;
                Operator::Query(QueryOperator::parameter(command))
            }
            "QUERY_PARAMS" => Operator::Query(QueryOperator::all(command)?),
            "REQUESTED_SERVER_NAME" => {
                no_length(command)?;
                Operator::ServerName(ServerNameOperator::compile(command)?)
            }
            "RESPONSE_CODE_DETAILS" => {
                no_length(command)?;
                // Envoy ignores any other argument.
                Operator::Details(command.argument == "ALLOW_WHITESPACES")
            }
            "GRPC_STATUS" => {
                no_length(command)?;
                let form = GrpcStatusForm::named(command.argument).ok_or_else(|| {
                    ConfigError::new(format!(
                        "GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER. Got: {}",
                        command.argument
                    ))
                })?;
                Operator::GrpcStatus(form)
            }
            "GRPC_STATUS_NUMBER" => {
                bare(command)?;
                Operator::GrpcStatus(GrpcStatusForm::Number)
            }
            "ENVIRONMENT" => {
                argument(command)?;
                Operator::Constant(environment(command))
            }
            "DYNAMIC_METADATA" => Operator::Metadata(metadata(MetadataSource::Dynamic)?),
            "CLUSTER_METADATA" => {
                no_length_given(command)?;
                Operator::Metadata(metadata(MetadataSource::Cluster)?)
            }
            "UPSTREAM_METADATA" => {
                no_length_given(command)?;
                Operator::Metadata(metadata(MetadataSource::UpstreamHost)?)
            }
            "METADATA" => Operator::Metadata(MetadataOperator::compile(command)?),
            "FILTER_STATE" => Operator::FilterState(FilterStateOperator::compile(
                command,
                FilterStateSource::Downstream,
            )?),
            "UPSTREAM_FILTER_STATE" => Operator::FilterState(FilterStateOperator::compile(
                command,
                FilterStateSource::Upstream,
            )?),
            "COMMON_DURATION" => {
                no_length_given(command)?;
                argument(command)?;
                Operator::Duration(CommonDuration::compile(command)?)
            }
            // Measured for HTTP/3 only.
            "ROUNDTRIP_DURATION" => {
                bare(command)?;
                Operator::Null
            }
            // Reads headers of Envoy's own that no proxy code sets.
            "STREAM_INFO_REQ" => {
                argument(command)?;
                Operator::Null
            }
            "COALESCE" => {
                argument(command)?;
                Operator::Coalesce(Coalesce::compile(command, self)?)
            }
            "CEL" | "TYPED_CEL" => {
                return Err(ConfigError::new(format!(
                    "{} is not supported: CEL expressions are not evaluated in formats",
                    command.name
                )));
            }
            _ => return Ok(None),
        }))
    }
}

/// The commands that print a point in time; true for the zone of the process.
fn time_source(name: &str) -> Option<(TimeSource, bool)> {
    Some(match name {
        "START_TIME" => (TimeSource::Start, false),
        "START_TIME_LOCAL" => (TimeSource::Start, true),
        "EMIT_TIME" => (TimeSource::Emit, false),
        "EMIT_TIME_LOCAL" => (TimeSource::Emit, true),
        "DOWNSTREAM_PEER_CERT_V_START" => {
            (TimeSource::DownstreamCertificate(Validity::From), false)
        }
        "DOWNSTREAM_PEER_CERT_V_END" => (TimeSource::DownstreamCertificate(Validity::To), false),
        "UPSTREAM_PEER_CERT_V_START" => (TimeSource::UpstreamCertificate(Validity::From), false),
        "UPSTREAM_PEER_CERT_V_END" => (TimeSource::UpstreamCertificate(Validity::To), false),
        _ => return None,
    })
}

/// The value of an environment variable, read when the format is compiled; `-` if it is not set, in JSON too.
fn environment(command: &Command<'_>) -> Box<[u8]> {
    let mut value = std::env::var_os(command.argument)
        .map(std::ffi::OsString::into_encoded_bytes)
        .unwrap_or_else(|| b"-".to_vec());
    truncate(&mut value, 0, command.max_len);
    value.into()
}

/// Neither an argument nor a length.
fn bare(command: &Command<'_>) -> Result<(), ConfigError> {
    if command.argument.is_empty() && command.max_len.is_none() {
        return Ok(());
    }
    Err(ConfigError::new(format!(
        "{} does not take any parameters or length",
        command.name
    )))
}

/// An argument is needed.
fn argument(command: &Command<'_>) -> Result<(), ConfigError> {
    if command.argument.is_empty() {
        return Err(ConfigError::new(format!(
            "{} requires parameters",
            command.name
        )));
    }
    Ok(())
}

/// An argument may be there, a length may not.
fn no_length(command: &Command<'_>) -> Result<(), ConfigError> {
    if command.max_len.is_some() {
        return Err(ConfigError::new(format!(
            "{} does not allow length to be specified.",
            command.name
        )));
    }
    Ok(())
}

/// [`no_length`], for commands whose missing argument Envoy reports first.
fn no_length_given(command: &Command<'_>) -> Result<(), ConfigError> {
    argument(command)?;
    no_length(command)
}
