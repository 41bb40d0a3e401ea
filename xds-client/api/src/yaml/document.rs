//! A YAML document from its tokens: collections, anchors and aliases, tags. It ends with the first document.

use std::collections::HashMap;

use super::cursor::{Fault, Mark};
use super::plain;
use super::scan::{Kind, Scanner, Token};
use crate::json::{Json, MAX_DEPTH};

/// How many nodes a document may have with its aliases expanded: far above any real configuration, far below what a
/// handful of nested aliases can make.
const MAX_NODES: usize = 1_000_000;

/// Parses the first document of `text`; an empty one is null.
pub(super) fn parse(text: &str) -> Result<Json, Fault> {
    let mut parser = Parser {
        scanner: Scanner::new(text),
        prefixes: HashMap::new(),
        anchors: HashMap::new(),
        nodes: 0,
        depth: 0,
    };
    parser.directives()?;
    if parser.next()? == Some(&Kind::DocumentStart) {
        parser.scanner.pop()?;
    }
    let node = parser.node(false)?;
    // What stands directly behind the document has to be a token, though nobody reads it.
    while parser.next()? == Some(&Kind::DocumentEnd) {
        parser.scanner.pop()?;
    }
    Ok(node.into_json())
}

/// A node before it is known whether it is a key or a value.
#[derive(Clone)]
enum Node {
    Null,
    Scalar { text: String, quoted: bool },
    Collection(Json),
}

impl Node {
    fn into_json(self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Scalar { text, quoted: true } => Json::String(text),
            Self::Scalar {
                text,
                quoted: false,
            } => plain::value(&text),
            Self::Collection(json) => json,
        }
    }

    /// A key is its text, whatever it looks like as a value.
    fn into_key(self) -> Option<String> {
        match self {
            Self::Null => Some("null".to_owned()),
            Self::Scalar { text, .. } => Some(text),
            Self::Collection(_) => None,
        }
    }
}

/// Entries in the order of their first appearance; of repeated keys the last one counts.
#[derive(Default)]
struct Mapping {
    entries: Vec<(String, Json)>,
    places: HashMap<String, usize>,
}

impl Mapping {
    fn put(&mut self, key: String, value: Json) {
        let place = self.places.get(&key);
        match place.and_then(|place| self.entries.get_mut(*place)) {
            Some(entry) => entry.1 = value,
            None => {
                self.places.insert(key.clone(), self.entries.len());
                self.entries.push((key, value));
            }
        }
    }
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    /// What `%TAG` directives say of handles.
    prefixes: HashMap<String, String>,
    /// None until the node is complete.
    anchors: HashMap<String, Option<Node>>,
    nodes: usize,
    depth: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Result<Option<&Kind>, Fault> {
        Ok(self.scanner.peek()?.map(|token| &token.kind))
    }

    /// Where the next token stands.
    fn mark(&mut self) -> Result<Mark, Fault> {
        let here = self.scanner.mark();
        Ok(self.scanner.peek()?.map_or(here, |token| token.mark))
    }

    fn fault<T>(&mut self, reason: impl Into<String>) -> Result<T, Fault> {
        let mark = self.mark()?;
        fault(mark, reason)
    }

    /// Takes the next token if it is this one.
    fn take(&mut self, kind: &Kind) -> Result<bool, Fault> {
        let found = self.next()? == Some(kind);
        if found {
            self.scanner.pop()?;
        }
        Ok(found)
    }

