//! One stream of HTTP/2 from its head to its log line.

use crate::{
    codec::{
        Codec,
        h1::RequestHead,
        h2::{HeadError, server::Ending},
    },
    hcm::Connection,
    stream::{ActiveStream, Messages},
};
use h2::Reason;
use outrigger_upstream::stats::Http2Stats;
use std::{future::poll_fn, task::Poll};
use tokio::{task::yield_now, time::Instant};

/// How a stream ended.
pub(super) struct StreamEnd {
    /// It was reset before it had lived long or was answered.
    pub premature: bool,
    /// Its head was malformed, which by default is the end of the connection.
    pub malformed: bool,
    /// It asks the connection to close.
    pub close: bool,
}

/// Runs it.
pub(super) async fn run(
    mut connection: Connection,
    mut messages: Box<Messages>,
    head: Result<RequestHead, HeadError>,
    stats: &Http2Stats,
) -> StreamEnd {
    let begin = Instant::now();
    let hcm = connection.hcm.clone();
    let _timers = connection.watch_timers().await;
    let malformed = head.as_ref().is_err_and(|error| error.is_malformed());
    {
        let mut stream = ActiveStream::new(&mut connection, &hcm, &mut messages);
        match head {
            Ok(head) => {
                stream.run(&head).await;
            }
            Err(error) => stream.refuse(error),
        }
    }
    messages.give_back();
    let mut end = StreamEnd {
        premature: false,
        malformed,
        close: connection.soft_drain,
    };
    let resets = &connection.hcm.premature_resets;
    let Codec::Http2(stream) = &mut connection.codec else {
        return end;
    };
    let answered = stream.header_bytes_sent() > 0;
    match stream.ending() {
        Ending::Reset(_) => stats.rx_reset.inc(),
        // The codec has reset it.
        Ending::Invalid(_) => stats.tx_reset.inc(),
        Ending::Malformed => {
            stats.rx_messaging_error.inc();
            stats.tx_reset.inc();
        }
        Ending::Open if !stream.response_complete() => {
            stats.tx_reset.inc();
            if stream.is_flushing() {
                stats.tx_flush_timeout.inc();
            }
            if answered {
                // A reset drops what the connection has not written yet, and the client is to get as much as there is.
                let _ = poll_fn(|cx| Poll::Ready(stream.poll_flush(cx))).await;
                yield_now().await;
            }
            match malformed {
                true => stream.reset(Reason::PROTOCOL_ERROR),
                false => stream.abort(),
            }
        }
        Ending::Open | Ending::Violation(_) | Ending::Local(_) | Ending::Closed => return end,
    }
    end.premature = !answered && resets.is_premature(begin.elapsed());
    end
}
