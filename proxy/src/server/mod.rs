//! Envoy's server: the order in which a process starts, serves and ends. Each step is done elsewhere.

mod admin;
mod build;
mod ending;
mod limits;
mod local_info;
mod overload;
mod panics;
mod stats;

use crate::{
    admin::{
        Admin, AdminConfig, AdminState, AdminStats, ConfigWarnings, Guard, RecentLookups,
        StoredBootstrap,
    },
    bootstrap::{self, Bootstrap, Rejection},
    cli::{self, DEFAULT_LOG_FORMAT, Mode, Options},
    lifecycle::{Lifecycle, State},
    logging::{Loggers, Settings},
    worker::WorkerThreads,
};
use admin::Process;
use build::Parts;
use limits::admin_limit;
use outrigger_core::{Context, error::ConfigResult, stats::Flush};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// How often gauges are brought up to date if flushing waits for the admin interface.
const UPDATE_INTERVAL: Duration = Duration::from_secs(5);

/// Runs the process to its end.
pub fn run(options: &Options) -> ExitCode {
    let started = Instant::now();
    let loggers = match Loggers::new(&Settings {
        level: options.log_level,
        components: &options.component_log_level,
        format: options.log_format.as_deref().unwrap_or(DEFAULT_LOG_FORMAT),
        escape: options.log_format_escaped,
        // Envoy's validation does not get as far as its log file.
        path: match options.mode {
            Mode::Validate => "",
            Mode::Serve | Mode::InitOnly => &options.log_path,
        },
    }) {
        Ok(loggers) => loggers.install(),
        Err(error) => {
            eprintln!(
                "error: failed to open log-file '{}': {error}",
                options.log_path
            );
            return ExitCode::FAILURE;
        }
    };
    panics::install(&loggers);
    if options.deprecated_flag {
        tracing::warn!(
            target: "config",
            "--allow-unknown-fields is deprecated, use --allow-unknown-static-fields instead."
        );
    }
    let result = match options.mode {
        Mode::Serve | Mode::InitOnly => serve(options, &loggers, started),
        Mode::Validate => validate(options, &loggers, started),
    };
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Rejection(lines)) => {
            for line in lines {
                let path = &options.config_path;
                loggers.critical(
                    "main",
                    &format!("error initializing configuration '{path}': {line}"),
                );
            }
            ExitCode::FAILURE
        }
    };
    if options.mode != Mode::Validate {
        tracing::info!(target: "main", "exiting");
    }
    code
}

/// `--mode validate`: everything but sockets, workers and signals.
fn validate(options: &Options, loggers: &Arc<Loggers>, started: Instant) -> Result<(), Rejection> {
    let runtime = main_runtime()?;
    let _inside = runtime.enter();
    let bootstrap = bootstrap::load(options)?;
    build::log_runtime(&bootstrap);
    let context = build::context(&bootstrap, options, loggers).map_err(Rejection::from)?;
    admin_config(&bootstrap, &context)?;
    build::parts(&bootstrap, options, context, started)?;
    println!("configuration '{}' OK", options.config_path);
    Ok(())
}

fn serve(options: &Options, loggers: &Arc<Loggers>, started: Instant) -> Result<(), Rejection> {
    raise_file_limit();
    tracing::info!(
        target: "main",
        "initializing epoch {} (base id={}, hot restart version=disabled)",
        options.restart_epoch,
        options.base_id
    );
    let runtime = main_runtime()?;
    let result = runtime.block_on(serve_on_main(options, loggers, started));
    // Open connections of the admin interface end with the process.
    runtime.shutdown_background();
    result
}

/// Envoy's order: admin, clusters, listeners (bound, not listening), and when all is warm the workers.
async fn serve_on_main(
    options: &Options,
    loggers: &Arc<Loggers>,
    started: Instant,
) -> Result<(), Rejection> {
    let life = Arc::new(Lifecycle::default());
    let signals = tokio::spawn({
        let life = life.clone();
        let drain_on_sigterm = options.drain_on_sigterm;
        async move { life.handle_signals(drain_on_sigterm).await }
    });
    let bootstrap = bootstrap::load(options)?;
    tracing::debug!(target: "main", "server concurrency set to {}", options.concurrency);
    build::log_runtime(&bootstrap);
    let context = build::context(&bootstrap, options, loggers).map_err(Rejection::from)?;
    let admin = start_admin(&bootstrap, options, &context)?;
    let parts = build::parts(&bootstrap, options, context, started)?;
    if options.mode == Mode::InitOnly {
        // As Envoy: nothing waits for clusters to be warm.
        return Ok(());
    }
    tracing::info!(target: "runtime", "RTDS has finished initialization");
    life.on_reopen_logs({
        let loggers = loggers.clone();
        let access_logs = parts.context.log_manager.clone();
        move || {
            access_logs.reopen();
            if let Err(error) = loggers.reopen() {
                tracing::error!(target: "main", "cannot reopen the log: {error}");
            }
        }
    });
    let admin_limit = admin_limit(parts.overload.as_deref(), &parts.limit);
    let mut admin_connections = None;
    if let Some(admin) = admin {
        let state = admin_state(options, loggers, &bootstrap, &parts, &life, started);
        admin_connections = admin_limit.is_some().then(|| admin.stats().clone());
        tokio::spawn(admin.serve(state, admin_limit));
    }
    drop(bootstrap);
    let runtime = parts.context.runtime.clone();
    tokio::spawn(async move { runtime.watch().await });
    if let Some(overload) = parts.overload.clone() {
        tokio::spawn(async move { overload.run().await });
    }
    tokio::select! {
        () = parts.clusters.warm() => {}
        () = keep_stats(&parts, &life, admin_connections.as_ref()) => {}
        () = life.ending() => return Ok(()),
    }
    tracing::info!(target: "upstream", "cm init: all clusters initialized");
    life.enter(State::Initializing);
    if parts.limit.max() == u64::MAX {
        tracing::warn!(
            target: "main",
            "There is no configured limit to the number of allowed active downstream connections. Configure a limit in \
             `envoy.resource_monitors.global_downstream_max_connections` resource monitor."
        );
    }
    tracing::info!(target: "main", "all clusters initialized. initializing init manager");
    tracing::info!(target: "config", "all dependencies initialized. starting workers");
    let threads = WorkerThreads::start(options.concurrency)
        .map_err(|error| Rejection(vec![format!("cannot start the workers: {error}")]))?;
    parts
        .listeners
        .start_workers(threads.workers())
        .map_err(Rejection::from)?;
    life.enter(State::Live);
    parts.stats.started();
    tracing::info!(target: "main", "starting main dispatch loop");
    tokio::select! {
        () = keep_stats(&parts, &life, admin_connections.as_ref()) => {}
        () = life.ended() => {}
        () = ending::finish(&parts, &life) => {}
    }
    signals.abort();
    tracing::info!(target: "main", "shutting down server instance");
    threads.stop();
    // Streams that have ended just now have logged just now.
    parts.context.log_manager.flush();
    tracing::info!(target: "main", "main dispatch loop exited");
    Ok(())
}

