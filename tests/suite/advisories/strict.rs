//! A reader of HTTP/1 that takes nothing but what RFC 9112 lets a sender write. What a lenient peer could read in another
//! way is an anomaly: it has no business on a wire behind the proxy.

/// One message as it stands on the wire.
#[derive(Debug)]
pub struct Message {
    /// Method, target and version, or version, status and reason.
    pub start: [String; 3],
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Its end has come.
    pub complete: bool,
}

impl Message {
    pub fn target(&self) -> &str {
        &self.start[1]
    }

    pub fn status(&self) -> &str {
        &self.start[1]
    }

    pub fn values(&self, name: &str) -> Vec<&str> {
        let own = self.fields.iter().filter(|(n, _)| n == name);
        own.map(|(_, value)| value.as_str()).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// The requests on a connection, the last one perhaps not complete; or the first anomaly.
pub fn requests(bytes: &[u8]) -> Result<Vec<Message>, String> {
    messages(bytes, Side::Request)
}

/// The responses on a connection, none of them to a HEAD; or the first anomaly.
pub fn responses(bytes: &[u8]) -> Result<Vec<Message>, String> {
    messages(bytes, Side::Response)
}

fn messages(mut bytes: &[u8], side: Side) -> Result<Vec<Message>, String> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let Some((start, fields, rest)) = head(bytes)? else {
            break;
        };
        let start = match side {
            Side::Request => request_line(&start)?,
            Side::Response => status_line(&start)?,
        };
        let mut message = Message {
            start,
            fields,
            body: Vec::new(),
            complete: true,
        };
        if side == Side::Request && message.values("host").len() != 1 {
            return Err(format!("host: {:?}", message.values("host")));
        }
        bytes = match framing(&message, side)? {
            Framing::Length(length) => take(rest, length, &mut message),
            Framing::UntilClose => take(rest, rest.len(), &mut message),
            Framing::Chunked => chunks(rest, &mut message)?,
        };
        out.push(message);
    }
    Ok(out)
}

fn take<'a>(bytes: &'a [u8], length: usize, message: &mut Message) -> &'a [u8] {
    let (body, rest) = bytes.split_at(length.min(bytes.len()));
    message.body.extend(body);
    message.complete = body.len() == length;
    rest
}

/// A start line, the fields and what follows them.
type Head<'a> = (String, Vec<(String, String)>, &'a [u8]);

fn head(bytes: &[u8]) -> Result<Option<Head<'_>>, String> {
    let Some((start, mut rest)) = line(bytes)? else {
        return Ok(None);
    };
    let mut fields = Vec::new();
    loop {
        let Some((text, after)) = line(rest)? else {
            return Ok(None);
        };
        rest = after;
        if text.is_empty() {
            return Ok(Some((start, fields, rest)));
        }
        fields.push(field(&text)?);
    }
}

/// The bytes before the first CRLF as Latin-1; `None` while it has not come.
fn line(bytes: &[u8]) -> Result<Option<(String, &[u8])>, String> {
    let end = bytes.windows(2).position(|two| two == b"\r\n");
    let text = &bytes[..end.unwrap_or(bytes.len())];
    let text: String = text.iter().copied().map(char::from).collect();
    let last_cr = end.is_none() && text.ends_with('\r');
    let inner = if last_cr {
        &text[..text.len() - 1]
    } else {
        &text
    };
    if inner.contains(['\r', '\n', '\0']) {
        return Err(format!("a bare CR, LF or NUL: {text:?}"));
    }
    Ok(end.map(|end| (text, &bytes[end + 2..])))
}

