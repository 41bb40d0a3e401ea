//! The text of a YAML stream with the place in it, and the character classes of yaml-cpp. It decides nothing.

/// A place in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Bytes before it.
    pub offset: usize,
    /// Lines before it.
    pub line: usize,
    /// Bytes before it in its line: what yaml-cpp takes for the indentation.
    pub column: usize,
}

/// Why the text is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub mark: Mark,
    pub reason: String,
}

/// Reads a text byte by byte.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    mark: Mark,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            text: text.as_bytes(),
            mark: Mark::default(),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    pub(super) fn column(&self) -> usize {
        self.mark.column
    }

    /// A stream ends at the start of a line, whatever its last line looks like.
    pub(super) fn end_line(&mut self) {
        self.mark.column = 0;
    }

    pub(super) fn at_end(&self) -> bool {
        self.mark.offset >= self.text.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.mark.offset + ahead).copied()
    }

    pub(super) fn is(&self, byte: u8) -> bool {
        self.peek() == Some(byte)
    }

    /// The next byte, which is behind the cursor then.
    pub(super) fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.mark.offset += 1;
        if byte == b'\n' || (byte == b'\r' && !self.is(b'\n')) {
            self.mark.line += 1;
            self.mark.column = 0;
        } else {
            self.mark.column += 1;
        }
        Some(byte)
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        for _ in 0..bytes {
            self.take();
        }
    }

    pub(super) fn skip_while(&mut self, wanted: impl Fn(&Self) -> bool) {
        while !self.at_end() && wanted(self) {
            self.take();
        }
    }

    pub(super) fn fault<T>(&self, reason: impl Into<String>) -> Result<T, Fault> {
        Err(Fault {
            mark: self.mark,
            reason: reason.into(),
        })
    }

    pub(super) fn blank_at(&self, ahead: usize) -> bool {
        matches!(self.peek_at(ahead), Some(b' ' | b'\t'))
    }

    pub(super) fn blank(&self) -> bool {
        self.blank_at(0)
    }

    /// How many bytes a line break has that starts here; 0 if none does.
    pub(super) fn line_break_at(&self, ahead: usize) -> usize {
        match self.peek_at(ahead) {
            Some(b'\n') => 1,
            Some(b'\r') if self.peek_at(ahead + 1) == Some(b'\n') => 2,
            Some(b'\r') => 1,
            _ => 0,
        }
    }

    pub(super) fn line_break(&self) -> usize {
        self.line_break_at(0)
    }

    pub(super) fn blank_or_break_at(&self, ahead: usize) -> bool {
        self.blank_at(ahead) || self.line_break_at(ahead) > 0
    }

    /// White space or the end of the text.
    pub(super) fn space_at(&self, ahead: usize) -> bool {
        self.peek_at(ahead).is_none() || self.blank_or_break_at(ahead)
    }

    /// This byte and then white space or the end of the text: an indicator of the block context.
    pub(super) fn indicator(&self, byte: u8) -> bool {
        self.is(byte) && self.space_at(1)
    }

    /// `---` or `...` at the start of a line, by its byte.
    pub(super) fn document_mark(&self, byte: u8) -> bool {
        self.mark.column == 0 && (0..3).all(|i| self.peek_at(i) == Some(byte)) && self.space_at(3)
    }

    pub(super) fn any_document_mark(&self) -> bool {
        self.document_mark(b'-') || self.document_mark(b'.')
    }

    /// A comment behind white space, which ends a plain scalar.
    pub(super) fn comment_behind_space(&self) -> bool {
        let space = match self.line_break() {
            0 => usize::from(self.blank()),
            line_break => line_break,
        };
        space > 0 && self.peek_at(space) == Some(b'#')
    }
}
