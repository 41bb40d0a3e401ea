//! The fields of the access log messages that [`super`] compiles, with their fate.

use crate::field::{Fate, Message, USED};

const EXTENSION: Fate = Fate::Rejected("access log filter extensions are not supported");
const SORTED: Fate = Fate::Ignored("keys are always sorted");

macro_rules! messages {
    ($($name:literal { $($field:literal = $fate:expr),* $(,)? })*) => {
        &[$(Message { name: $name, fields: &[$(($field, $fate)),*] }),*]
    };
}

/// Loggers, their filters, and format strings.
pub const FIELDS: &[Message] = messages! {
    "envoy.config.accesslog.v3.AccessLog" {
        // Only the type of `typed_config` counts.
        "name" = USED, "filter" = USED, "typed_config" = USED,
    }
    "envoy.config.accesslog.v3.AccessLogFilter" {
        "status_code_filter" = USED, "duration_filter" = USED, "not_health_check_filter" = USED,
        "traceable_filter" = USED, "runtime_filter" = USED, "and_filter" = USED,
        "or_filter" = USED, "header_filter" = USED, "response_flag_filter" = USED,
        "grpc_status_filter" = USED, "extension_filter" = EXTENSION, "metadata_filter" = USED,
        "log_type_filter" = USED,
    }
    "envoy.config.accesslog.v3.ComparisonFilter" { "op" = USED, "value" = USED }
    "envoy.config.accesslog.v3.StatusCodeFilter" { "comparison" = USED }
    "envoy.config.accesslog.v3.DurationFilter" { "comparison" = USED }
    "envoy.config.accesslog.v3.NotHealthCheckFilter" {}
    "envoy.config.accesslog.v3.TraceableFilter" {}
    "envoy.config.accesslog.v3.RuntimeFilter" {
        "runtime_key" = USED, "percent_sampled" = USED, "use_independent_randomness" = USED,
    }
    "envoy.config.accesslog.v3.AndFilter" { "filters" = USED }
    "envoy.config.accesslog.v3.OrFilter" { "filters" = USED }
    "envoy.config.accesslog.v3.HeaderFilter" { "header" = USED }
    "envoy.config.accesslog.v3.ResponseFlagFilter" { "flags" = USED }
    "envoy.config.accesslog.v3.GrpcStatusFilter" { "statuses" = USED, "exclude" = USED }
    "envoy.config.accesslog.v3.MetadataFilter" {
        "matcher" = USED, "match_if_key_not_found" = USED,
    }
    "envoy.config.accesslog.v3.LogTypeFilter" { "types" = USED, "exclude" = USED }
    "envoy.extensions.access_loggers.file.v3.FileAccessLog" {
        "path" = USED, "format" = USED, "json_format" = USED, "typed_json_format" = USED,
        "log_format" = USED,
    }
    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog" { "log_format" = USED }
    "envoy.extensions.access_loggers.stream.v3.StderrAccessLog" { "log_format" = USED }
    "envoy.config.core.v3.SubstitutionFormatString" {
        "text_format" = USED, "json_format" = USED, "text_format_source" = USED,
        "omit_empty_values" = USED, "content_type" = USED, "formatters" = USED,
        "json_format_options" = SORTED,
    }
    "envoy.config.core.v3.JsonFormatOptions" { "sort_properties" = SORTED }
    "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery" {}
    "envoy.extensions.formatter.metadata.v3.Metadata" {}
};
