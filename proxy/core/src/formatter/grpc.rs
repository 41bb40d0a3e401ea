//! `GRPC_STATUS`: the status of a gRPC call, from its trailers, its headers or its HTTP status.

use super::{FormatContext, operator::put_number};
use crate::HeaderId;

/// How the status is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrpcStatusForm {
    /// `NotFound`.
    Camel,
    /// `NOT_FOUND`.
    Snake,
    Number,
}

/// The status of a call that has none.
pub(crate) const UNKNOWN: u64 = 2;

const NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

impl GrpcStatusForm {
    pub fn named(argument: &str) -> Option<Self> {
        match argument {
            "" | "CAMEL_STRING" => Some(Self::Camel),
            "SNAKE_STRING" => Some(Self::Snake),
            "NUMBER" => Some(Self::Number),
            _ => None,
        }
    }

    pub fn text(self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        if !is_grpc(cx.request?.get(HeaderId::ContentType)?) {
            return None;
        }
        let status = status(cx)?;
        let names = usize::try_from(status).ok().and_then(|i| NAMES.get(i));
        match (self, names) {
            (Self::Camel, Some((camel, _))) => out.extend_from_slice(camel.as_bytes()),
            (Self::Snake, Some((_, snake))) => out.extend_from_slice(snake.as_bytes()),
            (Self::Number, _) | (_, None) => put_number(out, status),
        }
        Some(())
    }
}

/// `application/grpc`, alone or with a suffix `+…`.
fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

/// The status of a call: what the trailers say, then the headers, then what the HTTP status stands for.
pub(crate) fn status(cx: &FormatContext<'_>) -> Option<u64> {
    [cx.trailers, cx.response]
        .into_iter()
        .flatten()
        .find_map(|headers| headers.get(HeaderId::GrpcStatus))
        .map_or_else(
            || from_http(cx.info.response_code),
            |value| std::str::from_utf8(value).ok()?.parse().ok(),
        )
}

/// gRPC's mapping of HTTP statuses, as far as a response without a gRPC status can have one.
fn from_http(code: u16) -> Option<u64> {
    Some(match code {
        0 => return None,
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => UNKNOWN,
    })
}
