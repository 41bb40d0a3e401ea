//! Start-up, memory at rest and memory of idle connections.

use crate::{
    backend::SMALL, client::Client, metric::Metric, process::Process, side::LoadSide,
    traffic::get_request,
};
use anyhow::Result;
use std::{net::SocketAddr, thread::sleep, time::Duration};

/// Connections of one step.
const STEP: usize = 1000;
/// Connections opened at once: few enough that all their upstream connections fit any pool.
const BATCH: usize = 20;
/// The generator's memory is not measured, but 2,000 buffers need not be large.
const BUFFER: usize = 4096;
const SETTLE: Duration = Duration::from_millis(500);

pub fn run(side: &LoadSide, process: &mut Process) -> Result<Vec<(Metric, f64)>> {
    sleep(SETTLE);
    let rest = process.memory()?.resident as f64;
    let mut held = Vec::new();
    let mut levels = [0.0; 2];
    for level in &mut levels {
        held.push(side.run(open(process.address))?);
        sleep(SETTLE);
        process.check_alive()?;
        *level = process.memory()?.resident as f64;
    }
    let [thousand, two_thousand] = levels;
    let step = STEP as f64;
    Ok(vec![
        (Metric::Ready, process.ready.as_secs_f64() * 1000.0),
        (Metric::RestMemory, rest / 1024.0),
        (Metric::ThousandMemory, thousand / 1024.0),
        (Metric::TwoThousandMemory, two_thousand / 1024.0),
        (
            Metric::ConnectionMemory,
            (two_thousand - rest) / (2.0 * step),
        ),
        (
            Metric::FurtherConnectionMemory,
            (two_thousand - thousand) / step,
        ),
    ])
}

/// Opens [`STEP`] connections and sends one request on each.
async fn open(target: SocketAddr) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(STEP);
    while clients.len() < STEP {
        let batch: Vec<_> = (0..BATCH).map(|_| tokio::spawn(one(target))).collect();
        for client in batch {
            clients.push(client.await??);
        }
    }
    Ok(clients)
}

async fn one(target: SocketAddr) -> Result<Client> {
    let mut client = Client::with_buffer(target, BUFFER).await?;
    client.send(get_request(SMALL).as_bytes()).await?;
    client.receive(SMALL, |_| ()).await?;
    Ok(client)
}
