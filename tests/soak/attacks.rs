//! Load that does not behave, one kind after the other. What an attack has opened it keeps for a while, so that the proxy
//! has to end some of it by its own timeouts, and then leaves it without a word.

use crate::{Ports, Stage};
use outrigger_tests::http2::burst;
use outrigger_tests::http2::frame::{FIRST_WINDOW, PREFACE, WIDEST_WINDOW};
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Result;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How long the ones that go on go on.
const TURN: Duration = Duration::from_millis(1000);
/// Until the next attack.
const BETWEEN: Duration = Duration::from_millis(200);
/// How long connections are kept: longer than the timeouts of the configuration.
const KEPT: Duration = Duration::from_secs(8);
/// Between two bursts: the attack is on the proxy and not on the machine.
const PAUSE: Duration = Duration::from_millis(20);
/// Who does not take bytes within this takes none.
const WRITE: Duration = Duration::from_millis(100);

const HANG: &str = "POST /hang HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
const HUGE: &str = "GET /bytes/67108864 HTTP/1.1\r\nhost: a.test\r\n\r\n";
const UPLOAD: &str = "POST /up HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1048576\r\n\r\n";
const TUNNEL: &str =
    "GET /ws HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[derive(Clone, Copy, Debug)]
enum Attack {
    SlowHeads,
    SlowBodies,
    Halves,
    SlowReaders,
    SlowReadersOfHttp2,
    ClosedWindows,
    Resets,
    ResetsOfOurs,
    EndlessHeads,
    UnfoldingHeads,
    Frames,
    Garbage,
    Storms,
    Vanishing,
    Pipelines,
    StuckTunnels,
    Idle,
}

const ALL: [Attack; 17] = [
    Attack::SlowHeads,
    Attack::SlowBodies,
    Attack::Halves,
    Attack::SlowReaders,
    Attack::SlowReadersOfHttp2,
    Attack::ClosedWindows,
    Attack::Resets,
    Attack::ResetsOfOurs,
    Attack::EndlessHeads,
    Attack::UnfoldingHeads,
    Attack::Frames,
    Attack::Garbage,
    Attack::Storms,
    Attack::Vanishing,
    Attack::Pipelines,
    Attack::StuckTunnels,
    Attack::Idle,
];

/// One attack after the other until the stage is empty; gives their number back.
pub async fn run(ports: Ports, stage: Arc<Stage>) -> u64 {
    let mut kept: VecDeque<(Instant, Vec<TcpStream>)> = VecDeque::new();
    let mut played = 0;
    for attack in ALL.into_iter().cycle() {
        if !stage.goes_on() {
            break;
        }
        match attack.play(ports).await {
            Ok(streams) => kept.push_back((Instant::now(), streams)),
            Err(error) => eprintln!("soak: {attack:?}: {error}"),
        }
        played += 1;
        sleep(BETWEEN).await;
        while kept
            .front()
            .is_some_and(|(since, _)| since.elapsed() > KEPT)
        {
            kept.pop_front();
        }
    }
    played
}

