//! What indentation and colons say of a YAML stream: which block collections are open, and what may yet be a key. It never
//! reads the text.

use super::{Kind, Scanner, Status};
use crate::yaml::cursor::Mark;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Sequence,
    Map,
}

/// A block collection that is open, or would be if its first key is one.
pub(super) struct Indent {
    column: usize,
    block: Block,
    /// Its number, for the key that it waits for.
    id: usize,
    status: Status,
}

/// What may turn out to be a key.
pub(super) struct PossibleKey {
    mark: Mark,
    flow_level: usize,
    /// [`Indent::id`] of the mapping that it would open.
    indent: Option<usize>,
    /// Numbers of the tokens that count only with it.
    map_start: Option<usize>,
    key: usize,
}

impl Scanner<'_> {
    /// The first column inside the innermost block collection.
    pub(super) fn base_indent(&self) -> usize {
        self.indents.last().map_or(0, |indent| indent.column + 1)
    }

    /// Opens a block collection in this column if that is further in than where we are: the number of its start token.
    pub(super) fn open_indent(&mut self, block: Block, status: Status) -> Option<usize> {
        if self.in_flow() {
            return None;
        }
        let column = self.input.column();
        if let Some(last) = self.indents.last() {
            // The dashes of a sequence may stand below the key that it is the value of.
            let below_key = block == Block::Sequence && last.block == Block::Map;
            if column < last.column || (column == last.column && !below_key) {
                return None;
            }
        }
        self.indent_ids += 1;
        self.indents.push(Indent {
            column,
            block,
            id: self.indent_ids,
            status,
        });
        let kind = match block {
            Block::Sequence => Kind::BlockSequenceStart,
            Block::Map => Kind::BlockMapStart,
        };
        Some(self.push(kind, self.input.mark(), status))
    }

    /// Closes what this column is not inside of.
    pub(super) fn close_indents(&mut self) {
        if self.in_flow() {
            return;
        }
        let column = self.input.column();
        while let Some(last) = self.indents.last() {
            let ended_sequence = last.block == Block::Sequence && !self.input.indicator(b'-');
            if last.column < column || (last.column == column && !ended_sequence) {
                break;
            }
            self.close_indent();
        }
        while self
            .indents
            .last()
            .is_some_and(|last| last.status == Status::Invalid)
        {
            self.close_indent();
        }
    }

    pub(super) fn close_indent(&mut self) {
        let Some(indent) = self.indents.pop() else {
            return;
        };
        if indent.status != Status::Valid {
            self.invalidate_key();
            return;
        }
        let kind = match indent.block {
            Block::Sequence => Kind::BlockSequenceEnd,
            Block::Map => Kind::BlockMapEnd,
        };
        self.push(kind, self.input.mark(), Status::Valid);
    }

    /// What comes now is a key if a colon follows.
    pub(super) fn possible_key(&mut self) {
        let flow_level = self.flows.len();
        let waiting = self
            .keys
            .last()
            .is_some_and(|key| key.flow_level == flow_level);
        if !self.key_allowed || waiting {
            return;
        }
        let mark = self.input.mark();
        let map_start = self.open_indent(Block::Map, Status::Open);
        let indent = map_start.and_then(|_| self.indents.last().map(|indent| indent.id));
        let key = self.push(Kind::Key, mark, Status::Open);
        self.keys.push(PossibleKey {
            mark,
            flow_level,
            indent,
            map_start,
            key,
        });
    }

    fn decide(&mut self, key: &PossibleKey, status: Status) {
        let mut indents = self.indents.iter_mut();
        if let Some(indent) = indents.find(|indent| Some(indent.id) == key.indent) {
            indent.status = status;
        }
        if let Some(map_start) = key.map_start {
            self.set(map_start, status);
        }
        self.set(key.key, status);
    }

    /// The possible key of this level was none.
    pub(super) fn invalidate_key(&mut self) {
        if let Some(key) = self.take_key() {
            self.decide(&key, Status::Invalid);
        }
    }

    fn take_key(&mut self) -> Option<PossibleKey> {
        let flow_level = self.flows.len();
        self.keys.pop_if(|key| key.flow_level == flow_level)
    }

    /// A colon has come: the possible key of this level is one, if it is on this line and short enough.
    pub(super) fn verify_key(&mut self) -> bool {
        let Some(key) = self.take_key() else {
            return false;
        };
        let here = self.input.mark();
        let valid = here.line == key.mark.line && here.offset - key.mark.offset <= 1024;
        let status = if valid {
            Status::Valid
        } else {
            Status::Invalid
        };
        self.decide(&key, status);
        valid
    }
}
