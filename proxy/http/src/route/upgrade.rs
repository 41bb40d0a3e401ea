//! `RouteAction.UpgradeConfig`: which upgrades a route allows or forbids, and what becomes of its CONNECT requests.

use envoy_api::pb::envoy::config::route::v3::{
    RouteAction, route_action::upgrade_config::ConnectConfig as ConnectProto,
};
use outrigger_core::{ConfigError, ConnectionInfo, Method, error::ConfigResult};
use outrigger_transport::proxy_protocol::UpstreamProxyProtocol;
use std::sync::Arc;

/// The `upgrade_configs` of a route.
#[derive(Clone, Debug, Default)]
pub struct RouteUpgrades {
    kinds: Vec<(Box<[u8]>, bool)>,
    connect: Option<ConnectConfig>,
}

/// `ConnectConfig`: the bytes of a request go to the upstream by themselves, over TCP.
#[derive(Clone, Debug)]
struct ConnectConfig {
    /// What the upstream is told of the client before anything else.
    proxy_protocol: Option<Arc<UpstreamProxyProtocol>>,
    /// So do those of a POST.
    allow_post: bool,
}

impl RouteUpgrades {
    /// Nothing if the route says nothing of upgrades.
    pub(super) fn compile(proto: &RouteAction) -> Result<Option<Box<Self>>, ConfigError> {
        if proto.upgrade_configs.is_empty() {
            return Ok(None);
        }
        let mut upgrades = Box::<Self>::default();
        for (i, config) in proto.upgrade_configs.iter().enumerate() {
            let enabled = config.enabled.unwrap_or(true);
            upgrades
                .add(
                    &config.upgrade_type,
                    enabled,
                    config.connect_config.as_ref(),
                )
                .at_index("upgrade_configs", i)?;
        }
        Ok(Some(upgrades))
    }

    fn add(
        &mut self,
        kind: &str,
        enabled: bool,
        connect: Option<&ConnectProto>,
    ) -> Result<(), ConfigError> {
        if self.enabled(kind.as_bytes()).is_some() {
            return Err(ConfigError::new(format!("Duplicate upgrade {kind}")));
        }
        self.kinds.push((kind.as_bytes().into(), enabled));
        let Some(connect) = connect else {
            return Ok(());
        };
        if !kind.eq_ignore_ascii_case("CONNECT") {
            return Err(ConfigError::new(format!(
                "Non-CONNECT upgrade type {kind} has ConnectConfig"
            )));
        }
        self.connect = Some(ConnectConfig {
            proxy_protocol: connect
                .proxy_protocol_config
                .as_ref()
                .map(|config| Arc::new(UpstreamProxyProtocol::of_tunnel(config))),
            allow_post: connect.allow_post,
        });
        Ok(())
    }

    /// Whether an upgrade to `kind` is switched on or off here; nothing if it is not mentioned.
    pub fn enabled(&self, kind: &[u8]) -> Option<bool> {
        let named = |(name, _): &&(Box<[u8]>, bool)| name.eq_ignore_ascii_case(kind);
        self.kinds.iter().find(named).map(|(_, enabled)| *enabled)
    }

    /// The PROXY header in front of the bytes of these clients.
    pub fn proxy_header(&self, downstream: &ConnectionInfo) -> Option<Vec<u8>> {
        let proxy = self.connect.as_ref()?.proxy_protocol.as_ref()?;
        Some(proxy.header(downstream))
    }

    /// Whether the bytes of such a request go to the upstream over TCP.
    pub fn is_tcp(&self, method: Method) -> bool {
        self.connect.as_ref().is_some_and(|connect| {
            method == Method::Connect || connect.allow_post && method == Method::Post
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::config::route::v3::route_action::UpgradeConfig;

    fn config(kind: &str, enabled: Option<bool>, connect: Option<ConnectProto>) -> UpgradeConfig {
        UpgradeConfig {
            upgrade_type: kind.into(),
            enabled,
            connect_config: connect,
        }
    }

    fn compile(configs: Vec<UpgradeConfig>) -> Result<Option<Box<RouteUpgrades>>, ConfigError> {
        RouteUpgrades::compile(&RouteAction {
            upgrade_configs: configs,
            ..RouteAction::default()
        })
    }

    #[test]
    fn a_route_switches_kinds_on_and_off() {
        assert!(compile(Vec::new()).unwrap().is_none());
        let configs = vec![
            config("websocket", None, None),
            config("off", Some(false), None),
        ];
        let upgrades = compile(configs).unwrap().unwrap();
        assert_eq!(upgrades.enabled(b"WebSocket"), Some(true));
        assert_eq!(upgrades.enabled(b"OFF"), Some(false));
        assert_eq!(upgrades.enabled(b"other"), None);
        assert!(!upgrades.is_tcp(Method::Connect));
    }

    #[test]
    fn connect_ends_here_and_post_only_where_it_may() {
        let connect = ConnectProto::default();
        let upgrades = compile(vec![config("CONNECT", None, Some(connect.clone()))]);
        let upgrades = upgrades.unwrap().unwrap();
        assert!(upgrades.is_tcp(Method::Connect) && !upgrades.is_tcp(Method::Post));
        let allow_post = ConnectProto {
            allow_post: true,
            ..connect.clone()
        };
        let upgrades = compile(vec![config("connect", None, Some(allow_post))]);
        let upgrades = upgrades.unwrap().unwrap();
        assert!(upgrades.is_tcp(Method::Post) && !upgrades.is_tcp(Method::Get));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        let twice = vec![config("foo", None, None), config("Foo", None, None)];
        let error = compile(twice).unwrap_err();
        assert_eq!(
            (error.path(), error.reason()),
            ("upgrade_configs[1]", "Duplicate upgrade Foo")
        );
        let connect = Some(ConnectProto::default());
        let error = compile(vec![config("foo", None, connect)]).unwrap_err();
        assert_eq!(
            error.reason(),
            "Non-CONNECT upgrade type foo has ConnectConfig"
        );
    }
}
