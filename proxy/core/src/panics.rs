//! What a panic costs. None is meant to be reachable: clippy denies what panics, and fuzzing looks for the rest. One that
//! is all the same must not let a stranger end the process: a connection ends alone, with what belongs to it alone.

use pin_project_lite::pin_project;
use std::{
    cell::Cell,
    future::Future,
    panic::PanicHookInfo,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
};

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

static COUNT: AtomicU64 = AtomicU64::new(0);

pin_project! {
    /// A task whose panic ends the task and nothing else; see [`contained`].
    #[derive(Debug)]
    pub struct Contained<F> {
        // `None` once it is dropped, which may panic as well.
        #[pin]
        task: Option<F>,
    }

    impl<F> PinnedDrop for Contained<F> {
        fn drop(this: Pin<&mut Self>) {
            let _outer = Outer(CONTAINED.replace(true));
            this.project().task.set(None);
        }
    }
}

/// Says of a task that it may end by a panic: it serves one connection or one stream, and gives all that it shares with
/// others back when it is dropped. A panic anywhere else ends the process.
pub fn contained<F: Future>(task: F) -> Contained<F> {
    Contained { task: Some(task) }
}

impl<F: Future> Future for Contained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _outer = Outer(CONTAINED.replace(true));
        match self.project().task.as_pin_mut() {
            Some(task) => task.poll(cx),
            None => Poll::Pending,
        }
    }
}

/// What held around the task holds again behind it, however it ends.
struct Outer(bool);

impl Drop for Outer {
    fn drop(&mut self) {
        CONTAINED.set(self.0);
    }
}

/// Installs the panic hook. `report` learns of every panic, and whether it ends no more than such a task.
pub fn hook(report: impl Fn(&PanicHookInfo<'_>, bool) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| report(panic, contains())));
}

/// Whether this thread runs such a task. Counts it.
fn contains() -> bool {
    let contained = CONTAINED.get();
    if contained {
        COUNT.fetch_add(1, Relaxed);
    }
    contained
}

/// Panics of such tasks since the process began.
pub fn count() -> u64 {
    COUNT.load(Relaxed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::task::Waker;

    #[test]
    fn a_task_is_contained_while_it_runs() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut outer = Box::pin(contained(async {
            let mut inner = Box::pin(contained(std::future::pending::<()>()));
            assert!(
                inner
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            CONTAINED.get()
        }));
        assert!(!CONTAINED.get());
        assert_eq!(outer.as_mut().poll(&mut cx), Poll::Ready(true));
        assert!(!CONTAINED.get());
    }

    #[test]
    fn a_task_is_contained_while_it_is_dropped() {
        struct Guard<'a>(&'a Cell<bool>);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                self.0.set(CONTAINED.get());
            }
        }
        let seen = Cell::new(false);
        let guard = Guard(&seen);
        drop(contained(async move {
            let _guard = guard;
        }));
        assert!(seen.get() && !CONTAINED.get());
    }
}
