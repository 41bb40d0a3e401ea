#![allow(clippy::unwrap_used)]
use super::*;
use crate::inspect::fingerprint;
use proptest::prelude::*;

fn u16(value: usize) -> [u8; 2] {
    u16::try_from(value).unwrap().to_be_bytes()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes(), &u16(content.len()), content].concat()
}

fn named(name: &[u8]) -> Vec<u8> {
    let list = [&[0][..], &u16(name.len()), name].concat();
    extension(SERVER_NAME, &[&u16(list.len())[..], &list].concat())
}

fn speaking(protocols: &[&[u8]]) -> Vec<u8> {
    let mut list = Vec::new();
    for protocol in protocols {
        list.push(u8::try_from(protocol.len()).unwrap());
        list.extend_from_slice(protocol);
    }
    extension(ALPN, &[&u16(list.len())[..], &list].concat())
}

/// A ClientHello of TLS 1.2 without the header of its record.
fn message(ciphers: &[u16], extensions: &[Vec<u8>]) -> Vec<u8> {
    let ciphers: Vec<u8> = ciphers.iter().flat_map(|c| c.to_be_bytes()).collect();
    let extensions = extensions.concat();
    let body = [
        &[3, 3][..],
        &[0x11; 32],
        &[0],
        &u16(ciphers.len()),
        &ciphers,
        &[1, 0],
        &u16(extensions.len()),
        &extensions,
    ]
    .concat();
    [&[1, 0][..], &u16(body.len()), &body].concat()
}

/// In records of at most this many bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let records = message.chunks(size);
    records
        .flat_map(|part| [&[22, 3, 1][..], &u16(part.len()), part].concat())
        .collect()
}

const CIPHERS: [u16; 3] = [0x1301, 0xc02f, 0xc030];

fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    records(&message(&CIPHERS, extensions), 16384)
}

