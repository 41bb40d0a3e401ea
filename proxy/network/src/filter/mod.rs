//! The network filters in front of a terminal filter: they let a connection pass or end it, and note something about it.
//! They must never touch its bytes.

mod connection_limit;
mod local_ratelimit;
mod rbac;
mod set_filter_state;

pub use connection_limit::ConnectionLimit;
pub use local_ratelimit::LocalRateLimit;
pub use rbac::Rbac;
pub use set_filter_state::SetFilterState;

use crate::tcp_proxy::CLUSTER_STATE;
use connection_limit::Permit;
use outrigger_core::{
    StreamInfo,
    network_filter::{ConnectionFilters, Verdict},
    stream_info::FilterState,
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// One compiled filter, shared by all connections.
#[derive(Debug)]
pub enum ReadFilter {
    ConnectionLimit(Arc<ConnectionLimit>),
    LocalRateLimit(LocalRateLimit),
    Rbac(Box<Rbac>),
    SetFilterState(SetFilterState),
    /// The server name is the name of the cluster.
    SniCluster,
}

impl ReadFilter {
    /// Envoy's name of the extension.
    pub fn extension_name(&self) -> &'static str {
        match self {
            Self::ConnectionLimit(_) => "envoy.filters.network.connection_limit",
            Self::LocalRateLimit(_) => "envoy.filters.network.local_ratelimit",
            Self::Rbac(_) => "envoy.filters.network.rbac",
            Self::SetFilterState(_) => "envoy.filters.network.set_filter_state",
            Self::SniCluster => "envoy.filters.network.sni_cluster",
        }
    }

    fn on_new_connection(&self, info: &mut StreamInfo, permits: &mut Vec<Permit>) -> Verdict {
        match self {
            Self::ConnectionLimit(limit) => limit.on_new_connection(info, permits),
            Self::LocalRateLimit(limit) => limit.on_new_connection(info),
            Self::SetFilterState(values) => values.on_new_connection(info),
            Self::SniCluster => {
                let name = info.connection.requested_server_name.clone();
                if let Some(name) = name.filter(|name| !name.is_empty()) {
                    let cluster = FilterState::String(name.to_string());
                    info.filter_state.insert(CLUSTER_STATE.to_owned(), cluster);
                }
                Verdict::Continue
            }
            Self::Rbac(_) => Verdict::Continue,
        }
    }

    fn wants_data(&self) -> bool {
        match self {
            Self::Rbac(_) => true,
            Self::SetFilterState(values) => values.wants_data(),
            Self::ConnectionLimit(_) | Self::LocalRateLimit(_) | Self::SniCluster => false,
        }
    }

    /// It wants to be asked each time that bytes come.
    fn is_continuous(&self) -> bool {
        matches!(self, Self::Rbac(rbac) if rbac.is_continuous())
    }

    fn on_data(&self, info: &mut StreamInfo) -> Verdict {
        match self {
            Self::Rbac(rbac) => rbac.on_data(info),
            Self::SetFilterState(values) => values.on_data(info),
            Self::ConnectionLimit(_) | Self::LocalRateLimit(_) | Self::SniCluster => {
                Verdict::Continue
            }
        }
    }
}

/// The filters of a chain at work for one connection.
#[derive(Debug)]
pub struct ReadFilters {
    filters: Arc<[ReadFilter]>,
    /// Its places under the limits of filters.
    permits: Vec<Permit>,
    asked: bool,
}

impl ReadFilters {
    pub fn new(filters: Arc<[ReadFilter]>) -> Self {
        Self {
            filters,
            permits: Vec::new(),
            asked: false,
        }
    }
}

impl ConnectionFilters for ReadFilters {
    fn on_new_connection(&mut self, info: &mut StreamInfo) -> Verdict {
        for filter in self.filters.iter() {
            let verdict = filter.on_new_connection(info, &mut self.permits);
            if verdict != Verdict::Continue {
                return verdict;
            }
        }
        Verdict::Continue
    }

    fn want_data(&self) -> bool {
        let mut filters = self.filters.iter();
        filters.any(|filter| filter.wants_data() && (!self.asked || filter.is_continuous()))
    }

    fn on_data(&mut self, info: &mut StreamInfo) -> Verdict {
        let again = std::mem::replace(&mut self.asked, true);
        for filter in self.filters.iter() {
            if again && !filter.is_continuous() {
                continue;
            }
            let verdict = filter.on_data(info);
            if verdict != Verdict::Continue {
                return verdict;
            }
        }
        Verdict::Continue
    }
}

/// Asks the filters about a new connection; false if they have ended it, once its time is over.
pub(crate) async fn admit(filters: Option<&mut ReadFilters>, info: &mut StreamInfo) -> bool {
    let Some(filters) = filters else {
        return true;
    };
    match filters.on_new_connection(info) {
        Verdict::Continue => true,
        Verdict::Close(delay) => {
            wait(delay).await;
            false
        }
    }
}

/// In a box, so that those who wait for nothing do not pay for its size.
pub(crate) async fn wait(delay: Duration) {
    if !delay.is_zero() {
        Box::pin(sleep(delay)).await;
    }
}

#[cfg(test)]
mod tests;
