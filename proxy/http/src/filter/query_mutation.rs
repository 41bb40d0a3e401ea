//! `query_parameter_mutations` of the header mutation filter: the query string taken apart, changed and put together.

use envoy_api::{
    pb::envoy::config::core::v3::{
        KeyValueAppend, KeyValueMutation as Proto, key_value_append::KeyValueAppendAction as Action,
    },
    prost_types::value::Kind,
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, StreamInfo,
    error::{ConfigResult, required},
    formatter::{FormatContext, Formatter},
};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode, percent_encode};
use std::{borrow::Cow, collections::BTreeMap};

/// What Envoy's `urlEncode` leaves alone beside letters and digits.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');

/// What no request line may hold. Envoy sends what it has decoded as it is, so that `%0d%0a` could split the head.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ');

/// Parameters by name, decoded; Envoy writes them in the order of their names.
type Parameters<'a> = BTreeMap<Cow<'a, [u8]>, Vec<Cow<'a, [u8]>>>;

/// Changes to the query string, in order.
#[derive(Debug)]
pub(super) struct QueryMutations(Box<[Mutation]>);

#[derive(Debug)]
enum Mutation {
    Remove(Box<[u8]>),
    Append {
        key: Box<[u8]>,
        value: Formatter,
        action: Action,
    },
}

impl QueryMutations {
    /// Compiles a repeated field; the caller names it.
    pub(super) fn compile(protos: &[Proto]) -> Result<Self, ConfigError> {
        let mutations = protos.iter().enumerate();
        mutations
            .map(|(i, proto)| Mutation::compile(proto).map_err(|e| e.index(i)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Rewrites `:path`; a request without one stays as it is.
    pub(super) fn apply(&self, headers: &mut HeaderMap, info: &StreamInfo) {
        if self.0.is_empty() {
            return;
        }
        let Some(path) = headers.get(HeaderId::Path) else {
            return;
        };
        let (base, query) = match memchr::memchr(b'?', path) {
            Some(at) => path.split_at(at),
            None => (path, &[][..]),
        };
        let mut parameters = parse(query.get(1..).unwrap_or_default());
        let cx = FormatContext {
            request: Some(headers),
            ..FormatContext::new(info)
        };
        for mutation in &self.0 {
            mutation.apply(&mut parameters, &cx);
        }
        let rewritten = print(base, &parameters);
        headers.set(HeaderId::Path, &rewritten);
    }
}

impl Mutation {
    fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        match &proto.append {
            Some(_) if !proto.remove.is_empty() => Err(ConfigError::new(
                "Only one of 'append'/'remove can be specified.",
            )),
            Some(append) => Self::compile_append(append).at("append"),
            None if proto.remove.is_empty() => Err(ConfigError::new(
                "One of 'append'/'remove' must be specified.",
            )),
            None => Ok(Self::Remove(proto.remove.as_bytes().into())),
        }
    }

    fn compile_append(proto: &KeyValueAppend) -> Result<Self, ConfigError> {
        let Some(record) = &proto.record else {
            return Err(ConfigError::new("No record specified for append mutation."));
        };
        if record.key.is_empty() {
            return Err(
                ConfigError::new("value length must be at least 1 characters")
                    .at("key")
                    .at("record"),
            );
        }
        let Some(Kind::StringValue(format)) =
            record.value.as_ref().and_then(|value| value.kind.as_ref())
        else {
            return Err(ConfigError::new(
                "Only string value is allowed for record value.",
            ));
        };
        let action = Action::try_from(proto.action).ok();
        Ok(Self::Append {
            key: record.key.as_bytes().into(),
            value: Formatter::compile_header(format).at("value").at("record")?,
            action: *required(action.as_ref(), "action")?,
        })
    }

    fn apply<'a>(&'a self, parameters: &mut Parameters<'a>, cx: &FormatContext<'_>) {
        let (key, value, action) = match self {
            Self::Remove(key) => {
                parameters.remove(&**key);
                return;
            }
            Self::Append { key, value, action } => (key, value, action),
        };
        let exists = parameters.contains_key(&**key);
        match action {
            Action::AddIfAbsent if exists => return,
            Action::OverwriteIfExists if !exists => return,
            Action::OverwriteIfExists | Action::OverwriteIfExistsOrAdd => {
                parameters.remove(&**key);
            }
            Action::AddIfAbsent | Action::AppendIfExistsOrAdd => {}
        }
        let mut rendered = Vec::new();
        value.render(cx, &mut rendered);
        let encoded = percent_encode(&rendered, VALUE).to_string().into_bytes();
        parameters
            .entry(Cow::Borrowed(key))
            .or_default()
            .push(encoded.into());
    }
}

fn parse(query: &[u8]) -> Parameters<'_> {
    let mut parameters = Parameters::new();
    if query.is_empty() {
        return parameters;
    }
    // A last `&` ends a parameter, it begins none.
    let query = query.strip_suffix(b"&").unwrap_or(query);
    for pair in query.split(|&b| b == b'&') {
        let (key, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (
                pair.get(..at).unwrap_or_default(),
                pair.get(at + 1..).unwrap_or_default(),
            ),
            None => (pair, &[][..]),
        };
        let (key, value) = (percent_decode(key).into(), percent_decode(value).into());
        parameters.entry(key).or_default().push(value);
    }
    parameters
}

