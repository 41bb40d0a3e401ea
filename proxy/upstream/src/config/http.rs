//! Compiles a cluster's HTTP protocol options, from `HttpProtocolOptions` or the older fields of the cluster itself.

use super::http2::Http2Options;
use envoy_api::{
    Name,
    pb::envoy::{
        config::{cluster::v3::Cluster, core::v3 as core},
        extensions::{
            http::header_formatters::preserve_case::v3::{
                PreserveCaseFormatterConfig,
                preserve_case_formatter_config::FormatterTypeOnEnvoyHeaders,
            },
            upstreams::http::v3::{
                HttpProtocolOptions,
                http_protocol_options::{
                    UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
                },
            },
        },
    },
    type_name, unpack,
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
};

/// The key in `typed_extension_protocol_options`.
const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Another key there: options of connections that wait to be used, of which the TCP proxy keeps none.
const TCP_OPTIONS: &str = "envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions";

/// What is spoken to the hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Http1,
    Http2,
    /// `use_downstream_protocol_config`: as the client does.
    Downstream,
}

/// `header_key_format`: how header names are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderKeyFormat {
    #[default]
    LowerCase,
    /// `X-Foo-Bar`: a letter after anything but a letter or digit is a capital.
    ProperCaseWords,
    /// Messages that this side reads keep their spelling, and the other side writes it.
    PreserveCase(PreserveCase),
}

/// `envoy.http.stateful_header_formatters.preserve_case`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreserveCase {
    /// The reason phrase of a response is passed on as well.
    pub forward_reason_phrase: bool,
    /// Headers that the message did not have are written in proper case.
    pub proper_case_others: bool,
}

/// `Http1ProtocolOptions` as far as they matter to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Http1Options {
    pub header_key_format: HeaderKeyFormat,
    pub enable_trailers: bool,
    /// A response with both `content-length` and chunked encoding is taken, without the former.
    pub allow_chunked_length: bool,
    /// `send_fully_qualified_url`: an absolute URL in the request line.
    pub send_fully_qualified_url: bool,
    pub allow_custom_methods: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Http {
    pub(super) protocol: Protocol,
    pub(super) http1: Http1Options,
    pub(super) http2: Http2Options,
    pub(super) common: core::HttpProtocolOptions,
}

// Envoy still honours the older fields where the newer message is not given.
#[allow(deprecated)]
pub(super) fn compile(proto: &Cluster) -> Result<Http, ConfigError> {
    if let Some(key) = proto
        .typed_extension_protocol_options
        .keys()
        .find(|key| ![OPTIONS, TCP_OPTIONS].contains(&key.as_str()))
    {
        return Err(ConfigError::new(format!(
            "Didn't find a registered network or http filter or protocol options implementation for name: '{key}'"
        ))
        .at("typed_extension_protocol_options"));
    }
    if let Some(any) = proto.typed_extension_protocol_options.get(OPTIONS) {
        let options: HttpProtocolOptions = unpack(any)
            .map_err(|error| ConfigError::new(error.to_string()))
            .at(OPTIONS)
            .at("typed_extension_protocol_options")?;
        return typed(&options)
            .at(OPTIONS)
            .at("typed_extension_protocol_options");
    }
    let common = proto.common_http_protocol_options.unwrap_or_default();
    Ok(Http {
        protocol: match proto.protocol_selection {
            1 => Protocol::Downstream,
            _ if proto.http2_protocol_options.is_some() => Protocol::Http2,
            _ => Protocol::Http1,
        },
        http2: http2(proto.http2_protocol_options.as_ref()).at("http2_protocol_options")?,
        http1: http1(proto.http_protocol_options.as_ref()).at("http_protocol_options")?,
        common,
    })
}

fn http2(proto: Option<&core::Http2ProtocolOptions>) -> Result<Http2Options, ConfigError> {
    if proto.is_some_and(|proto| proto.max_outbound_frames.is_some()) {
        // What waits for an upstream is bounded by its windows and by the buffer limit of the cluster.
        tracing::warn!(
            target: "config",
            "max_outbound_frames of a cluster is not enforced: it holds for connections of clients"
        );
    }
    Http2Options::compile(proto)
}

