//! The time of day without asking for it: it follows from the monotonic clock, which every stream reads anyway.

use std::{
    cell::Cell,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// How long both clocks are trusted to run side by side: a clock that is set is followed within this time.
const TRUSTED: Duration = Duration::from_secs(1);

thread_local! {
    /// Both clocks at one moment.
    static READ: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// The time of day at `now`, which has just been read.
#[inline]
pub fn at(now: Instant) -> SystemTime {
    if let Some((then, time)) = READ.get()
        && let Some(since) = now.checked_duration_since(then)
        && since < TRUSTED
    {
        return time + since;
    }
    let time = SystemTime::now();
    READ.set(Some((now, time)));
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_clocks_run_side_by_side_for_a_second() {
        let now = Instant::now();
        let before = at(now);
        assert_eq!(at(now + TRUSTED / 2), before + TRUSTED / 2);
        // Ten seconds are not believed: the clock on the wall has not moved.
        let later = at(now + 10 * TRUSTED);
        assert!(later < before + 10 * TRUSTED);
    }
}
