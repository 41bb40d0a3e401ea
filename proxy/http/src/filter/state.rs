//! What the filters keep of one stream, from its request to its response.

use super::{fault::ActiveFault, grpc_stats::Call};
use outrigger_core::token_bucket::TokenBucket;
use std::sync::Arc;

/// What one filter keeps.
#[derive(Debug)]
pub enum FilterState {
    /// The origin of a request that the policy allows.
    Cors(Box<[u8]>),
    Fault(ActiveFault),
    /// What is counted of a gRPC call.
    GrpcCall(Box<Call>),
    /// The request is a health check.
    HealthCheck,
    /// The bucket that the response tells about.
    LocalRateLimit(Arc<TokenBucket>),
}

/// The states of those filters that keep one, by their places in the chain. Its memory is used again by the next
/// stream; dropping a state ends whatever it holds.
#[derive(Debug, Default)]
pub struct FilterStates(Vec<(usize, FilterState)>);

impl FilterStates {
    pub fn set(&mut self, place: usize, state: FilterState) {
        match self.0.iter_mut().find(|(at, _)| *at == place) {
            Some((_, old)) => *old = state,
            None => self.0.push((place, state)),
        }
    }

    pub fn take(&mut self, place: usize) -> Option<FilterState> {
        let at = self.0.iter().position(|(at, _)| *at == place)?;
        Some(self.0.swap_remove(at).1)
    }

    /// The filter at this place keeps something.
    pub fn contains(&self, place: usize) -> bool {
        self.0.iter().any(|(at, _)| *at == place)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}