fn main_runtime() -> Result<tokio::runtime::Runtime, Rejection> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Rejection(vec![format!(
                "cannot start the main thread's runtime: {error}"
            )])
        })
}

/// As Envoy: a proxy needs more file descriptors than the shell's default.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: maximum,
                maximum,
            },
        )
    {
        tracing::warn!(target: "main", "cannot raise the limit of open files: {error}");
    }
}

fn admin_config(
    bootstrap: &Bootstrap,
    context: &Context,
) -> Result<Option<AdminConfig>, Rejection> {
    match &bootstrap.proto.admin {
        Some(proto) => AdminConfig::compile(proto, &context.log_services())
            .at("admin")
            .map_err(Rejection::from),
        None => Ok(None),
    }
}

/// Binds the admin interface and writes its address where `--admin-address-path` wants it.
fn start_admin(
    bootstrap: &Bootstrap,
    options: &Options,
    context: &Context,
) -> Result<Option<Admin>, Rejection> {
    let Some(config) = admin_config(bootstrap, context)? else {
        tracing::info!(target: "main", "No admin address given, so no admin HTTP server started.");
        return Ok(None);
    };
    let wanted = config.address.clone();
    let cannot_bind = |error: std::io::Error| {
        // As `strerror` has it, without Rust's number.
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        Rejection(vec![format!(
            "admin.address: cannot bind '{wanted}': {text}"
        )])
    };
    let admin = Admin::bind(config, &context.stats).map_err(cannot_bind)?;
    let address = admin.local_address().map_err(cannot_bind)?;
    tracing::info!(target: "main", "Starting admin HTTP server at {address}");
    tracing::info!(target: "admin", "admin address: {address}");
    let path = &options.admin_address_path;
    if !path.is_empty()
        && let Err(error) = std::fs::write(path, address.to_string())
    {
        tracing::error!(target: "admin", "cannot open admin address output file {path} for writing: {error}");
    }
    Ok(Some(admin))
}

fn admin_state(
    options: &Options,
    loggers: &Arc<Loggers>,
    bootstrap: &Bootstrap,
    parts: &Parts,
    life: &Arc<Lifecycle>,
    started: Instant,
) -> Arc<AdminState> {
    let process = Arc::new(Process {
        life: life.clone(),
        listeners: parts.listeners.clone(),
        loggers: loggers.clone(),
        stats: parts.stats.clone(),
        runtime: parts.context.runtime.clone(),
        drain: parts.drain.clone(),
    });
    Arc::new(AdminState {
        stats: parts.context.stats.clone(),
        clusters: parts.clusters.clone(),
        listeners: process.clone(),
        lifecycle: process.clone(),
        logging: process.clone(),
        runtime: process,
        bootstrap: StoredBootstrap::new(&bootstrap.written),
        command_line_options: options.to_json(),
        local_address: parts.context.local_info.address,
        version: cli::build_version(),
        started,
        started_at: SystemTime::now(),
        flush_on_read: parts.context.stats.settings().flush == Flush::OnAdmin,
        config_warnings: ConfigWarnings {
            ignored: bootstrap.ignored.clone(),
            unknown: bootstrap.unknown.iter().map(ToString::to_string).collect(),
        },
        recent_lookups: RecentLookups::default(),
        guard: Guard::new(
            &rustix::system::uname().nodename().to_string_lossy(),
            &options.admin_allow_hosts,
        ),
    })
}

/// Flushes stats at their interval, for as long as the process lives. `admin` is what the limit counts besides listeners.
async fn keep_stats(parts: &Parts, life: &Lifecycle, admin: Option<&AdminStats>) {
    let flush = parts.context.stats.settings().flush;
    let mut ticks = tokio::time::interval(match flush {
        Flush::Every(interval) => interval.max(Duration::from_millis(1)),
        Flush::OnAdmin => UPDATE_INTERVAL,
    });
    loop {
        ticks.tick().await;
        let aside = admin.map_or(0, AdminStats::open_connections);
        let connections = parts.limit.open().saturating_sub(aside);
        parts.stats.update(life, connections);
        if flush != Flush::OnAdmin {
            tracing::debug!(target: "main", "flushing stats");
            parts.context.stats.flush();
        }
    }
}
