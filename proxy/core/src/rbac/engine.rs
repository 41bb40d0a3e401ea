//! Envoy's RBAC engine: policies in the order of their names, the first that matches counts.

use super::{permission::Permission, policy_tree::PolicyTree, principal::Principal};
use crate::{
    ConfigError, HeaderMap, StreamInfo,
    error::ConfigResult,
    matcher::tree::Scope,
    metadata::Metadata,
    stats::{Counter, Store},
};
use envoy_api::{
    pb::{
        envoy::config::{
            core::v3::TypedExtensionConfig,
            rbac::v3::{Policy as PolicyProto, Rbac as Proto, rbac::Action},
        },
        xds::r#type::matcher::v3::Matcher,
    },
    prost_types::{Struct, Value, value::Kind},
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// What rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `None` on a connection that is no HTTP.
    pub request: Option<&'a HeaderMap>,
    pub info: &'a StreamInfo,
    /// `None` where there is no route.
    pub route_metadata: Option<&'a Metadata>,
}

/// Compiles the extension of a `uri_template`; a connection without paths has none.
pub type CompileTemplate = fn(&TypedExtensionConfig) -> Result<Arc<dyn UriTemplate>, ConfigError>;

/// A compiled `uri_template`.
pub trait UriTemplate: fmt::Debug + Send + Sync {
    fn is_match(&self, path: &[u8]) -> bool;
}

/// Whether the rules are enforced, or only show what they would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Enforced,
    Shadow,
}

/// The rules of one level.
#[derive(Debug)]
pub struct Engine {
    policies: Policies,
    /// What is left in the metadata of a stream that no policy matches.
    unmatched: Arc<Struct>,
}

#[derive(Debug)]
enum Policies {
    Rules(Action, Box<[Rule]>),
    Matcher(PolicyTree),
}

/// What is told of a policy that has matched.
#[derive(Debug)]
pub struct Policy {
    pub name: Box<str>,
    /// What is left in the metadata of a stream that it matches.
    pub(super) metadata: Arc<Struct>,
    /// With `track_per_rule_stats`, once it has counted.
    pub counter: OnceLock<Arc<Counter>>,
}

/// One of `rules`.
#[derive(Debug)]
struct Rule {
    policy: Policy,
    permissions: Box<[Permission]>,
    principals: Box<[Principal]>,
}

/// What the rules say of a request.
#[derive(Debug)]
pub struct Verdict<'a> {
    pub allowed: bool,
    pub policy: Option<&'a Policy>,
    pub metadata: &'a Arc<Struct>,
    /// For `LOG`: whether the request is one of those that the log is for.
    pub log_hint: Option<bool>,
}

impl Engine {
    /// `prefix` stands before the names of the metadata's fields. Without `templates` the rules are those of a connection,
    /// which has no request to look at.
    pub fn compile(
        proto: &Proto,
        mode: Mode,
        prefix: &str,
        templates: Option<CompileTemplate>,
    ) -> Result<Self, ConfigError> {
        let action = proto.action();
        let mut named: Vec<_> = proto.policies.iter().collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        let rules = named.into_iter().map(|(name, policy)| {
            let metadata = metadata(mode, prefix, Some(name), action != Action::Deny);
            Rule::compile(name, policy, metadata, templates)
                .map_err(|e| e.at(&format!("policies[{name}]")))
        });
        Ok(Self {
            policies: Policies::Rules(action, rules.collect::<Result<_, _>>()?),
            unmatched: metadata(mode, prefix, None, action != Action::Allow),
        })
    }

    /// The same with a matcher that leads to the policies. Whom it leads nowhere is denied.
    pub fn compile_matcher(
        proto: &Matcher,
        mode: Mode,
        prefix: &str,
        scope: Scope,
        stats: &Store,
    ) -> Result<Self, ConfigError> {
        let policy =
            |name: &str, allowed| Policy::new(name, metadata(mode, prefix, Some(name), allowed));
        Ok(Self {
            policies: Policies::Matcher(PolicyTree::compile(proto, scope, stats, &policy)?),
            unmatched: metadata(mode, prefix, None, false),
        })
    }

    pub fn judge(&self, input: Input<'_>) -> Verdict<'_> {
        let (action, rules) = match &self.policies {
            Policies::Rules(action, rules) => (*action, rules),
            Policies::Matcher(tree) => return self.judge_by(tree, input),
        };
        let rule = rules.iter().find(|rule| rule.is_match(input));
        let policy = rule.map(|rule| &rule.policy);
        Verdict {
            allowed: match action {
                Action::Allow => policy.is_some(),
                Action::Deny => policy.is_none(),
                Action::Log => true,
            },
            policy,
            metadata: policy.map_or(&self.unmatched, |policy| &policy.metadata),
            log_hint: (action == Action::Log).then_some(policy.is_some()),
        }
    }

    fn judge_by<'a>(&'a self, tree: &'a PolicyTree, input: Input<'_>) -> Verdict<'a> {
        match tree.find(input) {
            Some((policy, action)) => Verdict {
                allowed: action != Action::Deny,
                policy: Some(policy),
                metadata: &policy.metadata,
                log_hint: tree.logs.then_some(action == Action::Log),
            },
            None => Verdict {
                allowed: false,
                policy: None,
                metadata: &self.unmatched,
                log_hint: None,
            },
        }
    }
}

impl Policy {
    fn new(name: &str, metadata: Arc<Struct>) -> Self {
        Self {
            name: name.into(),
            metadata,
            counter: OnceLock::new(),
        }
    }
}

impl Rule {
    fn compile(
        name: &str,
        proto: &PolicyProto,
        metadata: Arc<Struct>,
        templates: Option<CompileTemplate>,
    ) -> Result<Self, ConfigError> {
        let permissions = proto.permissions.iter().enumerate();
        let principals = proto.principals.iter().enumerate();
        Ok(Self {
            policy: Policy::new(name, metadata),
            permissions: permissions
                .map(|(i, rule)| Permission::compile(rule, templates).at_index("permissions", i))
                .collect::<Result<_, _>>()?,
            principals: principals
                .map(|(i, id)| {
                    Principal::compile(id, templates.is_some()).at_index("principals", i)
                })
                .collect::<Result<_, _>>()?,
        })
    }

    fn is_match(&self, input: Input<'_>) -> bool {
        self.permissions.iter().any(|rule| rule.is_match(input))
            && self.principals.iter().any(|id| id.is_match(input))
    }
}

fn metadata(mode: Mode, prefix: &str, policy: Option<&str>, allowed: bool) -> Arc<Struct> {
    let mode = match mode {
        Mode::Enforced => "enforced",
        Mode::Shadow => "shadow",
    };
    let text = |text: &str| Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    };
    let result = if allowed { "allowed" } else { "denied" };
    let mut fields = Struct::default();
    fields
        .fields
        .insert(format!("{prefix}{mode}_engine_result"), text(result));
    if let Some(policy) = policy {
        let name = format!("{prefix}{mode}_effective_policy_id");
        fields.fields.insert(name, text(policy));
    }
    Arc::new(fields)
}
