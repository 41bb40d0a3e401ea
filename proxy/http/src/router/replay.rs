//! What has been sent of a request, kept as long as another attempt may need it.

use crate::route::RouteMatch;
use bytes::Bytes;

/// Pieces of a request body; sharing memory with what was read, never copying.
#[derive(Debug)]
pub struct ReplayBuffer {
    pieces: Vec<Bytes>,
    len: usize,
    limit: usize,
    /// The body outgrew the limit: the request cannot be sent again.
    abandoned: bool,
    /// The request is complete, with trailers or without.
    end: Option<bool>,
}

impl ReplayBuffer {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
            limit,
            abandoned: false,
            end: None,
        }
    }

    /// Remembers a piece. False, once, when this piece makes the body too large to be kept.
    pub fn push(&mut self, piece: &Bytes) -> bool {
        if self.abandoned {
            return true;
        }
        self.len += piece.len();
        if self.len > self.limit {
            self.abandon();
            return false;
        }
        self.pieces.push(piece.clone());
        true
    }

    pub fn set_end(&mut self, trailers: bool) {
        self.end = Some(trailers);
    }

    /// Forgets everything: the request will not be sent again.
    pub fn abandon(&mut self) {
        self.abandoned = true;
        self.pieces = Vec::new();
    }

    pub fn is_replayable(&self) -> bool {
        !self.abandoned
    }

    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// The request's end was seen: with trailers (`Some(true)`) or without.
    pub fn end(&self) -> Option<bool> {
        self.end
    }
}

/// Bytes of a request kept for retries: what the route allows, within what the connection may hold.
pub(super) fn replay_limit(route: &RouteMatch, buffer_limit: usize) -> usize {
    let asked = route
        .route
        .request_body_buffer_limit
        .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    asked.unwrap_or(buffer_limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_above_the_limit_is_not_kept() {
        let mut replay = ReplayBuffer::new(5);
        assert!(replay.push(&Bytes::from_static(b"abc")));
        assert!(
            !replay.push(&Bytes::from_static(b"def")),
            "the first piece too many says so"
        );
        assert!(
            replay.push(&Bytes::from_static(b"g")),
            "later ones are silent"
        );
        assert!(!replay.is_replayable());
        assert!(replay.pieces().is_empty());
    }
}
