//! What the filters keep of one stream, from its request to its response.

use super::{
    compressor::Choice, fault::ActiveFault, grpc_stats::Call, grpc_web::WebCall,
    stateful_session::Session,
};
use outrigger_core::token_bucket::TokenBucket;
use outrigger_upstream::OverrideHost;
use std::sync::Arc;

/// What one filter keeps.
#[derive(Debug)]
pub enum FilterState {
    /// What a compressor found in the request.
    AcceptEncoding(Box<[u8]>),
    /// The origin of a request that the policy allows.
    Cors(Box<[u8]>),
    /// The request has come as far as the filter of custom responses.
    CustomResponse,
    Fault(ActiveFault),
    /// The response is to be bridged to HTTP/1.
    GrpcBridge,
    /// A call of gRPC-Web.
    GrpcWeb(WebCall),
    /// What is counted of a gRPC call.
    GrpcCall(Box<Call>),
    /// The request is a health check.
    HealthCheck,
    /// The bucket that the response tells about.
    LocalRateLimit(Arc<TokenBucket>),
    StatefulSession(Session),
}

/// The states of those filters that keep one, by their places in the chain. Its memory is used again by the next
/// stream; dropping a state ends whatever it holds.
#[derive(Debug, Default)]
pub struct FilterStates {
    states: Vec<(usize, FilterState)>,
    /// What the compressors of the chain have agreed on.
    pub encoding: Option<Choice>,
    /// The host that the request shall go to.
    pub override_host: Option<Box<OverrideHost>>,
}

impl FilterStates {
    pub fn set(&mut self, place: usize, state: FilterState) {
        match self.states.iter_mut().find(|(at, _)| *at == place) {
            Some((_, old)) => *old = state,
            None => self.states.push((place, state)),
        }
    }

    pub fn take(&mut self, place: usize) -> Option<FilterState> {
        let at = self.states.iter().position(|(at, _)| *at == place)?;
        Some(self.states.swap_remove(at).1)
    }

    /// The filter at this place keeps something.
    pub fn contains(&self, place: usize) -> bool {
        self.states.iter().any(|(at, _)| *at == place)
    }

    pub fn clear(&mut self) {
        self.states.clear();
        self.encoding = None;
        self.override_host = None;
    }
}
