//! `original_ip_detection_extensions`: where the address of the client comes from if it is not that of the connection.
//!
//! Must never believe a header that its configuration does not: what cannot be read is no address.

use crate::request_headers::address_from_xff;
use envoy_api::{
    Message, Name,
    pb::envoy::{
        config::core::v3::TypedExtensionConfig,
        extensions::{
            filters::network::http_connection_manager::v3::HttpConnectionManager as Proto,
            http::original_ip_detection::{
                custom_header::v3::CustomHeaderConfig, xff::v3::XffConfig,
            },
        },
    },
    prost_types::Any,
    type_name, unpack,
};
use outrigger_core::{
    Address, ConfigError, HeaderId, HeaderMap, HeaderName,
    error::{ConfigResult, required},
    matcher::CidrList,
};
use std::net::{IpAddr, SocketAddr};

/// One extension, compiled.
#[derive(Debug)]
pub enum Detector {
    Xff {
        trusted: Trusted,
        /// `skip_xff_append: false`: the peer is added to `x-forwarded-for`, whatever the connection manager says.
        append: bool,
    },
    CustomHeader {
        name: HeaderName,
        /// What a request gets whose header is no address.
        reject: Option<u16>,
        /// The address may make a request internal.
        trusted: bool,
    },
}

/// Whose words in `x-forwarded-for` are believed.
#[derive(Debug)]
pub enum Trusted {
    /// Those of so many proxies behind the first.
    Hops(usize),
    /// Those of everybody in these ranges, as far as they go without a gap.
    Ranges(CidrList),
}

/// What was found out about a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Detection {
    None,
    /// The address, and whether it may make the request internal.
    Found(Address, bool),
    /// Answered with this code.
    Rejected(u16),
}

/// Compiles the extensions of a connection manager; none at all is the default.
pub fn compile(proto: &Proto) -> Result<Box<[Detector]>, ConfigError> {
    let field = "original_ip_detection_extensions";
    let extensions = &proto.original_ip_detection_extensions;
    let mixed = match extensions.is_empty() {
        true => None,
        false if proto.use_remote_address.unwrap_or(false) => Some("use_remote_address"),
        false if proto.xff_num_trusted_hops > 0 => Some("xff_num_trusted_hops"),
        false => None,
    };
    if let Some(other) = mixed {
        return Err(ConfigError::new(format!(
            "Original IP detection extensions and {other} may not be mixed"
        ))
        .at(field));
    }
    extensions
        .iter()
        .enumerate()
        .map(|(i, extension)| Detector::compile(extension).at_index(field, i))
        .collect()
}

impl Detector {
    fn compile(extension: &TypedExtensionConfig) -> Result<Self, ConfigError> {
        let config = required(extension.typed_config.as_ref(), "typed_config")?;
        match type_name(&config.type_url) {
            "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig" => {
                unpacked(config).and_then(Self::xff)
            }
            "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig" => {
                unpacked(config).and_then(Self::custom_header)
            }
            _ => Err(ConfigError::new(format!(
                "Original IP detection extension not found: '{}'",
                extension.name
            ))),
        }
        .at("typed_config")
    }

    fn xff(proto: XffConfig) -> Result<Self, ConfigError> {
        let hops = proto.xff_num_trusted_hops as usize;
        let trusted = match &proto.xff_trusted_cidrs {
            Some(_) if hops > 0 => {
                return Err(ConfigError::new(
                    "Cannot set both xff_num_trusted_hops and xff_trusted_cidrs",
                ));
            }
            Some(ranges) if !ranges.cidrs.is_empty() => Trusted::Ranges(
                CidrList::compile(&ranges.cidrs)
                    .at("cidrs")
                    .at("xff_trusted_cidrs")?,
            ),
            _ => Trusted::Hops(hops),
        };
        Ok(Self::Xff {
            trusted,
            append: proto.skip_xff_append == Some(false),
        })
    }

    fn custom_header(proto: CustomHeaderConfig) -> Result<Self, ConfigError> {
        if proto.header_name.is_empty() {
            return Err(
                ConfigError::new("value length must be at least 1 characters").at("header_name"),
            );
        }
        let reject = proto.reject_with_status.map(|status| {
            // What is no error is 403.
            let code = u16::try_from(status.code).ok();
            code.filter(|code| (400..600).contains(code)).unwrap_or(403)
        });
        Ok(Self::CustomHeader {
            name: HeaderName::from(proto.header_name.as_str()),
            reject,
            trusted: proto.allow_extension_to_set_address_as_trusted,
        })
    }

    /// Whether the peer is to be added to `x-forwarded-for`, found or not.
    pub fn appends(&self) -> bool {
        matches!(self, Self::Xff { append: true, .. })
    }

