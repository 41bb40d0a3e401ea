//! `envoy.filters.listener.tls_inspector`: tells TLS by its ClientHello, and what the client asks for in it. It must never
//! believe the client: all of this is asked again by whoever terminates TLS.

use super::{
    Inspected, Verdict,
    client_hello::{self, ClientHello, Inspection},
    fingerprint,
    mistake::Mistake,
};
use envoy_api::{
    pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector as Proto,
    prost_types::{Value, value::Kind},
};
use outrigger_core::{
    ConfigError, stat_group, stats::Store, stream_info::ConnectionState,
    tls_info::ClientHelloFingerprints,
};
use std::sync::Arc;

stat_group! {
    /// `tls_inspector.`, one for the process.
    pub struct TlsInspectorStats {
        counter alpn_found,
        counter alpn_not_found,
        counter client_hello_too_large,
        counter sni_found,
        counter sni_not_found,
        counter tls_found,
        counter tls_not_found,
        histogram(Bytes) bytes_processed,
    }
}

/// Bytes; what Envoy looks at if nobody says less, and at most.
const LARGEST_HELLO: u32 = 16 * 1024;
const SMALLEST: u32 = 256;
const METADATA: &str = "envoy.filters.listener.tls_inspector";

/// The compiled filter.
#[derive(Debug)]
pub struct TlsInspector {
    stats: Arc<TlsInspectorStats>,
    ja3: bool,
    ja4: bool,
    /// `close_connection_on_client_hello_parsing_errors`.
    strict: bool,
    largest: usize,
    first_read: Option<usize>,
}

impl TlsInspector {
    pub fn compile(proto: &Proto, stats: &Store) -> Result<Self, ConfigError> {
        let size = |size: Option<u32>, most: u32, field| match size {
            Some(size) if !(SMALLEST..=most).contains(&size) => Err(ConfigError::new(format!(
                "value must be inside range [{SMALLEST}, {most}]"
            ))
            .at(field)),
            size => Ok(size.and_then(|size| usize::try_from(size).ok())),
        };
        let largest = size(
            proto.max_client_hello_size,
            LARGEST_HELLO,
            "max_client_hello_size",
        )?;
        let largest = largest.unwrap_or(LARGEST_HELLO as usize);
        let first_read = size(
            proto.initial_read_buffer_size,
            65536,
            "initial_read_buffer_size",
        )?;
        let strict = proto.close_connection_on_client_hello_parsing_errors;
        Ok(Self {
            stats: stats.register("tls_inspector.", TlsInspectorStats::default()),
            ja3: proto.enable_ja3_fingerprinting.unwrap_or(false),
            ja4: proto.enable_ja4_fingerprinting.unwrap_or(false),
            strict,
            largest,
            // A strict filter tells too much from too little by what it has read at once.
            first_read: first_read
                .or(strict.then_some(largest))
                .map(|size| size.min(largest)),
        })
    }

    /// `initial_read_buffer_size`: how much is read at first.
    pub fn first_read(&self) -> Option<usize> {
        self.first_read
    }

    pub fn on_data(&self, bytes: &[u8], found: &mut Inspected) -> Verdict {
        let stats = &self.stats;
        let bytes = bytes.get(..self.largest).unwrap_or(bytes);
        let full = bytes.len() == self.largest;
        match client_hello::inspect(bytes) {
            Inspection::NeedMore if full => {
                stats.bytes_processed.record(bytes.len() as u64);
                self.too_large(found)
            }
            Inspection::NeedMore => Verdict::NeedMore,
            Inspection::Hello(hello, used) => {
                stats.bytes_processed.record(used as u64);
                self.hello(&hello, found)
            }
            Inspection::CloseNotify(used) => {
                stats.bytes_processed.record(used as u64);
                Verdict::Close
            }
            Inspection::Not(mistake, used) => {
                stats.bytes_processed.record(used as u64);
                if self.strict && full {
                    found.state_mut().transport_failure_reason = mistake.to_string().into();
                    return self.too_large(found);
                }
                stats.tls_not_found.inc();
                failed(found, "ClientHelloNotDetected", mistake);
                if self.strict {
                    Verdict::Close
                } else {
                    Verdict::Continue
                }
            }
        }
    }

    fn too_large(&self, found: &mut Inspected) -> Verdict {
        self.stats.client_hello_too_large.inc();
        note_reason(found.state_mut(), "ClientHelloTooLarge");
        Verdict::Close
    }

    fn hello(&self, hello: &ClientHello, found: &mut Inspected) -> Verdict {
        let stats = &self.stats;
        found.client_hello = ClientHelloFingerprints {
            ja3: self.ja3.then(|| fingerprint::ja3(hello).into()),
            ja4: self.ja4.then(|| fingerprint::ja4(hello).into()),
        };
        match &hello.server_name {
            Some(name) => {
                // One character for each byte, whatever it is.
                let name = name.iter().map(|b| char::from(b.to_ascii_lowercase()));
                found.server_name = Some(name.collect::<String>().into());
                stats.sni_found.inc();
            }
            None => stats.sni_not_found.inc(),
        }
        if !hello.alpn.is_empty() {
            let protocols = hello.alpn.iter();
            found.application_protocols = protocols
                .map(|p| String::from_utf8_lossy(p).into_owned().into())
                .collect();
        }
        // TLS 1.0 to 1.3: with any other version the client has lost its way.
        if !(0x0301..=0x0304).contains(&hello.version) {
            stats.tls_not_found.inc();
            failed(
                found,
                "ClientHelloInvalidTlsVersion",
                Mistake::ConnectionRejected,
            );
            return Verdict::Close;
        }
        match hello.alpn.is_empty() {
            true => stats.alpn_not_found.inc(),
            false => stats.alpn_found.inc(),
        }
        stats.tls_found.inc();
        found.transport_protocol = "tls";
        Verdict::Continue
    }
}

fn failed(found: &mut Inspected, reason: &str, mistake: Mistake) {
    let state = found.state_mut();
    note_reason(state, reason);
    state.transport_failure_reason = mistake.to_string().into();
}

fn note_reason(state: &mut ConnectionState, reason: &str) {
    let reason = Value {
        kind: Some(Kind::StringValue(reason.to_owned())),
    };
    state
        .dynamic_metadata
        .set(METADATA, "failure_reason", reason);
}
