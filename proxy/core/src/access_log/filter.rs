//! Access log filters: which streams a logger writes down.

use crate::{
    ConfigError, HeaderMap, ResponseFlag,
    error::{ConfigResult, required},
    formatter::{FormatContext, grpc},
    matcher::{HeaderMatcher, ValueMatcher},
    runtime::{Fraction, Runtime, RuntimeFraction, RuntimeUint32},
};
use envoy_api::pb::envoy::{
    config::accesslog::v3::{
        AccessLogFilter, ComparisonFilter, GrpcStatusFilter, LogTypeFilter, MetadataFilter,
        ResponseFlagFilter, RuntimeFilter, access_log_filter::FilterSpecifier as Specifier,
        comparison_filter::Op, grpc_status_filter::Status,
    },
    r#type::matcher::v3::metadata_matcher::path_segment::Segment,
};

/// A compiled `accesslog.v3.AccessLogFilter`.
#[derive(Clone, Debug)]
pub enum LogFilter {
    StatusCode(Comparison),
    Duration(Comparison),
    NotHealthCheck,
    Traceable,
    Runtime {
        fraction: RuntimeFraction,
        /// A new random number each time, and not the one in the request id.
        independent: bool,
    },
    And(Box<[LogFilter]>),
    Or(Box<[LogFilter]>),
    Header(HeaderMatcher),
    /// Any of these flags; any flag at all if empty.
    ResponseFlag(Box<[ResponseFlag]>),
    GrpcStatus {
        statuses: Box<[u64]>,
        exclude: bool,
    },
    Metadata(MetadataPredicate),
    LogType {
        types: Box<[i32]>,
        exclude: bool,
    },
}

/// A number held against a threshold that the runtime may move.
#[derive(Clone, Debug)]
pub struct Comparison {
    op: Op,
    value: RuntimeUint32,
}

/// What dynamic metadata has to be.
#[derive(Clone, Debug)]
pub struct MetadataPredicate {
    namespace: String,
    path: Box<[String]>,
    /// Without a matcher a key that is there never matches.
    value: Option<ValueMatcher>,
    match_if_key_not_found: bool,
}

impl Comparison {
    fn compile(proto: Option<&ComparisonFilter>, runtime: &Runtime) -> Result<Self, ConfigError> {
        let proto = required(proto, "comparison")?;
        let op = Op::try_from(proto.op)
            .map_err(|_| ConfigError::new("value must be one of the defined enum values").at("op"))
            .at("comparison")?;
        let value = required(proto.value.as_ref(), "value").at("comparison")?;
        Ok(Self {
            op,
            value: RuntimeUint32::compile(value, runtime),
        })
    }

    fn holds(&self, number: u64) -> bool {
        let value = u64::from(self.value.get());
        match self.op {
            Op::Eq => number == value,
            Op::Ge => number >= value,
            Op::Le => number <= value,
            Op::Ne => number != value,
        }
    }
}

impl LogFilter {
    pub fn compile(proto: &AccessLogFilter, runtime: &Runtime) -> Result<Self, ConfigError> {
        Ok(
            match required(proto.filter_specifier.as_ref(), "filter_specifier")? {
                Specifier::StatusCodeFilter(filter) => Self::StatusCode(
                    Comparison::compile(filter.comparison.as_ref(), runtime)
                        .at("status_code_filter")?,
                ),
                Specifier::DurationFilter(filter) => Self::Duration(
                    Comparison::compile(filter.comparison.as_ref(), runtime)
                        .at("duration_filter")?,
                ),
                Specifier::NotHealthCheckFilter(_) => Self::NotHealthCheck,
                Specifier::TraceableFilter(_) => Self::Traceable,
                Specifier::RuntimeFilter(filter) => Self::runtime(filter, runtime),
                Specifier::AndFilter(filter) => {
                    Self::And(all(&filter.filters, runtime).at("and_filter")?)
                }
                Specifier::OrFilter(filter) => {
                    Self::Or(all(&filter.filters, runtime).at("or_filter")?)
                }
                Specifier::HeaderFilter(filter) => {
                    let matcher = required(filter.header.as_ref(), "header")
                        .and_then(|header| HeaderMatcher::compile(header).at("header"));
                    Self::Header(matcher.at("header_filter")?)
                }
                Specifier::ResponseFlagFilter(filter) => {
                    Self::response_flag(filter).at("response_flag_filter")?
                }
                Specifier::GrpcStatusFilter(filter) => {
                    Self::grpc_status(filter).at("grpc_status_filter")?
                }
                Specifier::MetadataFilter(filter) => {
                    Self::Metadata(MetadataPredicate::compile(filter).at("metadata_filter")?)
                }
                Specifier::LogTypeFilter(LogTypeFilter { types, exclude }) => Self::LogType {
                    types: types.clone().into(),
                    exclude: *exclude,
                },
                Specifier::ExtensionFilter(filter) => {
                    return Err(ConfigError::new(format!(
                        "access log filter extension {} is not supported",
                        filter.name
                    ))
                    .at("extension_filter"));
                }
            },
        )
    }

