//! The load side: one thread on one core that runs the backend and the generator on one runtime.

use crate::{backend::Backend, cores};
use anyhow::{Context, Result, anyhow};
use std::thread::JoinHandle;
use tokio::{runtime::Handle, sync::oneshot, task::yield_now};

/// Ends with its connections when dropped.
pub struct LoadSide {
    pub backend: Backend,
    pub handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LoadSide {
    pub fn start(core: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let backend = runtime.block_on(Backend::start())?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (pinned, is_pinned) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || {
                drop(pinned.send(cores::pin(core)));
                // An error means that the sender is gone, which is the same wish.
                runtime.block_on(async { drop(stopped.await) });
            })?;
        is_pinned
            .recv()
            .context("the load thread has not started")??;
        Ok(Self {
            backend,
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Never sleeps any more. Whoever sends to a sleeper pays for waking it: a subject would pay the more, the further it
    /// is from keeping the load side busy.
    pub fn keep_awake(&self) {
        self.handle.spawn(async {
            loop {
                yield_now().await;
            }
        });
    }

    /// Runs something on the load side and waits for it.
    pub fn run<F, T>(&self, future: F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.handle
            .spawn(async move { drop(sender.send(future.await)) });
        receiver
            .recv()
            .map_err(|_| anyhow!("a task of the load side has panicked"))?
    }
}

impl Drop for LoadSide {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
