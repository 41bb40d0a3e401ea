//! The map as codecs and filters use it.

use super::*;

fn lines(map: &HeaderMap) -> Vec<String> {
    map.iter()
        .map(|(n, v)| {
            format!(
                "{}={}",
                String::from_utf8_lossy(n),
                String::from_utf8_lossy(v)
            )
        })
        .collect()
}

#[test]
fn a_line_is_copied_whole_while_it_is_as_it_came() {
    let head = b"Host: a\r\nX-One: 1\r\nServer:2\r\nDate: 3 \r\nX-Two: 4\r\nVary: 5\r\n";
    let mut map = HeaderMap::new();
    map.append(HeaderId::Method, b"GET");
    let base = map.adopt(head);
    for line in [
        (0, 4, 6, 7),
        (9, 14, 16, 17),
        (19, 25, 26, 27),
        (29, 33, 35, 36),
    ] {
        let (name, colon, value, end) = line;
        map.lower_plain_name(base + name);
        map.append_adopted(base + name, colon - name, base + value, end - value);
    }
    for (name, length, value) in [(39, 5, 46), (49, 4, 55)] {
        map.lower_plain_name(base + name);
        map.append_adopted(base + name, length, base + value, 1);
    }
    map.set(HeaderId::Vary, b"6");
    let wire: Vec<_> = map
        .lines()
        .map(|line| {
            let whole = line.wire().map(|range| map.wire(range));
            String::from_utf8_lossy(whole.unwrap_or_default())
        })
        .collect();
    let as_came = [
        "",
        "host: a\r\n",
        "x-one: 1\r\n",
        "",
        "",
        "x-two: 4\r\n",
        "vary: 6\r\n",
    ];
    assert_eq!(wire, as_came);
}

#[test]
fn names_are_lower_cased_and_order_is_kept() {
    let mut map = HeaderMap::new();
    map.append_raw(b"X-Foo", b"1");
    map.append_raw(b"Host", b"a");
    map.append_raw(b"x-foo", b"2");
    map.set(HeaderId::Method, b"GET");
    assert_eq!(
        lines(&map),
        [":authority=a", ":method=GET", "x-foo=1", "x-foo=2"].map(String::from)
    );
}

#[test]
fn inline_headers_merge_and_others_do_not() {
    let mut map = HeaderMap::new();
    map.append_raw(b"X-Forwarded-For", b"1.1.1.1");
    map.append_raw(b"x-other", b"a");
    map.append_raw(b"x-forwarded-for", b"2.2.2.2");
    map.append_raw(b"x-other", b"b");
    assert_eq!(
        lines(&map),
        ["x-forwarded-for=1.1.1.1,2.2.2.2", "x-other=a", "x-other=b"].map(String::from)
    );
}

#[test]
fn set_overwrites_in_place_and_drops_repeats() {
    let name = HeaderName::from_bytes(b"X-A");
    let mut map = HeaderMap::new();
    map.append_raw(b"x-a", b"1");
    map.append_raw(b"x-b", b"2");
    map.append_raw(b"x-a", b"3");
    map.set_name(&name, b"9");
    assert_eq!(lines(&map), ["x-a=9", "x-b=2"].map(String::from));
    map.set(HeaderId::Server, b"envoy");
    map.set(HeaderId::Server, b"other");
    assert_eq!(
        lines(&map),
        ["x-a=9", "x-b=2", "server=other"].map(String::from)
    );
    assert!(map.remove_name(&name));
    assert!(!map.remove_name(&name));
}

#[test]
fn a_name_is_found_only_while_it_is_there() {
    let mut map = HeaderMap::new();
    assert!(!map.contains(HeaderId::Server) && !map.remove(HeaderId::Server));
    assert_eq!(map.append_raw(b"Server", b"a"), HeaderId::Server);
    assert_eq!(map.append_raw(b"X-Other", b"b"), HeaderId::Custom);
    assert_eq!(map.get(HeaderId::Server), Some(&b"a"[..]));
    assert!(map.remove(HeaderId::Server) && !map.contains(HeaderId::Server));
    map.set(HeaderId::Server, b"c");
    assert!(map.contains(HeaderId::Server));
    map.clear();
    assert_eq!(map.get(HeaderId::Server), None);
}

#[test]
fn names_of_a_set_are_found_and_removed_together() {
    const SET: HeaderSet = HeaderSet::of(&[HeaderId::Te, HeaderId::Via]);
    let mut map = HeaderMap::new();
    map.append_raw(b"server", b"a");
    assert!(!map.contains_any(SET));
    map.append_raw(b"via", b"b");
    map.append_raw(b"te", b"c");
    assert!(map.contains_any(SET));
    map.remove_all(SET);
    assert_eq!(lines(&map), ["server=a"]);
    map.append_raw(b"te", b"d");
    assert_eq!(map.get(HeaderId::Te), Some(&b"d"[..]));
}

#[test]
fn adopted_lines_are_as_raw_ones() {
    let head = b"Host: a\r\nX-Foo: 1\r\nX-Forwarded-For: b\r\nx-forwarded-for: c\r\n";
    let mut adopted = HeaderMap::new();
    adopted.append(HeaderId::Method, b"GET");
    let base = adopted.adopt(head);
    let mut raw = HeaderMap::new();
    raw.append(HeaderId::Method, b"GET");
    for (name, value) in [
        (0..4, 6..7),
        (9..14, 16..17),
        (19..34, 36..37),
        (39..54, 56..57),
    ] {
        raw.append_raw(&head[name.clone()], &head[value.clone()]);
        let length = adopted.lower_plain_name(base + name.start);
        assert_eq!(length, name.len());
        adopted.append_adopted(base + name.start, length, base + value.start, value.len());
    }
    assert_eq!(adopted, raw);
    assert_eq!(
        lines(&adopted),
        [
            ":method=GET",
            ":authority=a",
            "x-foo=1",
            "x-forwarded-for=b,c"
        ]
    );
}

#[test]
fn every_well_known_name_is_found_by_its_bytes() {
    for id in HeaderId::all() {
        assert_eq!(HeaderId::lookup(id.name().as_bytes()), id, "{}", id.name());
    }
    assert_eq!(HeaderId::lookup(b"x-unknown"), HeaderId::Custom);
    assert_eq!(HeaderId::lookup(b""), HeaderId::Custom);
}
