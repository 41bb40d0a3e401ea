//! Whole connections of a client: whatever it sends, the connection ends and nothing of it stays.

use crate::support::{connection_info, proto};
use envoy_api::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager as Proto;
use outrigger_core::{Context, access_log::AccessLogs, stats::Metric};
use outrigger_http::{HttpConnectionManager, ListenerContext};
use outrigger_transport::Stream;
use outrigger_upstream::BuildContext;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    runtime::{Builder, Runtime},
};

/// Requests are answered by the proxy, fail for want of a host, or are changed on their way.
const CONFIG: &str = r#"
stat_prefix: fuzz
http_protocol_options: {accept_http_10: true, default_host_for_http_10: ten, enable_trailers: true}
normalize_path: true
merge_slashes: true
path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT
strip_any_host_port: true
use_remote_address: true
upgrade_configs: [{upgrade_type: websocket}]
http_filters:
- name: envoy.filters.http.grpc_stats
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig}
- name: envoy.filters.http.decompressor
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor
    decompressor_library: {name: gzip, typed_config: {"@type": type.googleapis.com/envoy.extensions.compression.gzip.decompressor.v3.Gzip}}
- name: envoy.filters.http.compressor
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor
    response_direction_config: {common_config: {min_content_length: 1}}
    compressor_library: {name: gzip, typed_config: {"@type": type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip}}
- name: envoy.filters.http.buffer
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 1024}
- name: envoy.filters.http.router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
route_config:
  request_headers_to_add: [{header: {key: x-seen, value: "%REQ(x-a)% %REQ(:path)%"}}]
  response_headers_to_add: [{header: {key: x-seen, value: "%REQ(x-a)% %PROTOCOL%"}}]
  virtual_hosts:
  - name: all
    domains: ["*"]
    routes:
    - {match: {prefix: /redirect}, redirect: {prefix_rewrite: /elsewhere, https_redirect: true}}
    - {match: {prefix: /nowhere}, route: {cluster: nowhere}}
    - {match: {prefix: /}, direct_response: {status: 200, body: {inline_string: hello}}}
"#;

/// The start of every connection of HTTP/2: its preface and empty settings.
const HTTP2_START: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

struct Proxy {
    runtime: Runtime,
    hcm: Arc<HttpConnectionManager>,
    context: Arc<Context>,
}

/// What must be zero when no connection is left.
const GAUGES: [&str; 2] = [
    "http.fuzz.downstream_cx_active",
    "http.fuzz.downstream_rq_active",
];

impl Proxy {
    fn start() -> Option<Self> {
        // Nobody waits for a timeout: time moves on when nothing else does.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .ok()?;
        let context = Arc::new(Context::default());
        let build = BuildContext::new(context.clone());
        let listener = ListenerContext {
            stat_prefix: "listener.fuzz.",
            buffer_limit: 16 * 1024,
            drain: Default::default(),
            overload: Default::default(),
            access_logs: &AccessLogs::default(),
        };
        let nobody = proto("{name: nowhere, type: STATIC}");
        build
            .clusters
            .add_static(&nobody)
            .unwrap_or_else(|error| panic!("{error}"));
        let hcm = {
            let _in_runtime = runtime.enter();
            HttpConnectionManager::compile(&proto::<Proto>(CONFIG), &build, &listener)
                .unwrap_or_else(|error| panic!("{error}"))
        };
        Some(Self {
            runtime,
            hcm,
            context,
        })
    }

    /// Sends the bytes, then the end of the stream, and reads until the proxy closes.
    fn serve(&self, start: &[u8], data: &[u8]) {
        self.runtime
            .block_on(async {
                let (client, server) = UnixStream::pair()?;
                let (mut read, mut write) = client.into_split();
                let serving = Box::pin(self.hcm.clone().serve(
                    Stream::Unix(server),
                    connection_info(),
                    None,
                ));
                let sending = async {
                    // The proxy may have closed before it has read all.
                    let _ = write.write_all(start).await;
                    let _ = write.write_all(data).await;
                    let _ = write.shutdown().await;
                };
                let reading = async {
                    let mut answer = Vec::new();
                    let _ = read.read_to_end(&mut answer).await;
                };
                tokio::join!(serving, sending, reading);
                std::io::Result::Ok(())
            })
            .unwrap_or_else(|error| panic!("no connection to fuzz: {error}"));
        let mut seen = 0;
        self.context.stats.visit(&mut |name, metric| {
            if let Metric::Gauge(gauge) = metric
                && GAUGES.contains(&name)
            {
                assert_eq!(gauge.get(), 0, "{name}");
                seen += 1;
            }
        });
        assert_eq!(seen, GAUGES.len());
    }
}

fn serve(start: &[u8], data: &[u8]) {
    thread_local! {
        static PROXY: Proxy = Proxy::start().unwrap_or_else(|| panic!("the proxy does not start"));
    }
    PROXY.with(|proxy| proxy.serve(start, data));
}

/// Bytes of HTTP/1, or of what a listener takes it for.
pub fn http1(data: &[u8]) {
    serve(b"", data);
}

/// Frames of HTTP/2 after a preface that is as it should be.
pub fn http2(data: &[u8]) {
    serve(HTTP2_START, data);
}
