//! One running subject: started on its core, ready when it has answered, ended when dropped.

use crate::{
    backend::SMALL,
    cores::{self, Cores},
    h2::{self, Exchange},
    subject::{Found, Layer, Place},
    traffic::{ECHO, ECHO_LENGTH, MESH_REQUEST, get_request},
};
use anyhow::{Context, Result, bail, ensure};
use outrigger_tests::kernel;
use rustix::{
    process::{Signal, kill_process},
    thread::{CpuSet, Pid, sched_getaffinity},
};
use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longest time until the first answer.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Longest time to the end of a process that was asked to end.
const END_LIMIT: Duration = Duration::from_secs(2);

pub struct Process {
    child: Child,
    name: &'static str,
    dir: TempDir,
    pub address: SocketAddr,
    /// From exec to the first successful answer.
    pub ready: Duration,
}

/// CPU used so far, of all threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub nanoseconds: u64,
    user_ticks: u64,
    system_ticks: u64,
}

impl Cpu {
    /// The share of user space between two readings; the kernel takes its samples in ticks.
    pub fn user_share(self, since: Self) -> f64 {
        let user = self.user_ticks.saturating_sub(since.user_ticks) as f64;
        let system = self.system_ticks.saturating_sub(since.system_ticks) as f64;
        user / (user + system).max(1.0)
    }
}

/// Resident memory in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub resident: u64,
    pub peak: u64,
}

impl Process {
    pub fn start(found: &Found, layer: Layer, upstream: SocketAddr, cores: Cores) -> Result<Self> {
        let name = found.subject.name();
        let dir = tempfile::Builder::new().prefix("load-").tempdir()?;
        let [listen, admin] = free_ports()?;
        let place = Place {
            listen,
            admin,
            upstream,
            dir: dir.path(),
        };
        let arguments = found.subject.arguments(layer, &place)?;
        let mut command = Command::new(&found.binary);
        command
            .args(arguments)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(File::create(dir.path().join("stdout"))?)
            .stderr(File::create(dir.path().join("stderr"))?);
        cores::pin(cores.subject)?;
        let begin = Instant::now();
        let child = command.spawn();
        cores::pin(cores.load)?;
        let mut process = Self {
            child: child.with_context(|| format!("cannot start {}", found.binary.display()))?,
            name,
            dir,
            address: listen,
            ready: Duration::ZERO,
        };
        process.wait_until_ready(layer, begin)?;
        process.check_cores(cores.subject)?;
        Ok(process)
    }

    fn wait_until_ready(&mut self, layer: Layer, begin: Instant) -> Result<()> {
        loop {
            let answered = match layer {
                Layer::Http => http_answers(self.address, &get_request(SMALL)),
                Layer::Mesh => http_answers(self.address, MESH_REQUEST),
                Layer::Http2 | Layer::Http2ToHttp2 => h2::answers(self.address, Exchange::Get),
                Layer::Grpc => h2::answers(self.address, Exchange::Grpc),
                Layer::Tcp => tcp_answers(self.address),
            };
            self.ready = begin.elapsed();
            let Err(error) = answered else { return Ok(()) };
            self.check_alive()?;
            if self.ready > START_LIMIT {
                bail!(
                    "{} does not answer: {error:#}\n{}",
                    self.name,
                    self.output()
                );
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// An error with its last words if it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status})\n{}", self.name, self.output()),
        }
    }

    fn output(&self) -> String {
        let mut text = String::new();
        for file in ["stdout", "stderr", "error.log"] {
            let content = fs::read(self.dir.path().join(file)).unwrap_or_default();
            let tail = content.len().saturating_sub(2000);
            text.push_str(&String::from_utf8_lossy(
                content.get(tail..).unwrap_or_default(),
            ));
        }
        text
    }

    /// A subject that moves its threads to another core would be measured beside the load.
    fn check_cores(&self, core: usize) -> Result<()> {
        for thread in self.threads()? {
            let Ok(thread) = thread.parse() else { continue };
            let set = sched_getaffinity(Pid::from_raw(thread))?;
            let own = (0..CpuSet::MAX_CPU).all(|other| set.is_set(other) == (other == core));
            ensure!(own, "{} has left core {core}", self.name);
        }
        Ok(())
    }

    fn threads(&self) -> Result<Vec<String>> {
        fs::read_dir(format!("/proc/{}/task", self.child.id()))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    pub fn cpu(&self) -> Result<Cpu> {
        let pid = self.child.id();
        let mut cpu = Cpu::default();
        for thread in self.threads()? {
            // A thread may end between the listing and the reading.
            let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat"));
            let text = text.unwrap_or_default();
            let first = text.split_whitespace().next().unwrap_or("0");
            cpu.nanoseconds += first.parse::<u64>()?;
        }
        [cpu.user_ticks, cpu.system_ticks] = kernel::ticks(pid)?;
        Ok(cpu)
    }

    pub fn memory(&self) -> Result<Memory> {
        Ok(Memory {
            resident: kernel::kibibytes(self.child.id(), "VmRSS")?,
            peak: kernel::kibibytes(self.child.id(), "VmHWM")?,
        })
    }
}

impl Process {
    /// Asks it to end; a build that counts what it does writes that down then. Whether it has ended.
    fn end(&mut self) -> Option<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed())?;
        kill_process(pid, Signal::TERM).ok()?;
        let begin = Instant::now();
        while begin.elapsed() < END_LIMIT {
            if self.child.try_wait().ok()?.is_some() {
                return Some(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.end().is_none() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Two ports that were free a moment ago, held together so that they differ.
fn free_ports() -> Result<[SocketAddr; 2]> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok([first.local_addr()?, second.local_addr()?])
}

fn probe(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

fn http_answers(address: SocketAddr, request: &str) -> Result<()> {
    let mut stream = probe(address)?;
    stream.write_all(request.as_bytes())?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    ensure!(
        start == *b"HTTP/1.1 200",
        "answered {:?}",
        String::from_utf8_lossy(&start)
    );
    Ok(())
}

fn tcp_answers(address: SocketAddr) -> Result<()> {
    let mut stream = probe(address)?;
    let mut bytes = [ECHO; ECHO_LENGTH];
    stream.write_all(&bytes)?;
    stream.read_exact(&mut bytes)?;
    Ok(())
}
