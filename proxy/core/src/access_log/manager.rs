//! Envoy's access log manager: every log file of the process by its path, and the one thread that writes them.

use super::file::{Flushed, LogFile};
use crate::stats::Store;
use parking_lot::{Condvar, Mutex};
use std::{
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How soon a sink that took nothing is tried again.
const RETRY: Duration = Duration::from_millis(100);

crate::stat_group! {
    /// `filesystem.`
    pub struct FilesystemStats {
        counter flushed_by_timer,
        counter reopen_failed,
        counter write_buffered,
        counter write_completed,
        counter write_failed,
        gauge write_total_buffered,
    }
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    Stdout,
    Stderr,
    File(PathBuf),
}

impl Sink {
    /// The sink of a configured path. The devices of the standard streams are the streams themselves, which works where
    /// opening them does not: when they are sockets, or belong to another user.
    pub fn of_path(path: &str) -> Self {
        match path {
            "/dev/stdout" => Self::Stdout,
            "/dev/stderr" => Self::Stderr,
            path => Self::File(path.into()),
        }
    }
}

/// Limits of the manager.
#[derive(Clone, Copy, Debug)]
pub struct ManagerSettings {
    /// How often everything is written: `--file-flush-interval-msec`.
    pub flush_interval: Duration,
    /// Most bytes that wait for one file, twice: once for the writer, and once for those that come meanwhile.
    pub buffer_limit: usize,
    /// Bytes that are worth a write before the interval ends: `--file-flush-min-size-kb`.
    pub min_flush: usize,
}

impl Default for ManagerSettings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(10),
            buffer_limit: 4 * 1024 * 1024,
            min_flush: 64 * 1024,
        }
    }
}

/// Opens and owns the log files. Dropping it ends its thread, after a last flush.
#[derive(Debug, Default)]
pub struct Manager {
    settings: ManagerSettings,
    files: Arc<Mutex<Files>>,
    waker: Arc<Waker>,
    stats: Arc<FilesystemStats>,
}

/// The open files, and whether there is a thread that writes them.
#[derive(Debug, Default)]
struct Files {
    open: Vec<(Sink, Arc<LogFile>)>,
    writer: bool,
}

/// Wakes the writer.
#[derive(Debug, Default)]
pub(super) struct Waker {
    signal: Mutex<Signal>,
    condvar: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Signal {
    #[default]
    None,
    Flush,
    Stop,
}

impl Waker {
    pub fn wake(&self) {
        self.send(Signal::Flush);
    }

    fn send(&self, signal: Signal) {
        *self.signal.lock() = signal;
        self.condvar.notify_one();
    }

    /// Waits for a signal, not longer than until `deadline`.
    fn wait(&self, deadline: Instant) -> Signal {
        let mut signal = self.signal.lock();
        while *signal == Signal::None {
            if self.condvar.wait_until(&mut signal, deadline).timed_out() {
                break;
            }
        }
        std::mem::take(&mut signal)
    }
}

impl Manager {
    pub fn new(settings: ManagerSettings, stats: &Store) -> Self {
        Self {
            settings,
            files: Arc::default(),
            waker: Arc::default(),
            stats: stats.register("filesystem.", FilesystemStats::default()),
        }
    }

    /// The file of a sink, opened if it is not open yet; the reason in Envoy's words if it cannot be.
    pub fn open(&self, sink: Sink) -> Result<Arc<LogFile>, String> {
        let mut files = self.files.lock();
        if let Some((_, file)) = files.open.iter().find(|(known, _)| *known == sink) {
            return Ok(file.clone());
        }
        let file = LogFile::open(
            sink.clone(),
            &self.settings,
            self.waker.clone(),
            self.stats.clone(),
        )
        .map_err(|error| match &sink {
            Sink::File(path) => format!("unable to open file '{}': {error}", path.display()),
            Sink::Stdout => format!("unable to open stdout: {error}"),
            Sink::Stderr => format!("unable to open stderr: {error}"),
        })?;
        if !files.writer {
            self.start_writer()?;
            files.writer = true;
        }
        let file = Arc::new(file);
        files.open.push((sink, file.clone()));
        Ok(file)
    }

    /// Makes every file open its path anew (`SIGUSR1`, `/reopen_logs`); done by the writer, soon.
    pub fn reopen(&self) {
        for (_, file) in &self.files.lock().open {
            file.reopen();
        }
        self.waker.wake();
    }

    /// Writes everything that is pending, as far as the sinks take it. For the end of the process.
    pub fn flush(&self) {
        flush_all(&self.files, true);
    }

    /// What has been written, has failed and is waiting.
    pub fn stats(&self) -> &FilesystemStats {
        &self.stats
    }

    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.files.lock().open.len()
    }

    fn start_writer(&self) -> Result<(), String> {
        let files = self.files.clone();
        let waker = self.waker.clone();
        let stats = self.stats.clone();
        let interval = self.settings.flush_interval;
        thread::Builder::new()
            .name("AccessLogFlush".to_owned())
            .spawn(move || write_files(&files, &waker, &stats, interval))
            .map(drop)
            .map_err(|error| format!("unable to start the access log writer: {error}"))
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.flush();
        self.waker.send(Signal::Stop);
    }
}

/// The writer thread: ends with the manager.
fn write_files(files: &Mutex<Files>, waker: &Waker, stats: &FilesystemStats, interval: Duration) {
    let mut tick = Instant::now() + interval;
    let mut blocked = false;
    loop {
        let retry = Instant::now() + RETRY;
        let deadline = if blocked { tick.min(retry) } else { tick };
        if waker.wait(deadline) == Signal::Stop {
            return;
        }
        let now = Instant::now();
        let timer = now >= tick;
        if timer {
            tick = now + interval;
            stats.flushed_by_timer.add(files.lock().open.len() as u64);
        }
        blocked = flush_all(files, timer) == Flushed::Blocked;
        if timer {
            close_unused(files);
        }
    }
}

/// Flushes every file, the list not locked meanwhile.
fn flush_all(files: &Mutex<Files>, force: bool) -> Flushed {
    let open: Vec<_> = files.lock().open.iter().map(|(_, f)| f.clone()).collect();
    let mut all = Flushed::Done;
    for file in open {
        if file.flush(force) == Flushed::Blocked {
            all = Flushed::Blocked;
        }
    }
    all
}

/// Forgets the files that no logger writes to any more and that are written out.
fn close_unused(files: &Mutex<Files>) {
    files
        .lock()
        .open
        .retain(|(_, file)| Arc::strong_count(file) > 1 || !file.is_drained());
}
