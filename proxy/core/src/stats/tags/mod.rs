//! Tag extraction: which parts of a stat's name become labels (Envoy's `TagProducer`).
//!
//! Names carry their tags (`cluster.<name>.upstream_rq_200`); only readers that need labels take them apart.

mod defaults;
mod tokens;

use crate::ConfigError;
use defaults::{DEFAULTS, Rule};
use hashbrown::HashMap;
use std::ops::Range;
use std::sync::OnceLock;
use tokens::Tokens;

/// Envoy makes these stats before it knows of any tag, so that not even a fixed one is on them.
const UNTAGGED: &str = "filesystem.";

/// A stat's name without the parts that became tags, and the tags in the order in which Envoy shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagged {
    pub name: String,
    pub tags: Vec<(String, String)>,
}

/// What an extractor found: a range of the name to leave out, and the value of the tag.
struct Found<'a> {
    remove: Range<usize>,
    value: &'a str,
}

#[derive(Debug)]
enum Pattern {
    Tokens(Tokens),
    /// Group 1 leaves the name; group 2, or else 1, is the value unless it is this word.
    Regex(DefaultRegex, Option<&'static str>),
    /// Users' patterns are ECMAScript, with look-around.
    EcmaScript(Box<fancy_regex::Regex>),
    Fixed(String),
}

/// The regex of a default tag, built when the first name comes to it: a proxy without a reader of labels builds none,
/// and to build them all is most of the work of a start.
#[derive(Debug)]
struct DefaultRegex {
    pattern: &'static str,
    built: OnceLock<Option<regex::bytes::Regex>>,
}

impl DefaultRegex {
    const fn new(pattern: &'static str) -> Self {
        Self {
            pattern,
            built: OnceLock::new(),
        }
    }

    fn build(pattern: &str) -> Result<regex::bytes::Regex, regex::Error> {
        // Envoy's classes are of ASCII; those of Unicode would be a hundred times as large.
        regex::bytes::RegexBuilder::new(&defaults::expand(pattern))
            .unicode(false)
            .build()
    }

    fn captures<'a>(&self, name: &'a str) -> Option<regex::bytes::Captures<'a>> {
        let built = self.built.get_or_init(|| Self::build(self.pattern).ok());
        built.as_ref()?.captures(name.as_bytes())
    }
}

#[derive(Debug)]
struct Extractor {
    tag: String,
    pattern: Pattern,
}

