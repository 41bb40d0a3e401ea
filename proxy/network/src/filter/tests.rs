#![allow(clippy::unwrap_used)]
use super::*;
use envoy_api::{
    pb::{
        envoy::{
            config::rbac::v3::{
                Action as RbacAction, Permission, Policy, Principal, Rbac as Rules,
                permission::Rule, principal::Identifier, rbac::Action,
            },
            extensions::filters::network::{
                connection_limit::v3::ConnectionLimit as LimitProto,
                rbac::v3::{Rbac as RbacProto, rbac::EnforcementType},
            },
        },
        xds::{
            core::v3::TypedExtensionConfig,
            r#type::matcher::v3::{
                Matcher,
                matcher::{OnMatch, on_match},
            },
        },
    },
    prost_types,
};
use outrigger_core::{Address, ConnectionInfo, Context};

fn info(server_name: Option<&str>) -> StreamInfo {
    let address = Address::Ip("127.0.0.1:1".parse().unwrap());
    StreamInfo::of_connection(Arc::new(ConnectionInfo {
        requested_server_name: server_name.map(Into::into),
        ..ConnectionInfo::new(1, address.clone(), address)
    }))
}

/// Rules of one policy that everybody matches.
fn everybody(action: Action) -> Rules {
    let policy = Policy {
        permissions: vec![Permission {
            rule: Some(Rule::Any(true)),
        }],
        principals: vec![Principal {
            identifier: Some(Identifier::Any(true)),
        }],
        ..Default::default()
    };
    Rules {
        action: action as i32,
        policies: [("every body".to_owned(), policy)].into(),
        ..Default::default()
    }
}

fn rbac(proto: RbacProto, context: &Context) -> ReadFilter {
    let proto = RbacProto {
        stat_prefix: "p".into(),
        ..proto
    };
    ReadFilter::Rbac(Box::new(Rbac::compile(&proto, context).unwrap()))
}

fn filters(filters: Vec<ReadFilter>) -> ReadFilters {
    ReadFilters::new(filters.into())
}

#[test]
fn a_denied_connection_says_why() {
    let rules = Some(everybody(Action::Deny));
    let proto = RbacProto {
        rules,
        ..Default::default()
    };
    let mut filters = filters(vec![rbac(proto, &Context::default())]);
    let mut info = info(None);
    assert_eq!(filters.on_new_connection(&mut info), Verdict::Continue);
    assert!(filters.want_data());
    assert_eq!(filters.on_data(&mut info), Verdict::Close(Duration::ZERO));
    assert_eq!(
        info.connection_termination_details,
        "rbac_access_denied_matched_policy[every_body]"
    );
    assert_eq!(info.downstream_local_close_reason, "rbac_deny_close");
}

#[test]
fn rules_are_asked_once_unless_continuous() {
    for (kind, again) in [
        (EnforcementType::OneTimeOnFirstByte, false),
        (EnforcementType::Continuous, true),
    ] {
        let context = Context::default();
        let proto = RbacProto {
            rules: Some(everybody(Action::Allow)),
            enforcement_type: kind as i32,
            ..Default::default()
        };
        let mut filters = filters(vec![rbac(proto, &context)]);
        assert_eq!(filters.on_data(&mut info(None)), Verdict::Continue);
        assert_eq!(filters.want_data(), again);
    }
}

#[test]
fn the_first_filter_that_refuses_is_the_last_one_asked() {
    let context = Context::default();
    let deny = || RbacProto {
        rules: Some(everybody(Action::Deny)),
        delay_deny: Some(prost_types::Duration {
            seconds: 1,
            nanos: 0,
        }),
        ..Default::default()
    };
    let mut filters = filters(vec![rbac(deny(), &context), rbac(deny(), &context)]);
    let verdict = filters.on_data(&mut info(None));
    assert_eq!(verdict, Verdict::Close(Duration::from_secs(1)));
    let stats = context
        .stats
        .register("p.rbac.", outrigger_core::rbac::RbacStats::default());
    assert_eq!(stats.denied.get(), 1);
}

#[test]
fn a_place_is_free_again_when_its_connection_is_gone() {
    let proto = LimitProto {
        stat_prefix: "p".into(),
        max_connections: Some(1),
        ..Default::default()
    };
    let limit = ConnectionLimit::compile(&proto, &Context::default()).unwrap();
    let new = || filters(vec![ReadFilter::ConnectionLimit(limit.clone())]);
    let (mut first, mut second) = (new(), new());
    assert_eq!(first.on_new_connection(&mut info(None)), Verdict::Continue);
    let mut refused = info(None);
    let verdict = second.on_new_connection(&mut refused);
    assert_eq!(verdict, Verdict::Close(Duration::ZERO));
    assert_eq!(
        refused.downstream_local_close_reason,
        "over_connection_limit"
    );
    drop((first, second));
    assert_eq!(new().on_new_connection(&mut info(None)), Verdict::Continue);
}

#[test]
fn the_server_name_is_the_cluster() {
    let mut filters = filters(vec![ReadFilter::SniCluster]);
    let mut named = info(Some("a.test"));
    assert_eq!(filters.on_new_connection(&mut named), Verdict::Continue);
    let cluster = named.filter_state.get(CLUSTER_STATE);
    assert_eq!(cluster, Some(&FilterState::String("a.test".into())));
    let mut nameless = info(None);
    assert_eq!(filters.on_new_connection(&mut nameless), Verdict::Continue);
    assert!(nameless.filter_state.is_empty());
}

/// A matcher that leads everybody to one policy.
fn leads_to(action: Action) -> Matcher {
    let policy = RbacAction {
        name: "any body".into(),
        action: action as i32,
    };
    let action = TypedExtensionConfig {
        name: "action".into(),
        typed_config: Some(envoy_api::pack(&policy)),
    };
    Matcher {
        on_no_match: Some(Box::new(OnMatch {
            on_match: Some(on_match::OnMatch::Action(action)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

#[test]
fn a_matcher_decides_in_the_place_of_rules() {
    for (action, verdict) in [
        (Action::Allow, None),
        (Action::Log, None),
        (
            Action::Deny,
            Some("rbac_access_denied_matched_policy[any_body]"),
        ),
    ] {
        let proto = RbacProto {
            matcher: Some(leads_to(action)),
            rules: Some(everybody(Action::Deny)),
            ..Default::default()
        };
        let mut filters = filters(vec![rbac(proto, &Context::default())]);
        let mut info = info(None);
        assert_eq!(filters.on_new_connection(&mut info), Verdict::Continue);
        let passes = filters.on_data(&mut info) == Verdict::Continue;
        assert_eq!(passes, verdict.is_none(), "{action:?}");
        assert_eq!(info.connection_termination_details, verdict.unwrap_or(""));
    }
}

#[test]
fn whom_a_matcher_leads_nowhere_is_denied() {
    let proto = RbacProto {
        matcher: Some(Matcher::default()),
        ..Default::default()
    };
    let mut filters = filters(vec![rbac(proto, &Context::default())]);
    let mut info = info(None);
    assert_eq!(filters.on_new_connection(&mut info), Verdict::Continue);
    assert_ne!(filters.on_data(&mut info), Verdict::Continue);
}
