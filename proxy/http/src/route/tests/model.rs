//! Random route lists against a naive reading of the rules.

use super::*;
use proptest::prelude::*;

/// A route of the model: path rule, path, and a header that has to be there.
#[derive(Clone, Debug)]
struct Rule {
    kind: u8,
    path: String,
    any_case: bool,
    header: Option<u8>,
}

impl Rule {
    fn yaml(&self, index: usize) -> String {
        let specifier = match self.kind {
            0 => format!("prefix: '{}'", self.path),
            1 => format!("path: '{}'", self.path),
            2 => format!("path_separated_prefix: '{}x'", self.path),
            _ => format!("safe_regex: {{regex: '{}.?'}}", self.path),
        };
        let header = self
            .header
            .map_or(String::new(), |h| format!(", headers: [{{name: h{h}}}]"));
        format!(
            "{{match: {{{specifier}, case_sensitive: {}{header}}}, direct_response: {{status: 200, body: {{inline_string: '{index}'}}}}}}",
            !self.any_case
        )
    }

    fn takes(&self, path: &str, headers: &[u8]) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let (ours, path) = if self.any_case && self.kind != 3 {
            (self.path.to_lowercase(), path.to_lowercase())
        } else {
            (self.path.clone(), path.to_owned())
        };
        let by_path = match self.kind {
            0 => path.starts_with(&ours),
            1 => path == ours,
            2 => path == format!("{ours}x") || path.starts_with(&format!("{ours}x/")),
            _ => path
                .strip_prefix(&ours)
                .is_some_and(|rest| rest.chars().count() <= 1),
        };
        by_path && self.header.is_none_or(|h| headers.contains(&h))
    }
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let rule = (
        0..4u8,
        "/[aAx/]{0,3}",
        any::<bool>(),
        prop::option::of(0..2u8),
    )
        .prop_map(|(kind, path, any_case, header)| Rule {
            kind,
            path,
            any_case,
            header,
        });
    prop::collection::vec(rule, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_first_route_that_matches_wins(
        rules in rules(),
        requests in prop::collection::vec(("/[aAx/]{0,4}(\\?[a/]{0,2})?", prop::collection::vec(0..2u8, 0..2)), 1..12),
    ) {
        let yaml: Vec<_> = rules.iter().enumerate().map(|(i, rule)| rule.yaml(i)).collect();
        let yaml: Vec<_> = yaml.iter().map(String::as_str).collect();
        let table = routes(&yaml);
        for (path, headers) in requests {
            let expected = rules
                .iter()
                .position(|rule| rule.takes(&path, &headers))
                .map_or("-".into(), |i| i.to_string());
            let names: Vec<_> = headers.iter().map(|h| format!("h{h}")).collect();
            let more: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
            prop_assert_eq!(answer(&table, &get(&path, &more)), expected, "{} {:?}", path, rules);
        }
    }
}
