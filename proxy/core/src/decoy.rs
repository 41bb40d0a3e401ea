//! A timer of each worker that other timers stand behind.
//!
//! Whenever a timer is set that is due before all others, the runtime wakes itself, by a system call and one more turn of
//! its loop: it cannot tell that nobody sleeps. The timeout of a new connection, which hardly ever passes, would be such
//! a timer each time. Behind one that is due earlier it costs nothing.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Waker},
};
use tokio::time::{Instant, Sleep, sleep_until};

thread_local! {
    static DECOY: RefCell<Option<Pin<Box<Sleep>>>> = const { RefCell::new(None) };
}

/// Sees to it that this worker has a timer which is due by then, and which stays: it costs one turn of an idle worker's
/// loop when it passes. For whoever is about to set a timer that is often set and hardly ever passes.
pub fn stand_before(deadline: Instant) {
    DECOY.with_borrow_mut(|decoy| {
        let stands = |sleep: &Pin<Box<Sleep>>| !sleep.is_elapsed() && sleep.deadline() <= deadline;
        if decoy.as_ref().is_some_and(stands) {
            return;
        }
        let mut sleep = Box::pin(sleep_until(deadline));
        // Only what was polled stands in the runtime's list.
        let _ = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        *decoy = Some(sleep);
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;
    use tokio::time::sleep;

    fn due() -> Instant {
        DECOY.with_borrow(|decoy| decoy.as_ref().unwrap().deadline())
    }

    #[tokio::test(start_paused = true)]
    async fn one_stands_until_it_passes() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        stand_before(after(100));
        stand_before(after(150));
        assert_eq!(due(), after(100));
        stand_before(after(50));
        assert_eq!(due(), after(50));
        sleep(Duration::from_millis(60)).await;
        stand_before(after(160));
        assert_eq!(due(), after(160));
    }

    #[test]
    fn one_of_a_runtime_that_is_gone_does_not_count() {
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            runtime.block_on(async {
                let deadline = Instant::now() + Duration::from_secs(60);
                stand_before(deadline);
                assert_eq!(due(), deadline);
            });
        }
    }
}
