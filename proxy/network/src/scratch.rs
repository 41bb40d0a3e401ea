//! The buffer that all copying connections of a worker share, so that an idle connection holds none.

use std::cell::Cell;

/// What one read takes at most. More gains nothing once the kernel's copy falls out of the processor's cache.
pub const SIZE: usize = 64 * 1024;

thread_local! {
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// This worker's buffer; a new one while a slow connection holds it.
pub fn take() -> Box<[u8]> {
    SPARE.take().unwrap_or_else(|| vec![0; SIZE].into())
}

/// For the next one. A worker keeps one spare buffer, whatever it had lent at some busy time.
pub fn give(buffer: Box<[u8]>) {
    if buffer.len() == SIZE {
        SPARE.set(Some(buffer));
    }
}
