//! `InternalRedirectPolicy`: which redirects of an upstream are followed in the place of the client. What a request has
//! been through so far is kept with its stream, never here.

use envoy_api::{
    pb::envoy::{
        config::{
            core::v3::TypedExtensionConfig,
            route::v3::{
                InternalRedirectPolicy as Proto, RouteAction,
                route_action::InternalRedirectAction as OldAction,
            },
        },
        extensions::internal_redirect::allow_listed_routes::v3::AllowListedRoutesConfig,
    },
    type_name, unpack,
};
use outrigger_core::{
    ConfigError, HeaderName,
    error::{ConfigResult, required},
};
use std::sync::Arc;

use super::{config::no_extension, header_mutation::is_protected};

/// The statuses that can be followed at all; a policy that lists others ignores them.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// More codes than there are redirects.
const MAX_CODES: usize = 5;

/// A compiled policy.
#[derive(Debug)]
pub struct InternalRedirectPolicy {
    /// Redirects that a request may have followed in all, on whichever routes.
    pub max_internal_redirects: u32,
    /// The target may have another scheme than the request had.
    pub allow_cross_scheme_redirect: bool,
    /// Taken over from the redirect into the next request; one that the redirect has not is removed.
    pub response_headers_to_copy: Box<[HeaderName]>,
    codes: Box<[u16]>,
    predicates: Box<[Predicate]>,
    /// The name of the route whose policy it is.
    route: Arc<str>,
}

/// An extension of `envoy.internal_redirect_predicates`.
#[derive(Debug)]
enum Predicate {
    /// The target is one of these routes.
    AllowListedRoutes(Box<[Box<str>]>),
    /// This route has not led to the target before.
    PreviousRoutes,
    /// Nobody who came by `http` is led to `https`.
    SafeCrossScheme,
}

/// A redirect that asks to be followed.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The name of the route that it leads to.
    pub route: &'a Arc<str>,
    pub from_https: bool,
    pub to_https: bool,
}

/// The routes that led to others so far, with these: by name, as Envoy tells them apart.
pub type PreviousRoutes = Vec<(Arc<str>, Arc<str>)>;

impl InternalRedirectPolicy {
    /// The policy of a route, in its current or its older form; `None`: redirects reach the client.
    pub(super) fn of(action: &RouteAction, route: &str) -> Result<Option<Self>, ConfigError> {
        if let Some(policy) = &action.internal_redirect_policy {
            let policy = Self::compile(policy, route).at("internal_redirect_policy")?;
            return Ok(Some(policy));
        }
        #[allow(deprecated)]
        let (old, max) = (
            action.internal_redirect_action,
            action.max_internal_redirects,
        );
        match OldAction::try_from(old) {
            Ok(OldAction::PassThroughInternalRedirect) => Ok(None),
            Ok(OldAction::HandleInternalRedirect) => {
                let policy = Proto {
                    max_internal_redirects: max,
                    ..Default::default()
                };
                Self::compile(&policy, route).map(Some)
            }
            Err(_) => Err(ConfigError::new("unknown enum value").at("internal_redirect_action")),
        }
    }

    fn compile(proto: &Proto, route: &str) -> Result<Self, ConfigError> {
        let asked = &proto.redirect_response_codes;
        if asked.len() > MAX_CODES {
            let error = ConfigError::new("value must contain no more than 5 item(s)");
            return Err(error.at("redirect_response_codes"));
        }
        let known = REDIRECTS.into_iter();
        let codes = match asked.is_empty() {
            true => [302].into(),
            false => known
                .filter(|code| asked.contains(&u32::from(*code)))
                .collect(),
        };
        let predicates = proto.predicates.iter().enumerate();
        let predicates = predicates
            .map(|(i, proto)| Predicate::compile(proto).at_index("predicates", i))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            max_internal_redirects: proto.max_internal_redirects.unwrap_or(1),
            allow_cross_scheme_redirect: proto.allow_cross_scheme_redirect,
            response_headers_to_copy: headers(&proto.response_headers_to_copy)
                .at("response_headers_to_copy")?,
            codes,
            predicates,
            route: route.into(),
        })
    }

    /// The policy has to do with a response of this status.
    pub fn concerns(&self, status: u16) -> bool {
        self.codes.contains(&status)
    }

    /// No predicate objects to the target. What they remember of this request is in `previous`.
    pub fn accepts(&self, target: Target<'_>, previous: &mut PreviousRoutes) -> bool {
        self.predicates.iter().all(|predicate| match predicate {
            Predicate::AllowListedRoutes(names) => names.iter().any(|n| **n == **target.route),
            Predicate::PreviousRoutes => {
                let hop = (self.route.clone(), target.route.clone());
                let new = !previous.contains(&hop);
                if new {
                    previous.push(hop);
                }
                new
            }
            Predicate::SafeCrossScheme => target.from_https || !target.to_https,
        })
    }
}