fn typed(options: &HttpProtocolOptions) -> Result<Http, ConfigError> {
    let common = options.common_http_protocol_options.unwrap_or_default();
    let new = |protocol,
               proto: Option<&core::Http1ProtocolOptions>,
               proto2: Option<&core::Http2ProtocolOptions>,
               field| {
        Ok(Http {
            protocol,
            http1: http1(proto).at("http_protocol_options").at(field)?,
            http2: http2(proto2).at("http2_protocol_options").at(field)?,
            common,
        })
    };
    match &options.upstream_protocol_options {
        // Envoy's validation wants one of them.
        None => Err(ConfigError::new("is required").at("upstream_protocol_options")),
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => {
            match &explicit.protocol_config {
                Some(ProtocolConfig::HttpProtocolOptions(proto)) => {
                    new(Protocol::Http1, Some(proto), None, "explicit_http_config")
                }
                Some(ProtocolConfig::Http2ProtocolOptions(proto)) => {
                    new(Protocol::Http2, None, Some(proto), "explicit_http_config")
                }
                Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                    Err(ConfigError::new("HTTP/3 to upstreams is not supported")
                        .at("http3_protocol_options")
                        .at("explicit_http_config"))
                }
                None => Err(ConfigError::new("is required")
                    .at("protocol_config")
                    .at("explicit_http_config")),
            }
        }
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(downstream)) => new(
            Protocol::Downstream,
            downstream.http_protocol_options.as_ref(),
            downstream.http2_protocol_options.as_ref(),
            "use_downstream_protocol_config",
        ),
        Some(UpstreamProtocolOptions::AutoConfig(_)) => Err(ConfigError::new(
            "ALPN configured for a cluster which has a non-ALPN transport socket",
        )
        .at("auto_config")),
    }
}

fn http1(proto: Option<&core::Http1ProtocolOptions>) -> Result<Http1Options, ConfigError> {
    let Some(proto) = proto else {
        return Ok(Http1Options::default());
    };
    if !proto.ignore_http_11_upgrade.is_empty() {
        let error = ConfigError::new("not supported for responses");
        return Err(error.at("ignore_http_11_upgrade"));
    }
    Ok(Http1Options {
        header_key_format: HeaderKeyFormat::compile(proto.header_key_format.as_ref())
            .at("header_key_format")?,
        enable_trailers: proto.enable_trailers,
        allow_chunked_length: proto.allow_chunked_length,
        send_fully_qualified_url: proto.send_fully_qualified_url,
        allow_custom_methods: proto.allow_custom_methods,
    })
}

impl HeaderKeyFormat {
    /// Paths of errors begin below `header_key_format`.
    pub fn compile(
        proto: Option<&core::http1_protocol_options::HeaderKeyFormat>,
    ) -> Result<Self, ConfigError> {
        use core::http1_protocol_options::header_key_format::HeaderFormat;
        let Some(proto) = proto else {
            return Ok(Self::LowerCase);
        };
        match &proto.header_format {
            Some(HeaderFormat::ProperCaseWords(_)) => Ok(Self::ProperCaseWords),
            Some(HeaderFormat::StatefulFormatter(extension)) => preserve_case(extension)
                .map(Self::PreserveCase)
                .at("stateful_formatter"),
            None => Err(ConfigError::new("is required").at("header_format")),
        }
    }
}

fn preserve_case(extension: &core::TypedExtensionConfig) -> Result<PreserveCase, ConfigError> {
    let any = required(extension.typed_config.as_ref(), "typed_config")?;
    if type_name(&any.type_url) != PreserveCaseFormatterConfig::full_name() {
        return Err(ConfigError::new(format!(
            "Didn't find a registered implementation for '{}' with type URL: '{}'",
            extension.name,
            type_name(&any.type_url)
        )));
    }
    let config: PreserveCaseFormatterConfig = unpack(any)
        .map_err(|error| ConfigError::new(error.to_string()))
        .at("typed_config")?;
    Ok(PreserveCase {
        forward_reason_phrase: config.forward_reason_phrase,
        proper_case_others: config.formatter_type_on_envoy_headers()
            == FormatterTypeOnEnvoyHeaders::ProperCase,
    })
}
