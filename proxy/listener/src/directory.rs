//! Finds the listener of an address: for connections whose original destination another listener has restored.

use crate::listener::Listener;
use arc_swap::ArcSwap;
use hashbrown::HashMap;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Weak},
};

/// The present listeners by IP address. Weak, because each of them holds the directory.
#[derive(Default)]
pub struct Directory {
    listeners: ArcSwap<HashMap<SocketAddr, Weak<Listener>>>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("addresses", &self.listeners.load().len())
            .finish()
    }
}

impl Directory {
    pub fn publish<'a>(&self, listeners: impl Iterator<Item = &'a Arc<Listener>>) {
        let mut map = HashMap::new();
        for listener in listeners {
            for ip in listener.addresses().filter_map(|a| a.ip()) {
                map.insert(ip, Arc::downgrade(listener));
            }
        }
        self.listeners.store(Arc::new(map));
    }

    /// The listener of exactly this address, or else of its port on all addresses.
    pub fn find(&self, address: SocketAddr) -> Option<Arc<Listener>> {
        let listeners = self.listeners.load();
        let get = |ip: IpAddr| listeners.get(&SocketAddr::new(ip, address.port()));
        let v4 = || get(Ipv4Addr::UNSPECIFIED.into()).filter(|_| address.is_ipv4());
        let v6 = || get(Ipv6Addr::UNSPECIFIED.into());
        get(address.ip())
            .or_else(v4)
            .or_else(|| {
                // `[::]` takes IPv4 only where it says so.
                v6().filter(|l| {
                    address.is_ipv6() || l.upgrade().is_some_and(|l| l.takes_ipv4_on_ipv6())
                })
            })?
            .upgrade()
    }
}
