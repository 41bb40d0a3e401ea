//! Log levels and the components that can have one of their own.

/// spdlog's levels as Envoy names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
    Critical,
    Off,
}

impl LogLevel {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warning" | "warn" => Self::Warning,
            "error" => Self::Error,
            "critical" => Self::Critical,
            "off" => Self::Off,
            _ => return None,
        })
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }
}

/// Envoy's loggers, as `/logging` lists them.
pub const COMPONENTS: [&str; 69] = [
    "admin", "alternate_protocols_cache", "assert", "aws", "backtrace", "basic_auth", "cache_filter", "client",
    "compression", "config", "connection", "conn_handler", "cookie", "credential_injector", "decompression", "dns",
    "dubbo", "dynamic_modules", "envoy_bug", "ext_authz", "ext_proc", "file", "filter", "forward_proxy", "geolocation",
    "golang", "grpc", "happy_eyeballs", "hc", "health_checker", "http", "http2", "hystrix", "init", "io", "jwt", "kafka",
    "key_value_store", "lua", "main", "matcher", "misc", "mongo", "multi_connection", "oauth2", "pool", "quic",
    "quic_stream", "rate_limit_quota", "ratelimit", "rbac", "redis", "rds", "rocketmq", "router", "runtime",
    "secret", "sidestream", "stateful_session", "stats", "stats_sinks", "tap", "testing", "thrift", "tracing",
    "udp", "upstream", "wasm", "websocket",
];

/// Reads `a:debug,b:trace`; the error is Envoy's text.
pub fn components(text: &str) -> Result<Vec<(String, LogLevel)>, String> {
    let mut levels = Vec::new();
    for entry in text.split(',').filter(|e| !e.is_empty()) {
        let (name, level) = entry
            .split_once(':')
            .ok_or_else(|| format!("error: component log level not correctly specified '{entry}'"))?;
        let level = LogLevel::parse(level)
            .ok_or_else(|| format!("error: invalid log level specified '{level}'"))?;
        if !COMPONENTS.contains(&name) {
            return Err(format!("error: invalid component specified '{name}'"));
        }
        levels.push((name.to_owned(), level));
    }
    Ok(levels)
}
