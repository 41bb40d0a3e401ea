//! `LocalResponsePolicy`: what is answered in the place of a response.

use crate::{
    local_reply::{Amendment, LocalReply},
    route::{Action, HeaderParser},
    stream::ActiveStream,
};
use bytes::Bytes;
use envoy_api::pb::envoy::extensions::http::custom_response::local_response_policy::v3::{
    LocalResponsePolicy as Proto, local_response_policy::ResponseCodeDetailsAction,
};
use outrigger_core::{
    ConfigError, HeaderId, data_source,
    error::ConfigResult,
    formatter::{FormatContext, SubstitutionFormat},
};
use std::{borrow::Cow, sync::Arc};

/// A compiled policy.
#[derive(Debug)]
pub struct LocalResponsePolicy {
    body: Bytes,
    /// Its content type has no part in it, as in Envoy.
    format: Option<SubstitutionFormat>,
    /// `None`: that of the response.
    status: Option<u16>,
    headers: Arc<HeaderParser>,
    details: Details,
}

/// `%RESPONSE_CODE_DETAILS%` of the reply.
#[derive(Debug)]
enum Details {
    Empty,
    /// Those of the response.
    Preserved,
    Own(Box<str>),
}

impl LocalResponsePolicy {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let status = proto.status_code.map(|code| {
            u16::try_from(code)
                .ok()
                .filter(|code| (200..600).contains(code))
                .ok_or_else(|| ConfigError::new("value must be inside range [200, 600)"))
        });
        let body = proto.body.as_ref().map(data_source::read);
        let format = proto.body_format.as_ref().map(SubstitutionFormat::compile);
        Ok(Self {
            body: body.transpose().at("body")?.unwrap_or_default().into(),
            format: format.transpose().at("body_format")?,
            status: status.transpose().at("status_code")?,
            headers: Arc::new(HeaderParser::compile(
                &proto.response_headers_to_add,
                &[],
                "response_headers",
            )?),
            details: match &proto.response_code_details_action {
                None => Details::Empty,
                Some(ResponseCodeDetailsAction::PreserveResponseCodeDetails(_)) => {
                    Details::Preserved
                }
                Some(ResponseCodeDetailsAction::ResponseCodeDetails(details)) => {
                    Details::Own(details.as_str().into())
                }
            },
        })
    }

    /// The reply in the place of the response whose head the stream holds. Formats see that response.
    #[cold]
    pub fn reply(&self, stream: &ActiveStream<'_>) -> LocalReply {
        let (info, messages) = (&stream.info, &*stream.messages);
        let given = messages.response.get_str(HeaderId::Status);
        let given = given.and_then(|status| status.parse().ok());
        let details = match &self.details {
            Details::Empty => Cow::Borrowed(""),
            Details::Preserved => info.details.clone(),
            Details::Own(details) => Cow::Owned(details.to_string()),
        };
        let mut reply = LocalReply::new(self.status.or(given).unwrap_or(500), "", details);
        reply.body = self.body.clone();
        if let Some(format) = &self.format {
            let mut body = Vec::new();
            let cx = FormatContext {
                request: Some(&messages.request),
                response: Some(&messages.response),
                local_reply_body: &self.body,
                ..FormatContext::new(info)
            };
            format.render(&cx, &mut body);
            reply.body = body.into();
        }
        reply.amend = Some(Box::new(Amendment {
            headers: self.headers.clone(),
            retry_after: None,
            content_type: None,
        }));
        // The filters have seen another head.
        reply.direct = true;
        let found = stream.route.as_ref();
        reply.route_headers =
            found.is_some_and(|found| matches!(found.route.action, Action::Forward(_)));
        reply
    }
}
