//! `RedirectPolicy`: another upstream is asked for what is answered in the place of a response. The client sees one stream.

use crate::{
    codec::h1::parse_url,
    route::{HeaderParser, Redirect},
    router,
    stream::ActiveStream,
};
use envoy_api::pb::envoy::extensions::http::custom_response::redirect_policy::v3::{
    RedirectPolicy as Proto, redirect_policy::RedirectActionSpecifier,
};
use outrigger_core::{
    ConfigError, HeaderId,
    error::{ConfigResult, required},
    stat_group,
};
use std::{borrow::Cow, sync::Arc};

stat_group! {
    /// Below those of the connection manager, or of nobody for a level of the route configuration.
    pub struct RedirectStats {
        counter custom_response_invalid_uri,
        counter custom_response_redirect_no_route,
    }
}

/// A compiled policy.
#[derive(Debug)]
pub struct RedirectPolicy {
    uri: Uri,
    /// `None`: that of the response which is replaced.
    status: Option<u16>,
    request_headers: HeaderParser,
    response_headers: HeaderParser,
    stats: Arc<RedirectStats>,
}

/// Where the response comes from.
#[derive(Debug)]
enum Uri {
    Fixed(Box<[u8]>),
    /// Made of the request.
    Action(Box<Redirect>),
}

impl RedirectPolicy {
    pub fn compile(proto: &Proto, stats: Arc<RedirectStats>) -> Result<Self, ConfigError> {
        let specifier = proto.redirect_action_specifier.as_ref();
        let uri = match required(specifier, "redirect_action_specifier")? {
            RedirectActionSpecifier::Uri(uri) if uri.is_empty() => {
                let error = ConfigError::new("value length must be at least 1 characters");
                return Err(error.at("uri"));
            }
            RedirectActionSpecifier::Uri(uri) if parse_url(uri.as_bytes()).is_none() => {
                let error = "Invalid uri specified for redirection for custom response";
                return Err(ConfigError::new(format!("{error}: {uri}")).at("uri"));
            }
            RedirectActionSpecifier::Uri(uri) => Uri::Fixed(uri.as_bytes().into()),
            RedirectActionSpecifier::RedirectAction(action) => {
                let redirect = Redirect::of_response(action).at("redirect_action")?;
                Uri::Action(Box::new(redirect))
            }
        };
        let status = proto.status_code.map(|code| {
            u16::try_from(code)
                .ok()
                .filter(|code| (200..1000).contains(code))
                .ok_or_else(|| ConfigError::new("value must be inside range [200, 999]"))
        });
        let headers = HeaderParser::compile;
        Ok(Self {
            uri,
            status: status.transpose().at("status_code")?,
            request_headers: headers(&proto.request_headers_to_add, &[], "request_headers")?,
            response_headers: headers(&proto.response_headers_to_add, &[], "response_headers")?,
            stats,
        })
    }

    /// Makes another request of this one. True if the stream is to begin again with it; if not, the response whose head
    /// the stream holds stays.
    #[cold]
    pub(crate) fn redirect(self: &Arc<Self>, stream: &mut ActiveStream<'_>) -> bool {
        let uri = match &self.uri {
            Uri::Fixed(uri) => Cow::Borrowed(&**uri),
            Uri::Action(redirect) => {
                Cow::Owned(redirect.location(&stream.messages.request, &stream.info))
            }
        };
        let Some(url) = parse_url(&uri) else {
            self.stats.custom_response_invalid_uri.inc();
            return false;
        };
        let before = stream.messages.request.clone();
        router::lead_to(stream, &url);
        let messages = &mut *stream.messages;
        if stream.route.is_none() {
            self.stats.custom_response_redirect_no_route.inc();
            messages.request = before;
            return false;
        }
        let request = &mut messages.request;
        self.request_headers.evaluate_request(request, &stream.info);
        // Who asks for a head must get no body, so that the question stays one for a head (which Envoy forgets).
        if request.get(HeaderId::Method) != Some(b"HEAD") {
            request.set(HeaderId::Method, b"GET");
        }
        request.remove(HeaderId::ContentLength);
        // What the client still sends would be taken for the body of another request.
        if !stream.is_received() {
            return false;
        }
        let given = stream.messages.response.get_str(HeaderId::Status);
        let status = given.and_then(|status| status.parse().ok()).unwrap_or(500);
        stream.past().custom_response = Some((self.clone(), status));
        stream.begin_again();
        true
    }

    /// Makes the response of the other upstream one in the place of a response of this status.
    #[cold]
    pub(crate) fn amend(&self, replaced: u16, stream: &mut ActiveStream<'_>) {
        let messages = &mut *stream.messages;
        self.response_headers.evaluate_response(
            &mut messages.response,
            Some(&messages.request),
            &stream.info,
        );
        let status = self.status.unwrap_or(replaced);
        let mut digits = itoa::Buffer::new();
        let text = digits.format(status).as_bytes();
        messages.response.set(HeaderId::Status, text);
        stream.info.response_code = status;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::config::route::v3::{
        RedirectAction, redirect_action::PathRewriteSpecifier,
    };

    fn error(specifier: RedirectActionSpecifier, status: Option<u32>) -> String {
        let proto = Proto {
            redirect_action_specifier: Some(specifier),
            status_code: status,
            ..Default::default()
        };
        let error = RedirectPolicy::compile(&proto, Arc::default()).unwrap_err();
        error.to_string()
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        let uri = |text: &str| RedirectActionSpecifier::Uri(text.into());
        assert!(error(uri("/x"), None).contains("Invalid uri"));
        assert!(error(uri("b.test"), None).contains("Invalid uri"));
        assert!(error(uri(""), None).contains("at least 1"));
        for status in [199, 1000, 65_736] {
            assert!(error(uri("http://b.test"), Some(status)).contains("[200, 999]"));
        }
        let action = RedirectActionSpecifier::RedirectAction(RedirectAction {
            path_rewrite_specifier: Some(PathRewriteSpecifier::PrefixRewrite("/x".into())),
            ..Default::default()
        });
        let error = error(action, None);
        assert!(
            error.contains("prefix_rewrite is not supported for Custom Response"),
            "{error}"
        );
    }
}
