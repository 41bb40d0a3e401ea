//! Adding and removing headers as configuration says: `HeaderValueOption` lists on routes, and `HeaderMutation` lists.
//!
//! Every value is rendered from the headers as they came, then overwrites happen, then additions: so no header that one
//! option adds is seen by the next. Must never touch `host` or a pseudo header.

use envoy_api::pb::envoy::config::{
    common::mutation_rules::v3::{HeaderMutation as MutationProto, header_mutation},
    core::v3::{HeaderValueOption as Proto, header_value_option::HeaderAppendAction},
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, HeaderName, StreamInfo,
    error::{ConfigResult, required},
    formatter::FormatContext,
    matcher::StringMatcher,
};
use smallvec::SmallVec;
use std::borrow::Cow;

use super::header_value::HeaderValue;

/// One level's headers to add and to remove.
#[derive(Clone, Debug, Default)]
pub struct HeaderParser {
    remove: Box<[HeaderName]>,
    add: Box<[HeaderOption]>,
}

#[derive(Clone, Debug)]
struct HeaderOption {
    name: HeaderName,
    value: HeaderValue,
    action: HeaderAppendAction,
    keep_empty: bool,
}

type Line<'a> = (&'a HeaderName, Cow<'a, [u8]>);

/// What a parser is about to do, rendered before the first change. Fixed values are borrowed: nothing is allocated for
/// them.
#[derive(Default)]
struct Changes<'a> {
    overwrite: SmallVec<[Line<'a>; 4]>,
    append: SmallVec<[Line<'a>; 4]>,
}

impl Changes<'_> {
    fn apply(self, headers: &mut HeaderMap) {
        // An overwritten header moves behind all others, as in Envoy.
        for (name, value) in self.overwrite {
            headers.remove_name(name);
            headers.append_name(name, &value);
        }
        for (name, value) in self.append {
            headers.append_name(name, &value);
        }
    }
}

impl HeaderParser {
    /// Compiles the pair of fields `<fields>_to_add` and `<fields>_to_remove`, such as `request_headers`.
    pub fn compile(add: &[Proto], remove: &[String], fields: &str) -> Result<Self, ConfigError> {
        let add = add
            .iter()
            .enumerate()
            .map(|(i, option)| HeaderOption::compile(option).map_err(|e| e.index(i)))
            .collect::<Result<_, _>>()
            .map_err(|e| e.at(&format!("{fields}_to_add")))?;
        let remove = remove
            .iter()
            .enumerate()
            .map(|(i, name)| removable(name).map_err(|e| e.index(i)))
            .collect::<Result<_, _>>()
            .map_err(|e| e.at(&format!("{fields}_to_remove")))?;
        Ok(Self { remove, add })
    }

    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// Changes a request's headers.
    pub fn evaluate_request(&self, headers: &mut HeaderMap, info: &StreamInfo) {
        self.remove_from(headers);
        let changes = self.changes(
            headers,
            &FormatContext {
                request: Some(headers),
                ..FormatContext::new(info)
            },
        );
        changes.apply(headers);
    }

    /// Changes headers whose values read nothing but the stream.
    pub fn evaluate(&self, headers: &mut HeaderMap, info: &StreamInfo) {
        self.remove_from(headers);
        let changes = self.changes(headers, &FormatContext::new(info));
        changes.apply(headers);
    }

    /// Changes a response's headers; values may also read those of its request.
    pub fn evaluate_response(
        &self,
        headers: &mut HeaderMap,
        request: Option<&HeaderMap>,
        info: &StreamInfo,
    ) {
        self.remove_from(headers);
        let changes = self.changes(
            headers,
            &FormatContext {
                request,
                response: Some(headers),
                ..FormatContext::new(info)
            },
        );
        changes.apply(headers);
    }

    fn remove_from(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove_name(name);
        }
    }

    fn changes(&self, headers: &HeaderMap, cx: &FormatContext<'_>) -> Changes<'_> {
        let mut changes = Changes::default();
        for option in &self.add {
            let exists = || headers.contains_name(&option.name);
            let list = match option.action {
                HeaderAppendAction::AppendIfExistsOrAdd => &mut changes.append,
                HeaderAppendAction::AddIfAbsent if !exists() => &mut changes.append,
                HeaderAppendAction::OverwriteIfExists if exists() => &mut changes.overwrite,
                HeaderAppendAction::OverwriteIfExistsOrAdd => &mut changes.overwrite,
                HeaderAppendAction::AddIfAbsent | HeaderAppendAction::OverwriteIfExists => continue,
            };
            let value = option.value.text(cx);
            if option.keep_empty || !value.is_empty() {
                list.push((&option.name, value));
            }
        }
        changes
    }
}