fn print(base: &[u8], parameters: &Parameters<'_>) -> Vec<u8> {
    let mut out = base.to_vec();
    let mut delimiter = b'?';
    for (key, values) in parameters {
        for value in values {
            out.push(delimiter);
            extend_safely(&mut out, key);
            out.push(b'=');
            extend_safely(&mut out, value);
            delimiter = b'&';
        }
    }
    out
}

fn extend_safely(out: &mut Vec<u8>, text: &[u8]) {
    for piece in percent_encode(text, UNSAFE) {
        out.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::{pb::envoy::config::core::v3::KeyValuePair, prost_types::Value};
    use outrigger_core::{Address, ConnectionInfo};
    use std::{sync::Arc, time::SystemTime};

    fn append(key: &str, value: &str, action: Action) -> Proto {
        Proto {
            append: Some(KeyValueAppend {
                record: Some(KeyValuePair {
                    key: key.into(),
                    value: Some(Value {
                        kind: Some(Kind::StringValue(value.into())),
                    }),
                }),
                action: action.into(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn remove(key: &str) -> Proto {
        Proto {
            remove: key.into(),
            ..Default::default()
        }
    }

    fn rewrite(protos: &[Proto], path: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.set(HeaderId::Path, path.as_bytes());
        headers.append_raw(b"x-v", b"V W/*");
        QueryMutations::compile(protos)
            .unwrap()
            .apply(&mut headers, &info());
        headers.get_str(HeaderId::Path).unwrap().to_owned()
    }

    #[test]
    fn each_action_as_envoy_does_it() {
        use Action::{AddIfAbsent, AppendIfExistsOrAdd, OverwriteIfExists, OverwriteIfExistsOrAdd};
        for (action, without, with) in [
            (AppendIfExistsOrAdd, "/x?a=1", "/x?a=5&a=6&a=1"),
            (AddIfAbsent, "/x?a=1", "/x?a=5&a=6"),
            (OverwriteIfExists, "/x", "/x?a=1"),
            (OverwriteIfExistsOrAdd, "/x?a=1", "/x?a=1"),
        ] {
            let protos = [append("a", "1", action)];
            assert_eq!(rewrite(&protos, "/x"), without, "{action:?}");
            assert_eq!(rewrite(&protos, "/x?a=5&a=6"), with, "{action:?}");
        }
        assert_eq!(rewrite(&[remove("a")], "/x?a=1&b&a"), "/x?b=");
        assert_eq!(rewrite(&[remove("a")], "/x?a=1"), "/x");
    }

    #[test]
    fn parameters_are_sorted_and_decoded_and_new_values_encoded() {
        let protos = [append("z", "a&%REQ(x-v)%", Action::AppendIfExistsOrAdd)];
        for (path, expected) in [
            ("/x?", "/x?z=a%26V%20W%2F*"),
            ("/x?b=2&a=1&b=1", "/x?a=1&b=2&b=1&z=a%26V%20W%2F*"),
            ("/x?bare&&c=%41%zz+~", "/x?=&bare=&c=A%zz+~&z=a%26V%20W%2F*"),
            ("/x?&", "/x?=&z=a%26V%20W%2F*"),
            ("/x?=v&k==", "/x?=v&k==&z=a%26V%20W%2F*"),
        ] {
            assert_eq!(rewrite(&protos, path), expected, "{path}");
        }
    }

    #[test]
    fn nothing_that_was_decoded_can_split_the_request() {
        assert_eq!(
            rewrite(&[remove("q")], "/x?a=%0d%0aX:%201&%00"),
            "/x?%00=&a=%0D%0AX:%201"
        );
    }

    #[test]
    fn without_mutations_the_path_stays_as_it_is() {
        assert_eq!(rewrite(&[], "/x?b&a=%41"), "/x?b&a=%41");
    }

    #[test]
    fn refused_mutations() {
        let append = |append| Proto {
            append: Some(append),
            ..Default::default()
        };
        let record = |key: &str, kind| {
            append(KeyValueAppend {
                record: Some(KeyValuePair {
                    key: key.into(),
                    value: Some(Value { kind: Some(kind) }),
                }),
                ..Default::default()
            })
        };
        for (proto, expected) in [
            (
                Proto::default(),
                "[0]: One of 'append'/'remove' must be specified.",
            ),
            (
                append(KeyValueAppend::default()),
                "[0].append: No record specified for append mutation.",
            ),
            (
                record("a", Kind::BoolValue(true)),
                "[0].append: Only string value is allowed for record value.",
            ),
            (
                record("", Kind::StringValue("x".into())),
                "[0].append.record.key: value length must be at least 1 characters",
            ),
        ] {
            let error = QueryMutations::compile(&[proto]).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    fn info() -> StreamInfo {
        let address = Address::Ip("127.0.0.1:1".parse().unwrap());
        let now = tokio::time::Instant::now();
        let connection = ConnectionInfo::new(1, address.clone(), address);
        StreamInfo::new(Arc::new(connection), SystemTime::UNIX_EPOCH, now, 0)
    }
}