fn parsed(bytes: &[u8]) -> ClientHello {
    match inspect(bytes) {
        Inspection::Hello(hello, used) if used == bytes.len() => *hello,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_what_is_asked_for() {
    let bytes = hello(&[named(b"a.Test"), speaking(&[b"h2", b"http/1.1"])]);
    let hello = parsed(&bytes);
    assert_eq!(hello.server_name.as_deref(), Some(&b"a.Test"[..]));
    let alpn: Vec<&[u8]> = hello.alpn.iter().map(|p| &**p).collect();
    assert_eq!(alpn, [&b"h2"[..], b"http/1.1"]);
    assert_eq!((hello.version, &*hello.ciphers), (0x0303, &CIPHERS[..]));
}

/// Each was sent to Envoy 1.40.
#[test]
fn tells_why_it_is_no_hello() {
    use Mistake::*;
    let with = |extension: &[u8]| hello(&[extension.to_vec()]);
    let mut server_hello = hello(&[]);
    server_hello[5] = 2;
    let cases: Vec<(&[u8], Vec<u8>, Mistake)> = vec![
        (b"text", b"hello there".to_vec(), WrongVersionNumber),
        (b"HTTP", b"GET / HTTP/1.1".to_vec(), HttpRequest),
        (b"CONNECT", b"CONNECT a:1".to_vec(), HttpsProxyRequest),
        (
            b"no ciphers",
            records(&message(&[], &[]), 99),
            ClientHelloParseFailed,
        ),
        (
            b"twice",
            hello(&[named(b"a"), named(b"a")]),
            ClientHelloParseFailed,
        ),
        (
            b"no name",
            with(&extension(0, &[0, 3, 0, 0, 0])),
            ErrorParsingExtension,
        ),
        (b"NUL", with(&named(b"a\0")), ErrorParsingExtension),
        (
            b"long name",
            with(&named(&[b'x'; 256])),
            ErrorParsingExtension,
        ),
        (b"server", server_hello, UnexpectedMessage),
        (b"alert", b"\x15\x03\x01\0\x02\x02\x28".to_vec(), Alert(40)),
        (
            b"alert?",
            b"\x15\x03\x01\0\x02\x03\x28".to_vec(),
            UnknownAlertType,
        ),
        (
            b"long alert",
            b"\x15\x03\x01\0\x03\x02\x28\0".to_vec(),
            BadAlert,
        ),
        (
            b"warnings",
            b"\x15\x03\x01\0\x02\x01\x5a".repeat(5),
            TooManyWarningAlerts,
        ),
        (b"data", b"\x17\x03\x01\0\x01x".to_vec(), UnexpectedRecord),
        (
            b"empty",
            b"\x16\x03\x01\0\0".repeat(33),
            TooManyEmptyFragments,
        ),
        (
            b"large",
            b"\x16\x03\x01\0\x04\x01\0\x40\x01".to_vec(),
            ExcessiveMessageSize,
        ),
        (
            b"long",
            b"\x16\x03\x01\x46\x50".to_vec(),
            EncryptedLengthTooLong,
        ),
        (
            b"SSL 2",
            b"\x80\x05\x01\x03\x01\0\x15".to_vec(),
            DecodeError,
        ),
        (
            b"SSL 2 short",
            b"\x80\x01\x01\x03\x01".to_vec(),
            RecordLengthMismatch,
        ),
        (
            b"SSL 2 long",
            b"\xff\xff\x01\x03\x01".to_vec(),
            RecordTooLarge,
        ),
    ];
    for (name, bytes, mistake) in cases {
        let name = String::from_utf8_lossy(name);
        match inspect(&bytes) {
            Inspection::Not(found, _) => assert_eq!(found, mistake, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let goodbye = inspect(b"\x15\x03\x01\0\x02\x01\0");
    assert_eq!(goodbye, Inspection::CloseNotify(7));
}

#[test]
fn the_hello_of_ssl_2_counts() {
    let mut bytes = b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10".to_vec();
    bytes.extend(b"\0\0\x2f".repeat(7));
    bytes.extend([b'r'; 16]);
    assert_eq!(parsed(&bytes).ciphers, [0x2f; 7]);
}

#[test]
fn broken_protocols_are_none() {
    for list in [&b"\0\x04\x02h2\0"[..], b"\0\x03\x02h2\0", b"\0\x01x", b""] {
        assert!(parsed(&hello(&[extension(ALPN, list)])).alpn.is_empty());
    }
}

/// The values are Envoy's.
#[test]
fn fingerprints_are_envoys() {
    let versions = extension(43, b"\x06\x3a\x3a\x03\x04\x03\x03");
    let groups = extension(10, b"\0\x06\x1a\x1a\0\x1d\0\x17");
    let signatures = extension(13, b"\0\x06\x2a\x2a\x04\x03\x08\x04");
    let extensions = [
        extension(0x0a0a, b""),
        named(b"a.test"),
        groups,
        signatures,
        versions,
        extension(11, b"\x01\0"),
        speaking(&[b"http/1.1"]),
    ];
    let ciphers = [0x4a4a, 0x1301, 0x1302, 0xc02f];
    let hello = parsed(&records(&message(&ciphers, &extensions), 16384));
    assert_eq!(fingerprint::ja3(&hello), "adc73121b39b5585df02f210f76de178");
    assert_eq!(
        fingerprint::ja4(&hello),
        "t13d0306h1_40b44b994229_4494eb2b9b78"
    );
    let hello = parsed(&self::hello(&[]));
    assert_eq!(fingerprint::ja3(&hello), "56c48974a963b536794a32ffe99ebed4");
    assert_eq!(
        fingerprint::ja4(&hello),
        "t12i030000_92548b2f350b_000000000000"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        inspect(&bytes);
        let framed = records(&[&[1, 0, 0][..], &bytes].concat(), 200);
        inspect(&framed);
    }

    /// What is said of the first part of a hello is that more is needed, however its records are cut.
    #[test]
    fn a_part_of_a_hello_is_not_judged(name in "[a-z.]{1,60}", size in 1_usize..80, cut in any::<prop::sample::Index>()) {
        let message = message(&CIPHERS, &[named(name.as_bytes()), speaking(&[b"h2"])]);
        let bytes = records(&message, size);
        let cut = cut.index(bytes.len());
        prop_assert_eq!(inspect(&bytes[..cut]), Inspection::NeedMore);
        let hello = parsed(&bytes);
        prop_assert_eq!(hello.server_name.as_deref(), Some(name.as_bytes()));
        let more = [&bytes[..], b"more"].concat();
        prop_assert_eq!(inspect(&more), Inspection::Hello(Box::new(hello), bytes.len()));
    }

    /// One wrong byte makes another hello or none; it never makes the filter read elsewhere.
    #[test]
    fn a_changed_hello_is_read_without_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = hello(&[named(b"a.test"), speaking(&[b"h2"])]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Inspection::Hello(hello, used) = inspect(&bytes) {
            prop_assert!(used <= bytes.len());
            fingerprint::ja3(&hello);
            fingerprint::ja4(&hello);
        }
    }
}
