//! Envoy's `disk_layer`: a directory with a file for each value, below a symbolic link. Whoever replaces the link by
//! another one (`mv -T`) publishes other values.

use super::Value;
use crate::ConfigError;
use envoy_api::pb::envoy::config::bootstrap::v3::runtime_layer::DiskLayer as Proto;
use rustix::{
    fs::inotify::{self, CreateFlags, Reader, WatchFlags},
    io::Errno,
};
use std::{
    collections::BTreeMap,
    fs, io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};
use tokio::io::{Interest, unix::AsyncFd};

/// How deep directories are followed; symbolic links could lead in circles.
const MAX_DEPTH: usize = 16;

/// Where the values of a layer are.
pub(super) fn directory(proto: &Proto, service_cluster: &str) -> PathBuf {
    let Proto {
        symlink_root,
        subdirectory,
        append_service_cluster,
    } = proto;
    let mut path = format!("{symlink_root}/{subdirectory}");
    if *append_service_cluster {
        path = format!("{path}/{service_cluster}");
    }
    path.into()
}

/// All values below a directory; `None` if there is none.
pub(super) fn read(directory: &Path) -> io::Result<Option<BTreeMap<String, Value>>> {
    if !directory.is_dir() {
        return Ok(None);
    }
    let mut values = BTreeMap::new();
    walk(directory, "", 1, &mut values)?;
    Ok(Some(values))
}

fn walk(
    directory: &Path,
    prefix: &str,
    depth: usize,
    values: &mut BTreeMap<String, Value>,
) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other(format!(
            "Walk recursion depth exceeded {MAX_DEPTH}"
        )));
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let key = match prefix {
            "" => name.into_owned(),
            _ => format!("{prefix}.{name}"),
        };
        let kind = fs::metadata(&path)?;
        if kind.is_dir() {
            walk(&path, &key, depth + 1, values)?;
        } else if kind.is_file() {
            let content = fs::read(&path)?;
            let text = without_comments(&String::from_utf8_lossy(&content));
            values.insert(key, Value::of_file(text));
        }
    }
    Ok(())
}

/// A file without its comments and empty lines. The last line loses the space at its end, and so does, as in Envoy, each
/// line that is equal to it.
fn without_comments(content: &str) -> String {
    let lines = || content.split('\n').filter(|line| !line.is_empty());
    let last = lines().next_back();
    let mut text = String::new();
    for line in lines().filter(|line| !line.starts_with('#')) {
        if Some(line) == last {
            text.push_str(line.trim_end());
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Sees links being replaced.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: OwnedFd,
    /// The watch of a link's directory, and the name of the link in it; empty: any name.
    links: Vec<(i32, String)>,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            inotify: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?,
            links: Vec::new(),
        })
    }

    /// Watches one more link.
    pub(super) fn add(&mut self, link: &str) -> Result<(), ConfigError> {
        let Some((directory, name)) = link.rsplit_once('/') else {
            return Err(ConfigError::new(format!("invalid file path {link}")));
        };
        let directory = if directory.is_empty() { "/" } else { directory };
        let watch = inotify::add_watch(&self.inotify, directory, WatchFlags::MOVED_TO);
        let watch = watch.map_err(|error| {
            let error = io::Error::from(error).to_string();
            let error = error.split(" (os error").next().unwrap_or_default();
            ConfigError::new(format!(
                "unable to add filesystem watch for file {link}: {error}"
            ))
        })?;
        self.links.push((watch, name.to_owned()));
        Ok(())
    }

    /// Calls back each time that one of the links has been replaced, for as long as the future is polled.
    pub(super) async fn run(&self, mut replaced: impl FnMut()) -> io::Result<()> {
        // Deprecated for the sake of owners that close their descriptor early; this one lives as long as the watch.
        #[allow(deprecated)]
        let events = AsyncFd::with_interest(self.inotify.as_fd(), Interest::READABLE)?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        loop {
            let mut ready = events.readable().await?;
            let mut reader = Reader::new(&self.inotify, &mut buffer);
            loop {
                let event = match reader.next() {
                    Ok(event) => event,
                    Err(Errno::AGAIN) => break,
                    Err(Errno::INTR) => continue,
                    Err(error) => return Err(error.into()),
                };
                let name = event.file_name().map(|name| name.to_bytes());
                for (watch, link) in &self.links {
                    let named = link.is_empty() || Some(link.as_bytes()) == name;
                    if *watch == event.wd() && named {
                        replaced();
                    }
                }
            }
            ready.clear_ready();
        }
    }
}
