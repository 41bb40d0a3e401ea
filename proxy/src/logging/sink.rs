//! Where log lines go: standard error, or the file of `--log-path`.

use parking_lot::Mutex;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    File { path: PathBuf, file: Mutex<File> },
}

impl Sink {
    pub(super) fn stderr() -> Self {
        Self::Stderr
    }

    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::File {
            file: Mutex::new(open(path)?),
            path: path.to_owned(),
        })
    }

    /// Writes a whole line at once, so that lines of several threads do not mix. A log that cannot be written is lost:
    /// there is nobody to tell.
    pub(super) fn write(&self, line: &str) {
        let _ = match self {
            Self::Stderr => io::stderr().lock().write_all(line.as_bytes()),
            Self::File { file, .. } => file.lock().write_all(line.as_bytes()),
        };
    }

    pub(super) fn reopen(&self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            let new = open(path)?;
            *file.lock() = new;
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
