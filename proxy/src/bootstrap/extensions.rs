//! The extensions that `--disable-extensions` can take away, by Envoy's category and name.

use outrigger_core::field::Message;

/// Name and the message that configures it.
const EXTENSIONS: [(&str, &str); 9] = [
    (
        "envoy.access_loggers/envoy.access_loggers.file",
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    ),
    (
        "envoy.access_loggers/envoy.access_loggers.stdout",
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    ),
    (
        "envoy.access_loggers/envoy.access_loggers.stderr",
        "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
    ),
    (
        "envoy.filters.http/envoy.filters.http.header_mutation",
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
    ),
    (
        "envoy.filters.http/envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
    ),
    (
        "envoy.filters.listener/envoy.filters.listener.http_inspector",
        "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    ),
    (
        "envoy.filters.listener/envoy.filters.listener.original_dst",
        "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
    ),
    (
        "envoy.filters.network/envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    ),
    (
        "envoy.filters.network/envoy.filters.network.tcp_proxy",
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    ),
];

/// What is left when the named extensions are gone: whoever configures one of them is told that it does not exist.
pub fn without<'m>(
    messages: impl Iterator<Item = &'static Message> + 'm,
    disabled: &'m [String],
) -> impl Iterator<Item = &'static Message> + 'm {
    messages.filter(|message| {
        let mut extensions = EXTENSIONS.iter();
        !extensions.any(|(name, of)| *of == message.name && disabled.iter().any(|d| d == name))
    })
}

/// Says what became of each name on the command line.
pub fn report(disabled: &[String]) {
    for name in disabled {
        if !name.contains('/') {
            tracing::warn!(target: "misc", "failed to disable invalid extension name '{name}'");
        } else if EXTENSIONS.iter().any(|(known, _)| known == name) {
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
        for (name, message) in EXTENSIONS {
            assert!(fields::all().any(|m| m.name == message), "{message}");
            let disabled = [name.to_owned()];
            assert!(
                !without(fields::all(), &disabled).any(|m| m.name == message),
                "{message}"
            );
        }
    }
}
