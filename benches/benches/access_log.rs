//! What one line of the access log costs, without writing it.

use crate::support::{finished_stream, proto, request_headers};
use criterion::Criterion;
use envoy_api::pb::envoy::config::core::v3::SubstitutionFormatString;
use outrigger_core::{
    HeaderId, HeaderMap,
    access_log::DEFAULT_FORMAT,
    formatter::{FormatContext, Formatter, SubstitutionFormat},
};
use std::hint::black_box;

/// The fields of Istio's JSON log that a plaintext stream has.
const JSON: &str = r#"
json_format:
  start_time: "%START_TIME%"
  method: "%REQ(:METHOD)%"
  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
  protocol: "%PROTOCOL%"
  response_code: "%RESPONSE_CODE%"
  response_flags: "%RESPONSE_FLAGS%"
  response_code_details: "%RESPONSE_CODE_DETAILS%"
  bytes_received: "%BYTES_RECEIVED%"
  bytes_sent: "%BYTES_SENT%"
  duration: "%DURATION%"
  upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"
  x_forwarded_for: "%REQ(X-FORWARDED-FOR)%"
  user_agent: "%REQ(USER-AGENT)%"
  request_id: "%REQ(X-REQUEST-ID)%"
  authority: "%REQ(:AUTHORITY)%"
  upstream_host: "%UPSTREAM_HOST%"
  downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%"
  route_name: "%ROUTE_NAME%"
"#;

pub fn benches(c: &mut Criterion) {
    let info = finished_stream();
    let request = request_headers("v7.example.com", "/service/9/some/path?and=query");
    let mut response = HeaderMap::new();
    response.set(HeaderId::Status, b"200");
    response.append_raw(b"x-envoy-upstream-service-time", b"12");
    let context = FormatContext {
        request: Some(&request),
        response: Some(&response),
        ..FormatContext::new(&info)
    };

    let text = Formatter::compile(DEFAULT_FORMAT).unwrap();
    let json = SubstitutionFormat::compile(&proto::<SubstitutionFormatString>(JSON)).unwrap();
    let mut line = Vec::with_capacity(4096);
    c.bench_function("access_log/render/Envoy's default format", |b| {
        b.iter(|| {
            line.clear();
            text.render(black_box(&context), &mut line);
            black_box(line.len())
        });
    });
    c.bench_function("access_log/render/JSON of 18 fields", |b| {
        b.iter(|| {
            line.clear();
            json.render(black_box(&context), &mut line);
            black_box(line.len())
        });
    });
}