fn field(text: &str) -> Result<(String, String), String> {
    let bad = |what: &str| Err(format!("{what}: {text:?}"));
    if text.starts_with([' ', '\t']) {
        return bad("a folded line");
    }
    let Some((name, value)) = text.split_once(':') else {
        return bad("no colon");
    };
    if name.is_empty() || !name.chars().all(is_token) {
        return bad("a bad name");
    }
    let value = value.trim_matches([' ', '\t']);
    if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return bad("a control byte");
    }
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn request_line(text: &str) -> Result<[String; 3], String> {
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        [method, target, "HTTP/1.1"]
            if !method.is_empty()
                && method.chars().all(is_token)
                && target.chars().all(|c| ('!'..='~').contains(&c))
                && (target.starts_with('/') || target == "*") =>
        {
            Ok([method, target, "HTTP/1.1"].map(str::to_owned))
        }
        _ => Err(format!("a bad request line: {text:?}")),
    }
}

fn status_line(text: &str) -> Result<[String; 3], String> {
    let words: Vec<&str> = text.splitn(3, ' ').collect();
    match words[..] {
        [version @ ("HTTP/1.1" | "HTTP/1.0"), status, reason]
            if status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Ok([version, status, reason].map(str::to_owned))
        }
        _ => Err(format!("a bad status line: {text:?}")),
    }
}

fn framing(message: &Message, side: Side) -> Result<Framing, String> {
    let lengths = message.values("content-length");
    let codings = message.values("transfer-encoding");
    let bodiless = side == Side::Response
        && (message.status().starts_with('1') || ["204", "304"].contains(&message.status()));
    match (&lengths[..], &codings[..]) {
        _ if bodiless && codings.is_empty() => Ok(Framing::Length(0)),
        ([], []) if side == Side::Request => Ok(Framing::Length(0)),
        ([], []) => Ok(Framing::UntilClose),
        ([], ["chunked"]) if !bodiless => Ok(Framing::Chunked),
        ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => length
            .parse::<i64>()
            .ok()
            .and_then(|length| usize::try_from(length).ok())
            .map(Framing::Length)
            .ok_or_else(|| format!("content-length: {length:?}")),
        _ => Err(format!(
            "content-length {lengths:?}, transfer-encoding {codings:?}"
        )),
    }
}

fn chunks<'a>(mut bytes: &'a [u8], message: &mut Message) -> Result<&'a [u8], String> {
    message.complete = false;
    while let Some((size, rest)) = line(bytes)? {
        let digits = size.len().min(8) == size.len() && size.bytes().all(|b| b.is_ascii_hexdigit());
        let Some(length) = usize::from_str_radix(&size, 16).ok().filter(|_| digits) else {
            return Err(format!("a bad chunk size: {size:?}"));
        };
        if length == 0 {
            let mut rest = rest;
            while let Some((text, after)) = line(rest)? {
                rest = after;
                if text.is_empty() {
                    message.complete = true;
                    return Ok(rest);
                }
                field(&text)?;
            }
            return Ok(&[]);
        }
        if rest.len() < length + 2 {
            message.body.extend(&rest[..length.min(rest.len())]);
            return Ok(&[]);
        }
        message.body.extend(&rest[..length]);
        if &rest[length..length + 2] != b"\r\n" {
            return Err("a chunk that does not end with its size".to_owned());
        }
        bytes = &rest[length + 2..];
    }
    Ok(&[])
}

#[test]
fn the_strict_reader_finds_every_anomaly() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\n";
    for bad in [
        "content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "content-length: 1\r\ncontent-length: 1\r\n\r\n",
        "content-length: 9223372036854775808\r\n\r\n",
        "content-length: +1\r\n\r\n",
        "transfer-encoding: Chunked, chunked\r\n\r\n",
        "host: b\r\n\r\n",
        "x: a\rb\r\n\r\n",
        "x: a\nb\r\n\r\n",
        "x: a\0b\r\n\r\n",
        "x: a\r\n b\r\n\r\n",
        "x : a\r\n\r\n",
        ": a\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n1;x\r\na\r\n",
        "transfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
    ] {
        let text = format!("{head}{bad}");
        assert!(requests(text.as_bytes()).is_err(), "{bad:?}");
    }
    let good = format!("{head}transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n{head}\r\n");
    let found = requests(good.as_bytes()).unwrap();
    assert!(found.len() == 2 && found[0].body == b"a" && found[1].complete);
}
