//! Loggers, their formats and their filters.
#![allow(clippy::unwrap_used, deprecated)]

use super::*;
use crate::{
    ResponseFlag, StreamInfo,
    formatter::fixture::{bare, headers, proxied, string},
    stats::Store,
};
use envoy_api::{
    pack,
    pb::envoy::{
        config::{
            accesslog::v3::{
                AccessLogFilter, AndFilter, ComparisonFilter, DurationFilter, ExtensionFilter,
                GrpcStatusFilter, HeaderFilter, LogTypeFilter, MetadataFilter,
                NotHealthCheckFilter, OrFilter, ResponseFlagFilter, RuntimeFilter,
                StatusCodeFilter, TraceableFilter, access_log_filter::FilterSpecifier as Filter,
                comparison_filter::Op,
            },
            bootstrap::v3::{
                LayeredRuntime, RuntimeLayer,
                runtime_layer::{AdminLayer, LayerSpecifier},
            },
            core::v3::{
                DataSource, RuntimeUInt32, TypedExtensionConfig, data_source::Specifier,
                substitution_format_string::Format,
            },
            route::v3::HeaderMatcher,
        },
        data::accesslog::v3::AccessLogType,
        extensions::formatter::req_without_query::v3::ReqWithoutQuery,
        r#type::{
            matcher::v3::{
                MetadataMatcher, StringMatcher, ValueMatcher,
                metadata_matcher::{PathSegment, path_segment::Segment},
                string_matcher::MatchPattern,
                value_matcher,
            },
            v3::FractionalPercent,
        },
    },
};
use prost_types::Struct;
use std::time::Duration;

/// A runtime whose keys can be set.
fn services() -> LogServices {
    let layer = RuntimeLayer {
        name: "admin".into(),
        layer_specifier: Some(LayerSpecifier::AdminLayer(AdminLayer {})),
    };
    let proto = LayeredRuntime {
        layers: vec![layer],
    };
    LogServices {
        manager: Arc::default(),
        runtime: Arc::new(Runtime::compile(Some(&proto), "", &Store::default()).unwrap()),
    }
}

fn logger(config: Any, filter: Option<Filter>) -> Proto {
    Proto {
        name: "any".into(),
        filter: filter.map(|specifier| AccessLogFilter {
            filter_specifier: Some(specifier),
        }),
        config_type: Some(ConfigType::TypedConfig(config)),
    }
}

fn file(path: &str, format: Option<AccessLogFormat>) -> Any {
    pack(&FileAccessLog {
        path: path.to_owned(),
        access_log_format: format,
    })
}

fn source(text: &str) -> Option<Format> {
    Some(Format::TextFormatSource(DataSource {
        specifier: Some(Specifier::InlineString(text.to_owned())),
        ..DataSource::default()
    }))
}

fn log_format(format: SubstitutionFormatString) -> Option<AccessLogFormat> {
    Some(AccessLogFormat::LogFormat(format))
}

/// What a proxied request writes to a file with this format.
fn line(format: Option<AccessLogFormat>) -> Result<String, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let services = services();
    let protos = [logger(file(path.to_str().unwrap(), format), None)];
    let logs = AccessLogs::compile(&protos, &services)?;
    let info = proxied();
    let request = headers(&[
        (":method", b"GET"),
        (":path", b"/p?q"),
        (":authority", b"ex.com"),
        ("user-agent", b"curl"),
    ]);
    logs.log(&FormatContext {
        request: Some(&request),
        ..FormatContext::new(&info)
    });
    services.manager.flush();
    Ok(std::fs::read_to_string(path).unwrap())
}

#[test]
fn the_default_format_is_envoys() {
    let expected = "[2026-11-21T12:12:13.687Z] \"GET /p?q HTTP/1.1\" 200 - 0 2 1 - \"-\" \"curl\" \
                    \"-\" \"ex.com\" \"127.0.0.1:28132\"\n";
    assert_eq!(line(None).unwrap(), expected);
    let empty = AccessLogFormat::Format(String::new());
    assert_eq!(line(Some(empty)).unwrap(), expected);
}

