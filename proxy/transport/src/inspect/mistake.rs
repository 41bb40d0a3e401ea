//! Why bytes are no ClientHello, in BoringSSL's words: `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%` repeats them.

use std::fmt;

/// Errors of BoringSSL's TLS are numbered from here on.
const LIBRARY: u32 = 16 << 24;
/// Where alerts of the peer begin among them.
const ALERTS: u32 = 1000;

/// BoringSSL's reason, which Envoy logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    HttpRequest,
    HttpsProxyRequest,
    WrongVersionNumber,
    EncryptedLengthTooLong,
    DataLengthTooLong,
    TooManyEmptyFragments,
    TooManyWarningAlerts,
    BadAlert,
    UnknownAlertType,
    /// A fatal alert of this number.
    Alert(u8),
    UnexpectedRecord,
    UnexpectedMessage,
    ExcessiveMessageSize,
    ClientHelloParseFailed,
    ErrorParsingExtension,
    RecordTooLarge,
    RecordLengthMismatch,
    DecodeError,
    /// A version that nobody speaks any more, or yet.
    ConnectionRejected,
}

impl Mistake {
    /// Number and name of the reason; an alert has them by its own number.
    fn reason(self) -> (u32, &'static str) {
        match self {
            Self::Alert(alert) => (ALERTS + u32::from(alert), alert_name(alert)),
            Self::HttpRequest => (0x9c, "HTTP_REQUEST"),
            Self::HttpsProxyRequest => (0x9b, "HTTPS_PROXY_REQUEST"),
            Self::WrongVersionNumber => (0xf7, "WRONG_VERSION_NUMBER"),
            Self::EncryptedLengthTooLong => (0x92, "ENCRYPTED_LENGTH_TOO_LONG"),
            Self::DataLengthTooLong => (0x87, "DATA_LENGTH_TOO_LONG"),
            Self::TooManyEmptyFragments => (0xdb, "TOO_MANY_EMPTY_FRAGMENTS"),
            Self::TooManyWarningAlerts => (0xdc, "TOO_MANY_WARNING_ALERTS"),
            Self::BadAlert => (0x66, "BAD_ALERT"),
            Self::UnknownAlertType => (0xe3, "UNKNOWN_ALERT_TYPE"),
            Self::UnexpectedRecord => (0xe1, "UNEXPECTED_RECORD"),
            Self::UnexpectedMessage => (0xdf, "UNEXPECTED_MESSAGE"),
            Self::ExcessiveMessageSize => (0x96, "EXCESSIVE_MESSAGE_SIZE"),
            Self::ClientHelloParseFailed => (0x83, "CLIENTHELLO_PARSE_FAILED"),
            Self::ErrorParsingExtension => (0x95, "ERROR_PARSING_EXTENSION"),
            Self::RecordTooLarge => (0xc8, "RECORD_TOO_LARGE"),
            Self::RecordLengthMismatch => (0xc7, "RECORD_LENGTH_MISMATCH"),
            Self::DecodeError => (0x89, "DECODE_ERROR"),
            Self::ConnectionRejected => (0x85, "CONNECTION_REJECTED"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, name) = self.reason();
        let code = LIBRARY | number;
        write!(
            f,
            "TLS_error|error:{code:08x}:SSL_routines:OPENSSL_internal:"
        )?;
        match name {
            "" => write!(f, "reason({number})")?,
            name => f.write_str(name)?,
        }
        f.write_str(":TLS_error_end")
    }
}

/// Empty for a number that has no name.
const fn alert_name(alert: u8) -> &'static str {
    match alert {
        0 => "SSLV3_ALERT_CLOSE_NOTIFY",
        10 => "SSLV3_ALERT_UNEXPECTED_MESSAGE",
        20 => "SSLV3_ALERT_BAD_RECORD_MAC",
        21 => "TLSV1_ALERT_DECRYPTION_FAILED",
        22 => "TLSV1_ALERT_RECORD_OVERFLOW",
        30 => "SSLV3_ALERT_DECOMPRESSION_FAILURE",
        40 => "SSLV3_ALERT_HANDSHAKE_FAILURE",
        41 => "SSLV3_ALERT_NO_CERTIFICATE",
        42 => "SSLV3_ALERT_BAD_CERTIFICATE",
        43 => "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        44 => "SSLV3_ALERT_CERTIFICATE_REVOKED",
        45 => "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        46 => "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        47 => "SSLV3_ALERT_ILLEGAL_PARAMETER",
        48 => "TLSV1_ALERT_UNKNOWN_CA",
        49 => "TLSV1_ALERT_ACCESS_DENIED",
        50 => "TLSV1_ALERT_DECODE_ERROR",
        51 => "TLSV1_ALERT_DECRYPT_ERROR",
        60 => "TLSV1_ALERT_EXPORT_RESTRICTION",
        70 => "TLSV1_ALERT_PROTOCOL_VERSION",
        71 => "TLSV1_ALERT_INSUFFICIENT_SECURITY",
        80 => "TLSV1_ALERT_INTERNAL_ERROR",
        86 => "TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
        90 => "TLSV1_ALERT_USER_CANCELLED",
        100 => "TLSV1_ALERT_NO_RENEGOTIATION",
        110 => "TLSV1_ALERT_UNSUPPORTED_EXTENSION",
        111 => "TLSV1_ALERT_CERTIFICATE_UNOBTAINABLE",
        112 => "TLSV1_ALERT_UNRECOGNIZED_NAME",
        113 => "TLSV1_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE",
        114 => "TLSV1_ALERT_BAD_CERTIFICATE_HASH_VALUE",
        115 => "TLSV1_ALERT_UNKNOWN_PSK_IDENTITY",
        116 => "TLSV1_ALERT_CERTIFICATE_REQUIRED",
        120 => "TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_envoys() {
        let cases = [
            (
                Mistake::WrongVersionNumber,
                "100000f7",
                "WRONG_VERSION_NUMBER",
            ),
            (
                Mistake::Alert(40),
                "10000410",
                "SSLV3_ALERT_HANDSHAKE_FAILURE",
            ),
            (Mistake::Alert(99), "1000044b", "reason(1099)"),
        ];
        for (mistake, code, name) in cases {
            let text = format!(
                "TLS_error|error:{code}:SSL_routines:OPENSSL_internal:{name}:TLS_error_end"
            );
            assert_eq!(mistake.to_string(), text);
        }
    }
}
