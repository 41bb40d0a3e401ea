//! The extensions that `--disable-extensions` can take away, by Envoy's category and name.

use outrigger_core::field::Message;

/// An extension by Envoy's names.
pub struct Extension {
    pub category: &'static str,
    pub name: &'static str,
    /// The message that configures it.
    pub message: &'static str,
}

const fn extension(category: &'static str, name: &'static str, message: &'static str) -> Extension {
    Extension {
        category,
        name,
        message,
    }
}

const EXTENSIONS: &[Extension] = &[
    extension(
        "envoy.access_loggers",
        "envoy.access_loggers.file",
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    ),
    extension(
        "envoy.access_loggers",
        "envoy.access_loggers.stderr",
        "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
    ),
    extension(
        "envoy.access_loggers",
        "envoy.access_loggers.stdout",
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    ),
    extension(
        "envoy.filters.http",
        "envoy.filters.http.header_mutation",
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
    ),
    extension(
        "envoy.filters.http",
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
    ),
    extension(
        "envoy.filters.listener",
        "envoy.filters.listener.http_inspector",
        "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    ),
    extension(
        "envoy.filters.listener",
        "envoy.filters.listener.local_ratelimit",
        "envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit",
    ),
    extension(
        "envoy.filters.listener",
        "envoy.filters.listener.original_dst",
        "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
    ),
    extension(
        "envoy.filters.listener",
        "envoy.filters.listener.proxy_protocol",
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    ),
    extension(
        "envoy.filters.listener",
        "envoy.filters.listener.tls_inspector",
        "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    ),
    extension(
        "envoy.filters.network",
        "envoy.filters.network.direct_response",
        "envoy.extensions.filters.network.direct_response.v3.Config",
    ),
    extension(
        "envoy.filters.network",
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    ),
    extension(
        "envoy.filters.network",
        "envoy.filters.network.connection_limit",
        "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
    ),
    extension(
        "envoy.filters.network",
        "envoy.filters.network.echo",
        "envoy.extensions.filters.network.echo.v3.Echo",
    ),
    extension(
        "envoy.filters.network",
        "envoy.filters.network.local_ratelimit",
        "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
    ),
    extension(
        "envoy.filters.network",
        "envoy.filters.network.rbac",
        "envoy.extensions.filters.network.rbac.v3.RBAC",
    ),
    extension(
        "envoy.filters.network",
        "envoy.filters.network.set_filter_state",
        "envoy.extensions.filters.network.set_filter_state.v3.Config",
    ),
    extension(
        "envoy.filters.network",
        "envoy.filters.network.sni_cluster",
        "envoy.extensions.filters.network.sni_cluster.v3.SniCluster",
    ),
    extension(
        "envoy.filters.network",
        "envoy.filters.network.tcp_proxy",
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    ),
    extension(
        "envoy.transport_sockets.upstream",
        "envoy.transport_sockets.upstream_proxy_protocol",
        "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
    ),
    extension(
        "envoy.request_id",
        "envoy.request_id.uuid",
        "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
    ),
    extension(
        "envoy.resource_monitors",
        "envoy.resource_monitors.cpu_utilization",
        "envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig",
    ),
    extension(
        "envoy.resource_monitors",
        "envoy.resource_monitors.fixed_heap",
        "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
    ),
    extension(
        "envoy.resource_monitors",
        "envoy.resource_monitors.injected_resource",
        "envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig",
    ),
    extension(
        "envoy.resource_monitors",
        "envoy.resource_monitors.global_downstream_max_connections",
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
    ),
];

impl Extension {
    /// `category/name` stands on the command line.
    pub fn is_disabled(&self, disabled: &[String]) -> bool {
        disabled.iter().any(|name| self.is(name))
    }

    fn is(&self, name: &str) -> bool {
        name.split_once('/') == Some((self.category, self.name))
    }
}

/// Every extension, disabled or not.
pub fn all() -> impl Iterator<Item = &'static Extension> {
    EXTENSIONS.iter()
}

/// What is left when the named extensions are gone: whoever configures one of them is told that it does not exist.
pub fn without<'m>(
    messages: impl Iterator<Item = &'static Message> + 'm,
    disabled: &'m [String],
) -> impl Iterator<Item = &'static Message> + 'm {
    messages.filter(|message| {
        let mut extensions = EXTENSIONS.iter();
        !extensions.any(|e| e.message == message.name && e.is_disabled(disabled))
    })
}

/// Says what became of each name on the command line.
pub fn report(disabled: &[String]) {
    for name in disabled {
        if !name.contains('/') {
            tracing::warn!(target: "misc", "failed to disable invalid extension name '{name}'");
        } else if EXTENSIONS.iter().any(|known| known.is(name)) {
            tracing::info!(target: "misc", "disabled extension '{name}'");
        } else {
            tracing::warn!(target: "misc", "failed to disable unknown extension '{name}'");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fields, *};

    #[test]
    fn each_extension_has_a_table_and_loses_it() {
        for Extension {
            category,
            name,
            message,
        } in EXTENSIONS
        {
            assert!(fields::all().any(|m| m.name == *message), "{message}");
            let disabled = [format!("{category}/{name}")];
            assert!(
                !without(fields::all(), &disabled).any(|m| m.name == *message),
                "{message}"
            );
        }
    }
}