    /// Looks at a request whose connection comes from `peer`.
    pub fn detect(&self, headers: &HeaderMap, peer: &Address) -> Detection {
        match self {
            Self::Xff { trusted, .. } => match trusted.client(headers, peer) {
                Some((address, single)) => Detection::Found(address, single),
                None => Detection::None,
            },
            Self::CustomHeader {
                name,
                reject,
                trusted,
            } => {
                let text = headers
                    .get_name(name)
                    .and_then(|v| std::str::from_utf8(v).ok());
                let address = text.and_then(|text| text.parse::<IpAddr>().ok());
                match (address, reject) {
                    (Some(ip), _) => Detection::Found(SocketAddr::new(ip, 0).into(), *trusted),
                    (None, Some(code)) => Detection::Rejected(*code),
                    (None, None) => Detection::None,
                }
            }
        }
    }
}

impl Trusted {
    /// The client by `x-forwarded-for`, and whether no other address stands there.
    fn client(&self, headers: &HeaderMap, peer: &Address) -> Option<(Address, bool)> {
        let ranges = match self {
            Self::Hops(hops) => return address_from_xff(headers, *hops),
            Self::Ranges(ranges) => ranges,
        };
        if !ranges.contains(peer.ip()?.ip()) {
            return None;
        }
        let value = headers.get_str(HeaderId::ForwardedFor)?;
        let mut client = None;
        for entry in value.rsplit(',') {
            let ip: IpAddr = entry.trim().parse().ok()?;
            client = Some(ip);
            if !ranges.contains(ip) {
                break;
            }
        }
        client.map(|ip| (SocketAddr::new(ip, 0).into(), !value.contains(',')))
    }
}

fn unpacked<T: Message + Name + Default>(config: &Any) -> Result<T, ConfigError> {
    unpack(config).map_err(|error| ConfigError::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::{
        config::core::v3::CidrRange,
        extensions::http::original_ip_detection::xff::v3::XffTrustedCidrs, r#type::v3::HttpStatus,
    };

    fn detect(detector: &Detector, name: &[u8], value: &[u8], peer: &str) -> Detection {
        let mut headers = HeaderMap::new();
        headers.append_raw(name, value);
        let peer: SocketAddr = peer.parse().unwrap();
        detector.detect(&headers, &peer.into())
    }

    fn found(ip: &str, single: bool) -> Detection {
        Detection::Found(SocketAddr::new(ip.parse().unwrap(), 0).into(), single)
    }

    #[test]
    fn trusted_ranges_are_followed_to_the_first_stranger() {
        let detector = Detector::xff(XffConfig {
            xff_trusted_cidrs: Some(XffTrustedCidrs {
                cidrs: vec![CidrRange {
                    address_prefix: "2.0.0.0".into(),
                    prefix_len: Some(8),
                }],
            }),
            ..Default::default()
        })
        .unwrap();
        let xff = |value: &str, peer| detect(&detector, b"x-forwarded-for", value.as_bytes(), peer);
        assert_eq!(
            xff("1.1.1.1, 3.3.3.3,2.2.2.2", "2.9.9.9:1"),
            found("3.3.3.3", false)
        );
        assert_eq!(xff("2.1.1.1,2.2.2.2", "2.9.9.9:1"), found("2.1.1.1", false));
        assert_eq!(xff("1.1.1.1", "2.9.9.9:1"), found("1.1.1.1", true));
        assert_eq!(xff("1.1.1.1", "3.9.9.9:1"), Detection::None);
        for gap in ["1.1.1.1,x,2.2.2.2", "x", "", "1.1.1.1,", ",2.2.2.2"] {
            assert_eq!(xff(gap, "2.9.9.9:1"), Detection::None, "{gap}");
        }
    }

    #[test]
    fn a_header_without_an_address_is_rejected_as_configured() {
        let detector = |code: Option<i32>| {
            Detector::custom_header(CustomHeaderConfig {
                header_name: "X-Real-IP".into(),
                reject_with_status: code.map(|code| HttpStatus { code }),
                ..Default::default()
            })
            .unwrap()
        };
        let try_one =
            |code, value: &[u8]| detect(&detector(code), b"x-real-ip", value, "2.9.9.9:1");
        assert_eq!(try_one(Some(429), b"8.8.8.8"), found("8.8.8.8", false));
        assert_eq!(try_one(Some(429), b"8.8.8.8:1"), Detection::Rejected(429));
        assert_eq!(try_one(Some(200), b"x"), Detection::Rejected(403));
        assert_eq!(try_one(None, b"x\xff"), Detection::None);
    }
}
