//! An admin interface on a free port, and a client that reads every byte of the answers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod endpoints;
mod panics;
mod stats;

use super::*;
use envoy_api::{
    DynamicMessage, MessageDescriptor, pb::envoy::config::bootstrap::v3::Admin as AdminProto,
};
use outrigger_core::{Address, Context, field::Report};
use outrigger_listener::ConnectionLimit;
use outrigger_upstream::BuildContext;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

/// Everything that the state asks of others, in one object that remembers.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) calls: Mutex<Vec<String>>,
    levels: Mutex<Vec<(&'static str, &'static str)>>,
    runtime: Mutex<Vec<RuntimeEntry>>,
}

impl Lifecycle for Fake {
    fn state(&self) -> ServerState {
        if self.calls.lock().iter().any(|call| call == "starting") {
            ServerState::PreInitializing
        } else if self.calls.lock().iter().any(|call| call == "fail true") {
            ServerState::Draining
        } else {
            ServerState::Live
        }
    }
    fn shutdown(&self) {
        self.calls.lock().push("shutdown".into());
    }
    fn fail_health_checks(&self, fail: bool) {
        self.calls.lock().push(format!("fail {fail}"));
    }
    fn drain_listeners(&self, request: DrainRequest) {
        self.calls.lock().push(format!("{request:?}"));
    }
    fn reopen_logs(&self) {
        self.calls.lock().push("reopen".into());
    }
}

impl Listeners for Fake {
    fn statuses(&self) -> Vec<ListenerStatus> {
        let address = |text: &str| Address::Ip(text.parse().unwrap());
        vec![
            ListenerStatus {
                name: "l".into(),
                addresses: vec![address("127.0.0.1:80"), address("[::1]:81")],
            },
            ListenerStatus {
                name: "m".into(),
                addresses: vec![address("[::1]:82")],
            },
        ]
    }
}

impl Logging for Fake {
    fn levels(&self) -> Vec<(&'static str, &'static str)> {
        self.levels.lock().clone()
    }
    fn set(&self, logger: &str, level: &'static str) -> Result<(), UnknownLogger> {
        let mut levels = self.levels.lock();
        let found = levels.iter_mut().find(|(name, _)| *name == logger);
        found.ok_or(UnknownLogger)?.1 = level;
        Ok(())
    }
    fn set_all(&self, level: &'static str) {
        for (_, old) in self.levels.lock().iter_mut() {
            *old = level;
        }
    }
}

impl Runtime for Fake {
    fn layers(&self) -> Vec<String> {
        vec!["admin".into()]
    }
    fn entries(&self) -> Vec<RuntimeEntry> {
        self.runtime.lock().clone()
    }
    fn modify(&self, values: &[(String, String)]) -> Result<(), NoAdminLayer> {
        for (key, value) in values {
            assert_ne!(key, "panic", "a panic of a test");
            if key == "refuse" {
                return Err(NoAdminLayer);
            }
            let mut entries = self.runtime.lock();
            entries.retain(|entry| entry.key != *key);
            entries.push(RuntimeEntry {
                key: key.clone(),
                final_value: value.clone(),
                layer_values: vec![value.clone()],
            });
        }
        Ok(())
    }
}

pub(super) struct Running {
    address: SocketAddr,
    pub(super) fake: Arc<Fake>,
    pub(super) state: Arc<AdminState>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }
}

fn bootstrap() -> DynamicMessage {
    let descriptor = MessageDescriptor::named("envoy.config.bootstrap.v3.Bootstrap").unwrap();
    let hcm = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ing",
        "route_config": {"name": "r", "virtual_hosts": []},
    });
    let config = json!({
        "node": {"id": "nid"},
        "static_resources": {
            "listeners": [
                {"name": "l", "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}]},
                {"name": "l6"},
            ],
            "clusters": [cluster("up"), cluster("a"), cluster("a-b")],
            "secrets": [{"name": "s", "generic_secret": {"secret": {"inline_string": "hidden"}}}],
        },
    });
    DynamicMessage::from_json(descriptor, config).unwrap()
}

fn cluster(name: &str) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint":
            {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 27102}}}}]}]},
    })
}

pub(super) async fn start_with(allow_paths: &[&str]) -> Running {
    start_limited(allow_paths, false, None).await
}

/// With a limit of connections, which `ignore` ignores.
pub(super) async fn start_limited(
    allow_paths: &[&str],
    ignore: bool,
    limit: Option<Arc<ConnectionLimit>>,
) -> Running {
    let context = Arc::new(Context::default());
    let build = BuildContext::new(context.clone());
    let bootstrap = bootstrap();
    let typed: envoy_api::pb::envoy::config::bootstrap::v3::Bootstrap =
        envoy_api::to_typed(&bootstrap).unwrap();
    for cluster in &typed.static_resources.as_ref().unwrap().clusters {
        build.clusters.add_static(cluster).unwrap();
    }
    let admin: AdminProto = {
        let descriptor = MessageDescriptor::named("envoy.config.bootstrap.v3.Admin").unwrap();
        let allow: Vec<Value> = allow_paths
            .iter()
            .map(|path| json!({"exact": path}))
            .collect();
        let config = json!({
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "allow_paths": allow,
            "ignore_global_conn_limit": ignore,
        });
        envoy_api::to_typed(&DynamicMessage::from_json(descriptor, config).unwrap()).unwrap()
    };
    let config = AdminConfig::compile(&admin, &context.log_services())
        .unwrap()
        .unwrap();
    let admin = Admin::bind(config, &context.stats).unwrap();
    let address = admin.local_address().unwrap().ip().unwrap();
    let fake = Arc::new(Fake::default());
    *fake.levels.lock() = vec![("http", "info"), ("router", "info")];
    let state = Arc::new(AdminState {
        stats: context.stats.clone(),
        clusters: build.clusters.clone(),
        listeners: fake.clone(),
        lifecycle: fake.clone(),
        logging: fake.clone(),
        runtime: fake.clone(),
        bootstrap: StoredBootstrap::new(&bootstrap),
        command_line_options: json!({"concurrency": 1}),
        local_address: None,
        version: "v".into(),
        started: Instant::now(),
        started_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
        flush_on_read: false,
        config_warnings: ConfigWarnings {
            ignored: vec![Report {
                path: "a.b[0].c".into(),
                field: "x.y.Z.c".into(),
                reason: "it is not needed",
            }],
            unknown: vec!["a.bogus".into()],
        },
        recent_lookups: RecentLookups::default(),
        guard: Guard::default(),
    });
    Running {
        address,
        fake,
        state: state.clone(),
        task: tokio::spawn(admin.serve(state, limit)),
    }
}

pub(super) async fn start() -> Running {
    start_with(&[]).await
}

impl Running {
    pub(super) async fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, rest) = text.split_once("\r\n\r\n").unwrap();
        let body = if head.contains("transfer-encoding: chunked") {
            unchunked(rest)
        } else {
            rest.to_owned()
        };
        Answer {
            head: head.to_owned(),
            body,
        }
    }

    pub(super) async fn ask(&self, method: &str, target: &str) -> Answer {
        let request = format!("{method} {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        self.send(&request).await
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target).await
    }

    pub(super) async fn post(&self, target: &str) -> Answer {
        self.ask("POST", target).await
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    body
}