#[test]
fn every_way_to_write_a_format() {
    let json = |value: &str| Struct {
        fields: [("k".to_owned(), string(value))].into(),
    };
    let with = |format| SubstitutionFormatString {
        format,
        ..SubstitutionFormatString::default()
    };
    let extension = TypedExtensionConfig {
        name: "any".into(),
        typed_config: Some(pack(&ReqWithoutQuery {})),
    };
    for (format, expected) in [
        (
            Some(AccessLogFormat::Format("%PROTOCOL%".into())),
            "HTTP/1.1",
        ),
        (
            Some(AccessLogFormat::JsonFormat(json("%RESPONSE_CODE%"))),
            "{\"k\":200}\n",
        ),
        (
            Some(AccessLogFormat::TypedJsonFormat(json("%REQ(nope)%"))),
            "{\"k\":null}\n",
        ),
        (
            log_format(with(Some(Format::TextFormat("a%REQ(nope)%\n".into())))),
            "a-\n",
        ),
        (log_format(with(source("%REQ(nope)%b"))), "-b"),
        (
            log_format(SubstitutionFormatString {
                omit_empty_values: true,
                ..with(source("%REQ(nope)%b"))
            }),
            "b",
        ),
        (
            log_format(SubstitutionFormatString {
                omit_empty_values: true,
                ..with(Some(Format::JsonFormat(json("%REQ(nope)%"))))
            }),
            "{}\n",
        ),
        (
            log_format(SubstitutionFormatString {
                formatters: vec![extension],
                ..with(source("%REQ_WITHOUT_QUERY(:path)%"))
            }),
            "/p",
        ),
    ] {
        assert_eq!(line(format).unwrap(), expected);
    }
}

#[test]
fn configurations_that_are_refused() {
    let unset = log_format(SubstitutionFormatString::default());
    let bad = log_format(SubstitutionFormatString {
        format: source("%BAD%"),
        ..SubstitutionFormatString::default()
    });
    let extension = log_format(SubstitutionFormatString {
        formatters: vec![TypedExtensionConfig {
            name: "any".into(),
            typed_config: Some(pack(&StdoutAccessLog::default())),
        }],
        ..SubstitutionFormatString::default()
    });
    for (format, error) in [
        (unset, "[0].typed_config.log_format.format: is required"),
        (
            bad,
            "[0].typed_config.log_format.text_format_source: Not supported field in StreamInfo: BAD",
        ),
        (
            extension,
            "[0].typed_config.log_format.formatters[0].typed_config: formatter extension \
             envoy.extensions.access_loggers.stream.v3.StdoutAccessLog is not supported",
        ),
    ] {
        assert_eq!(line(format).unwrap_err().to_string(), error);
    }
    let services = services();
    for (config, error) in [
        (
            pack(&ReqWithoutQuery {}),
            "[0].typed_config: access logger \
             envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery is not supported",
        ),
        (
            file("", None),
            "[0].typed_config.path: value length must be at least 1 characters",
        ),
    ] {
        let result = AccessLogs::compile(&[logger(config, None)], &services);
        assert_eq!(result.map(|_| ()).unwrap_err().to_string(), error);
    }
    let nowhere = file("/nonexistent/directory/log", None);
    assert!(AccessLogs::compile(&[logger(nowhere, None)], &services).is_err());
}

/// Whether a stream passes a filter.
fn passes(filter: Filter, services: &LogServices, cx: &FormatContext<'_>) -> bool {
    let proto = AccessLogFilter {
        filter_specifier: Some(filter),
    };
    LogFilter::compile(&proto, &services.runtime)
        .unwrap()
        .is_match(cx)
}

fn status(op: Op, value: u32) -> Filter {
    Filter::StatusCodeFilter(StatusCodeFilter {
        comparison: comparison(op, value),
    })
}

