//! One compiled operator: how it prints as text and as a JSON value.

use super::{
    FormatContext,
    address::AddressOperator,
    coalesce::Coalesce,
    durations::CommonDuration,
    field::{NumberField, TextField},
    grpc::GrpcStatusForm,
    header::{HeaderOperator, PathOperator, QueryOperator, ServerNameOperator},
    json_text,
    time::TimeOperator,
    tls::TlsOperator,
    value::{FilterStateOperator, MetadataOperator},
};
use std::borrow::Cow;

/// A command with its argument, compiled. The variants say which kind of value it gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operator {
    /// A number in text and in JSON.
    Number(NumberField),
    Text(TextField),
    Header(HeaderOperator),
    Path(PathOperator),
    Query(QueryOperator),
    ServerName(ServerNameOperator),
    Time(TimeOperator),
    Duration(CommonDuration),
    Address(AddressOperator),
    Tls(TlsOperator),
    Metadata(MetadataOperator),
    FilterState(FilterStateOperator),
    GrpcStatus(GrpcStatusForm),
    /// `%RESPONSE_CODE_DETAILS%`; true keeps white space.
    Details(bool),
    /// Known when the format is compiled, such as `%ENVIRONMENT(X)%`.
    Constant(Box<[u8]>),
    /// Has no value in this proxy, such as `%STREAM_INFO_REQ(X)%`.
    Null,
    Coalesce(Coalesce),
}

impl Operator {
    /// Appends the value as text; `None` (and nothing appended) if there is none.
    pub fn text(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Number(field) => put_number(out, field.get(cx)?),
            Self::Text(field) => field.text(cx, out)?,
            Self::Header(operator) => out.extend_from_slice(operator.get(cx)?),
            Self::Path(operator) => out.extend_from_slice(operator.get(cx)?),
            Self::Query(operator) => operator.text(cx, out)?,
            Self::ServerName(operator) => out.extend_from_slice(&operator.get(cx)?),
            Self::Time(operator) => operator.text(cx, out)?,
            Self::Duration(operator) => put_number(out, operator.get(cx)?),
            Self::Address(operator) => operator.text(cx, out)?,
            Self::Tls(operator) => operator.text(cx, out)?,
            Self::Metadata(operator) => operator.text(cx, out)?,
            Self::FilterState(operator) => operator.text(cx, out)?,
            Self::GrpcStatus(form) => form.text(cx, out)?,
            Self::Details(allow_whitespace) => details(cx, *allow_whitespace, out)?,
            Self::Constant(text) => out.extend_from_slice(text),
            Self::Null => return None,
            Self::Coalesce(operator) => operator.text(cx, out)?,
        }
        Some(())
    }

    /// Appends the value as JSON: numbers, booleans and structures keep their type, all else is a string. `None` (and
    /// nothing appended) if there is no value.
    pub fn json(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Metadata(operator) => operator.json(cx, out),
            Self::FilterState(operator) => operator.json(cx, out),
            Self::Coalesce(operator) => operator.json(cx, out),
            _ if self.is_typed() => self.text(cx, out),
            _ => json_text::string_of(out, |out| self.text(cx, out)),
        }
    }

    /// True if its JSON value may be something else than a string.
    pub fn is_typed(&self) -> bool {
        match self {
            Self::Number(_)
            | Self::Duration(_)
            | Self::GrpcStatus(GrpcStatusForm::Number)
            | Self::Metadata(_)
            | Self::FilterState(_)
            | Self::Coalesce(_) => true,
            Self::Address(operator) => operator.is_number(),
            _ => false,
        }
    }
}

/// Appends a number in decimal.
#[inline]
pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    if number < 10 {
        return out.push(b'0' + number as u8);
    }
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Cuts what was appended since `start` to at most `max_len` bytes.
pub(super) fn truncate(out: &mut Vec<u8>, start: usize, max_len: Option<usize>) {
    if let Some(max_len) = max_len {
        out.truncate(start.saturating_add(max_len));
    }
}

/// Details of a local reply may quote text with spaces; they are printed as `_` so that a log line splits into fields.
fn details(cx: &FormatContext<'_>, allow_whitespace: bool, out: &mut Vec<u8>) -> Option<()> {
    let details: &Cow<'static, str> = &cx.info.details;
    // What was never said; an owned text may be empty on purpose.
    if matches!(details, Cow::Borrowed("")) {
        return None;
    }
    if allow_whitespace {
        out.extend_from_slice(details.as_bytes());
    } else {
        out.extend(details.bytes().map(|b| {
            if b.is_ascii_whitespace() || b == 0x0b {
                b'_'
            } else {
                b
            }
        }));
    }
    Some(())
}
