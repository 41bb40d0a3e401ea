//! Undoes a `content-encoding`, so that bodies are compared and not the ways to compress them.

use zlib_rs::{Inflate, InflateFlush, Status};
use zstd_safe::{DCtx, InBuffer, OutBuffer};

/// No case has a larger body.
const ROOM: usize = 4 << 20;

/// The body as it was, if it can be read to its end.
pub fn decode(coding: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; ROOM];
    let length = match coding {
        "gzip" => {
            let mut inflate = Inflate::new(true, 16 + 15);
            let status = inflate.decompress(body, &mut out, InflateFlush::Finish);
            let whole = matches!(status, Ok(Status::StreamEnd));
            whole.then(|| inflate.total_out() as usize)?
        }
        "br" => {
            out.clear();
            let mut input = body;
            brotli::BrotliDecompress(&mut input, &mut out).ok()?;
            out.len()
        }
        "zstd" => {
            let mut sink = OutBuffer::around(&mut *out);
            let mut source = InBuffer::around(body);
            let left = DCtx::create().decompress_stream(&mut sink, &mut source);
            (left == Ok(0)).then(|| sink.pos())?
        }
        _ => return None,
    };
    out.truncate(length);
    Some(out)
}