fn comparison(op: Op, value: u32) -> Option<ComparisonFilter> {
    Some(ComparisonFilter {
        op: op.into(),
        value: Some(RuntimeUInt32 {
            default_value: value,
            runtime_key: "k".into(),
        }),
    })
}

fn of(filter: Filter) -> AccessLogFilter {
    AccessLogFilter {
        filter_specifier: Some(filter),
    }
}

/// Holds each filter against one stream.
fn check<const N: usize>(info: &StreamInfo, table: [(Filter, bool); N]) {
    let services = services();
    let request = headers(&[("x-a", b"1")]);
    let cx = FormatContext {
        request: Some(&request),
        log_type: AccessLogType::DownstreamEnd,
        ..FormatContext::new(info)
    };
    for (filter, expected) in table {
        assert_eq!(
            passes(filter.clone(), &services, &cx),
            expected,
            "{filter:?}"
        );
    }
}

#[test]
fn comparisons_and_their_runtime_key() {
    let mut info = proxied();
    info.timing.complete = Some(Duration::from_micros(1_999));
    let duration = |op, value| {
        Filter::DurationFilter(DurationFilter {
            comparison: comparison(op, value),
        })
    };
    check(
        &info,
        [
            (status(Op::Eq, 200), true),
            (status(Op::Eq, 201), false),
            (status(Op::Ge, 200), true),
            (status(Op::Ge, 201), false),
            (status(Op::Le, 200), true),
            (status(Op::Le, 199), false),
            (status(Op::Ne, 200), false),
            (status(Op::Ne, 500), true),
            (duration(Op::Le, 1), true),
            (duration(Op::Ge, 2), false),
        ],
    );
    let services = services();
    let proto = of(status(Op::Ge, 500));
    let filter = LogFilter::compile(&proto, &services.runtime).unwrap();
    assert!(!filter.is_match(&FormatContext::new(&info)));
    services.runtime.modify([("k", "100")]).unwrap();
    assert!(filter.is_match(&FormatContext::new(&info)));
}

#[test]
fn filters_by_what_the_stream_is() {
    let mut info = proxied();
    let flags = |flags: &[&str]| {
        Filter::ResponseFlagFilter(ResponseFlagFilter {
            flags: flags.iter().map(|f| (*f).to_owned()).collect(),
        })
    };
    let types = |exclude| {
        Filter::LogTypeFilter(LogTypeFilter {
            types: vec![AccessLogType::DownstreamEnd.into()],
            exclude,
        })
    };
    check(
        &info,
        [
            (Filter::NotHealthCheckFilter(NotHealthCheckFilter {}), true),
            (Filter::TraceableFilter(TraceableFilter {}), false),
            (flags(&[]), false),
            (flags(&["UF"]), false),
            (types(false), true),
            (types(true), false),
        ],
    );
    info.health_check = true;
    info.traced = true;
    info.set_flag(ResponseFlag::UpstreamConnectionFailure);
    check(
        &info,
        [
            (Filter::NotHealthCheckFilter(NotHealthCheckFilter {}), false),
            (Filter::TraceableFilter(TraceableFilter {}), true),
            (flags(&[]), true),
            (flags(&["URX", "UF"]), true),
            (flags(&["URX"]), false),
        ],
    );
}

#[test]
fn combinations_and_headers() {
    let header = |name: &str| {
        Filter::HeaderFilter(HeaderFilter {
            header: Some(HeaderMatcher {
                name: name.to_owned(),
                ..HeaderMatcher::default()
            }),
        })
    };
    let pair = |a, b| vec![of(a), of(b)];
    let and = |a, b| {
        Filter::AndFilter(AndFilter {
            filters: pair(a, b),
        })
    };
    let or = |a, b| {
        Filter::OrFilter(OrFilter {
            filters: pair(a, b),
        })
    };
    check(
        &proxied(),
        [
            (header("x-a"), true),
            (header("x-b"), false),
            (and(header("x-a"), header("x-b")), false),
            (and(header("x-a"), header("x-a")), true),
            (or(header("x-a"), header("x-b")), true),
            (or(header("x-b"), header("x-b")), false),
        ],
    );
}

