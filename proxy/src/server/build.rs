//! Compiles a bootstrap into the parts of a server. What binds a socket does so here; nothing accepts yet.

use super::{
    limits::global_limit, local_info::local_info, overload::Overload, stats::ProcessStats,
};
use crate::{
    bootstrap::{Bootstrap, Rejection},
    cli::{DrainStrategy, Mode, Options},
    logging::Loggers,
};
use envoy_api::{
    Name, Value, json,
    pb::envoy::{
        config::{
            bootstrap::v3::bootstrap::{
                ApplicationLogConfig, application_log_config::log_format::LogFormat,
            },
            core::v3::TypedExtensionConfig,
        },
        extensions::regex_engines::v3::GoogleRe2,
    },
    to_dynamic, type_name,
};
use outrigger_core::{
    ConfigError, Context,
    access_log::{Manager, ManagerSettings},
    drain::{DrainManager, DrainSettings},
    error::ConfigResult,
    runtime::Runtime,
    stats::{Settings, Store},
};
use outrigger_listener::{ConnectionLimit, ListenerManager};
use outrigger_upstream::{BuildContext, ClusterDefaults, ClusterManager};
use std::{sync::Arc, time::Instant};

/// A compiled server.
pub struct Parts {
    pub context: Arc<Context>,
    pub clusters: Arc<ClusterManager>,
    pub listeners: Arc<ListenerManager>,
    pub drain: Arc<DrainManager>,
    pub overload: Option<Arc<Overload>>,
    /// Over all listeners.
    pub limit: Arc<ConnectionLimit>,
    pub stats: Arc<ProcessStats>,
}

/// The ground of every compile: stats, local info and the layout of the log.
pub fn context(
    bootstrap: &Bootstrap,
    options: &Options,
    loggers: &Loggers,
) -> Result<Arc<Context>, ConfigError> {
    let proto = &bootstrap.proto;
    if let Some(config) = &proto.application_log_config {
        application_log(config, options, loggers).at("application_log_config")?;
    }
    let settings = Settings::compile(proto, &options.stats_tags)?;
    let stats = Store::new(settings);
    let local_info = local_info(proto.node.as_ref(), options);
    let runtime = proto.layered_runtime.as_ref();
    let runtime = Runtime::compile(runtime, &local_info.cluster, &stats).at("layered_runtime")?;
    let mut logs = ManagerSettings {
        flush_interval: options.file_flush_interval,
        ..ManagerSettings::default()
    };
    if options.file_flush_min_size_kb != 0 {
        logs.min_flush = options.file_flush_min_size_kb as usize * 1024;
        // Twice as much may wait, so that lines can come while others are written.
        logs.buffer_limit = logs.buffer_limit.max(logs.min_flush.saturating_mul(2));
    }
    Ok(Arc::new(Context {
        concurrency: options.concurrency,
        local_info,
        runtime: Arc::new(runtime),
        log_manager: Arc::new(Manager::new(logs, &stats)),
        shared_buckets: Default::default(),
        overload: Default::default(),
        stats: Arc::new(stats),
    }))
}

/// Everything else. Each resource that is wrong has its own line in the rejection.
pub fn parts(
    bootstrap: &Bootstrap,
    options: &Options,
    context: Arc<Context>,
    started: Instant,
) -> Result<Parts, Rejection> {
    let proto = &bootstrap.proto;
    let version = proto.stats_server_version_override;
    let stats = ProcessStats::register(&context.stats, options, started, version);
    let stats = Arc::new(stats);
    report(bootstrap, &stats);
    let mut wrong = Vec::new();
    let overload = Overload::compile(
        proto.overload_manager.as_ref(),
        &context.stats,
        &context.overload,
    );
    let overload = overload.unwrap_or_else(|error| {
        wrong.push(error.to_string());
        None
    });
    let limit = global_limit(overload.as_ref(), &context.runtime);
    regex_engine(proto.default_regex_engine.as_ref())?;
    let defaults = ClusterDefaults::compile(proto)?;
    let build = BuildContext::with_defaults(context.clone(), defaults);
    let drain = Arc::new(DrainManager::new(DrainSettings {
        time: options.drain_time,
        immediate: options.drain_strategy == DrainStrategy::Immediate,
    }));
    let listeners = ListenerManager::new(build.clone(), limit.clone()).with_drain(drain.clone());
    let listeners = match options.mode {
        Mode::Serve | Mode::InitOnly => listeners,
        Mode::Validate => listeners.without_binding(),
    };
    let none = Default::default();
    let resources = proto.static_resources.as_ref().unwrap_or(&none);
    tracing::info!(target: "config", "loading tracing configuration");
    tracing::info!(target: "config", "loading {} static secret(s)", resources.secrets.len());
    tracing::info!(target: "config", "loading {} cluster(s)", resources.clusters.len());
    for cluster in &resources.clusters {
        wrong.extend(
            build
                .clusters
                .add_static(cluster)
                .err()
                .map(|e| e.to_string()),
        );
    }
    if !wrong.is_empty() {
        // Listeners would complain of clusters that are missing only because they are wrong.
        return Err(Rejection(wrong));
    }
    tracing::info!(target: "config", "loading {} listener(s)", resources.listeners.len());
    for (index, listener) in resources.listeners.iter().enumerate() {
        let added = listeners.add_static(listener).at_index("listeners", index);
        if let Err(error) = added.at("static_resources") {
            wrong.push(format!("listener '{}': {error}", listener.name));
        }
    }
    if !wrong.is_empty() {
        return Err(Rejection(wrong));
    }
    tracing::info!(target: "config", "loading stats configuration");
    Ok(Parts {
        context,
        clusters: build.clusters,
        listeners: Arc::new(listeners),
        drain,
        overload: overload.map(Arc::new),
        limit,
        stats,
    })
}

