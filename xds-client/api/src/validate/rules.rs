//! Rules of a message, compiled on first use from the options in its descriptors.
//!
//! Envoy's protos use a part of what protoc-gen-validate offers; that part is here. A rule outside it would be compiled
//! into a violation, and a test makes sure that there is none.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prost::Message;
use regex::Regex;

use super::text::GoDuration;
use crate::pb::validate as pgv;
use crate::pb::validate::field_rules::Type;
use crate::pb::validate::string_rules::WellKnown;
use crate::reflect::{FieldDescriptor, Kind, MessageDescriptor, Oneof};

/// What to check in a message.
#[derive(Debug, Default)]
pub(super) struct MessageRules {
    /// The fields with rules of their own and those that hold messages.
    pub(super) fields: Vec<(FieldDescriptor, FieldRules)>,
    pub(super) required_oneofs: Vec<Oneof>,
}

#[derive(Debug, Default)]
pub(super) struct FieldRules {
    pub(super) required: bool,
    /// Do not look into the message.
    pub(super) skip: bool,
    /// The rules apply only to values other than the default.
    pub(super) ignore_empty: bool,
    pub(super) rules: Rules,
}

impl FieldRules {
    /// Rules of the elements of a list or the values of a map.
    pub(super) fn items(&self) -> Option<&Self> {
        match &self.rules {
            Rules::List { items, .. } | Rules::Map { values: items, .. } => Some(items),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) enum Rules {
    #[default]
    None,
    Integer(Range<i128>),
    Float(Range<f64>),
    Duration(Range<GoDuration>),
    Bool(bool),
    Text(Box<TextRules>),
    Bytes(Size),
    Enum {
        defined_only: bool,
        not_in: Vec<i32>,
    },
    List {
        size: Size,
        unique: bool,
        items: Box<FieldRules>,
    },
    Map {
        size: Size,
        keys: Box<FieldRules>,
        values: Box<FieldRules>,
    },
    Unsupported(String),
}

#[derive(Debug, Default)]
pub(super) struct TextRules {
    pub(super) characters: Size,
    pub(super) bytes: Size,
    pub(super) prefix: Option<String>,
    pub(super) suffix: Option<String>,
    pub(super) one_of: Vec<String>,
    pub(super) patterns: Vec<Pattern>,
}

/// A pattern, which is built when the first text is held against it: most fields are never set.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: OnceLock<Option<Regex>>,
    source: String,
    /// The notation in which Envoy shows it.
    pub(super) shown: String,
}

impl Pattern {
    fn new(source: impl Into<String>, shown: impl Into<String>) -> Self {
        Self {
            regex: OnceLock::new(),
            source: source.into(),
            shown: shown.into(),
        }
    }

    /// Nothing matches a pattern that cannot be built; a test makes sure that there is none.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let regex = self.regex.get_or_init(|| Regex::new(&self.source).ok());
        regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// Limits of a length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) min: Option<u64>,
    pub(super) max: Option<u64>,
}

/// Limits of a number, each with whether it belongs to the range.
#[derive(Debug)]
pub(super) struct Range<T> {
    pub(super) low: Option<(T, bool)>,
    pub(super) high: Option<(T, bool)>,
}

static RULES: Mutex<BTreeMap<&'static str, Arc<MessageRules>>> = Mutex::new(BTreeMap::new());

/// The rules of a message, compiled if they were not yet.
pub(super) fn rules_of(descriptor: MessageDescriptor) -> Arc<MessageRules> {
    let mut known = RULES.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .entry(descriptor.full_name())
        .or_insert_with(|| Arc::new(MessageRules::compile(descriptor)))
        .clone()
}

impl MessageRules {
    pub(super) fn compile(descriptor: MessageDescriptor) -> Self {
        if descriptor.is_unchecked() {
            return Self::default();
        }
        let fields = descriptor.fields().filter_map(|field| {
            let rules = FieldRules::of(&field);
            (rules.is_some() || holds_messages(&field)).then(|| (field, rules.unwrap_or_default()))
        });
        Self {
            fields: fields.collect(),
            required_oneofs: descriptor.oneofs().filter(Oneof::is_required).collect(),
        }
    }
}

fn holds_messages(field: &FieldDescriptor) -> bool {
    let kind = match field.map_kinds() {
        Some((_, values)) => values,
        None => field.kind(),
    };
    matches!(kind, Kind::Message(_))
}

impl FieldRules {
    fn of(field: &FieldDescriptor) -> Option<Self> {
        if field.rules().is_empty() {
            return None;
        }
        // The build script wrote them; were they damaged, the field would be refused.
        let Ok(rules) = pgv::FieldRules::decode(field.rules()) else {
            return Some(Self {
                rules: Rules::Unsupported("damaged rules".to_owned()),
                ..Self::default()
            });
        };
        let mut rules = Self::compile(rules);
        // Which member of a oneof is set is the oneof's business.
        rules.required &= field.containing_oneof().is_none();
        Some(rules)
    }

