//! A session in a cookie: the host's address and, if it has a lifetime, when it ends, as a protobuf message in base64.

use super::state::{decode, text};
use crate::route::cookie_value;
use envoy_api::pb::envoy::extensions::http::stateful_session::cookie::v3::CookieBasedSessionState as Proto;
use outrigger_core::{ConfigError, HeaderId, HeaderMap, HeaderName, base64, error::required};
use prost::Message;
use std::{
    fmt::Write,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// A compiled `CookieBasedSessionState`.
#[derive(Debug)]
pub struct CookieState {
    name: Box<str>,
    /// The header that holds cookies.
    header: HeaderName,
    /// Requests to other paths have no part in the session.
    path: Box<str>,
    /// Whole seconds; 0 is as long as the browser wants.
    ttl: u64,
    /// What stands behind the value.
    attributes: Box<str>,
}

/// The value, in the message that Envoy writes.
#[derive(Clone, PartialEq, prost::Message)]
struct Value {
    #[prost(string, tag = "1")]
    address: String,
    /// Seconds since 1970; 0 is never.
    #[prost(uint64, tag = "2")]
    expires: u64,
}

impl CookieState {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let cookie = required(proto.cookie.as_ref(), "cookie")?;
        let ttl = cookie.ttl.as_ref().map_or(0, |ttl| ttl.seconds);
        let ttl = u64::try_from(ttl).unwrap_or(0);
        let mut attributes = String::new();
        if ttl != 0 {
            // Writing to a string cannot fail.
            let _ = write!(attributes, "; Max-Age={ttl}");
        }
        if !cookie.path.is_empty() {
            attributes = attributes + "; Path=" + &cookie.path;
        }
        for attribute in &cookie.attributes {
            attributes = attributes + "; " + &attribute.name;
            if !attribute.value.is_empty() {
                attributes = attributes + "=" + &attribute.value;
            }
        }
        attributes.push_str("; HttpOnly");
        Ok(Self {
            name: cookie.name.as_str().into(),
            header: HeaderId::Cookie.into(),
            path: cookie.path.as_str().into(),
            ttl,
            attributes: attributes.into(),
        })
    }

    /// Whether a client sends the cookie with this request.
    pub fn covers(&self, request: &HeaderMap) -> bool {
        let path = request.get(HeaderId::Path).unwrap_or_default();
        if matches!(&*self.path, "" | "/") {
            return true;
        }
        match path.strip_prefix(self.path.as_bytes()) {
            Some(_) if self.path.ends_with('/') => true,
            Some(rest) => matches!(rest.first(), None | Some(b'/' | b'?' | b'#')),
            None => false,
        }
    }

    /// The address in the cookie of a request, unless it is too old. What is no message is the address itself.
    pub fn read(&self, request: &HeaderMap, now: SystemTime) -> Option<Arc<str>> {
        let value = cookie_value(request, &self.header, self.name.as_bytes())?;
        let value = decode(value)?;
        match Value::decode(&*value) {
            Ok(Value { address, expires }) => {
                let fresh = expires == 0 || seconds(now) <= expires;
                fresh.then(|| address.into())
            }
            Err(_) => text(value),
        }
    }

    pub fn write(&self, address: &str, response: &mut HeaderMap, now: SystemTime) {
        let value = Value {
            address: address.to_owned(),
            expires: match self.ttl {
                0 => 0,
                ttl => seconds(now).saturating_add(ttl),
            },
        };
        let value = base64::encode(&value.encode_to_vec());
        let cookie = format!("{}=\"{value}\"{}", self.name, self.attributes);
        response.append_raw(b"set-cookie", cookie.as_bytes());
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::{
        pb::envoy::r#type::http::v3::{Cookie, CookieAttribute},
        prost_types::Duration as ProtoDuration,
    };
    use std::time::Duration;

    fn state(path: &str, ttl: i64, attributes: &[(&str, &str)]) -> CookieState {
        let attributes = attributes.iter().map(|(name, value)| CookieAttribute {
            name: (*name).into(),
            value: (*value).into(),
        });
        let cookie = Cookie {
            name: "s".into(),
            path: path.into(),
            ttl: Some(ProtoDuration {
                seconds: ttl,
                nanos: 500_000_000,
            }),
            attributes: attributes.collect(),
        };
        CookieState::compile(&Proto {
            cookie: Some(cookie),
        })
        .unwrap()
    }

    fn request(path: &str, cookie: &str) -> HeaderMap {
        let mut head = HeaderMap::new();
        head.set(HeaderId::Path, path.as_bytes());
        head.append(HeaderId::Cookie, cookie.as_bytes());
        head
    }

    fn written(state: &CookieState, now: SystemTime) -> String {
        let mut head = HeaderMap::new();
        state.write("127.0.0.1:80", &mut head, now);
        let (_, value) = head.iter().next().unwrap();
        String::from_utf8(value.to_vec()).unwrap()
    }

    #[test]
    fn paths_are_those_of_cookies() {
        for (path, covered, other) in [
            ("", &["/", "*"][..], &[][..]),
            ("/", &["/", "/x"], &[]),
            ("/p", &["/p", "/p/x", "/p?x", "/p#x"], &["/", "/px", ""]),
            ("/p/", &["/p/", "/p/x"], &["/p", "/px"]),
        ] {
            let state = state(path, 0, &[]);
            for at in covered {
                assert!(state.covers(&request(at, "")), "{path} {at}");
            }
            for at in other {
                assert!(!state.covers(&request(at, "")), "{path} {at}");
            }
        }
    }

    #[test]
    fn what_is_written_can_be_read_until_it_is_too_old() {
        let state = state("/p", 60, &[("SameSite", "Lax"), ("Secure", "")]);
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let cookie = written(&state, now);
        assert_eq!(
            cookie,
            "s=\"CgwxMjcuMC4wLjE6ODAQ/IQ9\"; Max-Age=60; Path=/p; SameSite=Lax; Secure; HttpOnly"
        );
        let request = request("/p", cookie.split(';').next().unwrap());
        let at = |seconds| state.read(&request, now + Duration::from_secs(seconds));
        assert_eq!(at(60).as_deref(), Some("127.0.0.1:80"));
        assert_eq!(at(61), None);
    }

    #[test]
    fn without_a_lifetime_there_is_no_end() {
        let state = state("", 0, &[]);
        assert_eq!(
            written(&state, SystemTime::now()),
            "s=\"CgwxMjcuMC4wLjE6ODA=\"; HttpOnly"
        );
    }

    #[test]
    fn values_of_strangers() {
        let state = state("", 0, &[]);
        let read = |cookie: &str| {
            let address = state.read(&request("/", cookie), SystemTime::now());
            address.filter(|address| !address.is_empty())
        };
        // Plain base64 of an address, as Envoy wrote it once.
        assert_eq!(read("s=MTI3LjAuMC4xOjgw").as_deref(), Some("127.0.0.1:80"));
        for none in [
            "",
            "s=",
            "s=!!!!",
            "s=CgwxMjcuMC4wLjE6ODA",
            "t=MTI3LjAuMC4xOjgw",
            "s=/////w==",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
