//! Query parameters.

use percent_encoding::percent_decode_str;

/// The decoded parameters of a request, in their order. `+` stands for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// From `a=b&c`, percent-encoded.
    pub fn parse(query: &str) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Self(
            query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of a key; a key without `=` has the value "".
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a key if it is not empty.
    pub fn non_empty(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let params = Params::parse("usedonly&filter=a%7Cb+c&&x=1&x=2&bad=%ff%zz");
        assert!(params.has("usedonly") && !params.has("used"));
        assert_eq!(params.get("usedonly"), Some(""));
        assert_eq!(params.non_empty("usedonly"), None);
        assert_eq!(params.get("filter"), Some("a|b+c"));
        assert_eq!(params.get("x"), Some("1"));
        assert_eq!(params.get("bad"), Some("\u{fffd}%zz"));
        assert!(Params::parse("").is_empty());
    }
}
