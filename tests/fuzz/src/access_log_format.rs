//! Access-log formats: whatever compiles can be rendered, as text and as JSON, over messages of any bytes.

use crate::support::{choice, cut, request, stream_info};
use outrigger_core::{
    HeaderId, HeaderMap,
    formatter::{FormatContext, Formatter},
};

pub fn run(data: &[u8]) {
    let (at, data) = choice(data);
    let (format, value) = data.split_at(cut(at, data));
    let Ok(format) = std::str::from_utf8(format) else {
        return;
    };
    let Ok(formatter) = Formatter::compile(format) else {
        return;
    };
    let info = stream_info();
    let mut headers = request(b"a.test", value);
    headers.append_raw(b"x-a", value);
    headers.append_raw(b"cookie", value);
    let mut response = HeaderMap::new();
    response.set(HeaderId::Status, b"200");
    response.append_raw(b"x-a", value);
    let mut out = Vec::new();
    for (request, response) in [(None, None), (Some(&headers), Some(&response))] {
        let cx = FormatContext {
            request,
            response,
            ..FormatContext::new(&info)
        };
        formatter.render(&cx, &mut out);
    }
}
