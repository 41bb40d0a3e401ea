//! `DirectResponseAction`: a reply from configuration.

use crate::{
    local_reply::{Amendment, LocalReply},
    route::HeaderParser,
};
use bytes::Bytes;
use envoy_api::pb::envoy::config::{
    core::v3::{DataSource, SubstitutionFormatString, data_source::Specifier},
    route::v3::DirectResponseAction as Proto,
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, StreamInfo,
    error::{ConfigResult, required},
    formatter::{FormatContext, SubstitutionFormat},
};
use std::{fs, sync::Arc};

/// A compiled direct response.
#[derive(Clone, Debug)]
pub struct DirectResponse {
    pub status: u16,
    /// Empty: no body and no `content-type`.
    pub body: Bytes,
    format: Option<Box<BodyFormat>>,
}

/// `body_format`: makes the body of the reply, in which the configured one may stand.
#[derive(Clone, Debug)]
struct BodyFormat {
    format: SubstitutionFormat,
    /// `None`: `text/plain`, unless the route says otherwise.
    content_type: Option<Arc<str>>,
    /// No further headers.
    headers: Arc<HeaderParser>,
}

impl BodyFormat {
    fn compile(proto: &SubstitutionFormatString) -> Result<Self, ConfigError> {
        let format = SubstitutionFormat::compile(proto)?;
        let content_type = match (proto.content_type.as_str(), &format) {
            ("", SubstitutionFormat::Text(_)) => None,
            ("", SubstitutionFormat::Json(_)) => Some(format.content_type().into()),
            (given, _) => Some(given.into()),
        };
        Ok(Self {
            format,
            content_type,
            headers: Arc::default(),
        })
    }
}

impl DirectResponse {
    /// `max_body` is `RouteConfiguration.max_direct_response_body_size_bytes` (4096 by default).
    pub(super) fn compile(proto: &Proto, max_body: usize) -> Result<Self, ConfigError> {
        let status = u16::try_from(proto.status)
            .ok()
            .filter(|status| (200..600).contains(status))
            .ok_or_else(|| {
                ConfigError::new("value must be inside range [200, 600)").at("status")
            })?;
        let body = match &proto.body {
            Some(source) => load(source, max_body).at("body")?,
            None => Bytes::new(),
        };
        let format = proto.body_format.as_ref().map(BodyFormat::compile);
        Ok(Self {
            status,
            body,
            format: format.transpose().at("body_format")?.map(Box::new),
        })
    }

    /// The reply to this request.
    pub fn reply(&self, request: &HeaderMap, info: &StreamInfo) -> LocalReply {
        let mut reply = LocalReply::new(self.status, "", "direct_response");
        reply.body = self.body.clone();
        if let Some(format) = &self.format {
            let cx = FormatContext {
                request: Some(request),
                local_reply_body: &self.body,
                ..FormatContext::new(info)
            };
            let mut body = Vec::new();
            format.format.render(&cx, &mut body);
            reply.body = body.into();
            reply.amend = Some(Box::new(Amendment {
                headers: format.headers.clone(),
                retry_after: None,
                content_type: format.content_type.clone(),
            }));
        }
        match self.location(request) {
            Some(location) => reply.header(HeaderId::Location, location),
            None => reply,
        }
    }

    /// The `location` that Envoy adds to a reply that is a redirect or says `201 Created`: the request's own URL.
    fn location(&self, headers: &HeaderMap) -> Option<Vec<u8>> {
        if self.status != 201 && self.status / 100 != 3 {
            return None;
        }
        let part = |id| headers.get(id).unwrap_or_default();
        let (scheme, host) = (part(HeaderId::Scheme), part(HeaderId::Authority));
        Some([scheme, b"://", host, part(HeaderId::Path)].concat())
    }
}

/// Reads a data source once, when it is compiled.
fn load(source: &DataSource, max: usize) -> Result<Bytes, ConfigError> {
    let bytes: Vec<u8> = match required(source.specifier.as_ref(), "specifier")? {
        Specifier::InlineString(text) => text.as_bytes().into(),
        Specifier::InlineBytes(bytes) => bytes.as_slice().into(),
        Specifier::Filename(name) => {
            let size = fs::metadata(name)
                .map_err(|_| ConfigError::new(format!("file {name} does not exist")))?
                .len();
            if size > max as u64 {
                return Err(ConfigError::new(format!(
                    "file {name} size is {size} bytes; maximum is {max}"
                )));
            }
            fs::read(name)
                .map_err(|e| ConfigError::new(format!("unable to read file: {name}: {e}")))?
        }
        Specifier::EnvironmentVariable(name) => std::env::var(name)
            .map_err(|_| ConfigError::new(format!("Environment variable doesn't exist: {name}")))?
            .into_bytes(),
    };
    if bytes.len() > max {
        return Err(ConfigError::new(format!(
            "response body size is {} bytes; maximum is {max}",
            bytes.len()
        )));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn compile(
        status: u32,
        specifier: Specifier,
        max: usize,
    ) -> Result<DirectResponse, ConfigError> {
        DirectResponse::compile(
            &Proto {
                status,
                body: Some(DataSource {
                    specifier: Some(specifier),
                    ..Default::default()
                }),
                ..Default::default()
            },
            max,
        )
    }

    #[test]
    fn bodies_come_from_text_bytes_and_files() {
        let inline = compile(200, Specifier::InlineString("hi".into()), 2).unwrap();
        assert_eq!(&*inline.body, b"hi");
        let bytes = compile(599, Specifier::InlineBytes(vec![1]), 2).unwrap();
        assert_eq!((bytes.status, &*bytes.body), (599, &[1][..]));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "file").unwrap();
        let name = file.path().to_str().unwrap().to_owned();
        let read = compile(200, Specifier::Filename(name.clone()), 4).unwrap();
        assert_eq!(&*read.body, b"file");
        assert_eq!(
            compile(200, Specifier::Filename(name.clone()), 3)
                .unwrap_err()
                .reason(),
            format!("file {name} size is 4 bytes; maximum is 3")
        );
    }

    #[test]
    fn errors_are_envoys() {
        let error = |status, specifier| compile(status, specifier, 2).unwrap_err().to_string();
        assert_eq!(
            error(200, Specifier::InlineString("abc".into())),
            "body: response body size is 3 bytes; maximum is 2"
        );
        assert_eq!(
            error(200, Specifier::Filename("/nowhere/at/all".into())),
            "body: file /nowhere/at/all does not exist"
        );
        assert_eq!(
            error(
                200,
                Specifier::EnvironmentVariable("NO_SUCH_VARIABLE_X".into())
            ),
            "body: Environment variable doesn't exist: NO_SUCH_VARIABLE_X"
        );
        for status in [0, 199, 600] {
            assert_eq!(
                error(status, Specifier::InlineString(String::new())),
                "status: value must be inside range [200, 600)"
            );
        }
    }
}
