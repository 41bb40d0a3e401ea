//! Which of the compressors of a chain a client wants: Envoy's `chooseEncoding`, which all of them go by.

/// A compressor that could serve.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub encoding: &'static str,
    /// Wins over others that the client likes as much.
    pub choose_first: bool,
}

/// What was found in `accept-encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// `content-encoding`; "identity" for none.
    pub encoding: &'static str,
    pub because: Because,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    Identity,
    Wildcard,
    Compressor,
    NotValid,
}

const IDENTITY: &str = "identity";

/// `candidates` in the order of the chain, those that may serve this response.
pub fn choose(accept_encoding: &[u8], candidates: impl Iterator<Item = Candidate>) -> Choice {
    let mut allowed: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        // Of several with the same encoding the first counts.
        if !allowed.iter().any(|c| c.encoding == candidate.encoding) {
            allowed.push(candidate);
        }
    }
    let tokens = accept_encoding.split(|byte| *byte == b',');
    let wishes: Vec<(&[u8], f32)> = tokens
        .filter(|token| !token.is_empty())
        .filter_map(wish)
        .collect();
    for (name, weight) in &wishes {
        if *weight == 0.0 {
            allowed.retain(|candidate| candidate.encoding.as_bytes() != *name);
        }
    }
    let not_valid = Choice {
        encoding: IDENTITY,
        because: Because::NotValid,
    };
    if wishes.is_empty() || allowed.is_empty() {
        return not_valid;
    }
    let mut best: (Choice, f32) = (not_valid, 0.0);
    for (name, weight) in wishes {
        let found = allowed.iter().find(|c| c.encoding.as_bytes() == name);
        let (choice, first) = match (name, found) {
            (b"identity", _) => (Because::Identity, false),
            (b"*", _) => (Because::Wildcard, false),
            (_, Some(found)) => (Because::Compressor, found.choose_first),
            (_, None) => continue,
        };
        if weight > best.1 || weight == best.1 && first {
            let encoding = match (choice, found) {
                (Because::Compressor, Some(found)) => found.encoding,
                (Because::Wildcard, _) => allowed.first().map_or(IDENTITY, |c| c.encoding),
                _ => IDENTITY,
            };
            let because = choice;
            best = (Choice { encoding, because }, weight);
        }
    }
    match best {
        (_, 0.0) => not_valid,
        (choice, _) => choice,
    }
}

/// One element: its name and its weight, unless that cannot be read.
fn wish(token: &[u8]) -> Option<(&[u8], f32)> {
    let mut parts = token.splitn(2, |byte| *byte == b';');
    let name = parts.next().unwrap_or_default().trim_ascii();
    let Some(parameter) = parts.next() else {
        return Some((name, 1.0));
    };
    let mut sides = parameter.splitn(2, |byte| *byte == b'=');
    let key = sides.next().unwrap_or_default().trim_ascii();
    match sides.next() {
        Some(value) if key.eq_ignore_ascii_case(b"q") => {
            let value = std::str::from_utf8(value.trim_ascii()).ok()?;
            Some((name, value.parse().ok()?))
        }
        _ => Some((name, 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept_encoding: &str, encodings: &[&'static str]) -> (&'static str, Because) {
        let candidates = encodings.iter().map(|encoding| Candidate {
            encoding: encoding.trim_end_matches('!'),
            choose_first: encoding.ends_with('!'),
        });
        let choice = choose(accept_encoding.as_bytes(), candidates);
        (choice.encoding, choice.because)
    }

    #[test]
    fn the_client_decides_by_weight() {
        let none = |because| ("identity", because);
        let gzip = ("gzip", Because::Compressor);
        for (header, expected) in [
            ("gzip", gzip),
            (" gzip ; q = 0.5 ", gzip),
            ("gzip;q=0.5, br;q=0.4", gzip),
            ("gzip;q=0.4, br;q=0.5", ("br", Because::Compressor)),
            ("gzip,br", gzip),
            ("deflate, gzip;q=0.1", gzip),
            ("gzip;level=9", gzip),
            ("GZIP", none(Because::NotValid)),
            ("gzip;q=0", none(Because::NotValid)),
            ("gzip;q=x", none(Because::NotValid)),
            ("deflate", none(Because::NotValid)),
            ("", none(Because::NotValid)),
            ("identity", none(Because::Identity)),
            ("identity, gzip", none(Because::Identity)),
            ("gzip;q=0.5, identity;q=0.6", none(Because::Identity)),
            ("*", ("gzip", Because::Wildcard)),
            ("gzip;q=0, *", ("br", Because::Wildcard)),
            ("gzip;q=0, br;q=0, *", none(Because::NotValid)),
        ] {
            assert_eq!(chosen(header, &["gzip", "br"]), expected, "{header}");
        }
    }

    #[test]
    fn the_chain_decides_between_equals() {
        let header = "gzip, br, zstd";
        assert_eq!(chosen(header, &["br", "gzip"]).0, "gzip");
        assert_eq!(chosen(header, &["gzip", "br!", "zstd"]).0, "br");
        assert_eq!(chosen(header, &["gzip", "br!", "zstd!"]).0, "zstd");
        assert_eq!(chosen("gzip;q=0.9, br;q=0.8", &["gzip", "br!"]).0, "gzip");
    }
}