#[test]
fn grpc_statuses_come_from_trailers_then_headers_then_http() {
    let services = services();
    let mut info = bare();
    let trailers = headers(&[("grpc-status", b"5")]);
    let response = headers(&[("grpc-status", b"0")]);
    let filter = |status, exclude| {
        Filter::GrpcStatusFilter(GrpcStatusFilter {
            statuses: vec![status],
            exclude,
        })
    };
    info.response_code = 503;
    let http = FormatContext::new(&info);
    let from_headers = FormatContext {
        response: Some(&response),
        ..http
    };
    let from_trailers = FormatContext {
        trailers: Some(&trailers),
        ..from_headers
    };
    for (cx, status) in [(http, 14), (from_headers, 0), (from_trailers, 5)] {
        assert!(passes(filter(status, false), &services, &cx));
        assert!(!passes(filter(status, true), &services, &cx));
        assert!(!passes(filter(1, false), &services, &cx));
    }
}

#[test]
fn metadata_that_is_missing_matches_unless_told_otherwise() {
    let filter = |key: &str, missing| {
        Filter::MetadataFilter(MetadataFilter {
            matcher: Some(MetadataMatcher {
                filter: "ns".into(),
                path: vec![PathSegment {
                    segment: Some(Segment::Key(key.to_owned())),
                }],
                value: Some(ValueMatcher {
                    match_pattern: Some(value_matcher::MatchPattern::StringMatch(StringMatcher {
                        match_pattern: Some(MatchPattern::Exact("v".into())),
                        ignore_case: false,
                    })),
                }),
                invert: false,
            }),
            match_if_key_not_found: missing,
        })
    };
    check(
        &proxied(),
        [
            (filter("k", None), true),
            (filter("str2", None), false),
            (filter("nope", None), true),
            (filter("nope", Some(false)), false),
            (filter("nope", Some(true)), true),
        ],
    );
}

#[test]
fn a_share_of_streams_is_chosen_by_their_request_id() {
    let services = services();
    let filter = |numerator| {
        Filter::RuntimeFilter(RuntimeFilter {
            runtime_key: "share".into(),
            percent_sampled: Some(FractionalPercent {
                numerator,
                denominator: 0,
            }),
            use_independent_randomness: false,
        })
    };
    let mut info = bare();
    // 0x59 is 89.
    info.request_id = Some("00000059-8b85-4379-98df-d593361b8e65".into());
    let cx = FormatContext::new(&info);
    assert!(!passes(filter(89), &services, &cx));
    assert!(passes(filter(90), &services, &cx));
    services.runtime.modify([("share", "89")]).unwrap();
    assert!(!passes(filter(100), &services, &cx));
}

#[test]
fn filters_that_are_refused() {
    let services = services();
    let one = vec![of(status(Op::Eq, 1))];
    for (filter, error) in [
        (
            Filter::AndFilter(AndFilter { filters: one }),
            "and_filter.filters: value must contain at least 2 item(s)",
        ),
        (
            Filter::ResponseFlagFilter(ResponseFlagFilter {
                flags: vec!["XX".into()],
            }),
            "response_flag_filter.flags[0]: unknown response flag XX",
        ),
        (
            Filter::ExtensionFilter(ExtensionFilter {
                name: "cel".into(),
                config_type: None,
            }),
            "extension_filter: access log filter extension cel is not supported",
        ),
        (
            Filter::StatusCodeFilter(StatusCodeFilter { comparison: None }),
            "status_code_filter.comparison: is required",
        ),
    ] {
        let result = LogFilter::compile(&of(filter), &services.runtime);
        assert_eq!(result.map(|_| ()).unwrap_err().to_string(), error);
    }
}