    fn directives(&mut self) -> Result<(), Fault> {
        let mut version = false;
        while let Some(Kind::Directive { .. }) = self.next()? {
            let Some(Token {
                kind: Kind::Directive { name, parameters },
                mark,
                ..
            }) = self.scanner.pop()?
            else {
                break;
            };
            match (name.as_str(), parameters.as_slice()) {
                ("YAML", [_]) if version => return fault(mark, "repeated YAML directive"),
                ("YAML", [text]) => {
                    check_version(text).or_else(|reason| fault(mark, reason))?;
                    version = true;
                }
                ("YAML", _) => {
                    return fault(mark, "YAML directives must have exactly one argument");
                }
                ("TAG", [handle, prefix]) => {
                    let old = self.prefixes.insert(handle.clone(), prefix.clone());
                    if old.is_some() {
                        return fault(mark, "repeated TAG directive");
                    }
                }
                ("TAG", _) => {
                    return fault(mark, "TAG directives must have exactly two arguments");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a node; in a flow sequence it may be a mapping of one entry without braces.
    fn node(&mut self, in_flow_sequence: bool) -> Result<Node, Fault> {
        self.count(1)?;
        let mark = self.mark()?;
        match self.next()? {
            // A value by itself is a mapping with no key.
            Some(Kind::Value) => return self.nested(|parser| parser.map_without_key()),
            Some(Kind::Alias(name)) => {
                let name = name.clone();
                return self.alias(&name);
            }
            _ => {}
        }
        let (tag, anchor) = self.properties()?;
        if let Some(name) = &anchor {
            self.anchors.insert(name.clone(), None);
        }
        let node = self.content(tag, in_flow_sequence)?;
        if let Some(name) = anchor {
            let nodes = match &node {
                Node::Collection(json) => nodes(json),
                _ => 1,
            };
            self.count(nodes)
                .or_else(|error| fault(mark, error.reason))?;
            self.anchors.insert(name, Some(node.clone()));
        }
        Ok(node)
    }

    fn alias(&mut self, name: &str) -> Result<Node, Fault> {
        let node = match self.anchors.get(name) {
            Some(Some(node)) => node.clone(),
            Some(None) => return self.fault("an alias of a node that is not complete"),
            None => return self.fault(format!("the referenced anchor is not defined: {name}")),
        };
        if let Node::Collection(json) = &node {
            self.count(nodes(json))?;
            self.check_depth(depth(json))?;
        }
        self.scanner.pop()?;
        Ok(node)
    }

    /// The tag and the anchor in front of a node.
    fn properties(&mut self) -> Result<(Option<String>, Option<String>), Fault> {
        let mut tag: Option<String> = None;
        let mut anchor: Option<String> = None;
        loop {
            match self.next()? {
                Some(Kind::Tag(_)) if tag.as_ref().is_some_and(|tag| !tag.is_empty()) => {
                    return self.fault("cannot assign multiple tags to the same node");
                }
                Some(Kind::Anchor(_)) if anchor.is_some() => {
                    return self.fault("cannot assign multiple anchors to the same node");
                }
                Some(Kind::Tag(_) | Kind::Anchor(_)) => match self.scanner.pop()?.map(|t| t.kind) {
                    Some(Kind::Tag(written)) => tag = Some(written.translate(&self.prefixes)),
                    Some(Kind::Anchor(name)) => anchor = Some(name),
                    _ => {}
                },
                _ => return Ok((tag.filter(|tag| !tag.is_empty()), anchor)),
            }
        }
    }

    fn content(&mut self, tag: Option<String>, in_flow_sequence: bool) -> Result<Node, Fault> {
        let tagged = tag.as_ref().is_some_and(|tag| tag != "?");
        let non_specific = tag.as_ref().is_some_and(|tag| tag == "!");
        match self.next()? {
            None => return Ok(Node::Null),
            Some(Kind::Plain(text)) if !tagged && plain::is_null(text) => {
                self.scanner.pop()?;
                return Ok(Node::Null);
            }
            Some(Kind::Plain(text)) => {
                let text = text.clone();
                self.scanner.pop()?;
                // yaml-cpp keeps one tag for a node, and quotes are the tag `!` to it.
                return Ok(Node::Scalar {
                    text,
                    quoted: non_specific,
                });
            }
            Some(Kind::NotPlain(text)) => {
                // Any other tag hides the quotes.
                let (text, quoted) = (text.clone(), tag.is_none() || non_specific);
                self.scanner.pop()?;
                return Ok(Node::Scalar { text, quoted });
            }
            Some(Kind::FlowSequenceStart) => return self.nested(Self::flow_sequence),
            Some(Kind::BlockSequenceStart) => return self.nested(Self::block_sequence),
            Some(Kind::FlowMapStart) => return self.nested(Self::flow_map),
            Some(Kind::BlockMapStart) => return self.nested(Self::block_map),
            Some(Kind::Key) if in_flow_sequence => return self.nested(Self::compact_map),
            Some(_) => {}
        }
        Ok(if tagged {
            Node::Scalar {
                text: String::new(),
                quoted: non_specific,
            }
        } else {
            Node::Null
        })
    }

    fn nested(
        &mut self,
        collection: impl FnOnce(&mut Self) -> Result<Json, Fault>,
    ) -> Result<Node, Fault> {
        self.check_depth(1)?;
        self.depth += 1;
        let json = collection(self)?;
        self.depth -= 1;
        Ok(Node::Collection(json))
    }

    fn flow_sequence(&mut self) -> Result<Json, Fault> {
        self.scanner.pop()?;
        let mut items = Vec::new();
        while !self.take(&Kind::FlowSequenceEnd)? {
            if self.next()?.is_none() {
                return self.fault("end of sequence flow not found");
            }
            items.push(self.node(true)?.into_json());
            let separated = self.take(&Kind::FlowEntry)?;
            if !separated && self.next()? != Some(&Kind::FlowSequenceEnd) {
                return self.fault("end of sequence flow not found");
            }
        }
        Ok(Json::Array(items))
    }

    fn block_sequence(&mut self) -> Result<Json, Fault> {
        self.scanner.pop()?;
        let mut items = Vec::new();
        while !self.take(&Kind::BlockSequenceEnd)? {
            if !self.take(&Kind::BlockEntry)? {
                return self.fault("end of sequence not found");
            }
            items.push(match self.next()? {
                Some(Kind::BlockEntry | Kind::BlockSequenceEnd) => Json::Null,
                _ => self.node(false)?.into_json(),
            });
        }
        Ok(Json::Array(items))
    }

    fn flow_map(&mut self) -> Result<Json, Fault> {
        self.scanner.pop()?;
        let mut mapping = Mapping::default();
        while !self.take(&Kind::FlowMapEnd)? {
            if self.next()?.is_none() {
                return self.fault("end of map flow not found");
            }
            self.entry(&mut mapping)?;
            let separated = self.take(&Kind::FlowEntry)?;
            if !separated && self.next()? != Some(&Kind::FlowMapEnd) {
                return self.fault("end of map flow not found");
            }
        }
        Ok(Json::Object(mapping.entries))
    }

    fn block_map(&mut self) -> Result<Json, Fault> {
        self.scanner.pop()?;
        let mut mapping = Mapping::default();
        while !self.take(&Kind::BlockMapEnd)? {
            if !matches!(self.next()?, Some(Kind::Key | Kind::Value)) {
                return self.fault("end of map not found");
            }
            self.entry(&mut mapping)?;
        }
        Ok(Json::Object(mapping.entries))
    }

    /// `a: b` inside the brackets of a sequence.
    fn compact_map(&mut self) -> Result<Json, Fault> {
        let mut mapping = Mapping::default();
        self.entry(&mut mapping)?;
        Ok(Json::Object(mapping.entries))
    }

    fn map_without_key(&mut self) -> Result<Json, Fault> {
        let mut mapping = Mapping::default();
        self.entry(&mut mapping)?;
        Ok(Json::Object(mapping.entries))
    }

    /// A key and its value, either of which may be absent.
    fn entry(&mut self, mapping: &mut Mapping) -> Result<(), Fault> {
        let named = self.take(&Kind::Key)?;
        let mark = self.mark()?;
        let key = if named { self.node(false)? } else { Node::Null };
        let value = if self.take(&Kind::Value)? {
            self.node(false)?
        } else {
            Node::Null
        };
        match key.into_key() {
            Some(key) => mapping.put(key, value.into_json()),
            // yaml-cpp calls it a bad conversion.
            None => return fault(mark, "a mapping key must be a scalar"),
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            self.fault("the document is too large with its aliases expanded")
        } else {
            Ok(())
        }
    }

    fn check_depth(&mut self, more: usize) -> Result<(), Fault> {
        if self.depth + more > MAX_DEPTH {
            self.fault("content was too deeply nested")
        } else {
            Ok(())
        }
    }
}

fn fault<T>(mark: Mark, reason: impl Into<String>) -> Result<T, Fault> {
    let reason = reason.into();
    Err(Fault { mark, reason })
}

/// `major.minor`, of which the major one may not be above 1; yaml-cpp takes any byte for the dot.
fn check_version(text: &str) -> Result<(), String> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let sign = text.len() - unsigned.len();
    let digits = sign + unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let major = text.get(..digits).map(str::parse::<i32>);
    let minor = text.get(digits + 1..).map(str::parse::<i32>);
    match (major, minor) {
        (Some(Ok(major)), Some(Ok(_))) if major > 1 => {
            Err("YAML major version too large".to_owned())
        }
        (Some(Ok(_)), Some(Ok(_))) => Ok(()),
        _ => Err(format!("bad YAML version: {text}")),
    }
}

fn nodes(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Json::Object(entries) => 1 + entries.iter().map(|(_, value)| nodes(value)).sum::<usize>(),
        _ => 1,
    }
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(entries) => {
            let inside = entries.iter().map(|(_, value)| depth(value)).max();
            1 + inside.unwrap_or(0)
        }
        _ => 0,
    }
}
