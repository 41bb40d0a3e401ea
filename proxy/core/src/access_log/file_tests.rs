//! Files, pipes and their writer.
#![allow(clippy::unwrap_used)]

use super::{LogFile, Manager, ManagerSettings, Sink};
use crate::stats::Store;
use std::{
    fs,
    io::Read,
    os::fd::AsFd,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// A manager whose thread is woken by lines only.
fn manager(buffer_limit: usize) -> Manager {
    Manager::new(
        ManagerSettings {
            flush_interval: Duration::from_secs(3600),
            buffer_limit,
            ..ManagerSettings::default()
        },
        &Store::default(),
    )
}

fn open(manager: &Manager, path: &Path) -> Arc<LogFile> {
    manager.open(Sink::File(path.to_owned())).unwrap()
}

/// Waits for what the writer thread does.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn the_same_path_is_the_same_file_and_lines_wait_for_a_flush() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let manager = manager(1 << 20);
    let (a, b) = (open(&manager, &path), open(&manager, &path));
    assert!(Arc::ptr_eq(&a, &b));
    a.append(b"one\n");
    b.append(b"two\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    assert_eq!(manager.stats().write_buffered.get(), 2);
    assert_eq!(manager.stats().write_total_buffered.get(), 8);
    manager.flush();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    assert_eq!(manager.stats().write_total_buffered.get(), 0);
    assert_eq!(manager.stats().write_completed.get(), 1);
}

#[test]
fn much_that_is_pending_wakes_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let manager = manager(1 << 20);
    let file = open(&manager, &path);
    let line = [b'x'; 1000];
    for _ in 0..66 {
        file.append(&line);
    }
    eventually("the writer writes", || {
        fs::metadata(&path).unwrap().len() == 66_000
    });
}

#[test]
fn the_timer_writes_and_closes_what_nobody_uses() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let settings = ManagerSettings {
        flush_interval: Duration::from_millis(5),
        ..ManagerSettings::default()
    };
    let manager = Manager::new(settings, &Store::default());
    let file = open(&manager, &path);
    file.append(b"one\n");
    drop(file);
    eventually("the file is written and closed", || {
        manager.open_files() == 0
    });
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    assert!(manager.stats().flushed_by_timer.get() > 0);
}

#[test]
fn a_rotated_file_is_opened_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let old = directory.path().join("log.1");
    let manager = manager(1 << 20);
    let file = open(&manager, &path);
    file.append(b"before\n");
    fs::rename(&path, &old).unwrap();
    manager.reopen();
    eventually("the path is opened", || path.exists());
    // The new file exists before the writer holds it; a flush waits for the writer.
    manager.flush();
    file.append(b"after\n");
    manager.flush();
    assert_eq!(fs::read_to_string(&old).unwrap(), "before\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
}

#[test]
fn a_path_that_cannot_be_opened_anew_keeps_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub").join("log");
    let moved = directory.path().join("moved");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let manager = manager(1 << 20);
    let file = open(&manager, &path);
    fs::rename(path.parent().unwrap(), &moved).unwrap();
    manager.reopen();
    eventually("the writer tries", || {
        manager.stats().reopen_failed.get() > 0
    });
    file.append(b"line\n");
    manager.flush();
    assert_eq!(fs::read_to_string(moved.join("log")).unwrap(), "line\n");
}

#[test]
fn a_pipe_that_nobody_reads_fills_a_bounded_buffer_and_blocks_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    let other = directory.path().join("other");
    let here = fs::File::open(directory.path()).unwrap();
    rustix::fs::mknodat(
        here.as_fd(),
        "fifo",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let limit = 256 * 1024;
    let manager = manager(limit);
    let pipe = open(&manager, &fifo);
    let line = [b'x'; 1024];
    let total = 4096;
    for _ in 0..total {
        pipe.append(&line);
    }
    let dropped = manager.stats().write_failed.get();
    // The pipe holds 64 KiB, the buffers of the writer and of the workers as much as the limit each.
    let kept = (total - dropped) as usize * line.len();
    assert!(dropped > 0);
    assert!(kept <= 2 * limit + 1024 * 1024, "{kept}");
    let file = open(&manager, &other);
    file.append(b"line\n");
    manager.flush();
    assert_eq!(fs::read_to_string(&other).unwrap(), "line\n");
    // A reader gets every line that was kept.
    let mut reader = fs::File::open(&fifo).unwrap();
    let mut read = 0;
    let mut buffer = vec![0; 64 * 1024];
    while read < kept {
        read += reader.read(&mut buffer).unwrap();
        manager.flush();
    }
    assert_eq!(read, kept);
    assert_eq!(manager.stats().write_total_buffered.get(), 0);
}
