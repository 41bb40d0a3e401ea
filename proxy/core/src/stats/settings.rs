//! What the bootstrap says about stats, compiled.

use super::{
    BucketSettings, StatsMatcher,
    histogram::BucketRule,
    tags::{TagProducer, TagRule},
};
use crate::{
    ConfigError,
    error::{ConfigResult, required},
    field::{
        Fate::{Ignored, Rejected},
        Message, USED,
    },
    matcher::StringMatcher,
};
use envoy_api::pb::envoy::config::{
    bootstrap::v3::{Bootstrap, bootstrap::StatsFlush},
    metrics::v3::{HistogramBucketSettings, StatsConfig, TagSpecifier, tag_specifier::TagValue},
};
use std::time::Duration;

/// `bootstrap.stats_config` and what is below it.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.config.metrics.v3.StatsConfig",
        fields: &[
            ("stats_tags", USED),
            ("use_all_default_tags", USED),
            ("stats_matcher", USED),
            ("histogram_bucket_settings", USED),
            ("allow_default_tag_overrides", USED),
        ],
    },
    Message {
        name: "envoy.config.metrics.v3.StatsMatcher",
        fields: &[
            ("reject_all", USED),
            ("exclusion_list", USED),
            ("inclusion_list", USED),
        ],
    },
    Message {
        name: "envoy.config.metrics.v3.TagSpecifier",
        fields: &[("tag_name", USED), ("regex", USED), ("fixed_value", USED)],
    },
    Message {
        name: "envoy.config.metrics.v3.HistogramBucketSettings",
        fields: &[
            ("match", USED),
            ("buckets", USED),
            ("bins", Ignored("bins are allocated as values come")),
        ],
    },
    Message {
        name: "envoy.config.metrics.v3.StatsSink",
        fields: &[
            ("name", Rejected(NO_SINKS)),
            ("typed_config", Rejected(NO_SINKS)),
        ],
    },
];

const NO_SINKS: &str = "stats sinks are not supported: scrape /stats/prometheus";

/// How long a histogram's interval lasts if nothing is said.
const DEFAULT_FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// When the histograms' intervals end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    Every(Duration),
    /// When the admin interface is asked for stats: `stats_flush_on_admin`.
    OnAdmin,
}

/// Read by every reader of stats, never by those who count.
#[derive(Debug)]
pub struct Settings {
    /// Which stats exist for readers.
    pub matcher: StatsMatcher,
    /// How names become labels.
    pub tags: TagProducer,
    /// How histograms are shown.
    pub buckets: BucketSettings,
    pub flush: Flush,
}

impl Default for Settings {
    /// Everything is accepted, and no name is taken apart.
    fn default() -> Self {
        Self {
            matcher: StatsMatcher::default(),
            tags: TagProducer::default(),
            buckets: BucketSettings::default(),
            flush: Flush::Every(DEFAULT_FLUSH_INTERVAL),
        }
    }
}

impl Settings {
    /// Compiles the bootstrap's say on stats, and the fixed tags of `--stats-tag`.
    pub fn compile(
        bootstrap: &Bootstrap,
        cli_tags: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        if !bootstrap.stats_sinks.is_empty() {
            return Err(ConfigError::new(NO_SINKS).at("stats_sinks"));
        }
        let none = StatsConfig::default();
        let config = bootstrap.stats_config.as_ref().unwrap_or(&none);
        let flush = match (&bootstrap.stats_flush, &bootstrap.stats_flush_interval) {
            (Some(StatsFlush::StatsFlushOnAdmin(_)), Some(_)) => {
                return Err(ConfigError::new(
                    "Only one of stats_flush_interval or stats_flush_on_admin should be set!",
                ));
            }
            (Some(StatsFlush::StatsFlushOnAdmin(_)), None) => Flush::OnAdmin,
            (None, Some(interval)) => Flush::Every(
                Duration::try_from(*interval)
                    .map_err(|_| ConfigError::new("Expected positive duration"))
                    .at("stats_flush_interval")?,
            ),
            (None, None) => Flush::Every(DEFAULT_FLUSH_INTERVAL),
        };
        let matcher = match &config.stats_matcher {
            Some(matcher) => StatsMatcher::compile(matcher)
                .at("stats_matcher")
                .at("stats_config")?,
            None => StatsMatcher::default(),
        };
        Ok(Self {
            matcher,
            tags: compile_tags(config, cli_tags).at("stats_config")?,
            buckets: compile_buckets(&config.histogram_bucket_settings).at("stats_config")?,
            flush,
        })
    }
}

fn compile_tags(
    config: &StatsConfig,
    cli_tags: &[(String, String)],
) -> Result<TagProducer, ConfigError> {
    let overridden: Vec<&str> = if config.allow_default_tag_overrides == Some(true) {
        config.stats_tags.iter().map(|tag| &*tag.tag_name).collect()
    } else {
        Vec::new()
    };
    let mut tags = if config.use_all_default_tags.unwrap_or(true) {
        TagProducer::with_defaults_except(&overridden)
    } else {
        TagProducer::default()
    };
    for (name, value) in cli_tags {
        tags.add(name, TagRule::Fixed(value)).at("--stats-tag")?;
    }
    for (
        i,
        TagSpecifier {
            tag_name,
            tag_value,
        },
    ) in config.stats_tags.iter().enumerate()
    {
        let rule = match tag_value {
            Some(TagValue::FixedValue(value)) => TagRule::Fixed(value),
            Some(TagValue::Regex(regex)) if !regex.is_empty() => TagRule::Regex(regex),
            Some(TagValue::Regex(_)) | None => TagRule::Default,
        };
        tags.add(tag_name, rule).at_index("stats_tags", i)?;
    }
    Ok(tags)
}

