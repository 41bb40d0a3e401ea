//! `Http1ProtocolOptions` and the parts of `HttpProtocolOptions` that shape an HTTP/1 codec.

use super::ignored_upgrade::IgnoredUpgrades;
use envoy_api::pb::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction;
use envoy_api::pb::envoy::config::core::v3::{Http1ProtocolOptions, HttpProtocolOptions};
use outrigger_core::{ConfigError, error::ConfigResult, matcher::StringMatcher};
pub use outrigger_upstream::config::HeaderKeyFormat;
use std::sync::Arc;

/// `max_request_headers_kb` where nothing is said.
const REQUEST_HEADERS_KB: u32 = 60;
/// `max_response_headers_kb` where nothing is said.
const RESPONSE_HEADERS_KB: u32 = 80;
/// `max_headers_count` where nothing is said.
const HEADERS_COUNT: u32 = 100;
/// Envoy's upper bound for both sizes, in KiB.
const MAX_HEADERS_KB: u32 = 8192;

/// `headers_with_underscores_action`, for requests only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnderscoreAction {
    #[default]
    Allow,
    /// 400 `http1.unexpected_underscore`.
    RejectRequest,
    DropHeader,
}

/// What one side of an HTTP/1 connection accepts and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http1Settings {
    /// Serve HTTP/1.0 and 0.9 instead of answering 426.
    pub accept_http_10: bool,
    /// `host` of an HTTP/1.0 request that has none.
    pub default_host_for_http_10: Option<Arc<str>>,
    /// Pass trailers on instead of dropping them.
    pub enable_trailers: bool,
    /// Accept `content-length` beside `transfer-encoding: chunked`, and drop it.
    pub allow_chunked_length: bool,
    /// Take scheme and host from an absolute-form target.
    pub allow_absolute_url: bool,
    /// Accept methods that Envoy's parser does not know.
    pub allow_custom_methods: bool,
    /// Write the target of upstream requests in absolute form.
    pub send_fully_qualified_url: bool,
    /// `override_stream_error_on_invalid_http_message`, where set: keep the connection after an invalid message.
    pub stream_error_on_invalid_http_message: Option<bool>,
    /// Most bytes of a head or of trailers, line ends and the empty line included.
    pub max_head_bytes: usize,
    /// Most lines of a head or of trailers; repeats that the header map merges count once.
    pub max_headers_count: usize,
    pub headers_with_underscores_action: UnderscoreAction,
    pub header_key_format: HeaderKeyFormat,
    /// Upgrades that are overlooked.
    pub ignored_upgrades: Option<IgnoredUpgrades>,
}

impl Default for Http1Settings {
    /// Envoy's defaults for the downstream side.
    fn default() -> Self {
        Self {
            accept_http_10: false,
            default_host_for_http_10: None,
            enable_trailers: false,
            allow_chunked_length: false,
            allow_absolute_url: true,
            allow_custom_methods: false,
            send_fully_qualified_url: false,
            stream_error_on_invalid_http_message: None,
            max_head_bytes: REQUEST_HEADERS_KB as usize * 1024,
            max_headers_count: HEADERS_COUNT as usize,
            headers_with_underscores_action: UnderscoreAction::Allow,
            header_key_format: HeaderKeyFormat::LowerCase,
            ignored_upgrades: None,
        }
    }
}

impl Http1Settings {
    /// The side that reads requests: the connection manager's `http_protocol_options`,
    /// `common_http_protocol_options` and `max_request_headers_kb`. Paths of errors are those below the first.
    pub fn downstream(
        options: Option<&Http1ProtocolOptions>,
        common: Option<&HttpProtocolOptions>,
        max_request_headers_kb: Option<u32>,
    ) -> Result<Self, ConfigError> {
        Self::compile(
            options,
            common,
            max_request_headers_kb.unwrap_or(REQUEST_HEADERS_KB),
        )
    }

    /// The side that reads responses: a cluster's `http_protocol_options` and `common_http_protocol_options`.
    pub fn upstream(
        options: Option<&Http1ProtocolOptions>,
        common: Option<&HttpProtocolOptions>,
    ) -> Result<Self, ConfigError> {
        let kb = common.and_then(|c| c.max_response_headers_kb);
        Self::compile(options, common, kb.unwrap_or(RESPONSE_HEADERS_KB))
    }

