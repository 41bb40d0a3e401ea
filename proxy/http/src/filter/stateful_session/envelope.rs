//! A session of the upstream's own, in a header: on the way to the client the host's address is put before its value, and
//! on the way back it is taken out again.

use super::state::{decode, text};
use envoy_api::pb::envoy::extensions::http::stateful_session::envelope::v3::EnvelopeSessionState as Proto;
use outrigger_core::{
    ConfigError, HeaderMap, HeaderName, base64,
    error::{ConfigResult, required},
};
use std::sync::Arc;

/// What stands before the upstream's own value.
const UPSTREAM_VALUE: &[u8] = b"UV:";

/// A compiled `EnvelopeSessionState`.
#[derive(Debug)]
pub struct EnvelopeState {
    header: HeaderName,
}

impl EnvelopeState {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let header = required(proto.header.as_ref(), "header")?;
        // Envoy would take it, and answer no request whose path is gone.
        if header.name.is_empty() || header.name.starts_with(':') {
            let error = ConfigError::new("this is no header that may hold a session");
            return Err(error).at("name").at("header");
        }
        Ok(Self {
            header: header.name.as_str().into(),
        })
    }

    /// The address in the envelope of a request, whose upstream sees only what was in it.
    pub fn open(&self, request: &mut HeaderMap) -> Option<Arc<str>> {
        let mut parts = request.get_name(&self.header)?.split(|&byte| byte == b';');
        let host = parts.next().filter(|host| !host.is_empty())?;
        let value = parts.find_map(|part| part.strip_prefix(UPSTREAM_VALUE))?;
        let value = decode(value).filter(|value| !value.is_empty())?;
        let address = decode(host).and_then(text);
        replace(request, &self.header, &value);
        address
    }

    /// Puts the address before the value of the response. False: it has none, or not just one.
    pub fn seal(&self, address: &str, response: &mut HeaderMap) -> bool {
        let mut values = response.get_all(&self.header);
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let host = base64::encode(address.as_bytes());
        let sealed = format!("{host};UV:{}", base64::encode(value));
        drop(values);
        replace(response, &self.header, sealed.as_bytes());
        true
    }
}

/// It then stands behind all others, as in Envoy.
fn replace(head: &mut HeaderMap, name: &HeaderName, value: &[u8]) {
    head.remove_name(name);
    head.append_name(name, value);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::extensions::http::stateful_session::envelope::v3::envelope_session_state::Header;

    fn state() -> EnvelopeState {
        let header = Some(Header { name: "x-s".into() });
        EnvelopeState::compile(&Proto { header }).unwrap()
    }

    fn head(values: &[&str]) -> HeaderMap {
        let mut head = HeaderMap::new();
        for value in values {
            head.append_raw(b"x-s", value.as_bytes());
        }
        head
    }

    fn values(head: &HeaderMap) -> Vec<&str> {
        head.iter()
            .map(|(_, value)| std::str::from_utf8(value).unwrap())
            .collect()
    }

    #[test]
    fn what_is_sealed_can_be_opened() {
        let mut head = head(&["abc"]);
        assert!(state().seal("1.2.3.4:80", &mut head));
        assert_eq!(values(&head), ["MS4yLjMuNDo4MA==;UV:YWJj"]);
        assert_eq!(state().open(&mut head).as_deref(), Some("1.2.3.4:80"));
        assert_eq!(values(&head), ["abc"]);
    }

    #[test]
    fn only_one_value_is_sealed() {
        for values in [&[][..], &["a", "b"]] {
            assert!(!state().seal("1.2.3.4:80", &mut head(values)));
        }
    }

    #[test]
    fn what_is_no_envelope_stays_as_it_is() {
        for value in [
            "",
            "abc",
            ";UV:YWJj",
            "MQ==;UV:",
            "MQ==;UV:!!!!",
            "MQ==; UV:YWJj",
            "UV:YWJj;MQ==",
        ] {
            let mut head = head(&[value]);
            assert_eq!(state().open(&mut head), None, "{value}");
            assert_eq!(values(&head), [value]);
        }
        let mut head = head(&["!!!!;UV:YWJj"]);
        assert_eq!(state().open(&mut head), None);
        assert_eq!(values(&head), ["abc"]);
    }

    #[test]
    fn a_pseudo_header_holds_no_session() {
        let header = Some(Header {
            name: ":path".into(),
        });
        let error = EnvelopeState::compile(&Proto { header }).unwrap_err();
        assert_eq!(error.path(), "header.name");
    }
}
