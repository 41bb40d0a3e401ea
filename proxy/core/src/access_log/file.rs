//! One log file: lines that workers appended and that the writer thread has not written yet.

use super::manager::{FilesystemStats, ManagerSettings, Sink, Waker};
use parking_lot::Mutex;
use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// A buffer that grew beyond this while the sink was slow is given back when it is empty again.
const KEEP_CAPACITY: usize = 1024 * 1024;
/// What a pipe takes at once when it says that it takes anything (`PIPE_BUF`).
const PIPE_CHUNK: usize = 4096;

/// A file that access logs write to; the same path is the same object for all loggers.
#[derive(Debug)]
pub struct LogFile {
    sink: Sink,
    /// Whole lines, in the order in which streams ended.
    pending: Mutex<Vec<u8>>,
    /// Most bytes that may be pending; lines beyond are dropped.
    limit: usize,
    /// Pending bytes from which the writer is woken.
    min_flush: usize,
    /// The writer has been told that there is enough to write.
    woken: AtomicBool,
    reopen: AtomicBool,
    writer: Mutex<Writer>,
    waker: Arc<Waker>,
    stats: Arc<FilesystemStats>,
}

/// The writing side, used by one thread at a time.
#[derive(Debug)]
struct Writer {
    target: Target,
    /// Lines taken from `pending`, and how many of their bytes are written.
    buffer: Vec<u8>,
    written: usize,
}

/// An open sink.
#[derive(Debug)]
enum Target {
    /// A file on a disk, which may be slow but does not wait for anybody.
    File(File),
    /// A pipe, terminal or other device: written only when it can take something.
    Device(File),
    Stdout,
    Stderr,
}

/// What became of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    Done,
    /// The sink takes nothing more for now.
    Blocked,
}

impl LogFile {
    pub(super) fn open(
        sink: Sink,
        settings: &ManagerSettings,
        waker: Arc<Waker>,
        stats: Arc<FilesystemStats>,
    ) -> io::Result<Self> {
        let target = Target::open(&sink)?;
        Ok(Self {
            sink,
            pending: Mutex::default(),
            limit: settings.buffer_limit,
            min_flush: settings.min_flush,
            woken: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            writer: Mutex::new(Writer {
                target,
                buffer: Vec::new(),
                written: 0,
            }),
            waker,
            stats,
        })
    }

    /// Adds one line (its new line included) to those that will be written. Never blocks on the sink: when that is
    /// stuck and the buffer is full, the line is dropped and counted as a write that failed.
    pub fn append(&self, line: &[u8]) {
        let length = {
            let mut pending = self.pending.lock();
            if pending.len() + line.len() > self.limit {
                drop(pending);
                self.stats.write_failed.inc();
                return;
            }
            pending.extend_from_slice(line);
            // Counted under the lock: the writer must not take off what is not counted yet.
            self.stats.write_buffered.inc();
            self.stats.write_total_buffered.add(line.len() as u64);
            pending.len()
        };
        if length > self.min_flush && !self.woken.swap(true, Relaxed) {
            self.waker.wake();
        }
    }

    /// The next flush opens the path anew, as after a rotation.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Relaxed);
    }

    /// Writes what is pending: all of it, or (without `force`) only if it is worth a write.
    pub(super) fn flush(&self, force: bool) -> Flushed {
        let mut writer = self.writer.lock();
        let reopen = self.reopen.load(Relaxed);
        if writer.write(&self.stats) == Flushed::Blocked && !reopen {
            return Flushed::Blocked;
        }
        {
            let mut pending = self.pending.lock();
            let take = force || reopen || pending.len() > self.min_flush;
            if take && writer.buffer.is_empty() {
                std::mem::swap(&mut *pending, &mut writer.buffer);
                self.woken.store(false, Relaxed);
            }
        }
        // Lines from before a rotation belong to the file that was there then.
        let mut flushed = writer.write(&self.stats);
        if reopen {
            match Target::open(&self.sink) {
                Ok(target) => {
                    writer.target = target;
                    self.reopen.store(false, Relaxed);
                    flushed = writer.write(&self.stats);
                }
                // The old file stays in use and the next flush tries again, so that no line is lost.
                Err(_) => self.stats.reopen_failed.inc(),
            }
        }
        flushed
    }

    /// Nothing is left to write.
    pub(super) fn is_drained(&self) -> bool {
        self.writer.lock().buffer.is_empty() && self.pending.lock().is_empty()
    }
}

impl Writer {
    /// Writes the rest of the buffer as far as the sink takes it.
    fn write(&mut self, stats: &FilesystemStats) -> Flushed {
        while self.written < self.buffer.len() {
            let rest = self.buffer.get(self.written..).unwrap_or_default();
            match self.target.write(rest) {
                Ok(0) => return Flushed::Blocked,
                Ok(written) => {
                    self.written += written;
                    stats.write_completed.inc();
                    stats.write_total_buffered.sub(written as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::Blocked,
                Err(_) => {
                    stats.write_failed.inc();
                    stats.write_total_buffered.sub(rest.len() as u64);
                    self.written = self.buffer.len();
                }
            }
        }
        self.buffer.clear();
        self.written = 0;
        if self.buffer.capacity() > KEEP_CAPACITY {
            self.buffer = Vec::new();
        }
        Flushed::Done
    }
}

impl Target {
    fn open(sink: &Sink) -> io::Result<Self> {
        let path = match sink {
            Sink::Stdout => return Ok(Self::Stdout),
            Sink::Stderr => return Ok(Self::Stderr),
            Sink::File(path) => path,
        };
        use std::os::unix::fs::FileTypeExt;
        let fifo = std::fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo());
        let mut options = File::options();
        // To open a FIFO for writing alone waits for its reader.
        let file = options.append(true).create(true).read(fifo).open(path)?;
        Ok(if file.metadata()?.is_file() {
            Self::File(file)
        } else {
            Self::Device(file)
        })
    }

    /// Writes some of the bytes; 0 if the sink would block.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => {
                let mut file: &File = file;
                file.write(bytes)
            }
            Self::Device(file) => write_ready(file.as_fd(), bytes),
            Self::Stdout => write_ready(io::stdout().as_fd(), bytes),
            Self::Stderr => write_ready(io::stderr().as_fd(), bytes),
        }
    }
}

/// Writes as much as fits without waiting. Standard output may be shared with other processes, so it is asked and not
/// made non-blocking.
fn write_ready(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if poll(&mut fds, Some(&now))? == 0 {
        return Ok(0);
    }
    let chunk = bytes.get(..PIPE_CHUNK).unwrap_or(bytes);
    Ok(rustix::io::write(fd, chunk)?)
}
