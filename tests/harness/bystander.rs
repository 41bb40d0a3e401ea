//! A client that behaves, beside those that do not: one request after the other on one connection, and how long each took.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Who waits longer than this for an answer has lost it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of the requests of a bystander.
#[derive(Default)]
pub struct Report {
    pub waits: Vec<Duration>,
    pub lost: usize,
    /// How much later than it had asked for it was woken, each time: what the machine does beside.
    pub late: Vec<Duration>,
}

impl Report {
    /// The wait that one of a hundred requests exceeds, or the longest.
    pub fn p99(&self) -> Duration {
        percentile(&self.waits, 99)
    }
}

/// What so many of a hundred do not exceed.
pub fn percentile(of: &[Duration], percent: usize) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort();
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(Duration::MAX)
}

/// Asks again and again, from its start to [`stop`](Self::stop).
pub struct Bystander {
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<Report>,
}

impl Bystander {
    /// Asks on `port`, with a pause of `pace` between two requests.
    pub fn start(port: u16, pace: Duration) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let stops = stopping.clone();
        let thread = std::thread::spawn(move || {
            let mut report = Report::default();
            let mut asker = Asker::new(port, true);
            while !stops.load(Relaxed) {
                let start = Instant::now();
                match asker.ask() {
                    Ok(()) => report.waits.push(start.elapsed()),
                    Err(error) => {
                        eprintln!("a bystander's request is lost: {error}");
                        report.lost += 1;
                    }
                }
                let slept = Instant::now();
                std::thread::sleep(pace);
                report.late.push(slept.elapsed().saturating_sub(pace));
            }
            report
        });
        Self { stopping, thread }
    }

    /// What became of its requests; nothing, where it has panicked.
    pub fn stop(self) -> Report {
        self.stopping.store(true, Relaxed);
        self.thread.join().unwrap_or_else(|_| Report {
            lost: usize::MAX,
            ..Report::default()
        })
    }
}

/// Sends one request after the other to an upstream that answers `ok`, and takes a new connection when it is told to.
pub struct Asker {
    port: u16,
    keeps: bool,
    connection: Option<BufReader<TcpStream>>,
}

impl Asker {
    /// `keeps`: it wants the connection to stay.
    pub fn new(port: u16, keeps: bool) -> Self {
        Self {
            port,
            keeps,
            connection: None,
        }
    }

    /// Whether the next request goes out on a connection that has served one.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// One whole exchange. An error of the kind `ConnectionRefused` says that nothing was sent.
    pub fn ask(&mut self) -> Result<()> {
        let mut reader = match self.connection.take() {
            Some(reader) => reader,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", self.port))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                BufReader::new(stream)
            }
        };
        let more = if self.keeps {
            ""
        } else {
            "connection: close\r\n"
        };
        let request = format!("GET /bystander HTTP/1.1\r\nhost: a.test\r\n{more}\r\n");
        reader.get_mut().write_all(request.as_bytes())?;
        let mut first = String::new();
        reader.read_line(&mut first)?;
        if first != "HTTP/1.1 200 OK\r\n" {
            return Err(Error::other(format!("the answer begins with {first:?}")));
        }
        let mut closes = false;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Err(Error::other("half a head"));
            }
            closes |= line.eq_ignore_ascii_case("connection: close\r\n");
        }
        let mut body = [0; 2];
        reader.read_exact(&mut body)?;
        if &body != b"ok" {
            return Err(Error::other("another body"));
        }
        self.connection = (!closes).then_some(reader);
        Ok(())
    }
}
