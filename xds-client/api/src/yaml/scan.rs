//! The tokens of a YAML stream, with yaml-cpp's notion of indentation and of keys that only their colon makes keys. It
//! reads no further than it is asked.

use std::collections::VecDeque;

use super::cursor::{Cursor, Fault, Mark};
use super::scalar::{self, Chomp, Fold, Rules, Style};
use super::tag;

mod structure;

use structure::{Block, Indent, PossibleKey};

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directive {
        name: String,
        parameters: Vec<String>,
    },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMapStart,
    BlockSequenceEnd,
    BlockMapEnd,
    BlockEntry,
    FlowSequenceStart,
    FlowMapStart,
    FlowSequenceEnd,
    FlowMapEnd,
    FlowEntry,
    Key,
    Value,
    Anchor(String),
    Alias(String),
    /// The tag as it is written, without its first `!`.
    Tag(tag::Tag),
    Plain(String),
    /// Quoted, or a block scalar.
    NotPlain(String),
}

/// Whether a token counts, which for a key its colon decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Valid,
    Invalid,
    Open,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    pub mark: Mark,
    status: Status,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Sequence,
    Map,
}

pub(super) struct Scanner<'a> {
    input: Cursor<'a>,
    tokens: VecDeque<Token>,
    /// How many tokens have been taken out of `tokens`.
    taken: usize,
    ended: bool,
    key_allowed: bool,
    /// A value may follow its colon at once, as in JSON.
    after_json: bool,
    keys: Vec<PossibleKey>,
    indents: Vec<Indent>,
    indent_ids: usize,
    flows: Vec<Flow>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            input: Cursor::new(text),
            tokens: VecDeque::new(),
            taken: 0,
            ended: false,
            key_allowed: true,
            after_json: false,
            keys: Vec::new(),
            indents: Vec::new(),
            indent_ids: 0,
            flows: Vec::new(),
        }
    }

    /// The place up to which the text has been read.
    pub(super) fn mark(&self) -> Mark {
        self.input.mark()
    }

    /// The next token, which stays the next.
    pub(super) fn peek(&mut self) -> Result<Option<&Token>, Fault> {
        loop {
            match self.tokens.front().map(|token| token.status) {
                Some(Status::Valid) => break,
                Some(Status::Invalid) => {
                    self.tokens.pop_front();
                    self.taken += 1;
                }
                _ if self.ended => break,
                _ => self.scan()?,
            }
        }
        Ok(self.tokens.front())
    }

    pub(super) fn pop(&mut self) -> Result<Option<Token>, Fault> {
        self.peek()?;
        let token = self.tokens.pop_front();
        self.taken += usize::from(token.is_some());
        Ok(token)
    }

    fn in_flow(&self) -> bool {
        !self.flows.is_empty()
    }

    fn scan(&mut self) -> Result<(), Fault> {
        self.skip_space();
        self.close_indents();
        let Some(next) = self.input.peek() else {
            self.end();
            return Ok(());
        };
        let flow = self.in_flow();
        match next {
            b'%' if self.input.column() == 0 => self.directive(),
            b'-' if self.input.document_mark(b'-') => self.document(Kind::DocumentStart),
            b'.' if self.input.document_mark(b'.') => self.document(Kind::DocumentEnd),
            b'[' => self.flow_start(Flow::Sequence, Kind::FlowSequenceStart),
            b'{' => self.flow_start(Flow::Map, Kind::FlowMapStart),
            b']' => return self.flow_end(Flow::Sequence, Kind::FlowSequenceEnd),
            b'}' => return self.flow_end(Flow::Map, Kind::FlowMapEnd),
            b',' if self.input.column() == 0 => {
                let reason = "plain value cannot start with flow indicator character";
                return self.input.fault(reason);
            }
            b',' => self.flow_entry(),
            b'-' if self.input.indicator(b'-') => return self.block_entry(),
            b'?' if self.input.blank_or_break_at(1) => return self.key(),
            b':' if self.value_indicator() => return self.value(),
            b'*' | b'&' => return self.anchor_or_alias(),
            b'!' => return self.tag(),
            b'|' | b'>' if !flow => return self.block_scalar(),
            b'\'' => return self.quoted(Style::SingleQuoted),
            b'"' => return self.quoted(Style::DoubleQuoted),
            _ if self.plain_starts(next) => return self.plain(),
            _ => return self.input.fault("unknown token"),
        }
        Ok(())
    }

    /// Passes over white space, comments and line breaks.
    fn skip_space(&mut self) {
        loop {
            while self.input.blank() {
                if self.input.is(b'\t') && !self.in_flow() {
                    self.key_allowed = false;
                }
                self.input.take();
            }
            if self.input.is(b'#') {
                self.input.skip_while(|input| input.line_break() == 0);
            }
            match self.input.line_break() {
                0 => return,
                bytes => self.input.skip(bytes),
            }
            self.invalidate_key();
            if !self.in_flow() {
                self.key_allowed = true;
            }
        }
    }

    fn value_indicator(&self) -> bool {
        let flow = self.in_flow();
        self.input.space_at(1)
            || flow
                && (self.after_json || matches!(self.input.peek_at(1), Some(b',' | b']' | b'}')))
    }

    fn plain_starts(&self, next: u8) -> bool {
        if b",[]{}#&*!|>'\"%@`".contains(&next) {
            return false;
        }
        if self.in_flow() {
            let dash = matches!(next, b'-' | b':')
                && (self.input.blank_at(1) || self.input.peek_at(1).is_none());
            next != b'?' && !dash
        } else {
            !(matches!(next, b'-' | b'?' | b':') && self.input.space_at(1))
        }
    }

    fn push(&mut self, kind: Kind, mark: Mark, status: Status) -> usize {
        self.tokens.push_back(Token { kind, mark, status });
        self.taken + self.tokens.len() - 1
    }

    fn set(&mut self, token: usize, status: Status) {
        let place = token.checked_sub(self.taken);
        if let Some(token) = place.and_then(|place| self.tokens.get_mut(place)) {
            token.status = status;
        }
    }

    /// Reads an indicator of so many bytes.
    fn indicator(&mut self, kind: Kind, bytes: usize) {
        let mark = self.input.mark();
        self.input.skip(bytes);
        self.push(kind, mark, Status::Valid);
    }

    fn end(&mut self) {
        self.input.end_line();
        self.end_document();
        self.ended = true;
    }

    fn end_document(&mut self) {
        if !self.in_flow() {
            while !self.indents.is_empty() {
                self.close_indent();
            }
        }
        // A key on the last line remains one: `b` is `b: null` there.
        self.keys.clear();
        self.key_allowed = false;
        self.after_json = false;
    }

    fn directive(&mut self) {
        self.end_document();
        let mark = self.input.mark();
        self.input.take();
        let name = self.word();
        let mut parameters = Vec::new();
        loop {
            self.input.skip_while(Cursor::blank);
            if self.input.at_end() || self.input.line_break() > 0 || self.input.is(b'#') {
                break;
            }
            parameters.push(self.word());
        }
        self.push(Kind::Directive { name, parameters }, mark, Status::Valid);
    }

    fn word(&mut self) -> String {
        self.text_while(|input| !input.blank_or_break_at(0))
    }

    /// Whole characters, as long as `wanted` stops at ASCII only.
    fn text_while(&mut self, wanted: impl Fn(&Cursor<'_>) -> bool) -> String {
        let mut text = Vec::new();
        while wanted(&self.input)
            && let Some(byte) = self.input.take()
        {
            text.push(byte);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn document(&mut self, kind: Kind) {
        self.end_document();
        self.indicator(kind, 3);
    }

    fn flow_start(&mut self, flow: Flow, kind: Kind) {
        self.possible_key();
        self.key_allowed = true;
        self.after_json = false;
        self.flows.push(flow);
        self.indicator(kind, 1);
    }

    /// A key of a flow mapping may stand alone: it has no value.
    fn end_entry(&mut self) {
        if self.flows.last() == Some(&Flow::Sequence) {
            self.invalidate_key();
        } else if self.in_flow() && self.verify_key() {
            self.push(Kind::Value, self.input.mark(), Status::Valid);
        }
    }

    fn flow_end(&mut self, flow: Flow, kind: Kind) -> Result<(), Fault> {
        if !self.in_flow() {
            return self.input.fault("illegal flow end");
        }
        self.end_entry();
        if self.flows.pop() != Some(flow) {
            return self.input.fault("illegal flow end");
        }
        self.key_allowed = false;
        self.after_json = true;
        self.indicator(kind, 1);
        Ok(())
    }

    fn flow_entry(&mut self) {
        self.end_entry();
        self.key_allowed = true;
        self.after_json = false;
        self.indicator(Kind::FlowEntry, 1);
    }

    fn block_entry(&mut self) -> Result<(), Fault> {
        if self.in_flow() || !self.key_allowed {
            return self.input.fault("illegal block entry");
        }
        self.open_indent(Block::Sequence, Status::Valid);
        self.key_allowed = true;
        self.after_json = false;
        self.indicator(Kind::BlockEntry, 1);
        Ok(())
    }

    fn key(&mut self) -> Result<(), Fault> {
        if !self.in_flow() {
            if !self.key_allowed {
                return self.input.fault("illegal map key");
            }
            self.open_indent(Block::Map, Status::Valid);
        }
        self.key_allowed = !self.in_flow();
        self.indicator(Kind::Key, 1);
        Ok(())
    }

    fn value(&mut self) -> Result<(), Fault> {
        let simple = self.verify_key();
        self.after_json = false;
        if simple {
            self.key_allowed = false;
        } else {
            if !self.in_flow() {
                if !self.key_allowed {
                    return self.input.fault("illegal map value");
                }
                self.open_indent(Block::Map, Status::Valid);
            }
            self.key_allowed = !self.in_flow();
        }
        self.indicator(Kind::Value, 1);
        Ok(())
    }

    fn anchor_or_alias(&mut self) -> Result<(), Fault> {
        self.possible_key();
        self.key_allowed = false;
        self.after_json = false;
        let mark = self.input.mark();
        let alias = self.input.take() == Some(b'*');
        let name = self.text_while(|input| {
            !input.space_at(0) && !input.peek().is_some_and(|byte| b"[]{},".contains(&byte))
        });
        let ends = self.input.space_at(0)
            || self
                .input
                .peek()
                .is_some_and(|byte| b"?:,]}%@`".contains(&byte));
        let (absent, ill_ended) = if alias {
            (
                "alias not found after *",
                "illegal character found while scanning alias",
            )
        } else {
            (
                "anchor not found after &",
                "illegal character found while scanning anchor",
            )
        };
        if name.is_empty() {
            return self.input.fault(absent);
        }
        if !ends {
            return self.input.fault(ill_ended);
        }
        let kind = if alias {
            Kind::Alias(name)
        } else {
            Kind::Anchor(name)
        };
        self.push(kind, mark, Status::Valid);
        Ok(())
    }

    fn tag(&mut self) -> Result<(), Fault> {
        self.possible_key();
        self.key_allowed = false;
        self.after_json = false;
        let mark = self.input.mark();
        self.input.take();
        let tag = tag::scan(&mut self.input)?;
        self.push(Kind::Tag(tag), mark, Status::Valid);
        Ok(())
    }

    fn plain(&mut self) -> Result<(), Fault> {
        let rules = Rules::plain(
            self.in_flow(),
            if self.in_flow() {
                0
            } else {
                self.base_indent()
            },
        );
        self.possible_key();
        let mark = self.input.mark();
        let scalar = scalar::scan(&mut self.input, rules)?;
        self.key_allowed = scalar.ended_by_indent;
        self.after_json = false;
        self.push(Kind::Plain(scalar.text), mark, Status::Valid);
        Ok(())
    }

    fn quoted(&mut self, style: Style) -> Result<(), Fault> {
        self.possible_key();
        let mark = self.input.mark();
        self.input.take();
        let scalar = scalar::scan(&mut self.input, Rules::quoted(style))?;
        self.key_allowed = false;
        self.after_json = true;
        self.push(Kind::NotPlain(scalar.text), mark, Status::Valid);
        Ok(())
    }

    fn block_scalar(&mut self) -> Result<(), Fault> {
        let mark = self.input.mark();
        let mut rules = Rules {
            style: Style::Block,
            fold: if self.input.take() == Some(b'>') {
                Fold::Block
            } else {
                Fold::Keep
            },
            chomp: Chomp::Clip,
            indent: 1,
            detect_indent: true,
        };
        self.block_header(&mut rules)?;
        // The columns of the header count from the collection that the scalar stands in.
        rules.indent += self.base_indent().saturating_sub(1);
        let scalar = scalar::scan(&mut self.input, rules)?;
        self.key_allowed = true;
        self.after_json = false;
        self.push(Kind::NotPlain(scalar.text), mark, Status::Valid);
        Ok(())
    }

    /// Reads how a block scalar ends and is indented, up to the end of the line.
    fn block_header(&mut self, rules: &mut Rules) -> Result<(), Fault> {
        let (mut chomp, mut indent) = (false, false);
        loop {
            match self.input.peek() {
                Some(sign @ (b'+' | b'-')) if !chomp => {
                    chomp = true;
                    rules.chomp = if sign == b'+' {
                        Chomp::Keep
                    } else {
                        Chomp::Strip
                    };
                }
                Some(digit @ b'0'..=b'9') if !indent => {
                    indent = true;
                    rules.indent = usize::from(digit - b'0');
                    rules.detect_indent = false;
                }
                _ => break,
            }
            self.input.take();
            if rules.indent == 0 {
                return self
                    .input
                    .fault("cannot set zero indentation for a block scalar");
            }
        }
        self.input.skip_while(Cursor::blank);
        if self.input.is(b'#') {
            self.input.skip_while(|input| input.line_break() == 0);
        }
        if !self.input.at_end() && self.input.line_break() == 0 {
            return self.input.fault("unexpected character in block scalar");
        }
        Ok(())
    }
}
