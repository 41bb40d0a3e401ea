//! `upgrade_configs` of the connection manager: which requests may make something else of their connection, and through
//! which filters they go.

use crate::{
    filter::{FilterChain, FilterContext},
    route::RouteUpgrades,
};
use envoy_api::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::UpgradeConfig as Proto;
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, Method,
    error::ConfigResult,
};

/// What a request makes of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    Connect,
    WebSocket,
    /// Any other protocol.
    Other,
}

impl Upgrade {
    fn of(kind: &[u8]) -> Self {
        if kind == b"CONNECT" {
            Self::Connect
        } else if kind.eq_ignore_ascii_case(b"websocket") {
            Self::WebSocket
        } else {
            Self::Other
        }
    }
}

/// One of them.
#[derive(Debug)]
struct UpgradeConfig {
    kind: Box<[u8]>,
    enabled: bool,
    /// In the place of the filters of all other requests.
    filters: Option<FilterChain>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct UpgradeConfigs(Vec<UpgradeConfig>);

impl UpgradeConfigs {
    pub fn compile(protos: &[Proto], context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        let mut configs = Self::default();
        for (i, proto) in protos.iter().enumerate() {
            configs.add(proto, context).at_index("upgrade_configs", i)?;
        }
        Ok(configs)
    }

    fn add(&mut self, proto: &Proto, context: &FilterContext<'_>) -> Result<(), ConfigError> {
        let kind = proto.upgrade_type.as_bytes();
        if self.find(kind).is_some() {
            return Err(ConfigError::new(format!(
                "Error: multiple upgrade configs with the same name: '{}'",
                proto.upgrade_type
            )));
        }
        let filters = (!proto.filters.is_empty())
            .then(|| FilterChain::compile(&proto.filters, "filters", context))
            .transpose()?;
        self.0.push(UpgradeConfig {
            kind: kind.into(),
            enabled: proto.enabled.unwrap_or(true),
            filters,
        });
        Ok(())
    }

    fn find(&self, kind: &[u8]) -> Option<&UpgradeConfig> {
        self.0
            .iter()
            .find(|config| config.kind.eq_ignore_ascii_case(kind))
    }

    /// The filters of an upgrade to `kind`, nothing if it is not allowed. The route has the last word.
    pub(crate) fn allow<'a>(
        &'a self,
        kind: &[u8],
        route: Option<&RouteUpgrades>,
        common: &'a FilterChain,
    ) -> Option<(Upgrade, &'a FilterChain)> {
        let config = self.find(kind);
        let enabled = match route.and_then(|route| route.enabled(kind)) {
            Some(enabled) => enabled,
            None => config.is_some_and(|config| config.enabled),
        };
        let own = config.and_then(|config| config.filters.as_ref());
        enabled.then(|| (Upgrade::of(kind), own.unwrap_or(common)))
    }
}

/// What a request asks for, if it does. Headers that ask for no upgrade after all are gone by now.
pub(crate) fn wanted(request: &HeaderMap, method: Method) -> Option<&[u8]> {
    match request.get(HeaderId::Upgrade) {
        None => (method == Method::Connect).then_some(b"CONNECT"),
        wanted => wanted,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append_raw(name.as_bytes(), value.as_bytes());
        }
        map
    }

    #[test]
    fn connect_is_an_upgrade_and_a_named_protocol_comes_before_it() {
        let none = headers(&[("connection", "x")]);
        assert_eq!(wanted(&none, Method::Get), None);
        assert_eq!(wanted(&none, Method::Connect), Some(&b"CONNECT"[..]));
        let named = headers(&[("upgrade", "x")]);
        assert_eq!(wanted(&named, Method::Connect), Some(&b"x"[..]));
    }

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(Upgrade::of(b"CONNECT"), Upgrade::Connect);
        assert_eq!(Upgrade::of(b"WebSocket"), Upgrade::WebSocket);
        assert_eq!(Upgrade::of(b"h3"), Upgrade::Other);
    }
}
