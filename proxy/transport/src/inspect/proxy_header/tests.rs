#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn addresses(source: &str, destination: &str) -> Addresses {
    Some((source.parse().unwrap(), destination.parse().unwrap()))
}

fn found(bytes: &[u8]) -> Addresses {
    match inspect(bytes) {
        Inspection::Found(header) => {
            assert_eq!(header.length, bytes.len());
            header.addresses
        }
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(bytes)),
    }
}

/// A header of version 2 with this body.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&SIGNATURE_V2[..], &[command, family], &length, body].concat()
}

const V4: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 4, 87, 8, 174];

/// Each was sent to Envoy 1.40.
#[test]
fn reads_lines_as_envoy_does() {
    let v4 = addresses("1.2.3.4:1111", "5.6.7.8:2222");
    assert_eq!(found(b"PROXY TCP4 1.2.3.4 5.6.7.8 1111 2222\r\n"), v4);
    assert_eq!(found(b"PROXY TCP4 1.2.3.4 5.6.7.8 +1111 02222 \r\n"), v4);
    let v6 = addresses("[2001::1]:1", "[2001::2]:2");
    assert_eq!(found(b"PROXY TCP6 2001::1 2001::2 1 2\r\n"), v6);
    assert_eq!(found(b"PROXY UNKNOWN\r\n"), None);
    assert_eq!(found(b"PROXY UNKNOWN \xff x y z\r\n"), None);
    let malformed = [
        "TCP4 1.2.3.4 5.6.7.8 1111",
        "TCP4 1.2.3.4 5.6.7.8 1111 99999",
        "TCP4 1.2.3.444 5.6.7.8 1 2",
        "TCP4 2001::1 2001::2 1 2",
        "TCP6 1.2.3.4 5.6.7.8 1 2",
        "TCP4 224.0.0.1 5.6.7.8 1 2",
        "TCP4 0.0.0.0 5.6.7.8 1 2",
        "TCP4 1.2.3.4 255.255.255.255 1 2",
        "TCP4  1.2.3.4 5.6.7.8 1 2",
        "UDP4 1.2.3.4 5.6.7.8 1 2",
        "",
    ];
    for line in malformed {
        let inspection = inspect_line(line);
        assert_eq!(inspection, Inspection::Malformed(Version::V1), "{line}");
    }
    for line in [
        "PROXYX TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(inspect(line.as_bytes()), Inspection::Absent);
    }
}

fn inspect_line(rest: &str) -> Inspection<'static> {
    let line = format!("PROXY {rest}\r\n");
    match inspect(line.as_bytes()) {
        Inspection::Malformed(version) => Inspection::Malformed(version),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_line_has_108_bytes_at_most() {
    let line =
        |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16)).into_bytes();
    assert_eq!(found(&line(108)), None);
    let longer = line(109);
    assert_eq!(inspect(&longer), Inspection::Malformed(Version::V1));
    assert_eq!(inspect(&longer[..108]), Inspection::NeedMore(None));
    assert_eq!(inspect(&longer[..107]), Inspection::NeedMore(None));
}

#[test]
fn reads_binary_headers() {
    let v4 = addresses("1.2.3.4:1111", "5.6.7.8:2222");
    assert_eq!(found(&binary(0x21, 0x11, V4)), v4);
    assert_eq!(found(&binary(0x21, 0x12, V4)), v4);
    assert_eq!(found(&binary(0x20, 0x00, b"")), None);
    assert_eq!(found(&binary(0x20, 0x11, V4)), None);
    let tlvs = [V4, b"\x02\0\x01a\xea\0\0"].concat();
    let header = binary(0x21, 0x11, &tlvs);
    let Inspection::Found(header) = inspect(&header) else {
        panic!("a header with TLVs is one")
    };
    assert_eq!(header.tlvs, [(2, &b"a"[..]), (0xea, b"")]);
    for (command, family, body) in [
        (0x11, 0x11, V4),
        (0x22, 0x11, V4),
        (0x21, 0x00, b""),
        (0x21, 0x31, V4),
        (0x21, 0x13, V4),
        (0x21, 0x11, &V4[..8]),
        (0x21, 0x11, &[&[224], &V4[1..]].concat()),
        (0x21, 0x11, &[V4, b"\x02\0"].concat()),
        (0x21, 0x11, &[V4, b"\x02\0\x05ab"].concat()),
    ] {
        let header = binary(command, family, body);
        assert_eq!(
            inspect(&header),
            Inspection::Malformed(Version::V2),
            "{header:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for start in [&b""[..], b"PROXY ", SIGNATURE_V2, b"PROXY TCP4 "] {
            let bytes = [start, &bytes].concat();
            if let Inspection::Found(header) = inspect(&bytes) {
                prop_assert!(header.length <= bytes.len());
            }
        }
    }

    /// A part of a header is not judged, and what follows a header is not looked at.
    #[test]
    fn a_header_is_read_as_a_whole(
        source in any::<[u8; 4]>(),
        port in any::<u16>(),
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5),
        text in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let ip = Ipv4Addr::from(source);
        prop_assume!(is_unicast(IpAddr::V4(ip)));
        let header = if text {
            format!("PROXY TCP4 {ip} 5.6.7.8 {port} 1\r\n").into_bytes()
        } else {
            let mut body = [&source[..], &[5, 6, 7, 8], &port.to_be_bytes(), &[0, 1]].concat();
            for value in &values {
                body.push(7);
                body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
                body.extend(value);
            }
            binary(0x21, 0x11, &body)
        };
        prop_assert_eq!(found(&header), Some((SocketAddr::new(ip.into(), port), "5.6.7.8:1".parse().unwrap())));
        let cut = cut.index(header.len());
        prop_assert!(matches!(inspect(&header[..cut]), Inspection::NeedMore(_)));
        let more = [&header[..], b"\r\nmore"].concat();
        prop_assert_eq!(inspect(&more), inspect(&header));
    }
}
