//! `envoy.filters.network.rbac`: closes connections, as its policies say, when the first bytes have come.

use envoy_api::pb::{
    envoy::{
        config::rbac::v3::Rbac as RulesProto,
        extensions::filters::network::rbac::v3::{Rbac as Proto, rbac::EnforcementType},
    },
    xds::r#type::matcher::v3::Matcher,
};
use outrigger_core::{
    ConfigError, Context, StreamInfo,
    error::ConfigResult,
    matcher::tree::Scope,
    network_filter::Verdict,
    rbac::{Engine, Input, Mode, Policy, RbacStats, ShadowStats},
};
use std::{sync::Arc, time::Duration};

/// Where the filter leaves what its shadow rules have decided.
const METADATA: &str = "envoy.filters.network.rbac";

/// The compiled filter.
#[derive(Debug)]
pub struct Rbac {
    enforced: Option<Engine>,
    shadow: Option<Engine>,
    stats: Arc<RbacStats>,
    shadow_stats: Arc<ShadowStats>,
    /// `CONTINUOUS`.
    continuous: bool,
    /// `delay_deny`.
    delay: Option<Duration>,
}

impl Rbac {
    pub fn compile(proto: &Proto, context: &Context) -> Result<Self, ConfigError> {
        let prefix = format!("{}.rbac.", stat_prefix(&proto.stat_prefix)?);
        let own = &proto.shadow_rules_stat_prefix;
        let shadow_prefix = match own.strip_suffix('.').unwrap_or(own) {
            "" => prefix.clone(),
            own => format!("{prefix}{own}."),
        };
        // Where there is a matcher, the rules do not count.
        let engine =
            |rules: &Option<RulesProto>, matcher: &Option<Matcher>, mode| match (matcher, rules) {
                (Some(matcher), _) => {
                    let (scope, stats) = (Scope::Connection, &context.stats);
                    Engine::compile_matcher(matcher, mode, own, scope, stats).map(Some)
                }
                (None, Some(rules)) => Engine::compile(rules, mode, own, None).map(Some),
                (None, None) => Ok(None),
            };
        let field = |matcher: &Option<_>, [rules, by_matcher]: [&'static str; 2]| match matcher {
            Some(_) => by_matcher,
            None => rules,
        };
        let delay = proto.delay_deny.map(Duration::try_from).transpose();
        Ok(Self {
            enforced: engine(&proto.rules, &proto.matcher, Mode::Enforced)
                .at(field(&proto.matcher, ["rules", "matcher"]))?,
            shadow: engine(&proto.shadow_rules, &proto.shadow_matcher, Mode::Shadow).at(field(
                &proto.shadow_matcher,
                ["shadow_rules", "shadow_matcher"],
            ))?,
            stats: context.stats.register(&prefix, RbacStats::default()),
            shadow_stats: context
                .stats
                .register(&shadow_prefix, ShadowStats::default()),
            continuous: proto.enforcement_type() == EnforcementType::Continuous,
            delay: delay.map_err(|_| {
                ConfigError::new("Invalid duration: Expected positive duration").at("delay_deny")
            })?,
        })
    }

    pub fn is_continuous(&self) -> bool {
        self.continuous
    }

    pub fn on_data(&self, info: &mut StreamInfo) -> Verdict {
        if let Some(shadow) = &self.shadow {
            let verdict = shadow.judge(input(info));
            match verdict.allowed {
                true => self.shadow_stats.shadow_allowed.inc(),
                false => self.shadow_stats.shadow_denied.inc(),
            }
            info.dynamic_metadata.merge(METADATA, verdict.metadata);
        }
        let Some(enforced) = &self.enforced else {
            return Verdict::Continue;
        };
        let verdict = enforced.judge(input(info));
        verdict.leave_log_hint(&mut info.dynamic_metadata);
        if verdict.allowed {
            self.stats.allowed.inc();
            return Verdict::Continue;
        }
        self.stats.denied.inc();
        info.connection_termination_details = details(verdict.policy).into();
        Verdict::close("rbac_deny_close", self.delay, info)
    }
}

fn input(info: &StreamInfo) -> Input<'_> {
    Input {
        request: None,
        info,
        route_metadata: None,
    }
}

/// White space would break the line that it is logged in.
fn details(policy: Option<&Policy>) -> String {
    let name = policy.map_or("none", |policy| &policy.name);
    let name = name.replace(|c: char| c.is_ascii_whitespace(), "_");
    format!("rbac_access_denied_matched_policy[{name}]")
}

/// Without the dot that it may end with.
pub fn stat_prefix(prefix: &str) -> Result<&str, ConfigError> {
    if prefix.is_empty() {
        let error = ConfigError::new("value length must be at least 1 characters");
        return Err(error.at("stat_prefix"));
    }
    Ok(prefix.strip_suffix('.').unwrap_or(prefix))
}
