//! `json_format`: a structure whose strings are formats, rendered as one JSON object.

use super::{Commands, FormatContext, Piece, json_text, parse};
use crate::ConfigError;
use prost_types::{Struct, Value, value::Kind};

/// A compiled JSON format. Keys are sorted when it is compiled, and whatever is the same for every stream is text already.
#[derive(Clone, Debug)]
pub struct JsonFormatter {
    object: Object,
    /// Keys and items without a value are left out instead of being null.
    omit_empty: bool,
}

/// The members of an object: each key as JSON text with its colon.
type Object = Box<[(Box<[u8]>, Node)]>;

#[derive(Clone, Debug)]
enum Node {
    /// JSON that is the same for every stream.
    Literal(Box<[u8]>),
    Null,
    /// One operator alone keeps its type.
    Operator(Piece),
    /// Mixed text is a string.
    Text(Box<[Piece]>),
    Object(Object),
    List(Box<[Node]>),
}

impl JsonFormatter {
    pub fn compile(
        format: &Struct,
        commands: &Commands,
        omit_empty: bool,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            object: object(format, commands)?,
            omit_empty,
        })
    }

    /// Appends the object and a new line.
    pub fn render(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        self.put_object(&self.object, cx, out);
        if out.len() == start {
            out.extend_from_slice(b"{}");
        }
        out.push(b'\n');
    }

    /// Appends an object; with `omit_empty`, nothing if no member has a value.
    fn put_object(&self, object: &Object, cx: &FormatContext<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(b'{');
        let mut first = true;
        for (key, node) in object {
            let before = out.len();
            if !first {
                out.push(b',');
            }
            out.extend_from_slice(key);
            if self.put(node, cx, out) {
                first = false;
            } else {
                out.truncate(before);
            }
        }
        if first && self.omit_empty {
            out.truncate(start);
        } else {
            out.push(b'}');
        }
    }

    /// Appends a value; false if there is none and it is to be left out.
    fn put(&self, node: &Node, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        match node {
            Node::Literal(text) => out.extend_from_slice(text),
            Node::Null => {}
            Node::Operator(Piece::Operator(operator)) => {
                let _ = operator.json(cx, out);
            }
            Node::Operator(Piece::Literal(text)) => json_text::put_string(out, text.as_bytes()),
            Node::Text(pieces) => {
                let _ = json_text::string_of(out, |out| self.put_text(pieces, cx, out));
            }
            Node::Object(object) => self.put_object(object, cx, out),
            Node::List(list) => self.put_list(list, cx, out),
        }
        if out.len() == start {
            if self.omit_empty {
                return false;
            }
            out.extend_from_slice(b"null");
        }
        true
    }

    fn put_list(&self, list: &[Node], cx: &FormatContext<'_>, out: &mut Vec<u8>) {
        out.push(b'[');
        let mut first = true;
        for node in list {
            let before = out.len();
            if !first {
                out.push(b',');
            }
            if self.put(node, cx, out) {
                first = false;
            } else {
                out.truncate(before);
            }
        }
        out.push(b']');
    }

    fn put_text(&self, pieces: &[Piece], cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        for piece in pieces {
            match piece {
                Piece::Literal(text) => text.put(out),
                Piece::Operator(operator) => {
                    if operator.text(cx, out).is_none() && !self.omit_empty {
                        out.push(b'-');
                    }
                }
            }
        }
        Some(())
    }
}

fn object(format: &Struct, commands: &Commands) -> Result<Object, ConfigError> {
    // The map of a protobuf struct is sorted already.
    format
        .fields
        .iter()
        .map(|(key, value)| {
            let mut text = Vec::new();
            json_text::put_string(&mut text, key.as_bytes());
            text.push(b':');
            let node = node(value, commands).map_err(|error| error.at(key))?;
            Ok((text.into_boxed_slice(), node))
        })
        .collect()
}

fn node(value: &Value, commands: &Commands) -> Result<Node, ConfigError> {
    Ok(match &value.kind {
        None | Some(Kind::NullValue(_)) => Node::Null,
        Some(Kind::StringValue(text)) => text_node(text, commands)?,
        Some(Kind::StructValue(fields)) => Node::Object(object(fields, commands)?),
        Some(Kind::ListValue(list)) => Node::List(
            list.values
                .iter()
                .enumerate()
                .map(|(index, value)| node(value, commands).map_err(|error| error.index(index)))
                .collect::<Result<_, _>>()?,
        ),
        Some(Kind::NumberValue(_) | Kind::BoolValue(_)) => {
            let mut text = Vec::new();
            json_text::put_value(&mut text, value);
            Node::Literal(text.into())
        }
    })
}

fn text_node(text: &str, commands: &Commands) -> Result<Node, ConfigError> {
    let mut pieces = parse::pieces(text, commands)?;
    Ok(match (pieces.pop(), pieces.is_empty()) {
        (None, _) => literal(b""),
        (Some(Piece::Literal(text)), true) => literal(text.as_bytes()),
        (Some(operator), true) => Node::Operator(operator),
        (Some(last), false) => {
            pieces.push(last);
            Node::Text(pieces.into())
        }
    })
}

fn literal(text: &[u8]) -> Node {
    let mut json = Vec::new();
    json_text::put_string(&mut json, text);
    Node::Literal(json.into())
}
