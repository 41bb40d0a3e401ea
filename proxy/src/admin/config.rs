//! Compiles the bootstrap's `admin`.

use envoy_api::{
    pack,
    pb::envoy::{
        config::{
            accesslog::v3::{AccessLog, access_log::ConfigType},
            bootstrap::v3::Admin as Proto,
        },
        extensions::access_loggers::file::v3::FileAccessLog,
    },
};
use outrigger_core::{
    Address, ConfigError,
    access_log::{AccessLogs, LogServices},
    error::ConfigResult,
    field::{Fate::Ignored, Message, USED},
    matcher::StringMatcher,
};
use outrigger_transport::{address, socket_option::SocketOption};

/// `bootstrap.admin`.
pub const FIELDS: &[Message] = &[Message {
    name: "envoy.config.bootstrap.v3.Admin",
    fields: &[
        ("access_log", USED),
        ("access_log_path", USED),
        ("profile_path", Ignored("there is no CPU profiler")),
        ("address", USED),
        ("socket_options", USED),
        ("ignore_global_conn_limit", USED),
        ("allow_paths", USED),
    ],
}];

/// Where the admin interface listens and what it lets through.
#[derive(Debug)]
pub struct AdminConfig {
    pub address: Address,
    pub socket_options: Vec<SocketOption>,
    /// Of path and query; empty allows all.
    pub allow_paths: Vec<StringMatcher>,
    pub access_logs: AccessLogs,
    /// The process's limit of connections never stops one to the admin interface; it counts all the same.
    pub ignore_global_conn_limit: bool,
}

impl AdminConfig {
    /// `None` if the bootstrap gives no address: then there is no admin interface.
    pub fn compile(proto: &Proto, services: &LogServices) -> Result<Option<Self>, ConfigError> {
        let allow_paths = proto
            .allow_paths
            .iter()
            .enumerate()
            .map(|(i, matcher)| StringMatcher::compile(matcher).at_index("allow_paths", i))
            .collect::<Result<_, _>>()?;
        let socket_options =
            SocketOption::compile_all(&proto.socket_options).at("socket_options")?;
        let Some(address) = &proto.address else {
            return Ok(None);
        };
        Ok(Some(Self {
            address: address::compile(address).at("address")?,
            socket_options,
            allow_paths,
            access_logs: access_logs(proto, services)?,
            ignore_global_conn_limit: proto.ignore_global_conn_limit,
        }))
    }

    /// `allow_paths` lets this path with its query through.
    pub fn allows(&self, path: &str) -> bool {
        self.allow_paths.is_empty()
            || self
                .allow_paths
                .iter()
                .any(|matcher| matcher.is_match(path.as_bytes()))
    }
}

/// `access_log`, and the file of `access_log_path` behind it.
#[allow(deprecated)]
fn access_logs(proto: &Proto, services: &LogServices) -> Result<AccessLogs, ConfigError> {
    let mut logs = proto.access_log.clone();
    if !proto.access_log_path.is_empty() {
        logs.push(AccessLog {
            name: "envoy.access_loggers.file".to_owned(),
            filter: None,
            config_type: Some(ConfigType::TypedConfig(pack(&FileAccessLog {
                path: proto.access_log_path.clone(),
                access_log_format: None,
            }))),
        });
    }
    AccessLogs::compile(&logs, services).at("access_log")
}
