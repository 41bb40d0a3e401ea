//! Routing: a `RouteConfiguration` compiled once, and the way from a request's headers to its route. Nothing here talks
//! to a cluster or touches a body.
//!
//! [`RouteTable::find`] answers with the [`Route`] that Envoy would choose, weighted clusters already resolved. The
//! router asks [`Forward::cluster`] where to send the request and lets [`Route::finalize_request_headers`] and
//! [`Route::finalize_response_headers`] change the heads on the way.

pub mod action;
mod config;
pub mod direct_response;
mod domains;
mod entry;
pub mod fields;
mod forward_config;
pub mod header_mutation;
mod header_value;
pub mod internal_redirect;
mod match_tree;
mod matcher;
mod obsolete_format;
mod path;
mod path_template;
pub mod per_filter;
mod query;
pub mod rate_limit;
pub mod rate_limit_policy;
pub mod redirect;
pub mod retry_host;
pub mod retry_policy;
mod rewrite;
mod routes;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod upgrade;
mod virtual_cluster;
mod virtual_host;
mod weighted;

pub use action::{Action, ClusterChoice, Forward, MaxStreamDuration};
pub use direct_response::DirectResponse;
pub use entry::Route;
pub use fields::FIELDS;
pub use header_mutation::{HeaderMutations, HeaderParser};
pub use internal_redirect::InternalRedirectPolicy;
pub(crate) use path_template::PathTemplate;
pub use per_filter::{FilterOverride, PerFilter, PerFilterConfig};
pub(crate) use query::cookie_value;
pub use rate_limit::{Descriptor, RateLimit, RateLimitInput};
pub use rate_limit_policy::RateLimitPolicy;
pub use redirect::Redirect;
pub use retry_host::Avoided;
pub use retry_policy::{RetryOn, RetryPolicy};
pub use table::{RouteMatch, RouteTable};
pub use upgrade::RouteUpgrades;
pub use virtual_cluster::{RequestStats, VirtualCluster};
pub use virtual_host::{VirtualHost, VirtualHostPolicy};
