//! A lenient HTTP/1 reader for transcripts: finds where a message ends and renders it line by line for comparison.
//! It must never repair or judge a message; what it cannot frame is shown as raw bytes.

use crate::bytes::show;

/// Which side of the conversation a stream of bytes comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Request,
    /// `to_head`: the response answers a HEAD, so it has no body whatever its headers say.
    Response {
        to_head: bool,
    },
}

/// A message and how many bytes it takes.
pub struct Message {
    pub start: String,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    pub trailers: Vec<String>,
    pub length: usize,
    pub complete: bool,
    /// After it the bytes are no HTTP/1 any more (101, or 200 to CONNECT).
    pub tunnel: bool,
}

enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Message {
    /// The status of a response, 0 for a request.
    pub fn status(&self) -> u16 {
        self.start
            .strip_prefix("HTTP/")
            .and_then(|s| s.split(' ').nth(1))
            .and_then(|s| s.parse().ok())
            .unwrap_or(0)
    }

    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or("")
    }

    /// The first value of a header, trimmed.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Start line, headers, body and trailers, one line each.
    pub fn lines(&self) -> Vec<String> {
        let mut out = vec![self.start.clone()];
        out.extend(self.headers.iter().cloned());
        if let Some(decoded) = self
            .header("content-encoding")
            .and_then(|coding| crate::coding::decode(coding, &self.body))
        {
            // How a body is compressed is the library's choice; what it says is not.
            out.push(format!(
                "decoded body[{}]: {}",
                decoded.len(),
                show(&decoded)
            ));
        } else if !self.body.is_empty() {
            out.push(format!("body[{}]: {}", self.body.len(), show(&self.body)));
        }
        out.extend(self.trailers.iter().map(|line| format!("trailer {line}")));
        if !self.complete {
            out.push("(message incomplete)".to_owned());
        }
        out
    }
}

/// The head at the beginning of `bytes`, or `None` while its blank line has not come.
pub fn head(bytes: &[u8]) -> Option<Message> {
    let (lines, length) = lines(bytes)?;
    let mut lines = lines.into_iter();
    let start = lines.next()?;
    let headers = lines.collect();
    Some(Message {
        start,
        headers,
        body: Vec::new(),
        trailers: Vec::new(),
        length,
        complete: true,
        tunnel: false,
    })
}

/// The message at the beginning of `bytes`; `ended` tells that no more bytes will come.
pub fn message(bytes: &[u8], kind: Kind, ended: bool) -> Option<Message> {
    let mut message = head(bytes)?;
    let rest = bytes.get(message.length..).unwrap_or_default();
    let taken = match framing(&message, kind) {
        Framing::None => 0,
        Framing::Length(length) => {
            message.body = rest
                .get(..length.min(rest.len()))
                .unwrap_or_default()
                .to_vec();
            message.complete = rest.len() >= length;
            message.body.len()
        }
        Framing::UntilClose => {
            message.body = rest.to_vec();
            message.complete = ended;
            rest.len()
        }
        Framing::Chunked => chunked(rest, &mut message),
    };
    message.length += taken;
    message.tunnel = message.status() == 101;
    Some(message)
}

/// All messages of a stream as lines; what does not parse comes last as raw bytes.
pub fn transcript(mut bytes: &[u8], kinds: &[Kind], ended: bool) -> Vec<String> {
    let mut out = Vec::new();
    let mut kinds = kinds.iter().copied();
    let mut kind = kinds.next();
    while let Some(now) = kind {
        let looks = match now {
            Kind::Request => bytes.first().is_some_and(u8::is_ascii_uppercase),
            Kind::Response { .. } => bytes.starts_with(b"HTTP/"),
        };
        let Some(message) = looks.then(|| message(bytes, now, ended)).flatten() else {
            break;
        };
        out.extend(message.lines());
        bytes = bytes.get(message.length..).unwrap_or_default();
        let interim = matches!(message.status(), 100 | 102..=199);
        if !interim && now != Kind::Request {
            kind = kinds.next().or(Some(Kind::Response { to_head: false }));
        }
        if message.tunnel {
            break;
        }
    }
    if !bytes.is_empty() {
        out.push(format!("raw[{}]: {}", bytes.len(), show(bytes)));
    }
    out
}

