//! `RouteConfiguration`: from a request to its route.

use outrigger_core::{HeaderId, HeaderMap, HeaderName, StreamInfo, metadata::Metadata};
use std::sync::Arc;

use super::{domains::Domains, entry::Route, redirect::port_start, virtual_host::VirtualHost};

/// A compiled route configuration. Immutable: an update is another table.
#[derive(Debug)]
pub struct RouteTable {
    pub(super) name: Arc<str>,
    pub(super) metadata: Metadata,
    pub(super) virtual_hosts: Domains<Arc<VirtualHost>>,
    pub(super) ignore_port: bool,
    /// Where the host name stands, if not in the authority.
    pub(super) vhost_header: Option<HeaderName>,
    pub(super) internal_only_headers: Box<[HeaderName]>,
}

/// What [`RouteTable::find`] found.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    pub route: Arc<Route>,
}

impl RouteTable {
    /// The name that RDS knows it by.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Headers that external clients may not send.
    pub fn internal_only_headers(&self) -> &[HeaderName] {
        &self.internal_only_headers
    }

    /// The virtual host of a request, before any of its routes is tried.
    pub fn virtual_host(&self, headers: &HeaderMap) -> Option<&Arc<VirtualHost>> {
        if let Some(only) = self.virtual_hosts.only() {
            return Some(only);
        }
        let mut host = match &self.vhost_header {
            Some(name) => headers.get_name(name)?,
            None => headers.get(HeaderId::Authority)?,
        };
        if self.ignore_port
            && let Some(colon) = port_start(host)
        {
            host = host.get(..colon)?;
        }
        self.virtual_hosts.find(host)
    }

    /// The route of a request, or the redirect of a virtual host that requires TLS. `info.stream_id` decides every
    /// fraction and weight, so that asking again for one stream gives the same answer.
    pub fn find(&self, headers: &HeaderMap, info: &StreamInfo) -> Option<RouteMatch> {
        let virtual_host = self.virtual_host(headers)?;
        let route = virtual_host.find(headers, info)?;
        Some(RouteMatch {
            route: route.clone(),
        })
    }
}

impl RouteMatch {
    /// See [`Route::finalize_request_headers`].
    pub fn finalize_request_headers(
        &self,
        headers: &mut HeaderMap,
        info: &StreamInfo,
        keep_original: bool,
    ) {
        self.route
            .finalize_request_headers(headers, info, keep_original);
    }

    /// See [`Route::finalize_response_headers`].
    pub fn finalize_response_headers(
        &self,
        headers: &mut HeaderMap,
        request: &HeaderMap,
        info: &StreamInfo,
    ) {
        self.route.finalize_response_headers(headers, request, info);
    }
}
