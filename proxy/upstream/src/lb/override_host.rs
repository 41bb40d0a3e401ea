//! A host that the request itself asks for, in front of all load balancing (Envoy's `LoadBalancerContext::OverrideHost`).

use crate::host::{EdsHealth, Host};
use outrigger_core::Address;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

/// The host that a session sticks to.
#[derive(Clone, Debug)]
pub struct OverrideHost {
    /// As Envoy prints addresses.
    pub address: Arc<str>,
    /// No other host will do.
    pub strict: bool,
    /// What the client is told if there is no other host.
    pub status: u16,
}

/// A set of health statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthStatuses(u8);

impl Default for HealthStatuses {
    /// What Envoy takes where nothing is configured.
    fn default() -> Self {
        [EdsHealth::Unknown, EdsHealth::Healthy, EdsHealth::Degraded]
            .into_iter()
            .collect()
    }
}

impl FromIterator<EdsHealth> for HealthStatuses {
    fn from_iter<T: IntoIterator<Item = EdsHealth>>(statuses: T) -> Self {
        let bits = statuses.into_iter().map(|status| 1 << status as u8);
        Self(bits.fold(0, |set, bit| set | bit))
    }
}

impl HealthStatuses {
    pub fn contains(self, status: EdsHealth) -> bool {
        self.0 & 1 << status as u8 != 0
    }
}

/// So few hosts are looked through faster than they are found in a table; that of a `LOGICAL_DNS` cluster, whose address
/// moves, is among them.
const FEW: usize = 8;

/// The hosts of a set by their addresses, made when the first session asks.
#[derive(Debug, Default)]
pub(crate) struct ByAddress(OnceLock<HashMap<Address, Arc<Host>>>);

impl ByAddress {
    /// The first of `hosts` that has this address, in this form.
    pub(crate) fn find(&self, hosts: &[Arc<Host>], address: &str) -> Option<Arc<Host>> {
        let wanted = parse(address)?;
        if hosts.len() <= FEW {
            let mut hosts = hosts.iter();
            return hosts.find(|host| host.info().address == wanted).cloned();
        }
        let table = self.0.get_or_init(|| {
            let hosts = hosts.iter().rev();
            hosts
                .map(|host| (host.info().address.clone(), host.clone()))
                .collect()
        });
        table.get(&wanted).cloned()
    }
}

/// An address of which there is no other spelling.
fn parse(text: &str) -> Option<Address> {
    let address = match text.parse::<SocketAddr>() {
        Ok(address) => Address::Ip(address),
        Err(_) if text.starts_with(['/', '@']) => Address::Pipe(Arc::new(text.into())),
        Err(_) => return None,
    };
    (address.to_string() == text).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        for text in ["127.0.0.1:80", "[::1]:80", "/run/x.sock", "@x"] {
            assert_eq!(parse(text).map(|a| a.to_string()).as_deref(), Some(text));
        }
        for text in [
            "",
            "127.0.0.1",
            "127.0.0.1:080",
            "[0::1]:80",
            "a.test:80",
            "x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn statuses_are_a_set() {
        let set = HealthStatuses::default();
        assert!(set.contains(EdsHealth::Unknown) && set.contains(EdsHealth::Degraded));
        assert!(!set.contains(EdsHealth::Draining) && !set.contains(EdsHealth::Unhealthy));
        let set: HealthStatuses = [EdsHealth::Draining].into_iter().collect();
        assert!(set.contains(EdsHealth::Draining) && !set.contains(EdsHealth::Healthy));
    }
}
