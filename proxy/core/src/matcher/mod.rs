//! Envoy's matchers (`type.matcher.v3` and friends), compiled once and shared by routes, RBAC, SAN checks and filters.
//! A matcher reads; it never changes what it looks at and allocates nothing while it matches.

pub mod cidr;
pub mod fields;
pub mod header;
pub mod metadata;
mod re2;
pub mod regex;
pub mod string;
pub mod tree;

pub use cidr::{CidrList, CidrRange};
pub use header::{HeaderMatcher, HeaderMatchers};
pub use metadata::{FilterStateMatcher, MetadataMatcher, ValueMatcher};
pub use regex::{Regex, RegexRewrite};
pub use string::{PathMatcher, StringMatcher};