    fn compile(
        options: Option<&Http1ProtocolOptions>,
        common: Option<&HttpProtocolOptions>,
        max_head_kb: u32,
    ) -> Result<Self, ConfigError> {
        let mut settings = Self {
            max_head_bytes: max_head_kb.min(MAX_HEADERS_KB) as usize * 1024,
            ..Self::default()
        };
        if let Some(common) = common {
            let count = common.max_headers_count.unwrap_or(HEADERS_COUNT);
            settings.max_headers_count = count as usize;
            settings.headers_with_underscores_action =
                match common.headers_with_underscores_action() {
                    HeadersWithUnderscoresAction::Allow => UnderscoreAction::Allow,
                    HeadersWithUnderscoresAction::RejectRequest => UnderscoreAction::RejectRequest,
                    HeadersWithUnderscoresAction::DropHeader => UnderscoreAction::DropHeader,
                };
        }
        let Some(options) = options else {
            return Ok(settings);
        };
        settings.ignored_upgrades = ignored_upgrades(options)?;
        settings.header_key_format =
            HeaderKeyFormat::compile(options.header_key_format.as_ref()).at("header_key_format")?;
        settings.accept_http_10 = options.accept_http_10;
        settings.default_host_for_http_10 = Some(options.default_host_for_http_10.as_str())
            .filter(|h| !h.is_empty())
            .map(Arc::from);
        settings.enable_trailers = options.enable_trailers;
        settings.allow_chunked_length = options.allow_chunked_length;
        settings.allow_absolute_url = options.allow_absolute_url.unwrap_or(true);
        settings.allow_custom_methods = options.allow_custom_methods;
        settings.send_fully_qualified_url = options.send_fully_qualified_url;
        settings.stream_error_on_invalid_http_message =
            options.override_stream_error_on_invalid_http_message;
        Ok(settings)
    }
}

fn ignored_upgrades(
    options: &Http1ProtocolOptions,
) -> Result<Option<IgnoredUpgrades>, ConfigError> {
    let protos = &options.ignore_http_11_upgrade;
    if protos.is_empty() {
        return Ok(None);
    }
    let compile = |(i, proto)| StringMatcher::compile(proto).at_index("ignore_http_11_upgrade", i);
    protos
        .iter()
        .enumerate()
        .map(compile)
        .collect::<Result<_, _>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::config::core::v3::TypedExtensionConfig;
    use envoy_api::pb::envoy::config::core::v3::http1_protocol_options::HeaderKeyFormat as KeyFormat;
    use envoy_api::pb::envoy::config::core::v3::http1_protocol_options::header_key_format::HeaderFormat;
    use envoy_api::pb::envoy::config::core::v3::http1_protocol_options::header_key_format::ProperCaseWords;

    fn with_format(header_format: Option<HeaderFormat>) -> Http1ProtocolOptions {
        Http1ProtocolOptions {
            header_key_format: Some(KeyFormat { header_format }),
            ..Default::default()
        }
    }

    #[test]
    fn defaults_are_those_of_envoy() {
        let down = Http1Settings::downstream(None, None, None).unwrap();
        assert_eq!(down, Http1Settings::default());
        assert_eq!((down.max_head_bytes, down.max_headers_count), (61_440, 100));
        let up = Http1Settings::upstream(Some(&Http1ProtocolOptions::default()), None).unwrap();
        assert_eq!(up.max_head_bytes, 81_920);
        assert!(up.allow_absolute_url);
    }

    #[test]
    fn every_option_is_taken_over() {
        let mut options = with_format(Some(HeaderFormat::ProperCaseWords(ProperCaseWords {})));
        options.allow_absolute_url = Some(false);
        options.accept_http_10 = true;
        options.default_host_for_http_10 = "h".into();
        options.enable_trailers = true;
        options.allow_chunked_length = true;
        options.override_stream_error_on_invalid_http_message = Some(true);
        options.send_fully_qualified_url = true;
        options.allow_custom_methods = true;
        let common = HttpProtocolOptions {
            max_headers_count: Some(7),
            max_response_headers_kb: Some(2),
            headers_with_underscores_action: HeadersWithUnderscoresAction::DropHeader.into(),
            ..Default::default()
        };
        let expected = Http1Settings {
            accept_http_10: true,
            default_host_for_http_10: Some("h".into()),
            enable_trailers: true,
            allow_chunked_length: true,
            allow_absolute_url: false,
            allow_custom_methods: true,
            send_fully_qualified_url: true,
            stream_error_on_invalid_http_message: Some(true),
            max_head_bytes: 2048,
            max_headers_count: 7,
            headers_with_underscores_action: UnderscoreAction::DropHeader,
            header_key_format: HeaderKeyFormat::ProperCaseWords,
            ignored_upgrades: None,
        };
        assert_eq!(
            Http1Settings::upstream(Some(&options), Some(&common)).unwrap(),
            expected
        );
        let down = Http1Settings::downstream(Some(&options), Some(&common), Some(96)).unwrap();
        assert_eq!(down.max_head_bytes, 96 * 1024);
    }

    #[test]
    fn what_is_not_honoured_is_refused_with_its_path() {
        let mut upgrade = Http1ProtocolOptions::default();
        upgrade.ignore_http_11_upgrade.push(Default::default());
        let formatter = HeaderFormat::StatefulFormatter(TypedExtensionConfig::default());
        for (options, path) in [
            (with_format(None), "header_key_format.header_format"),
            (
                with_format(Some(formatter)),
                "header_key_format.stateful_formatter.typed_config",
            ),
            (upgrade, "ignore_http_11_upgrade[0].match_pattern"),
        ] {
            let error = Http1Settings::downstream(Some(&options), None, None).unwrap_err();
            assert_eq!(error.path(), path);
        }
    }
}