    fn compile(rules: pgv::FieldRules) -> Self {
        let message = rules.message.unwrap_or_default();
        let mut compiled = Self {
            required: message.required(),
            skip: message.skip(),
            ..Self::default()
        };
        if let Some(kind) = rules.r#type {
            compiled.rules = compiled.kind(kind).unwrap_or_else(Rules::Unsupported);
        }
        compiled
    }

    fn optional(rules: Option<Box<pgv::FieldRules>>) -> Box<Self> {
        Box::new(rules.map(|rules| Self::compile(*rules)).unwrap_or_default())
    }

    fn kind(&mut self, kind: Type) -> Result<Rules, String> {
        /// The range of a numeric kind, in the type that its values are compared in.
        macro_rules! range {
            ($rules:ident, $variant:ident, $type:ty) => {{
                let mut rules = $rules;
                self.ignore_empty = rules.ignore_empty.take().unwrap_or_default();
                let low = bound(rules.gt.take(), rules.gte.take(), <$type>::from);
                let high = bound(rules.lt.take(), rules.lte.take(), <$type>::from);
                nothing_left(rules)?;
                Rules::$variant(Range { low, high })
            }};
        }
        Ok(match kind {
            Type::Float(rules) => range!(rules, Float, f64),
            Type::Double(rules) => range!(rules, Float, f64),
            Type::Int32(rules) => range!(rules, Integer, i128),
            Type::Int64(rules) => range!(rules, Integer, i128),
            Type::Uint32(rules) => range!(rules, Integer, i128),
            Type::Uint64(rules) => range!(rules, Integer, i128),
            Type::Sint32(rules) => range!(rules, Integer, i128),
            Type::Sint64(rules) => range!(rules, Integer, i128),
            Type::Fixed32(rules) => range!(rules, Integer, i128),
            Type::Fixed64(rules) => range!(rules, Integer, i128),
            Type::Sfixed32(rules) => range!(rules, Integer, i128),
            Type::Sfixed64(rules) => range!(rules, Integer, i128),
            Type::Duration(mut rules) => {
                self.required |= rules.required.take().unwrap_or_default();
                let low = bound(rules.gt.take(), rules.gte.take(), GoDuration::from);
                let high = bound(rules.lt.take(), rules.lte.take(), GoDuration::from);
                nothing_left(rules)?;
                Rules::Duration(Range { low, high })
            }
            Type::Bool(rules) => Rules::Bool(rules.r#const.ok_or("a bool rule without const")?),
            Type::String(rules) => Rules::Text(Box::new(self.text(rules)?)),
            Type::Bytes(mut rules) => {
                self.ignore_empty = rules.ignore_empty.take().unwrap_or_default();
                let size = Size {
                    min: rules.min_len.take(),
                    max: rules.max_len.take(),
                };
                nothing_left(rules)?;
                Rules::Bytes(size)
            }
            Type::Enum(mut rules) => {
                let defined_only = rules.defined_only.take().unwrap_or_default();
                let not_in = std::mem::take(&mut rules.not_in);
                nothing_left(rules)?;
                Rules::Enum {
                    defined_only,
                    not_in,
                }
            }
            Type::Repeated(mut rules) => {
                self.ignore_empty = rules.ignore_empty.take().unwrap_or_default();
                let size = Size {
                    min: rules.min_items.take(),
                    max: rules.max_items.take(),
                };
                let unique = rules.unique.take().unwrap_or_default();
                let items = Self::optional(rules.items.take());
                nothing_left(*rules)?;
                Rules::List {
                    size,
                    unique,
                    items,
                }
            }
            Type::Map(mut rules) => {
                self.ignore_empty = rules.ignore_empty.take().unwrap_or_default();
                let size = Size {
                    min: rules.min_pairs.take(),
                    max: rules.max_pairs.take(),
                };
                let (keys, values) = (
                    Self::optional(rules.keys.take()),
                    Self::optional(rules.values.take()),
                );
                nothing_left(*rules)?;
                Rules::Map { size, keys, values }
            }
            Type::Any(mut rules) => {
                self.required |= rules.required.take().unwrap_or_default();
                nothing_left(rules)?;
                Rules::None
            }
            Type::Timestamp(rules) => {
                nothing_left(rules)?;
                Rules::None
            }
        })
    }

    fn text(&mut self, mut rules: pgv::StringRules) -> Result<TextRules, String> {
        self.ignore_empty = rules.ignore_empty.take().unwrap_or_default();
        let strict = rules.strict.take().unwrap_or(true);
        let mut patterns = Vec::new();
        if let Some(WellKnown::WellKnownRegex(known)) = rules.well_known {
            rules.well_known = None;
            let (pattern, shown) = header_pattern(known, strict)?;
            patterns.push(Pattern::new(pattern, shown));
        }
        if let Some(pattern) = rules.pattern.take() {
            patterns.push(Pattern::new(pattern.clone(), pattern));
        }
        let compiled = TextRules {
            characters: Size {
                min: rules.min_len.take(),
                max: rules.max_len.take(),
            },
            bytes: Size {
                min: rules.min_bytes.take(),
                max: rules.max_bytes.take(),
            },
            prefix: rules.prefix.take(),
            suffix: rules.suffix.take(),
            one_of: std::mem::take(&mut rules.r#in),
            patterns,
        };
        nothing_left(rules)?;
        Ok(compiled)
    }
}

/// protoc-gen-validate's patterns for header names and values, and how they look in its messages.
fn header_pattern(known: i32, strict: bool) -> Result<(&'static str, &'static str), String> {
    match (pgv::KnownRegex::try_from(known), strict) {
        (Ok(pgv::KnownRegex::HttpHeaderName), true) => Ok((
            "^:?[0-9a-zA-Z!#$%&'*+-.^_|~\x60]+$",
            "^:?[0-9a-zA-Z!#$%&'*+-.^_|~`]+$",
        )),
        (Ok(pgv::KnownRegex::HttpHeaderValue), true) => {
            Ok((r"^[^\x00-\x08\x0A-\x1F\x7F]*$", r"^[^\x00-\b\n-\x1f\x7f]*$"))
        }
        (Ok(pgv::KnownRegex::HttpHeaderName | pgv::KnownRegex::HttpHeaderValue), false) => {
            Ok((r"^[^\x00\n\r]*$", r"^[^\x00\n\r]*$"))
        }
        (Ok(pgv::KnownRegex::Unknown) | Err(_), _) => Err(format!("well_known_regex {known}")),
    }
}

fn bound<T, U>(
    exclusive: Option<T>,
    inclusive: Option<T>,
    convert: impl Fn(T) -> U,
) -> Option<(U, bool)> {
    match (exclusive, inclusive) {
        (Some(limit), _) => Some((convert(limit), false)),
        (None, Some(limit)) => Some((convert(limit), true)),
        (None, None) => None,
    }
}

/// Refuses rules of which some part was not taken out.
fn nothing_left<T: Default + PartialEq + Debug>(rules: T) -> Result<(), String> {
    if rules == T::default() {
        Ok(())
    } else {
        Err(format!("unsupported validation rule {rules:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supported(rules: &FieldRules) -> bool {
        let nested = match &rules.rules {
            Rules::Unsupported(_) => return false,
            Rules::Text(rules)
                if rules
                    .patterns
                    .iter()
                    .any(|p| Regex::new(&p.source).is_err()) =>
            {
                return false;
            }
            Rules::List { items, .. } => vec![items],
            Rules::Map { keys, values, .. } => vec![keys, values],
            _ => vec![],
        };
        nested.into_iter().all(|rules| supported(rules))
    }

    #[test]
    fn every_rule_of_envoys_api_is_supported() {
        let mut rules = 0;
        for message in MessageDescriptor::all() {
            for (field, field_rules) in MessageRules::compile(message).fields {
                assert!(
                    supported(&field_rules),
                    "{}: {field_rules:?}",
                    field.full_name()
                );
                rules += 1;
            }
        }
        assert!(rules > 1500, "only {rules} fields are checked");
    }
}
