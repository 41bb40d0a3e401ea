//! Which worker this thread is, and how to put a task on another one. Only the binary decides how many there are.

use std::{cell::Cell, future::Future};
use tokio::runtime::Handle;

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The index of the worker that runs this code, from 0. The main thread reads as worker 0.
pub fn current() -> usize {
    CURRENT.get()
}

/// Called once by each worker thread before it runs anything.
pub fn set_current(index: usize) {
    CURRENT.set(index);
}

/// The runtimes of all workers, in order of their index.
#[derive(Clone, Debug)]
pub struct Workers {
    handles: Vec<Handle>,
}

impl Workers {
    pub fn new(handles: Vec<Handle>) -> Self {
        Self { handles }
    }

    pub fn len(&self) -> usize {
        self.handles.len()
    }

    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// Starts a task on one worker. An index out of range is ignored by running nothing: callers iterate `0..len()`.
    pub fn spawn_on<F>(&self, index: usize, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(handle) = self.handles.get(index) {
            drop(handle.spawn(task));
        }
    }
}
