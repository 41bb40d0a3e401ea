//! A stream that makes something else of its connection: an upgrade or a CONNECT. Its bytes are those of a body; only its
//! beginning and its end differ from other streams.

use super::ActiveStream;
use crate::{
    hop_by_hop,
    local_reply::LocalReply,
    route::{Action, RouteUpgrades},
    router, upgrade,
};
use envoy_api::pb::envoy::data::accesslog::v3::AccessLogType;
use outrigger_core::{HeaderId, Method};

impl ActiveStream<'_> {
    /// Takes the filters of the upgrade that the request asks for. `Some`: it is not allowed.
    pub(super) fn begin_upgrade(&mut self) -> Option<LocalReply> {
        let hcm = self.hcm;
        let wanted = upgrade::wanted(&self.messages.request, self.method)?;
        let route = self.route.as_ref();
        let allowed = hcm.upgrades.allow(
            wanted,
            route.and_then(|r| upgrades(&r.route.action)),
            &hcm.filters,
        );
        if let Some((upgrade, filters)) = allowed {
            hcm.stats.downstream_cx_upgrades_total.inc();
            hcm.stats.downstream_cx_upgrades_active.inc();
            self.upgrade = Some(upgrade);
            self.filters = filters;
            return None;
        }
        if self.method == Method::Connect && route.is_none() {
            // That there is no route weighs more.
            return None;
        }
        hcm.stats.downstream_rq_ws_on_non_ws_route.inc();
        // What the client sends in the belief that it may could be taken for requests.
        self.connection.soft_drain = true;
        router::name_cluster(self);
        Some(LocalReply::new(403, "", "upgrade_failed"))
    }

    /// The response switches the connection over.
    pub(super) fn is_tunnel(&self) -> bool {
        let response = &self.messages.response;
        self.upgrade.is_some()
            && (hop_by_hop::is_upgrade(response)
                || self.method == Method::Connect && response.get(HeaderId::Status) == Some(b"200"))
    }

    /// `flush_log_on_tunnel_successfully_established`.
    pub(super) fn log_tunnel(&mut self) {
        if self.hcm.access_log_options.on_tunnel_established && self.is_tunnel() {
            self.log_line(AccessLogType::DownstreamTunnelSuccessfullyEstablished);
        }
    }
}

/// What a route says of upgrades.
fn upgrades(action: &Action) -> Option<&RouteUpgrades> {
    match action {
        Action::Forward(forward) => forward.upgrades.as_deref(),
        _ => None,
    }
}
