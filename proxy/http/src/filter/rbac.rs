//! `envoy.filters.http.rbac`: lets a request pass or answers 403, as its policies say. What cannot be decided never lets
//! anybody in: rules that this version does not have are refused with the configuration.

use super::{Decision, FilterContext, Instance};
use crate::{
    local_reply::LocalReply,
    route::{FilterOverride, PathTemplate},
    stream::ActiveStream,
};
use envoy_api::pb::envoy::{
    config::core::v3::TypedExtensionConfig,
    extensions::filters::http::rbac::v3::{Rbac as Proto, RbacPerRoute},
};
use outrigger_core::{
    ConfigError,
    error::ConfigResult,
    matcher::tree::Scope,
    rbac::{Engine, Input, Mode, Policy, RbacStats, ShadowStats, UriTemplate, Verdict},
    stats::Store,
};
use outrigger_upstream::BuildContext;
use std::sync::Arc;

/// Where the filter leaves what it decided.
const METADATA: &str = "envoy.filters.http.rbac";

/// The filter. The stats are its own whatever rules are applied.
#[derive(Debug)]
pub struct Rbac {
    rules: Rules,
    stats: Arc<RbacStats>,
    shadow_stats: Arc<ShadowStats>,
    /// Under which the policies' stats stand.
    prefix: Box<str>,
    shadow_prefix: Box<str>,
    store: Arc<Store>,
}

/// The rules of the filter, or of one level of the route configuration.
#[derive(Debug)]
struct Rules {
    enforced: Option<Engine>,
    shadow: Option<Engine>,
    per_rule_stats: bool,
}

/// Compiles the rules of one level of the route configuration: without any, everybody may pass.
pub fn compile_override(
    proto: &RbacPerRoute,
    build: &BuildContext,
) -> Result<FilterOverride, ConfigError> {
    let none = Proto::default();
    let rules = proto.rbac.as_ref().unwrap_or(&none);
    let rules = Rules::compile(rules, &build.context.stats).at("rbac")?;
    Ok(Arc::new(rules))
}

impl Rules {
    fn compile(proto: &Proto, stats: &Store) -> Result<Self, ConfigError> {
        // Where there is a matcher, the rules do not count.
        let engine = |rules: &Option<_>,
                      matcher: &Option<_>,
                      mode,
                      prefix,
                      [by_rules, by_matcher]: [&str; 2]| {
            let compiled = match (matcher, rules) {
                (Some(matcher), _) => {
                    Engine::compile_matcher(matcher, mode, prefix, Scope::Request, stats)
                        .at(by_matcher)
                }
                (None, Some(rules)) => {
                    Engine::compile(rules, mode, prefix, Some(template)).at(by_rules)
                }
                (None, None) => return Ok(None),
            };
            compiled.map(Some)
        };
        Ok(Self {
            enforced: engine(
                &proto.rules,
                &proto.matcher,
                Mode::Enforced,
                &proto.rules_stat_prefix,
                ["rules", "matcher"],
            )?,
            shadow: engine(
                &proto.shadow_rules,
                &proto.shadow_matcher,
                Mode::Shadow,
                &proto.shadow_rules_stat_prefix,
                ["shadow_rules", "shadow_matcher"],
            )?,
            per_rule_stats: proto.track_per_rule_stats,
        })
    }
}

impl Rbac {
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        let below = |own: &str| match own.is_empty() {
            true => "rbac.".to_owned(),
            false => format!("rbac.{own}."),
        };
        let (rules, shadow) = (
            below(&proto.rules_stat_prefix),
            below(&proto.shadow_rules_stat_prefix),
        );
        Ok(Self {
            rules: Rules::compile(proto, &context.build.context.stats)?,
            stats: context.stats(&rules, RbacStats::default()),
            shadow_stats: context.stats(&shadow, ShadowStats::default()),
            prefix: format!("{}{rules}", context.stat_prefix).into(),
            shadow_prefix: format!("{}{shadow}", context.stat_prefix).into(),
            store: context.build.context.stats.clone(),
        })
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) -> Decision {
        let own = at.most_specific::<Rules>(stream.route.as_ref());
        let rules = own.unwrap_or(&self.rules);
        // The shadow rules come first: the others may look at what they leave behind.
        if let Some(shadow) = &rules.shadow {
            let verdict = shadow.judge(input(stream));
            let (counter, what) = match verdict.allowed {
                true => (&self.shadow_stats.shadow_allowed, "shadow_allowed"),
                false => (&self.shadow_stats.shadow_denied, "shadow_denied"),
            };
            counter.inc();
            self.count_policy(rules, &verdict, &self.shadow_prefix, what);
            let metadata = verdict.metadata.clone();
            stream.info.dynamic_metadata.merge(METADATA, &metadata);
        }
        let own = at.most_specific::<Rules>(stream.route.as_ref());
        let rules = own.unwrap_or(&self.rules);
        let Some(enforced) = &rules.enforced else {
            return Decision::Continue;
        };
        let verdict = enforced.judge(input(stream));
        let (counter, what) = match verdict.allowed {
            true => (&self.stats.allowed, "allowed"),
            false => (&self.stats.denied, "denied"),
        };
        counter.inc();
        self.count_policy(rules, &verdict, &self.prefix, what);
        let reply = (!verdict.allowed).then(|| denied(verdict.policy));
        let metadata = verdict.metadata.clone();
        let dynamic = &mut stream.info.dynamic_metadata;
        dynamic.merge(METADATA, &metadata);
        verdict.leave_log_hint(dynamic);
        reply.map_or(Decision::Continue, Decision::reply)
    }

    fn count_policy(&self, rules: &Rules, verdict: &Verdict<'_>, prefix: &str, what: &str) {
        if let Some(policy) = verdict.policy
            && rules.per_rule_stats
        {
            let counter = policy.counter.get_or_init(|| {
                let name = format!("{prefix}policy.{}.{what}", policy.name);
                self.store.counter(&name)
            });
            counter.inc();
        }
    }
}

fn denied(policy: Option<&Policy>) -> LocalReply {
    let name = policy.map_or("none", |policy| &policy.name);
    let details = format!("rbac_access_denied_matched_policy[{name}]");
    LocalReply::new(403, "RBAC: access denied", details)
}

fn input<'a>(stream: &'a ActiveStream<'_>) -> Input<'a> {
    let route = stream.route.as_ref();
    Input {
        request: Some(&stream.messages.request),
        info: &stream.info,
        route_metadata: route.map(|found| &found.route.info.metadata),
    }
}

fn template(config: &TypedExtensionConfig) -> Result<Arc<dyn UriTemplate>, ConfigError> {
    Ok(Arc::new(PathTemplate::compile_policy(config)?))
}

impl UriTemplate for PathTemplate {
    fn is_match(&self, path: &[u8]) -> bool {
        PathTemplate::is_match(self, path)
    }
}