/// There is one engine, and it speaks RE2.
fn regex_engine(proto: Option<&TypedExtensionConfig>) -> Result<(), ConfigError> {
    let Some(proto) = proto else { return Ok(()) };
    let any = proto.typed_config.as_ref();
    if any.is_some_and(|any| type_name(&any.type_url) == <GoogleRe2 as Name>::full_name()) {
        return Ok(());
    }
    Err(ConfigError::new(format!(
        "Didn't find a registered implementation for name: '{}'",
        proto.name
    ))
    .at("default_regex_engine"))
}

/// Envoy's YAML of it stands on many lines; this is JSON, on one.
pub fn log_runtime(bootstrap: &Bootstrap) {
    let runtime = bootstrap.written.get_field_by_name("layered_runtime");
    let runtime = match runtime.as_deref() {
        Some(Value::Message(runtime)) => json::write(runtime),
        _ => serde_json::Value::Object(Default::default()),
    };
    tracing::info!(target: "main", "runtime: {runtime}");
}

/// Warns of what the bootstrap says in vain.
fn report(bootstrap: &Bootstrap, stats: &ProcessStats) {
    for unknown in &bootstrap.unknown {
        tracing::warn!(target: "config", "Unknown field: {unknown}");
        stats.server.static_unknown_fields.inc();
    }
    let ignored = &bootstrap.ignored;
    for (index, report) in ignored.iter().enumerate() {
        stats.ignored_fields.inc();
        if ignored[..index]
            .iter()
            .any(|earlier| earlier.field == report.field)
        {
            continue;
        }
        let more = match ignored[index..]
            .iter()
            .filter(|r| r.field == report.field)
            .count()
        {
            0 | 1 => String::new(),
            count => format!(" (and at {} more places)", count - 1),
        };
        tracing::warn!(target: "config", "ignored field {}{more}: {}", report.path, report.reason);
    }
}

fn application_log(
    config: &ApplicationLogConfig,
    options: &Options,
    loggers: &Loggers,
) -> Result<(), ConfigError> {
    let Some(format) = config
        .log_format
        .as_ref()
        .and_then(|f| f.log_format.as_ref())
    else {
        return Ok(());
    };
    if options.log_format.is_some() {
        return Err(ConfigError::new(
            "Only one of ApplicationLogConfig.log_format or CLI option --log-format can be specified.",
        ));
    }
    match format {
        LogFormat::TextFormat(text) => loggers.set_format(text),
        LogFormat::JsonFormat(fields) => {
            let descriptor = envoy_api::MessageDescriptor::named("google.protobuf.Struct");
            let dynamic = descriptor.and_then(|d| to_dynamic(fields, d).ok());
            let text = dynamic
                .map(|d| json::write(&d).to_string())
                .unwrap_or_default();
            if let Some(flag) = ["%v", "%_"].into_iter().find(|flag| text.contains(flag)) {
                return Err(ConfigError::new(format!(
                    "setJsonLogFormat error: INVALID_ARGUMENT: Usage of {flag} is unavailable for JSON log formats"
                )));
            }
            loggers.set_format(&text);
        }
    }
    Ok(())
}