fn compile_buckets(settings: &[HistogramBucketSettings]) -> Result<BucketSettings, ConfigError> {
    let rule = |setting: &HistogramBucketSettings| -> Result<BucketRule, ConfigError> {
        let matcher = required(setting.r#match.as_ref(), "match")?;
        let matcher = StringMatcher::compile(matcher).at("match")?;
        Ok(BucketRule::new(matcher, setting.buckets.clone()))
    };
    let rules: Result<Vec<BucketRule>, ConfigError> = settings
        .iter()
        .enumerate()
        .map(|(i, setting)| rule(setting).at_index("histogram_bucket_settings", i))
        .collect();
    Ok(BucketSettings::new(rules?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::{DynamicMessage, MessageDescriptor, to_typed};
    use serde_json::{Value, json};

    fn compile(bootstrap: Value) -> Result<Settings, ConfigError> {
        let descriptor = MessageDescriptor::named("envoy.config.bootstrap.v3.Bootstrap").unwrap();
        let bootstrap = DynamicMessage::from_json(descriptor, bootstrap).unwrap();
        Settings::compile(
            &to_typed(&bootstrap).unwrap(),
            &[("cli".into(), "x".into())],
        )
    }

    #[test]
    fn an_empty_bootstrap_has_envoys_defaults() {
        let settings = compile(json!({})).unwrap();
        assert_eq!(settings.flush, Flush::Every(Duration::from_secs(5)));
        assert!(settings.matcher.accepts_all());
        let tagged = settings.tags.extract("cluster.up.x");
        assert_eq!(tagged.name, "cluster.x");
        assert_eq!(tagged.tags.len(), 2);
        assert_eq!(settings.buckets.bounds("x").len(), 19);
    }

    #[test]
    fn the_matcher_judges_full_names() {
        let list = |key: &str| {
            json!({"stats_config": {"stats_matcher": {key: {"patterns": [
                {"prefix": "server"}, {"suffix": "allowed"}, {"safe_regex": {"regex": "vhost.*route.*"}},
            ]}}}})
        };
        let included = compile(list("inclusion_list")).unwrap().matcher;
        let excluded = compile(list("exclusion_list")).unwrap().matcher;
        for (name, listed) in [
            ("server.live", true),
            ("x.rbac.allowed", true),
            ("vhost.v.route.r.x", true),
            ("cluster.up.x", false),
        ] {
            assert_eq!(included.rejects(name), !listed, "{name}");
            assert_eq!(excluded.rejects(name), listed, "{name}");
        }
        let matcher = |reject: bool| {
            compile(json!({"stats_config": {"stats_matcher": {"reject_all": reject}}}))
                .unwrap()
                .matcher
        };
        assert!(matcher(true).rejects("server.live") && !matcher(false).rejects("server.live"));
    }

    #[test]
    fn buckets_are_chosen_by_the_first_rule() {
        let buckets = compile(json!({"stats_config": {"histogram_bucket_settings": [
            {"match": {"suffix": "_ms"}, "buckets": [5, 1]},
            {"match": {"prefix": "cluster."}, "buckets": [7]},
        ]}}))
        .unwrap()
        .buckets;
        assert_eq!(*buckets.bounds("cluster.a_ms"), [1.0, 5.0]);
        assert_eq!(*buckets.bounds("cluster.a"), [7.0]);
        assert_eq!(*buckets.bounds("x"), super::super::DEFAULT_BUCKETS);
    }

    #[test]
    fn tags_may_override_the_defaults() {
        let with = |allow: bool| {
            let tag = json!({"tag_name": "envoy.cluster_name", "regex": r"^cluster\.((u)p\.)"});
            let settings = compile(json!({"stats_config": {
                "stats_tags": [tag], "allow_default_tag_overrides": allow,
            }}));
            settings.unwrap().tags.extract("cluster.up.x").tags
        };
        let tag = |value: &str| ("envoy.cluster_name".to_owned(), value.to_owned());
        assert!(with(false).contains(&tag("up")));
        assert!(with(true).contains(&tag("u")));
    }

    #[test]
    fn errors_name_their_place() {
        for (bootstrap, error) in [
            (
                json!({"stats_sinks": [{"name": "s"}]}),
                "stats_sinks: stats sinks are not supported: scrape /stats/prometheus",
            ),
            (
                json!({"stats_config": {"stats_tags": [{"tag_name": "a", "fixed_value": "b"}, {"tag_name": "nope"}]}}),
                "stats_config.stats_tags[1]: No regex specified for tag specifier and no default regex for name: 'nope'",
            ),
            (
                json!({"stats_config": {"stats_matcher": {}}}),
                "stats_config.stats_matcher.stats_matcher: is required",
            ),
            (
                json!({"stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"safe_regex": {"regex": "("}}]}}}}),
                "stats_config.stats_matcher.inclusion_list.patterns[0].safe_regex.regex: missing ): (",
            ),
            (
                json!({"stats_flush_interval": "1s", "stats_flush_on_admin": true}),
                "Only one of stats_flush_interval or stats_flush_on_admin should be set!",
            ),
        ] {
            assert_eq!(compile(bootstrap).unwrap_err().to_string(), error);
        }
        let flush = compile(json!({"stats_flush_on_admin": true}))
            .unwrap()
            .flush;
        assert_eq!(flush, Flush::OnAdmin);
    }
}
