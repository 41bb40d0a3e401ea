//! Envoy's workers: threads that each own a share of the connections and never hand one over after it is accepted.
//! The only file that knows how many runtimes there are.

use outrigger_core::{
    stats,
    worker::{self, Workers},
};
use std::{io, thread::JoinHandle};
use tokio::{runtime, sync::watch};

/// The running worker threads.
pub struct WorkerThreads {
    workers: Workers,
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl WorkerThreads {
    /// Starts `concurrency` threads with a runtime each. They idle until something is put on them.
    pub fn start(concurrency: usize) -> io::Result<Self> {
        let stop = watch::Sender::new(false);
        let mut handles = Vec::with_capacity(concurrency);
        let mut threads = Vec::with_capacity(concurrency);
        for index in 0..concurrency {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            handles.push(runtime.handle().clone());
            let mut stop = stop.subscribe();
            // Envoy's name for the thread.
            let thread = std::thread::Builder::new().name(format!("wrk:worker_{index}"));
            threads.push(thread.spawn(move || {
                worker::set_current(index);
                let _lane = stats::Lane::claim();
                // An error says that the sender is gone: the same as being told to stop.
                let _ = runtime.block_on(stop.wait_for(|stop| *stop));
                // The runtime is dropped here: every task ends at its next await, and logs what it has to log.
            })?);
        }
        Ok(Self {
            workers: Workers::new(handles),
            threads,
            stop,
        })
    }

    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Ends every worker with all that runs on it.
    pub fn stop(self) {
        self.stop.send_replace(true);
        for thread in self.threads {
            // A worker that panicked has ended the process.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn each_worker_knows_its_index_and_stops() {
        let threads = WorkerThreads::start(2).unwrap();
        let (tell, told) = mpsc::channel();
        for index in 0..2 {
            let tell = tell.clone();
            threads.workers().spawn_on(index, async move {
                tell.send((index, worker::current())).unwrap();
            });
        }
        let mut seen = [told.recv().unwrap(), told.recv().unwrap()];
        seen.sort_unstable();
        assert_eq!(seen, [(0, 0), (1, 1)]);
        threads.stop();
    }
}
