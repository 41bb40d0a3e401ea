//! `LocalReplyConfig`: which local replies are mapped to other codes, bodies and headers, and the form of all of them.

use super::{Content, LocalReply, set_status};
use crate::route::HeaderParser;
use bytes::Bytes;
use envoy_api::pb::envoy::{
    config::core::v3::SubstitutionFormatString,
    extensions::filters::network::http_connection_manager::v3::{
        LocalReplyConfig as Proto, ResponseMapper as MapperProto,
    },
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, StreamInfo,
    access_log::LogFilter,
    data_source,
    error::{ConfigResult, required},
    formatter::{FormatContext, SubstitutionFormat},
    runtime::Runtime,
};

/// A compiled `local_reply_config`.
#[derive(Debug)]
pub struct LocalReplyConfig {
    mappers: Box<[Mapper]>,
    /// For replies whose mapper has none of its own.
    body_format: Option<BodyFormat>,
}

/// What becomes of the replies that a filter picks.
#[derive(Debug)]
struct Mapper {
    filter: LogFilter,
    code: Option<u16>,
    body: Option<Bytes>,
    body_format: Option<BodyFormat>,
    headers: HeaderParser,
}

#[derive(Debug)]
struct BodyFormat {
    format: SubstitutionFormat,
    content_type: Box<str>,
}

impl LocalReplyConfig {
    pub fn compile(proto: &Proto, runtime: &Runtime) -> Result<Self, ConfigError> {
        Ok(Self {
            mappers: proto
                .mappers
                .iter()
                .enumerate()
                .map(|(i, mapper)| Mapper::compile(mapper, runtime).at_index("mappers", i))
                .collect::<Result<_, _>>()?,
            body_format: BodyFormat::compile(proto.body_format.as_ref()).at("body_format")?,
        })
    }

    /// Maps a reply whose `head` has begun. Filters and formats see the code in `info` and in the head, as it was before
    /// and as it is after.
    #[cold]
    pub fn map(
        &self,
        reply: &LocalReply,
        request: &HeaderMap,
        head: &mut HeaderMap,
        info: &mut StreamInfo,
    ) -> Content<'_> {
        let mut content = reply.content();
        if reply.as_is {
            return content;
        }
        info.response_code = reply.code;
        let context = FormatContext {
            request: Some(request),
            response: Some(head),
            ..FormatContext::new(info)
        };
        let mapper = self.mappers.iter().find(|m| m.filter.is_match(&context));
        let mut format = self.body_format.as_ref();
        if let Some(mapper) = mapper {
            let content_type = head.get(HeaderId::ContentType).map(<[u8]>::to_vec);
            mapper.headers.evaluate_response(head, Some(request), info);
            content.typed = head.get(HeaderId::ContentType) != content_type.as_deref();
            if let Some(body) = &mapper.body {
                content.body = body.clone();
            }
            if let Some(code) = mapper.code {
                content.code = code;
                info.response_code = code;
                set_status(head, code);
            }
            format = mapper.body_format.as_ref().or(format);
        }
        if let Some(format) = format {
            let mut body = Vec::new();
            format.format.render(
                &FormatContext {
                    request: Some(request),
                    response: Some(head),
                    local_reply_body: &content.body,
                    ..FormatContext::new(info)
                },
                &mut body,
            );
            content.body = body.into();
            content.content_type = &format.content_type;
        }
        content
    }
}

impl Mapper {
    fn compile(proto: &MapperProto, runtime: &Runtime) -> Result<Self, ConfigError> {
        let filter = required(proto.filter.as_ref(), "filter")?;
        let code = proto.status_code.map(|code| {
            u16::try_from(code)
                .ok()
                .filter(|code| (200..600).contains(code))
                .ok_or_else(|| ConfigError::new("value must be inside range [200, 600)"))
        });
        let body = proto.body.as_ref().map(data_source::read);
        Ok(Self {
            filter: LogFilter::compile(filter, runtime).at("filter")?,
            code: code.transpose().at("status_code")?,
            body: body.transpose().at("body")?.map(Bytes::from),
            body_format: BodyFormat::compile(proto.body_format_override.as_ref())
                .at("body_format_override")?,
            headers: HeaderParser::compile(&proto.headers_to_add, &[], "headers")?,
        })
    }
}

impl BodyFormat {
    fn compile(proto: Option<&SubstitutionFormatString>) -> Result<Option<Self>, ConfigError> {
        let Some(proto) = proto else {
            return Ok(None);
        };
        let format = SubstitutionFormat::compile(proto)?;
        let content_type = match proto.content_type.as_str() {
            "" => format.content_type(),
            given => given,
        };
        Ok(Some(Self {
            content_type: content_type.into(),
            format,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, deprecated)]
    use super::*;
    use crate::local_reply::Recipient;
    use envoy_api::pb::envoy::config::{
        accesslog::v3::{
            AccessLogFilter, HeaderFilter, access_log_filter::FilterSpecifier as Filter,
        },
        core::v3::substitution_format_string::Format,
        route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
    };

    /// Maps what has `x-a` to 418.
    fn config(body_format: Option<&str>) -> LocalReplyConfig {
        let filter = AccessLogFilter {
            filter_specifier: Some(Filter::HeaderFilter(HeaderFilter {
                header: Some(HeaderMatcher {
                    name: "x-a".into(),
                    header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
                    ..Default::default()
                }),
            })),
        };
        let proto = Proto {
            mappers: vec![MapperProto {
                filter: Some(filter),
                status_code: Some(418),
                ..Default::default()
            }],
            body_format: body_format.map(|text| SubstitutionFormatString {
                format: Some(Format::TextFormat(text.into())),
                ..Default::default()
            }),
        };
        LocalReplyConfig::compile(&proto, &Runtime::default()).unwrap()
    }

    fn reply(config: &LocalReplyConfig, request: &HeaderMap) -> (HeaderMap, Bytes, u16) {
        let reply = LocalReply::new(404, "gone", "x");
        let (mut head, mut info) = (HeaderMap::new(), crate::route::tests::info(0));
        reply.begin_head(&mut head, |_| {});
        let content = config.map(&reply, request, &mut head, &mut info);
        let body = reply.finish_head(content, Recipient::default(), &mut head);
        (head, body, info.response_code)
    }

    #[test]
    fn a_mapper_takes_what_its_filter_picks() {
        let mut request = HeaderMap::new();
        let config = config(None);
        assert_eq!(reply(&config, &request).2, 404);
        request.append_raw(b"x-a", b"1");
        let (head, body, code) = reply(&config, &request);
        assert_eq!((code, &*body), (418, &b"gone"[..]));
        assert_eq!(head.get(HeaderId::Status), Some(&b"418"[..]));
    }

    #[test]
    fn the_format_sees_the_new_code_and_the_old_body() {
        let mut request = HeaderMap::new();
        let config = config(Some("%RESPONSE_CODE% %RESP(:STATUS)% %LOCAL_REPLY_BODY%"));
        assert_eq!(reply(&config, &request).1, "404 404 gone");
        request.append_raw(b"x-a", b"1");
        let (head, body, _) = reply(&config, &request);
        assert_eq!(body, "418 418 gone");
        assert_eq!(head.get(HeaderId::ContentLength), Some(&b"12"[..]));
    }
}