impl Predicate {
    fn compile(proto: &TypedExtensionConfig) -> Result<Self, ConfigError> {
        let config = required(proto.typed_config.as_ref(), "typed_config")?;
        match type_name(&config.type_url) {
            "envoy.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig" => {
                let config: AllowListedRoutesConfig = unpack(config)
                    .map_err(|e| ConfigError::new(e.to_string()).at("typed_config"))?;
                let names = config.allowed_route_names;
                if let Some(i) = names.iter().position(String::is_empty) {
                    let error = ConfigError::new("value length must be at least 1 characters");
                    return Err(error.index(i).at("allowed_route_names").at("typed_config"));
                }
                Ok(Self::AllowListedRoutes(
                    names.into_iter().map(String::into).collect(),
                ))
            }
            "envoy.extensions.internal_redirect.previous_routes.v3.PreviousRoutesConfig" => {
                Ok(Self::PreviousRoutes)
            }
            "envoy.extensions.internal_redirect.safe_cross_scheme.v3.SafeCrossSchemeConfig" => {
                Ok(Self::SafeCrossScheme)
            }
            type_name => Err(no_extension(&proto.name, type_name)),
        }
    }
}

fn headers(names: &[String]) -> Result<Box<[HeaderName]>, ConfigError> {
    let parse = |(i, text): (usize, &String)| {
        let name = HeaderName::from(text.as_str());
        if names.get(..i).is_some_and(|before| before.contains(text)) {
            return Err(ConfigError::new("repeated value must contain unique items"));
        }
        if is_protected(text, &name) {
            let error = ":-prefixed headers or Hosts may not be specified here.";
            return Err(ConfigError::new(error).index(i));
        }
        Ok(name)
    };
    names.iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(predicates: Vec<Predicate>) -> InternalRedirectPolicy {
        InternalRedirectPolicy {
            predicates: predicates.into(),
            ..InternalRedirectPolicy::compile(&Proto::default(), "here").unwrap()
        }
    }

    fn target<'a>(route: &'a Arc<str>, from_https: bool, to_https: bool) -> Target<'a> {
        Target {
            route,
            from_https,
            to_https,
        }
    }

    #[test]
    fn only_redirects_are_followed() {
        let plain = policy(Vec::new());
        assert!(plain.concerns(302) && !plain.concerns(301));
        assert_eq!(plain.max_internal_redirects, 1);
        let proto = Proto {
            redirect_response_codes: vec![200, 308, 65_837],
            max_internal_redirects: Some(0),
            ..Default::default()
        };
        let listed = InternalRedirectPolicy::compile(&proto, "").unwrap();
        assert!(listed.concerns(308) && !listed.concerns(302) && !listed.concerns(200));
        // 65837 is 301 in 16 bits.
        assert!(!listed.concerns(301));
        assert_eq!(listed.max_internal_redirects, 0);
    }

    #[test]
    fn a_list_names_the_routes() {
        let listed = policy(vec![Predicate::AllowListedRoutes(["a".into()].into())]);
        let mut previous = PreviousRoutes::new();
        assert!(listed.accepts(target(&"a".into(), false, false), &mut previous));
        assert!(!listed.accepts(target(&"b".into(), false, false), &mut previous));
    }

    #[test]
    fn a_route_leads_to_another_once() {
        let (one, two) = (
            policy(vec![Predicate::PreviousRoutes]),
            InternalRedirectPolicy {
                route: "there".into(),
                ..policy(vec![Predicate::PreviousRoutes])
            },
        );
        let mut previous = PreviousRoutes::new();
        let route = "a".into();
        let to = target(&route, false, false);
        assert!(one.accepts(to, &mut previous));
        assert!(!one.accepts(to, &mut previous));
        assert!(
            two.accepts(to, &mut previous),
            "another route has a say of its own"
        );
    }

    #[test]
    fn nobody_is_led_to_https_from_http() {
        let safe = policy(vec![Predicate::SafeCrossScheme]);
        for (from, to, accepted) in [
            (false, false, true),
            (false, true, false),
            (true, false, true),
            (true, true, true),
        ] {
            let route = "a".into();
            let verdict = safe.accepts(target(&route, from, to), &mut Vec::new());
            assert_eq!(verdict, accepted, "{from} {to}");
        }
    }

    #[test]
    fn what_may_not_be_copied_is_refused() {
        let error = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
            headers(&names).unwrap_err().to_string()
        };
        assert!(error(&["x", ":path"]).contains(":-prefixed headers or Hosts"));
        assert!(error(&["Host"]).contains(":-prefixed headers or Hosts"));
        assert!(error(&["x", "x"]).contains("unique"));
    }
}
