//! `Listener.access_log`: a line for every accepted socket at its end, whether a filter chain took it or not.

use outrigger_core::{
    ConnectionInfo, ResponseFlag, StreamInfo, access_log::AccessLogs, formatter::FormatContext,
};
use outrigger_network::TcpProxy;
use std::{
    borrow::Cow,
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// Why a connection was over before a network filter saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// The listener filters have ended it, or the client while they waited.
    ByListenerFilters,
    NoChain,
    /// Its filter chain has no filters.
    NoFilters,
}

/// Logs a connection that no network filter has seen.
pub(crate) fn unserved(
    logs: &AccessLogs,
    why: Unserved,
    connection: impl FnOnce() -> Arc<ConnectionInfo>,
) {
    if logs.is_empty() {
        return;
    }
    let mut info = StreamInfo::of_connection(connection());
    match why {
        Unserved::ByListenerFilters => {}
        Unserved::NoChain => {
            info.set_flag(ResponseFlag::NoRouteFound);
            info.details = Cow::Borrowed("filter_chain_not_found");
        }
        Unserved::NoFilters => info.downstream_local_close_reason = Cow::Borrowed("no_filters"),
    }
    logs.log(&FormatContext::new(&info));
}

/// A connection that is one stream. It is logged when this is dropped, also with its worker: first by the listener and
/// then by the filter that has a log of its own, as in Envoy.
pub(crate) struct Session<'a> {
    /// Boxed, so that connections of other kinds do not pay for its size.
    info: Box<StreamInfo>,
    proxy: Option<&'a TcpProxy>,
    logs: &'a AccessLogs,
}

impl<'a> Session<'a> {
    pub fn new(
        connection: Arc<ConnectionInfo>,
        proxy: Option<&'a Arc<TcpProxy>>,
        logs: &'a AccessLogs,
    ) -> Self {
        let mut info = Box::new(StreamInfo::of_connection(connection));
        let proxy = proxy.map(Arc::as_ref);
        if proxy.is_some_and(|proxy| proxy.is_logged() || !logs.is_empty()) {
            info.generate_id();
        }
        Self { info, proxy, logs }
    }
}

impl Deref for Session<'_> {
    type Target = StreamInfo;

    fn deref(&self) -> &StreamInfo {
        &self.info
    }
}

impl DerefMut for Session<'_> {
    fn deref_mut(&mut self) -> &mut StreamInfo {
        &mut self.info
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.logs.log(&FormatContext::new(&self.info));
        if let Some(proxy) = self.proxy {
            proxy.log_end(&self.info);
        }
    }
}
