//! The scenarios: what traffic, what is reported of it, and what ratios are taken of.

use crate::{
    backend::SMALL,
    cores::Cores,
    h2::Exchange,
    idle,
    measure::{self, Work},
    metric::Metric,
    process::Process,
    rate::{self, Latency},
    side::LoadSide,
    subject::{Found, Layer, Subject},
    traffic::Traffic,
};
use anyhow::Result;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    Http1,
    Http1Rate,
    /// The shape of a mesh: what its proxies do to each request.
    Mesh,
    Http2,
    Http2ToHttp2,
    Grpc,
    TcpEcho,
    TcpConnect,
    TcpBulk,
    Body {
        up: bool,
        megabytes: usize,
    },
    Idle,
}

/// Figures of one run.
pub type Metrics = Vec<(Metric, f64)>;

const CONNECTIONS: usize = 64;
const CONNECT_TASKS: usize = 16;
/// Connections of HTTP/2, and streams on each of them.
const HTTP2_CONNECTIONS: usize = 10;
const STREAMS: usize = 10;

impl Scenario {
    pub const ALL: [Self; 14] = [
        Self::Http1,
        Self::Http1Rate,
        Self::Mesh,
        Self::Http2,
        Self::Http2ToHttp2,
        Self::Grpc,
        Self::TcpEcho,
        Self::TcpConnect,
        Self::TcpBulk,
        Self::Body {
            up: false,
            megabytes: 1,
        },
        Self::Body {
            up: false,
            megabytes: 100,
        },
        Self::Body {
            up: true,
            megabytes: 1,
        },
        Self::Body {
            up: true,
            megabytes: 100,
        },
        Self::Idle,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http1Rate => "http1-rate",
            Self::Mesh => "mesh",
            Self::Http2 => "http2",
            Self::Http2ToHttp2 => "http2-to-http2",
            Self::Grpc => "grpc",
            Self::TcpEcho => "tcp-echo",
            Self::TcpConnect => "tcp-connect",
            Self::TcpBulk => "tcp-bulk",
            Self::Body {
                up: false,
                megabytes: 1,
            } => "body-down-1m",
            Self::Body { up: false, .. } => "body-down-100m",
            Self::Body {
                up: true,
                megabytes: 1,
            } => "body-up-1m",
            Self::Body { up: true, .. } => "body-up-100m",
            Self::Idle => "idle",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1, 64 keep-alive connections, GET of 1 KiB, closed loop",
            Self::Http1Rate => "the same at 5,000 requests/s, open loop, everything on one core",
            Self::Mesh => {
                "HTTP/1.1, 64 keep-alive connections, GET of 1 KiB with access log, RBAC, fault, CORS and local rate limit \
                 (nginx and HAProxy: access log)"
            }
            Self::Http2 => {
                "HTTP/2, 10 connections with 10 streams each, GET of 1 KiB from an upstream of HTTP/1.1"
            }
            Self::Http2ToHttp2 => "the same from an upstream of HTTP/2",
            Self::Grpc => {
                "gRPC unary calls, 10 connections with 10 streams each, HTTP/2 on both sides"
            }
            Self::TcpEcho => "TCP, 64 connections, echo of 64 bytes",
            Self::TcpConnect => "TCP, a new connection for each echo",
            Self::TcpBulk => "TCP, 4 connections that send without end",
            Self::Body {
                up: false,
                megabytes: 1,
            } => "HTTP/1.1 responses of 1 MB, 4 connections",
            Self::Body { up: false, .. } => "HTTP/1.1 responses of 100 MB, 4 connections",
            Self::Body {
                up: true,
                megabytes: 1,
            } => "HTTP/1.1 requests of 1 MB, 4 connections",
            Self::Body { up: true, .. } => "HTTP/1.1 requests of 100 MB, 4 connections",
            Self::Idle => "start, memory at rest, and with idle connections after one request each",
        }
    }

    /// The columns of its table.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Http1
            | Self::Mesh
            | Self::Http2
            | Self::Http2ToHttp2
            | Self::Grpc
            | Self::TcpEcho
            | Self::TcpConnect => &[
                Metric::Cpu,
                Metric::UserCpu,
                Metric::Rate,
                Metric::Busy,
                Metric::PeakMemory,
            ],
            Self::Http1Rate => &[
                Metric::AddedMedian,
                Metric::AddedPercentile99,
                Metric::Median,
                Metric::Percentile99,
                Metric::Percentile999,
                Metric::Cpu,
            ],
            Self::TcpBulk | Self::Body { .. } => &[
                Metric::CpuPerMegabyte,
                Metric::UserCpuPerMegabyte,
                Metric::Megabytes,
                Metric::Busy,
                Metric::PeakMemory,
            ],
            Self::Idle => &[
                Metric::Ready,
                Metric::RestMemory,
                Metric::ThousandMemory,
                Metric::TwoThousandMemory,
                Metric::ConnectionMemory,
                Metric::FurtherConnectionMemory,
            ],
        }
    }

    /// The figures that are compared: the first with all peers, the others with Envoy.
    pub fn ratios(self) -> &'static [Metric] {
        match self {
            Self::Http1
            | Self::Mesh
            | Self::Http2
            | Self::Http2ToHttp2
            | Self::Grpc
            | Self::TcpEcho
            | Self::TcpConnect => &[Metric::Cpu, Metric::UserCpu],
            Self::Http1Rate => &[Metric::AddedPercentile99, Metric::AddedMedian],
            Self::TcpBulk | Self::Body { .. } => &[Metric::CpuPerMegabyte, Metric::PeakMemory],
            Self::Idle => &[Metric::Ready, Metric::RestMemory, Metric::ConnectionMemory],
        }
    }

    /// What is measured without any proxy as well.
    pub fn with_direct(self) -> bool {
        self == Self::Http1Rate
    }

    /// Whether a subject can serve it at all.
    pub fn suits(self, subject: Subject) -> bool {
        subject.serves(self.layer())
    }

    fn layer(self) -> Layer {
        match self {
            Self::TcpEcho | Self::TcpConnect | Self::TcpBulk => Layer::Tcp,
            Self::Mesh => Layer::Mesh,
            Self::Http2 => Layer::Http2,
            Self::Http2ToHttp2 => Layer::Http2ToHttp2,
            Self::Grpc => Layer::Grpc,
            Self::Http1 | Self::Http1Rate | Self::Body { .. } | Self::Idle => Layer::Http,
        }
    }

    fn traffic(self) -> Option<(Traffic, Work)> {
        Some(match self {
            Self::Http1 => (
                Traffic::Get {
                    connections: CONNECTIONS,
                    length: SMALL,
                },
                Work::Operations,
            ),
            Self::Mesh => (
                Traffic::Mesh {
                    connections: CONNECTIONS,
                },
                Work::Operations,
            ),
            Self::Http2 | Self::Http2ToHttp2 => (http2(Exchange::Get), Work::Operations),
            Self::Grpc => (http2(Exchange::Grpc), Work::Operations),
            Self::TcpEcho => (
                Traffic::Echo {
                    connections: CONNECTIONS,
                },
                Work::Operations,
            ),
            Self::TcpConnect => (
                Traffic::Connect {
                    tasks: CONNECT_TASKS,
                },
                Work::Operations,
            ),
            Self::TcpBulk => (Traffic::Bulk, Work::BytesUp),
            Self::Body { up, megabytes } => (
                Traffic::bodies(up, megabytes * 1_000_000),
                if up { Work::BytesUp } else { Work::BytesDown },
            ),
            Self::Http1Rate | Self::Idle => return None,
        })
    }

    /// One run of one subject, freshly started. `direct` is what no proxy at all gave in this round.
    pub fn run(
        self,
        found: &Found,
        cores: Cores,
        window: Duration,
        direct: Option<Latency>,
    ) -> Result<(Metrics, Option<Latency>)> {
        let cores = if self == Self::Http1Rate {
            cores.shared()
        } else {
            cores
        };
        let side = LoadSide::start(cores.load)?;
        if found.subject == Subject::Direct {
            let latency = rate::run(&side, None, side.backend.http, window)?;
            return Ok((latency_metrics(latency, None), Some(latency)));
        }
        let upstream = match self.layer() {
            Layer::Http | Layer::Http2 | Layer::Mesh => side.backend.http,
            Layer::Http2ToHttp2 => side.backend.http2,
            Layer::Grpc => side.backend.grpc,
            Layer::Tcp => side.backend.tcp,
        };
        let mut process = Process::start(found, self.layer(), upstream, cores)?;
        let metrics = match self.traffic() {
            Some((traffic, work)) => {
                side.keep_awake();
                let tally = traffic.start(&side.handle, process.address);
                measure::window(&mut process, &side, &tally, work, window)?
            }
            None if self == Self::Idle => idle::run(&side, &mut process)?,
            None => {
                let address = process.address;
                let latency = rate::run(&side, Some(&mut process), address, window)?;
                latency_metrics(latency, direct)
            }
        };
        Ok((metrics, None))
    }
}

fn http2(exchange: Exchange) -> Traffic {
    Traffic::Http2 {
        connections: HTTP2_CONNECTIONS,
        streams: STREAMS,
        exchange,
    }
}

fn latency_metrics(latency: Latency, direct: Option<Latency>) -> Metrics {
    let mut metrics = vec![
        (Metric::Median, latency.median),
        (Metric::Percentile99, latency.percentile99),
        (Metric::Percentile999, latency.percentile999),
    ];
    if let Some(direct) = direct {
        metrics.push((Metric::Cpu, latency.cpu));
        metrics.push((Metric::AddedMedian, latency.median - direct.median));
        metrics.push((
            Metric::AddedPercentile99,
            latency.percentile99 - direct.percentile99,
        ));
    }
    metrics
}