/// How a tag that the configuration names is found.
#[derive(Clone, Copy, Debug)]
pub enum TagRule<'a> {
    /// The rule of the default tag of this name.
    Default,
    /// An ECMAScript regex.
    Regex(&'a str),
    /// On every stat.
    Fixed(&'a str),
}

/// Extracts tags from names.
#[derive(Debug, Default)]
pub struct TagProducer {
    /// These are tried on every name, before the others.
    any: Vec<Extractor>,
    /// These are tried on names with this first token.
    by_prefix: HashMap<String, Vec<Extractor>>,
}

impl TagProducer {
    /// The default tags; more are added by [`add`](Self::add). Those that `overridden` names are left out.
    pub fn with_defaults_except(overridden: &[&str]) -> Self {
        let mut producer = Self::default();
        for (tag, rule) in DEFAULTS {
            if !overridden.contains(tag) {
                producer.add_default(tag, rule);
            }
        }
        producer
    }

    /// Adds a tag of `stats_config.stats_tags` or of `--stats-tag`.
    pub fn add(&mut self, tag: &str, rule: TagRule<'_>) -> Result<(), ConfigError> {
        if tag.is_empty() {
            return Err(ConfigError::new("tag_name cannot be empty"));
        }
        match rule {
            TagRule::Fixed(value) => self.push(None, tag, Pattern::Fixed(value.to_owned())),
            TagRule::Regex(pattern) => {
                let regex = fancy_regex::Regex::new(pattern)
                    .map_err(|e| ConfigError::new(format!("Invalid regex '{pattern}': {e}")))?;
                let prefix = regex_prefix(pattern).map(str::to_owned);
                self.push(prefix, tag, Pattern::EcmaScript(Box::new(regex)));
            }
            TagRule::Default => {
                let mut rules = DEFAULTS.iter().filter(|(name, _)| *name == tag).peekable();
                if rules.peek().is_none() {
                    return Err(ConfigError::new(format!(
                        "No regex specified for tag specifier and no default regex for name: '{tag}'"
                    )));
                }
                for (tag, rule) in rules {
                    self.add_default(tag, rule);
                }
            }
        }
        Ok(())
    }

    fn add_default(&mut self, tag: &str, rule: &Rule) {
        let (prefix, pattern) = match *rule {
            Rule::Tokens(pattern) => {
                let tokens = Tokens::new(pattern);
                (tokens.prefix().map(str::to_owned), Pattern::Tokens(tokens))
            }
            Rule::Regex(pattern) => (
                regex_prefix(pattern).map(str::to_owned),
                Pattern::Regex(DefaultRegex::new(pattern), None),
            ),
            Rule::RegexUnless(pattern, word) => (
                regex_prefix(pattern).map(str::to_owned),
                Pattern::Regex(DefaultRegex::new(pattern), Some(word)),
            ),
        };
        self.push(prefix, tag, pattern);
    }

    fn push(&mut self, prefix: Option<String>, tag: &str, pattern: Pattern) {
        let extractors = match prefix {
            Some(prefix) => self.by_prefix.entry(prefix).or_default(),
            None => &mut self.any,
        };
        extractors.push(Extractor {
            tag: tag.to_owned(),
            pattern,
        });
    }

    /// Takes a name apart. Every extractor sees the whole name; the first that finds a tag wins.
    pub fn extract(&self, name: &str) -> Tagged {
        if name.starts_with(UNTAGGED) {
            return Tagged {
                name: name.to_owned(),
                tags: Vec::new(),
            };
        }
        let mut tags: Vec<(String, String)> = Vec::new();
        let mut removed: Vec<Range<usize>> = Vec::new();
        let prefixed = name
            .split_once('.')
            .and_then(|(prefix, _)| self.by_prefix.get(prefix));
        for extractor in self.any.iter().chain(prefixed.into_iter().flatten()) {
            if tags.iter().any(|(tag, _)| *tag == extractor.tag) {
                continue;
            }
            if let Some(found) = extractor.pattern.find(name) {
                tags.push((extractor.tag.clone(), found.value.to_owned()));
                removed.push(found.remove);
            }
        }
        Tagged {
            name: without(name, removed),
            tags,
        }
    }
}

impl Pattern {
    fn find<'a>(&'a self, name: &'a str) -> Option<Found<'a>> {
        match self {
            Self::Fixed(value) => Some(Found {
                remove: 0..0,
                value,
            }),
            Self::Tokens(tokens) => tokens.find(name),
            Self::Regex(regex, unless) => {
                let captures = regex.captures(name)?;
                let remove = captures.get(1)?;
                let value = name.get(captures.get(2).unwrap_or(remove).range())?;
                (*unless != Some(value)).then(|| Found {
                    remove: remove.range(),
                    value,
                })
            }
            Self::EcmaScript(regex) => {
                // A pattern that gives up on backtracking finds nothing.
                let captures = regex.captures(name).ok()??;
                let remove = captures.get(1)?;
                let value = captures.get(2).unwrap_or(remove).as_str();
                Some(Found {
                    remove: remove.range(),
                    value,
                })
            }
        }
    }
}

/// The first token of every name that a regex can match: `http` for `^http\.x` and `^http(?=\.)x`.
fn regex_prefix(regex: &str) -> Option<&str> {
    let rest = regex.strip_prefix('^')?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (prefix, rest) = rest.split_at_checked(end)?;
    let ends = rest.starts_with("\\.") || rest.starts_with("(?=\\.)") || rest == "$";
    (ends && !prefix.is_empty()).then_some(prefix)
}

/// `name` without the ranges, which may overlap.
fn without(name: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut rest = String::with_capacity(name.len());
    let mut at = 0;
    for range in ranges {
        rest.push_str(name.get(at..range.start).unwrap_or_default());
        at = at.max(range.end);
    }
    rest.push_str(name.get(at..).unwrap_or_default());
    rest
}

#[cfg(test)]
mod tests;
