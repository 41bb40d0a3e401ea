//! Open-loop generator: requests fall due at a fixed rate whatever the answers do, and latency counts from that moment.

use crate::{
    backend::SMALL, client::Client, measure, process::Process, side::LoadSide, traffic::get_request,
};
use anyhow::{Context, Result, bail};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{io::AsyncReadExt, net::unix::pipe, sync::Semaphore, sync::mpsc};

/// Requests per second.
pub const RATE: u64 = 5_000;
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / RATE);
/// Requests that may be under way at once; a later one waits, and its latency runs meanwhile.
const CONNECTIONS: usize = 64;
/// How long answers may take to come in after the window.
const STRAGGLERS: Duration = Duration::from_secs(20);

/// Latencies in µs, and the CPU for one request.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    pub median: f64,
    pub percentile99: f64,
    pub percentile999: f64,
    pub cpu: f64,
}

/// Requests of the warm-up and of the window are numbered through; those of the window count.
struct Schedule {
    begin: Instant,
    next: AtomicU64,
    due: Semaphore,
}

pub fn run(
    side: &LoadSide,
    process: Option<&mut Process>,
    target: SocketAddr,
    window: Duration,
) -> Result<Latency> {
    let warm_up = measure::warm_up(window);
    let first = (warm_up.as_nanos() / INTERVAL.as_nanos()) as u64;
    let count = (window.as_nanos() / INTERVAL.as_nanos()) as u64;
    let mut latencies = side.run(start(target, first, count))?;
    let cpu = |process: &Option<&mut Process>| -> Result<u64> {
        process
            .as_ref()
            .map_or(Ok(0), |process| Ok(process.cpu()?.nanoseconds))
    };
    std::thread::sleep(warm_up);
    let cpu_before = cpu(&process)?;
    std::thread::sleep(window);
    let cpu_used = cpu(&process)?.saturating_sub(cpu_before);
    let mut measured = side.run(async move { collect(&mut latencies, count).await })?;
    if let Some(process) = process {
        process.check_alive()?;
    }
    measured.sort_unstable();
    let at = |share: f64| -> f64 {
        let index = (measured.len() as f64 * share) as usize;
        measured.get(index).copied().unwrap_or_default() as f64 / 1000.0
    };
    Ok(Latency {
        median: at(0.5),
        percentile99: at(0.99),
        percentile999: at(0.999),
        cpu: cpu_used as f64 / 1000.0 / count as f64,
    })
}

type Latencies = mpsc::UnboundedReceiver<Result<u64>>;

/// Connects, then lets the clock run. Gives the latencies of the `count` requests after the `first`, in ns.
async fn start(target: SocketAddr, first: u64, count: u64) -> Result<Latencies> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(target).await?);
    }
    let timer = timerfd_create(
        TimerfdClockId::Monotonic,
        TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
    )?;
    let interval = Timespec {
        tv_sec: 0,
        tv_nsec: INTERVAL.subsec_nanos().into(),
    };
    let setting = Itimerspec {
        it_interval: interval,
        it_value: interval,
    };
    let schedule = Arc::new(Schedule {
        begin: Instant::now(),
        next: AtomicU64::new(0),
        due: Semaphore::new(0),
    });
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &setting)?;
    // To tokio it is one more descriptor that becomes readable; sixteen bytes of buffer for eight make it wait without
    // another read that fails.
    let mut timer = pipe::Receiver::from_owned_fd_unchecked(timer)?;

    let (sender, receiver) = mpsc::unbounded_channel();
    for mut client in clients {
        let (schedule, sender) = (schedule.clone(), sender.clone());
        tokio::spawn(async move {
            let request = get_request(SMALL);
            loop {
                match schedule.one(&mut client, request.as_bytes()).await {
                    Ok((number, latency)) if (first..first + count).contains(&number) => {
                        drop(sender.send(Ok(latency)));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        drop(sender.send(Err(error)));
                        return;
                    }
                }
            }
        });
    }
    tokio::spawn(async move {
        let mut expirations = [0; 16];
        while let Ok(8) = timer.read(&mut expirations).await {
            let (count, _) = expirations.split_at(8);
            let count = count.try_into().map_or(0, u64::from_ne_bytes);
            schedule.due.add_permits(count as usize);
        }
    });
    Ok(receiver)
}

impl Schedule {
    /// Takes the next request that is due. Gives its number and the ns from its moment to the end of its answer.
    async fn one(&self, client: &mut Client, request: &[u8]) -> Result<(u64, u64)> {
        self.due.acquire().await?.forget();
        let number = self.next.fetch_add(1, Relaxed);
        client.send(request).await?;
        client.receive(SMALL, |_| ()).await?;
        let since_begin = self.begin.elapsed().as_nanos() as u64;
        // The timer fires first after one interval.
        let due = (number + 1) * INTERVAL.as_nanos() as u64;
        Ok((number, since_begin.saturating_sub(due)))
    }
}

async fn collect(latencies: &mut Latencies, count: u64) -> Result<Vec<u64>> {
    let mut measured = Vec::with_capacity(count as usize);
    let deadline = tokio::time::Instant::now() + STRAGGLERS;
    while (measured.len() as u64) < count {
        match tokio::time::timeout_at(deadline, latencies.recv()).await {
            Ok(latency) => measured.push(latency.context("no connection is left")??),
            Err(_) => bail!("{} of {count} requests were answered", measured.len()),
        }
    }
    Ok(measured)
}
