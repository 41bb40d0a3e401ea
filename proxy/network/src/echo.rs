//! `envoy.filters.network.echo`: what the client sends comes back.

use crate::{
    filter::{self, ReadFilters},
    scratch,
};
use outrigger_core::{
    StreamInfo,
    network_filter::{ConnectionFilters, Verdict},
};
use outrigger_transport::Stream;
use std::{future::poll_fn, io};
use tokio::io::AsyncWriteExt;

/// Serves one connection to its end.
pub async fn serve(
    mut stream: Stream,
    info: &mut StreamInfo,
    mut filters: Option<Box<ReadFilters>>,
) {
    if filter::admit(filters.as_deref_mut(), info).await {
        // A client that is gone hears nothing more.
        let _ = echo(&mut stream, info, filters).await;
    }
    info.downstream_wire_bytes_received = info.body_bytes_received;
    info.downstream_wire_bytes_sent = info.body_bytes_sent;
    info.timing.complete = Some(info.elapsed());
}

async fn echo(
    stream: &mut Stream,
    info: &mut StreamInfo,
    mut filters: Option<Box<ReadFilters>>,
) -> io::Result<()> {
    loop {
        poll_fn(|cx| stream.poll_read_ready(cx)).await?;
        let mut buffer = scratch::take();
        let read = match stream.try_read(&mut buffer) {
            Ok(read) => read,
            Err(error) => {
                scratch::give(buffer);
                match error.kind() {
                    io::ErrorKind::WouldBlock => continue,
                    _ => return Err(error),
                }
            }
        };
        info.body_bytes_received += read as u64;
        if let Some(filters) = filters.as_mut().filter(|filters| filters.want_data())
            && let Verdict::Close(delay) = filters.on_data(info)
        {
            scratch::give(buffer);
            filter::wait(delay).await;
            return Ok(());
        }
        if read == 0 {
            scratch::give(buffer);
            return stream.shutdown_write();
        }
        // Until it is written nothing more is read.
        let written = stream
            .write_all(buffer.get(..read).unwrap_or_default())
            .await;
        scratch::give(buffer);
        written?;
        info.body_bytes_sent += read as u64;
    }
}