impl Attack {
    /// What it leaves open.
    async fn play(self, ports: Ports) -> Result<Vec<TcpStream>> {
        let main = ports.main;
        match self {
            Self::SlowHeads => {
                let head = "GET / HTTP/1.1\r\nhost: a.test\r\nx: ";
                trickle(open(main, 50, head.as_bytes()).await?, b"y").await
            }
            Self::SlowBodies => {
                trickle(open(main, 30, HANG.as_bytes()).await?, b"1\r\nx\r\n").await
            }
            Self::Halves => {
                let whole = format!("{UPLOAD}some of the body");
                for _ in 0..50 {
                    let half = whole.get(..random(whole.len())).unwrap_or(&whole);
                    leave(open(main, 1, half.as_bytes()).await?)?;
                }
                open(main, 50, &whole.as_bytes()[..40]).await
            }
            Self::SlowReaders => open(main, 20, HUGE.as_bytes()).await,
            Self::SlowReadersOfHttp2 => {
                let bytes = burst::requests(WIDEST_WINDOW, 5, "/bytes/67108864");
                open(main, 10, &bytes).await
            }
            Self::ClosedWindows => open(main, 10, &burst::requests(0, 10, "/bytes/100000")).await,
            Self::Resets => flood(main, burst::resets).await,
            Self::ResetsOfOurs => flood(main, burst::resets_of_ours).await,
            Self::EndlessHeads => flood(main, burst::endless_head).await,
            Self::UnfoldingHeads => {
                // One of the longest values that the table takes.
                flood(main, |round| burst::unfolding_head(round, b"a", 3900, 4000)).await
            }
            Self::Frames => flood(main, idle_frames).await,
            Self::Garbage => {
                for port in [main, ports.tcp] {
                    for number in 0..50 {
                        // Half of it begins like something that is known.
                        let mut bytes = match number % 4 {
                            0 => PREFACE.to_vec(),
                            1 => b"GET / HTTP/1.1\r\n".to_vec(),
                            _ => Vec::new(),
                        };
                        bytes.extend((0..1 + random(2000)).map(|_| random(256) as u8));
                        drop(open(port, 1, &bytes).await?);
                    }
                }
                Ok(Vec::new())
            }
            Self::Storms => {
                for port in [main, ports.tcp, main, ports.tcp] {
                    leave(open(port, 100, b"").await?)?;
                    sleep(PAUSE).await;
                }
                Ok(Vec::new())
            }
            Self::Vanishing => {
                let mut downloads = open(main, 20, HUGE.as_bytes()).await?;
                for stream in &mut downloads {
                    let _ = timeout(WRITE, stream.read(&mut [0; 10_000])).await;
                }
                leave(downloads)?;
                let half = [UPLOAD.as_bytes(), &[b'x'; 100_000]].concat();
                leave(open(main, 20, &half).await?)?;
                leave(open(ports.tcp, 20, &half).await?)?;
                Ok(Vec::new())
            }
            Self::Pipelines => {
                let many = "GET /x HTTP/1.1\r\nhost: a.test\r\n\r\n".repeat(100);
                for mut stream in open(main, 5, many.as_bytes()).await? {
                    let _ = timeout(WRITE, stream.read(&mut [0; 100])).await;
                }
                Ok(Vec::new())
            }
            Self::StuckTunnels => {
                let bytes = vec![b'x'; 4 << 20];
                let mut stuck = open(main, 5, TUNNEL.as_bytes()).await?;
                for stream in &mut stuck {
                    let mut answer = [0; 4096];
                    let _ = timeout(WRITE, stream.read(&mut answer)).await;
                    let _ = timeout(WRITE, stream.write_all(&bytes)).await;
                }
                stuck.extend(open(ports.tcp, 5, &bytes).await?);
                Ok(stuck)
            }
            Self::Idle => {
                let mut idle = open(main, 100, b"").await?;
                idle.extend(open(ports.tcp, 50, b"").await?);
                Ok(idle)
            }
        }
    }
}

/// A kind of them after the other.
fn idle_frames(round: u32) -> Vec<u8> {
    let (_, one) = burst::IDLE[round as usize % burst::IDLE.len()];
    burst::that_say_nothing(round, one, 100)
}

/// Opens `count` connections that say `first`, or as much of it as is taken.
async fn open(port: u16, count: usize, first: &[u8]) -> Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        // An error is what attackers are for.
        let _ = timeout(WRITE, stream.write_all(first)).await;
        streams.push(stream);
    }
    Ok(streams)
}

/// Each says a little more, again and again.
async fn trickle(mut streams: Vec<TcpStream>, more: &[u8]) -> Result<Vec<TcpStream>> {
    let until = Instant::now() + TURN;
    while Instant::now() < until {
        for stream in &mut streams {
            let _ = timeout(WRITE, stream.write_all(more)).await;
        }
        sleep(5 * PAUSE).await;
    }
    Ok(streams)
}

/// Goes without a FIN.
fn leave(streams: Vec<TcpStream>) -> Result<()> {
    for stream in streams {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Sends burst after burst on one connection, and on a new one when that is over. The last is left open.
async fn flood(port: u16, burst: impl Fn(u32) -> Vec<u8>) -> Result<Vec<TcpStream>> {
    let until = Instant::now() + TURN;
    let mut last = Vec::new();
    while Instant::now() < until {
        last = open(port, 1, &burst::opening(FIRST_WINDOW)).await?;
        let Some(stream) = last.first_mut() else {
            break;
        };
        for round in 0.. {
            let taken = timeout(WRITE, stream.write_all(&burst(round))).await;
            if !matches!(taken, Ok(Ok(()))) || Instant::now() >= until {
                break;
            }
            sleep(PAUSE).await;
        }
    }
    Ok(last)
}

/// Below `limit`, which is not 0.
fn random(limit: usize) -> usize {
    let number = RandomState::new().build_hasher().finish();
    usize::try_from(number % limit.max(1) as u64).unwrap_or(0)
}