impl HeaderOption {
    #[allow(deprecated)]
    fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let header = required(proto.header.as_ref(), "header")?;
        if header.key.is_empty() {
            return Err(
                ConfigError::new("value length must be at least 1 characters")
                    .at("key")
                    .at("header"),
            );
        }
        let name = HeaderName::from(header.key.as_str());
        if is_protected(&header.key, &name) {
            return Err(ConfigError::new(
                ":-prefixed or host headers may not be modified",
            ));
        }
        let mut action = HeaderAppendAction::try_from(proto.append_action)
            .map_err(|_| ConfigError::new("unknown enum value").at("append_action"))?;
        if let Some(append) = proto.append {
            if action != HeaderAppendAction::AppendIfExistsOrAdd {
                return Err(ConfigError::new(
                    "Both append and append_action are set and it's not allowed",
                ));
            }
            if !append {
                action = HeaderAppendAction::OverwriteIfExistsOrAdd;
            }
        }
        Ok(Self {
            name,
            value: HeaderValue::compile(&header.value)?,
            action,
            keep_empty: proto.keep_empty_value,
        })
    }
}

fn removable(name: &str) -> Result<HeaderName, ConfigError> {
    let parsed = HeaderName::from(name);
    if is_protected(name, &parsed) {
        return Err(ConfigError::new(
            ":-prefixed or host headers may not be removed",
        ));
    }
    Ok(parsed)
}

pub(super) fn is_protected(text: &str, name: &HeaderName) -> bool {
    text.starts_with(':') || name.id() == HeaderId::Authority
}

/// A list of `HeaderMutation`: the same changes, one after the other.
#[derive(Clone, Debug, Default)]
pub struct HeaderMutations(Box<[Mutation]>);

#[derive(Clone, Debug)]
enum Mutation {
    Parser(HeaderParser),
    /// Removes every header whose name matches; pseudo headers and `host` stay.
    RemoveOnMatch(StringMatcher),
}

impl HeaderMutations {
    /// Compiles a repeated field; the caller names it.
    pub fn compile(protos: &[MutationProto]) -> Result<Self, ConfigError> {
        protos
            .iter()
            .enumerate()
            .map(|(i, proto)| Mutation::compile(proto).map_err(|e| e.index(i)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// See [`HeaderParser::evaluate_request`].
    pub fn evaluate_request(&self, headers: &mut HeaderMap, info: &StreamInfo) {
        for mutation in &self.0 {
            match mutation {
                Mutation::Parser(parser) => parser.evaluate_request(headers, info),
                Mutation::RemoveOnMatch(matcher) => remove_on_match(headers, matcher),
            }
        }
    }

    /// See [`HeaderParser::evaluate_response`].
    pub fn evaluate_response(
        &self,
        headers: &mut HeaderMap,
        request: Option<&HeaderMap>,
        info: &StreamInfo,
    ) {
        for mutation in &self.0 {
            match mutation {
                Mutation::Parser(parser) => parser.evaluate_response(headers, request, info),
                Mutation::RemoveOnMatch(matcher) => remove_on_match(headers, matcher),
            }
        }
    }
}

fn remove_on_match(headers: &mut HeaderMap, matcher: &StringMatcher) {
    headers.retain(|id, name, _| id.is_pseudo() || !matcher.is_match(name));
}

impl Mutation {
    fn compile(proto: &MutationProto) -> Result<Self, ConfigError> {
        Ok(match required(proto.action.as_ref(), "action")? {
            header_mutation::Action::Append(option) => Self::Parser(HeaderParser {
                add: [HeaderOption::compile(option).at("append")?].into(),
                remove: Box::default(),
            }),
            header_mutation::Action::Remove(name) => Self::Parser(HeaderParser {
                add: Box::default(),
                remove: [removable(name).at("remove")?].into(),
            }),
            header_mutation::Action::RemoveOnMatch(remove) => {
                let matcher = required(remove.key_matcher.as_ref(), "key_matcher")
                    .and_then(|matcher| StringMatcher::compile(matcher).at("key_matcher"))
                    .at("remove_on_match")?;
                Self::RemoveOnMatch(matcher)
            }
        })
    }
}