    fn runtime(filter: &RuntimeFilter, runtime: &Runtime) -> Self {
        let default = filter
            .percent_sampled
            .as_ref()
            .map_or(Fraction::percent(0), Fraction::compile);
        Self::Runtime {
            fraction: RuntimeFraction::new(default, &filter.runtime_key, runtime),
            independent: filter.use_independent_randomness,
        }
    }

    fn response_flag(filter: &ResponseFlagFilter) -> Result<Self, ConfigError> {
        filter
            .flags
            .iter()
            .enumerate()
            .map(|(index, flag)| {
                ResponseFlag::from_short(flag).ok_or_else(|| {
                    ConfigError::new(format!("unknown response flag {flag}"))
                        .index(index)
                        .at("flags")
                })
            })
            .collect::<Result<_, _>>()
            .map(Self::ResponseFlag)
    }

    fn grpc_status(filter: &GrpcStatusFilter) -> Result<Self, ConfigError> {
        let statuses = filter
            .statuses
            .iter()
            .enumerate()
            .map(|(index, status)| {
                Status::try_from(*status)
                    .ok()
                    .and_then(|status| u64::try_from(i32::from(status)).ok())
                    .ok_or_else(|| {
                        ConfigError::new("value must be one of the defined enum values")
                            .index(index)
                            .at("statuses")
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self::GrpcStatus {
            statuses,
            exclude: filter.exclude,
        })
    }

    /// True if the stream is to be logged.
    pub fn is_match(&self, cx: &FormatContext<'_>) -> bool {
        let info = cx.info;
        match self {
            Self::StatusCode(comparison) => comparison.holds(info.response_code.into()),
            Self::Duration(comparison) => {
                let duration = info.timing.complete.unwrap_or_else(|| info.elapsed());
                comparison.holds(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
            }
            Self::NotHealthCheck => !info.health_check,
            Self::Traceable => info.traced,
            Self::Runtime {
                fraction,
                independent,
            } => {
                let stable = (!independent)
                    .then(|| random_of(info.request_id.as_deref()?))
                    .flatten();
                fraction.enabled(stable.unwrap_or_else(|| fastrand::u64(..)))
            }
            Self::And(filters) => filters.iter().all(|filter| filter.is_match(cx)),
            Self::Or(filters) => filters.iter().any(|filter| filter.is_match(cx)),
            Self::Header(matcher) => match cx.request {
                Some(headers) => matcher.is_match(headers),
                None => matcher.is_match(&HeaderMap::new()),
            },
            Self::ResponseFlag(flags) if flags.is_empty() => !info.flags.is_empty(),
            Self::ResponseFlag(flags) => flags.iter().any(|flag| info.flags.has(*flag)),
            Self::GrpcStatus { statuses, exclude } => {
                statuses.contains(&grpc::status(cx).unwrap_or(grpc::UNKNOWN)) != *exclude
            }
            Self::Metadata(predicate) => predicate.is_match(cx),
            Self::LogType { types, exclude } => types.contains(&cx.log_type.into()) != *exclude,
        }
    }
}

fn all(filters: &[AccessLogFilter], runtime: &Runtime) -> Result<Box<[LogFilter]>, ConfigError> {
    if filters.len() < 2 {
        return Err(ConfigError::new("value must contain at least 2 item(s)").at("filters"));
    }
    filters
        .iter()
        .enumerate()
        .map(|(index, filter)| LogFilter::compile(filter, runtime).at_index("filters", index))
        .collect()
}

/// The number that Envoy reads from a UUID: its first eight digits.
fn random_of(request_id: &str) -> Option<u64> {
    u64::from_str_radix(request_id.get(..8)?, 16).ok()
}

impl MetadataPredicate {
    fn compile(filter: &MetadataFilter) -> Result<Self, ConfigError> {
        let match_if_key_not_found = filter.match_if_key_not_found.unwrap_or(true);
        let Some(matcher) = &filter.matcher else {
            return Ok(Self {
                namespace: String::new(),
                path: Box::default(),
                value: None,
                match_if_key_not_found,
            });
        };
        let path = matcher
            .path
            .iter()
            .enumerate()
            .map(|(index, segment)| match &segment.segment {
                Some(Segment::Key(key)) => Ok(key.clone()),
                None => Err(ConfigError::new("is required")
                    .at("segment")
                    .index(index)
                    .at("matcher.path")),
            })
            .collect::<Result<_, _>>()?;
        let value = required(matcher.value.as_ref(), "value")
            .and_then(|value| ValueMatcher::compile(value).at("value"))
            .at("matcher")?;
        Ok(Self {
            namespace: matcher.filter.clone(),
            path,
            value: Some(value),
            match_if_key_not_found,
        })
    }

    fn is_match(&self, cx: &FormatContext<'_>) -> bool {
        let found = cx.info.dynamic_metadata.get(&self.namespace, &self.path);
        match found.filter(|value| value.kind.is_some()) {
            None => self.match_if_key_not_found,
            found => self
                .value
                .as_ref()
                .is_some_and(|matcher| matcher.is_match(found)),
        }
    }
}
