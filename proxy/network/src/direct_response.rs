//! `envoy.filters.network.direct_response`: the same bytes for everyone, and then the end of the connection.

use crate::filter::{self, ReadFilters};
use envoy_api::pb::envoy::extensions::filters::network::direct_response::v3::Config as Proto;
use outrigger_core::{ConfigError, StreamInfo, data_source, error::ConfigResult};
use outrigger_transport::Stream;
use std::{borrow::Cow, future::poll_fn, io, task::ready, time::Duration};
use tokio::{io::AsyncWriteExt, time::timeout};

/// How long a client may take to make room for bytes that do not fit its window and then to close its side, as Envoy's
/// `delayed_close_timeout`.
const PATIENCE: Duration = Duration::from_secs(1);

/// The compiled filter.
#[derive(Debug)]
pub struct DirectResponse {
    response: Box<[u8]>,
}

impl DirectResponse {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let response = match &proto.response {
            Some(source) => data_source::read(source).at("response")?,
            None => Vec::new(),
        };
        Ok(Self {
            response: response.into(),
        })
    }

    /// Answers one connection. What the client sends is dropped.
    pub async fn serve(
        &self,
        mut stream: Stream,
        info: &mut StreamInfo,
        mut filters: Option<Box<ReadFilters>>,
    ) {
        if !filter::admit(filters.as_deref_mut(), info).await {
            info.timing.complete = Some(info.elapsed());
            return;
        }
        info.details = Cow::Borrowed("direct_response");
        info.body_bytes_sent = self.response.len() as u64;
        // A client that has gone, or that does not read, gets nothing more in either case.
        let _ = timeout(PATIENCE, async {
            stream.write_all(&self.response).await?;
            info.timing.complete = Some(info.elapsed());
            stream.shutdown_write()?;
            discard(&stream).await
        })
        .await;
        if info.timing.complete.is_none() {
            info.timing.complete = Some(info.elapsed());
        }
    }
}

/// Reads to the end of what the client sends: a socket that is closed with unread bytes sends a RST, which may overtake
/// the response.
async fn discard(stream: &Stream) -> io::Result<()> {
    poll_fn(|cx| {
        // Not held while waiting: it would make every connection's task larger.
        let mut scrap = [0; 2048];
        loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_read(&mut scrap) {
                Ok(0) => return Ok(()).into(),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).into(),
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};

    fn compile(specifier: Option<Specifier>) -> Result<Vec<u8>, String> {
        let proto = Proto {
            response: Some(DataSource {
                specifier,
                ..Default::default()
            }),
        };
        let compiled = DirectResponse::compile(&proto).map_err(|error| error.to_string());
        compiled.map(|filter| filter.response.into())
    }

    #[test]
    fn the_response_is_read_once() {
        let inline = Specifier::InlineString("bye".into());
        assert_eq!(compile(Some(inline)), Ok(b"bye".to_vec()));
        assert_eq!(compile(None), Err("response.specifier: is required".into()));
    }
}
