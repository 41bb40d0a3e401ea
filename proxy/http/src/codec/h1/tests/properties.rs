//! For all bytes: no panic, and how they are cut into pieces changes nothing.

use super::*;
use crate::codec::CodecError;
use bytes::BytesMut;
use outrigger_core::{HeaderId, Protocol};
use proptest::prelude::*;

/// Pieces that make up requests, responses and bodies, good and bad, so that random strings reach deep.
const FRAGMENTS: &[&str] = &[
    "GET ",
    "POST ",
    "CONNECT ",
    "FOO ",
    "/a?b",
    "http://h:1/p",
    "*",
    "a:1",
    " HTTP/1.1",
    " HTTP/1.0",
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ": ",
    "Host: h\r\n",
    "X-Y: z\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\n",
    "a_b: 1\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 \r\n",
    "HTTP/1.1 101 x\r\n",
    "3\r\nabc\r\n",
    "0\r\n",
    "5;ext\r\n",
    "ab",
    "\0",
    "\u{1}",
    "\u{e9}",
    "ff",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(FRAGMENTS).prop_map(|s| s.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..6),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A well-formed start followed by anything.
fn request_soup() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), soup()).prop_map(|(formed, mut rest)| {
        if formed {
            rest.splice(0..0, b"POST / HTTP/1.1\r\nHost: h\r\n".iter().copied());
        }
        rest
    })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1usize..12, 1..60)
}

/// Feeds `bytes` in pieces of the given sizes (then all the rest) until `step` stops wanting more.
fn feed<T>(
    bytes: &[u8],
    sizes: &[usize],
    mut step: impl FnMut(&mut BytesMut) -> Option<T>,
) -> Option<T> {
    let mut buf = BytesMut::new();
    let mut rest = bytes;
    let mut sizes = sizes.iter();
    loop {
        if let Some(done) = step(&mut buf) {
            return Some(done);
        }
        if rest.is_empty() {
            return None;
        }
        let size = sizes.next().copied().unwrap_or(rest.len()).min(rest.len());
        let (now, later) = rest.split_at(size);
        buf.extend_from_slice(now);
        rest = later;
    }
}

fn small() -> Http1Settings {
    Http1Settings {
        max_head_bytes: 96,
        max_headers_count: 4,
        headers_with_underscores_action: UnderscoreAction::DropHeader,
        ..lenient()
    }
}

type Outcome<H> = Option<Result<(H, String), CodecError>>;

fn requests(bytes: &[u8], sizes: &[usize], settings: &Http1Settings) -> Outcome<RequestHead> {
    let (mut parser, mut headers) = (RequestParser::new(), HeaderMap::new());
    feed(bytes, sizes, |buf| {
        let result = parser.parse(buf, settings, &mut headers).transpose()?;
        Some(result.map(|head| (head, lines(&headers))))
    })
}

fn responses(
    bytes: &[u8],
    sizes: &[usize],
    method: Method,
    settings: &Http1Settings,
) -> Outcome<ResponseHead> {
    let (mut parser, mut headers) = (ResponseParser::new(), HeaderMap::new());
    feed(bytes, sizes, |buf| {
        let result = parser
            .parse(buf, settings, method, &mut headers)
            .transpose()?;
        Some(result.map(|head| (head, lines(&headers))))
    })
}