/// What kind of response each request in a client's bytes will get.
pub fn response_kinds(mut sent: &[u8]) -> Vec<Kind> {
    let mut out = Vec::new();
    while let Some(request) = message(sent, Kind::Request, false) {
        out.push(Kind::Response {
            to_head: request.method() == "HEAD",
        });
        sent = sent.get(request.length..).unwrap_or_default();
    }
    if out.is_empty() {
        out.push(Kind::Response { to_head: false });
    }
    out
}

fn framing(message: &Message, kind: Kind) -> Framing {
    if let Kind::Response { to_head } = kind
        && (to_head || matches!(message.status(), 100..=199 | 204 | 304))
    {
        return Framing::None;
    }
    let coding = message.header("transfer-encoding").unwrap_or_default();
    if coding.to_ascii_lowercase().contains("chunked") {
        return Framing::Chunked;
    }
    match message
        .header("content-length")
        .and_then(|value| value.parse().ok())
    {
        Some(length) => Framing::Length(length),
        None if kind == Kind::Request => Framing::None,
        None => Framing::UntilClose,
    }
}

/// Reads chunks into the message's body. Chunk borders are dropped on purpose: they follow from how reads happened to
/// split the stream, which no rule fixes.
fn chunked(bytes: &[u8], message: &mut Message) -> usize {
    let mut at = 0;
    message.complete = false;
    while let Some((line, end)) = line(bytes, at) {
        let digits = line.split(';').next().unwrap_or("").trim();
        let Ok(size) = usize::from_str_radix(digits, 16) else {
            break;
        };
        if size == 0 {
            if let Some((trailers, length)) = lines(bytes.get(end..).unwrap_or_default()) {
                message.trailers = trailers;
                message.complete = true;
                at = end + length;
            }
            break;
        }
        let data = bytes.get(end..).unwrap_or_default();
        message
            .body
            .extend_from_slice(data.get(..size.min(data.len())).unwrap_or_default());
        if data.len() < size + 2 {
            return bytes.len();
        }
        at = end + size + 2;
    }
    at
}

/// The lines before the first blank one, and the length of all with it.
fn lines(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        let (text, end) = line(bytes, at)?;
        at = end;
        if text.is_empty() {
            return Some((out, at));
        }
        out.push(text);
    }
}

fn line(bytes: &[u8], at: usize) -> Option<(String, usize)> {
    let rest = bytes.get(at..)?;
    let length = rest.iter().position(|&byte| byte == b'\n')?;
    let text = rest.get(..length)?;
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    Some((show_line(text), at + length + 1))
}

/// Header lines keep every byte visible; a very long one is cut by [`show`].
fn show_line(text: &[u8]) -> String {
    show(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const GET: Kind = Kind::Response { to_head: false };

    #[test]
    fn messages_are_framed_by_their_headers() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nx: y\r\n\r\nrest";
        let lines = transcript(bytes, &[GET, GET], true);
        assert_eq!(
            lines,
            [
                "HTTP/1.1 100 Continue",
                "HTTP/1.1 200 OK",
                "content-length: 2",
                "body[2]: ok",
                "HTTP/1.1 200 OK",
                "transfer-encoding: chunked",
                "body[3]: abc",
                "trailer x: y",
                "raw[4]: rest"
            ]
        );
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
        let message = message(bytes, Kind::Response { to_head: true }, false).unwrap();
        assert!(message.complete && message.body.is_empty());
    }

    #[test]
    fn a_cut_body_is_marked() {
        let lines = transcript(
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
            &[GET],
            true,
        );
        assert_eq!(lines.last().unwrap(), "(message incomplete)");
    }

    #[test]
    fn methods_of_a_pipeline_are_seen() {
        let kinds = response_kinds(b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        assert!(kinds == [Kind::Response { to_head: true }, GET]);
    }
}
