//! The memory of one request and its response.

use super::Pipeline;
use crate::filter::FilterStates;
use outrigger_core::HeaderMap;
use std::cell::RefCell;

/// Messages kept by a thread.
const POOLED: usize = 64;

/// The heads and trailers of one request and its response, what the filters keep of them and what they do to the bodies.
/// Their memory is used again by the next request.
#[derive(Debug, Default)]
pub struct Messages {
    pub request: HeaderMap,
    pub request_trailers: HeaderMap,
    pub response: HeaderMap,
    pub response_trailers: HeaderMap,
    pub filters: FilterStates,
    pub request_body: Pipeline,
    pub response_body: Pipeline,
}

thread_local! {
    #[expect(clippy::vec_box, reason = "taking and giving back moves a pointer, not four header maps")]
    static POOL: RefCell<Vec<Box<Messages>>> = const { RefCell::new(Vec::new()) };
}

impl Messages {
    pub fn take() -> Box<Self> {
        POOL.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    pub fn give_back(mut self: Box<Self>) {
        self.request.clear();
        self.request_trailers.clear();
        self.response.clear();
        self.response_trailers.clear();
        self.filters.clear();
        self.request_body.clear();
        self.response_body.clear();
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOLED {
                pool.push(self);
            }
        });
    }
}
