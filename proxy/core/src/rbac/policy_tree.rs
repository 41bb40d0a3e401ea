//! `matcher` in the place of `rules`: the unified matcher as a way to a policy and what it says.

use super::engine::{Input, Policy};
use crate::{
    ConfigError,
    error::{ConfigResult, required},
    matcher::tree::{Compiler, MatchData, MatchInput, MatchTree, Scope, unknown},
    stats::Store,
};
use envoy_api::{
    pb::{
        envoy::config::rbac::v3::{Action as Proto, rbac::Action},
        xds::{core::v3::TypedExtensionConfig, r#type::matcher::v3::Matcher},
    },
    unpack,
};
use std::cell::Cell;

/// A compiled matcher.
#[derive(Debug)]
pub(super) struct PolicyTree {
    tree: MatchTree<(Policy, Action)>,
    /// Some policy is for the log.
    pub logs: bool,
}

impl PolicyTree {
    /// `policy` makes a policy of its name and of whether it lets pass.
    pub(super) fn compile(
        proto: &Matcher,
        scope: Scope,
        stats: &Store,
        policy: &dyn Fn(&str, bool) -> Policy,
    ) -> Result<Self, ConfigError> {
        let policies = Policies {
            scope,
            stats,
            policy,
            logs: Cell::new(false),
        };
        Ok(Self {
            tree: MatchTree::compile(proto, &policies)?,
            logs: policies.logs.get(),
        })
    }

    pub(super) fn find(&self, input: Input<'_>) -> Option<(&Policy, Action)> {
        let data = MatchData {
            request: input.request,
            response: None,
            info: input.info,
        };
        self.tree
            .find(&data)
            .map(|(policy, action)| (policy, *action))
    }
}

/// A tree whose actions are policies.
struct Policies<'a> {
    scope: Scope,
    stats: &'a Store,
    policy: &'a dyn Fn(&str, bool) -> Policy,
    logs: Cell<bool>,
}

impl Compiler for Policies<'_> {
    type Action = (Policy, Action);

    /// Where a client is, is no matter of Envoy's RBAC; nor is there anything of a response yet.
    fn input(&self, proto: &TypedExtensionConfig) -> Result<MatchInput, ConfigError> {
        let known = MatchInput::compile(proto, Scope::Response)?;
        if !matches!(known, MatchInput::SourceType)
            && let Ok(input) = MatchInput::compile(proto, self.scope)
        {
            return Ok(input);
        }
        let what = match self.scope {
            Scope::Connection => "RBAC network filter cannot match",
            Scope::Request | Scope::Response => "RBAC HTTP filter cannot match on",
        };
        let config = proto.typed_config.as_ref();
        let type_url = config.map_or("", |config| &config.type_url);
        Err(self.violation(&format!("{what} '{type_url}'")))
    }

    fn action(&self, proto: &TypedExtensionConfig) -> Result<(Policy, Action), ConfigError> {
        let config = required(proto.typed_config.as_ref(), "typed_config")?;
        let action: Proto = unpack(config).map_err(|_| unknown(proto))?;
        if action.name.is_empty() {
            let error = ConfigError::new("value length must be at least 1 characters");
            return Err(error.at("name")).at("typed_config");
        }
        let kind = Action::try_from(action.action)
            .map_err(|_| ConfigError::new("unknown enum value").at("action"))
            .at("typed_config")?;
        if kind == Action::Log {
            self.logs.set(true);
        }
        Ok(((self.policy)(&action.name, kind != Action::Deny), kind))
    }

    fn stats(&self) -> &Store {
        self.stats
    }

    fn violation(&self, reason: &str) -> ConfigError {
        ConfigError::new(format!(
            "requirement violation while creating RBAC match tree: INVALID_ARGUMENT: {reason}"
        ))
    }
}