/// Data, trailers, and how it ended (`None`: wants more).
fn body(
    bytes: &[u8],
    sizes: &[usize],
    framing: Framing,
    settings: &Http1Settings,
) -> (Vec<u8>, String, Option<Result<usize, CodecError>>) {
    let mut decoder = BodyDecoder::new(framing, settings);
    let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
    let mut taken = 0;
    let end = feed(bytes, sizes, |buf| {
        loop {
            let before = buf.len();
            let step = decoder.decode(buf, &mut trailers);
            taken += before - buf.len();
            match step {
                Ok(Decoded::Data(piece)) => data.extend_from_slice(&piece),
                Ok(Decoded::Trailers | Decoded::End) => return Some(Ok(taken)),
                Ok(Decoded::NeedMore) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    });
    (data, lines(&trailers), end)
}

fn header_name() -> impl Strategy<Value = String> {
    "x[a-z0-9!#$%&'*+.^_`|~-]{0,12}"
}

fn header_value() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![0x21u8..0x7f, 0x80u8..=0xff], 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn requests_do_not_depend_on_how_they_arrive(bytes in request_soup(), sizes in cuts()) {
        for settings in [Http1Settings::default(), lenient(), small()] {
            let whole = requests(&bytes, &[], &settings);
            prop_assert_eq!(&requests(&bytes, &sizes, &settings), &whole);
            if let Some(Ok((head, _))) = whole {
                prop_assert!(head.header_bytes <= bytes.len());
            }
        }
    }

    #[test]
    fn responses_do_not_depend_on_how_they_arrive(bytes in soup(), sizes in cuts(), method in 0usize..4) {
        let bytes = [b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat();
        for settings in [Http1Settings::default(), small()] {
            for text in [&bytes[..], &bytes[17..]] {
                let whole = responses(text, &[], METHODS[method], &settings);
                prop_assert_eq!(responses(text, &sizes, METHODS[method], &settings), whole);
            }
        }
    }

    #[test]
    fn bodies_do_not_depend_on_how_they_arrive(bytes in soup(), sizes in cuts(), length in 0u64..40) {
        for framing in [Framing::Chunked, Framing::Length(length), Framing::UntilClose, Framing::None] {
            for settings in [Http1Settings::default(), small()] {
                let whole = body(&bytes, &[], framing, &settings);
                prop_assert_eq!(body(&bytes, &sizes, framing, &settings), whole);
            }
        }
    }

    #[test]
    fn any_bytes_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..200), sizes in cuts()) {
        let settings = small();
        prop_assert_eq!(requests(&bytes, &sizes, &settings), requests(&bytes, &[], &settings));
        prop_assert_eq!(
            responses(&bytes, &sizes, Method::Get, &settings),
            responses(&bytes, &[], Method::Get, &settings)
        );
        prop_assert_eq!(
            body(&bytes, &sizes, Framing::Chunked, &settings),
            body(&bytes, &[], Framing::Chunked, &settings)
        );
    }

    #[test]
    fn what_is_written_is_read_back(
        fields in proptest::collection::vec((header_name(), header_value()), 0..10),
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..5),
        trailers in proptest::collection::vec((header_name(), header_value()), 0..3),
        sizes in cuts(),
    ) {
        let settings = lenient();
        let collect = |fields: &[(String, Vec<u8>)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append_raw(name.as_bytes(), value);
            }
            headers
        };
        let trailers = collect(&trailers);
        let mut headers = collect(&fields);
        headers.set(HeaderId::Authority, b"h");
        let mut reply = headers.clone();
        headers.set(HeaderId::Method, b"POST");
        headers.set(HeaderId::Path, b"/p");
        reply.set(HeaderId::Status, b"404");

        let mut wire = BytesMut::new();
        let how = RequestEncoding::default();
        prop_assert_eq!(encode_request(&mut wire, &headers, how), Ok(Framing::Chunked));
        let (head, read) = requests(&wire, &sizes, &settings).unwrap().unwrap();
        prop_assert_eq!(head.framing, Framing::Chunked);
        prop_assert!(head.header_bytes < wire.len());
        let fields = |text: &str| {
            let kept = |l: &&str| !l.starts_with(':') && !l.starts_with("transfer-encoding");
            text.split('|').filter(kept).map(String::from).collect::<Vec<_>>()
        };
        prop_assert_eq!(fields(&read), fields(&lines(&headers)));

        let mut wire = BytesMut::new();
        let how = ResponseEncoding {
            protocol: Protocol::Http11,
            method: Method::Get,
            end_stream: false,
            connection: ConnectionHeader::FromMap,
            header_key_format: HeaderKeyFormat::ProperCaseWords,
        };
        prop_assert_eq!(encode_response(&mut wire, &reply, how), Ok(Framing::Chunked));
        let (head, read) = responses(&wire, &sizes, Method::Get, &settings).unwrap().unwrap();
        prop_assert_eq!((head.status, head.framing), (404, Framing::Chunked));
        prop_assert_eq!(fields(&read), fields(&lines(&reply)));

        let mut wire = BytesMut::new();
        for piece in &pieces {
            encode_chunk(&mut wire, piece);
        }
        encode_last_chunk(&mut wire, Some(&trailers)).unwrap();
        let (data, read, end) = body(&wire, &sizes, Framing::Chunked, &settings);
        prop_assert_eq!(data, pieces.concat());
        prop_assert_eq!(read, lines(&trailers));
        prop_assert_eq!(end, Some(Ok(wire.len())));
    }
}
