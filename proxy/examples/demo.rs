//! `make demo`: an upstream service, an Outrigger in front of it, and what to try. Ends both on Ctrl-C.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    convert::Infallible,
    env, io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    time::sleep,
};

/// The addresses of `deploy/standalone/envoy.yaml`.
const SERVICE: &str = "127.0.0.1:8080";
const PROXY: &str = "127.0.0.1:10000";
const ADMIN: &str = "127.0.0.1:15000";

const START: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match demo().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("demo: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<(), String> {
    // Outrigger would say so too, but among its own words.
    for address in [PROXY, ADMIN] {
        TcpListener::bind(address)
            .await
            .map_err(|error| taken(address, &error))?;
    }
    let service = TcpListener::bind(SERVICE)
        .await
        .map_err(|error| taken(SERVICE, &error))?;
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    tokio::spawn(serve(service));
    let mut proxy = start_proxy()?;
    wait_ready(&mut proxy).await?;
    println!(
        "\nOutrigger is ready. Try:\n\n  curl -i http://{PROXY}/          the service on {SERVICE}, through the proxy\n  \
         curl -i http://{PROXY}/hello     a direct response\n  curl    http://{ADMIN}/stats     the admin interface \
         (http://{ADMIN}/ in a browser)\n\nCtrl-C ends the demo.\n"
    );
    let ended = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        status = ended(&mut proxy) => Some(status),
    };
    match ended {
        Some(status) => Err(format!("Outrigger has ended with {status}")),
        None => stop(proxy).await,
    }
}

fn taken(address: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is taken by another program: stop it, or change the ports in deploy/standalone/envoy.yaml and here"
        ),
        _ => format!("cannot listen on {address}: {error}"),
    }
}

fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal, String> {
    signal(kind).map_err(|error| format!("cannot handle signals: {error}"))
}

/// The upstream service: says what it was asked, and prints a line for each request.
async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, target) = (request.method(), request.uri());
    println!("service: {method} {target}");
    let mut text = format!("The service was asked: {method} {target}\n");
    for (name, value) in request.headers() {
        text.push_str(&format!(
            "  {name}: {}\n",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    Ok(Response::new(Full::from(text)))
}

/// Starts the binary that stands beside this example's directory in `target`.
fn start_proxy() -> Result<Child, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let binary = this
        .ancestors()
        .nth(2)
        .map_or_else(PathBuf::new, |target| target.join("outrigger"));
    if !binary.exists() {
        return Err(format!(
            "{} does not exist: `cargo build -p outrigger` builds it",
            binary.display()
        ));
    }
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/standalone/envoy.yaml");
    Command::new(&binary)
        .arg("-c")
        .arg(config)
        .args(["--log-level", "error"])
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", binary.display()))
}

async fn wait_ready(proxy: &mut Child) -> Result<(), String> {
    let deadline = Instant::now() + START;
    while !is_ready().await {
        if let Ok(Some(status)) = proxy.try_wait() {
            return Err(format!("Outrigger has ended with {status}"));
        }
        if Instant::now() > deadline {
            let _ = proxy.kill();
            return Err(format!("Outrigger is not ready after {START:?}"));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn is_ready() -> bool {
    let ask = async || -> Option<bool> {
        let stream = TcpStream::connect(ADMIN).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        tokio::spawn(connection);
        let request = Request::get("/ready")
            .header("host", ADMIN)
            .body(Empty::<Bytes>::new())
            .ok()?;
        let response = sender.send_request(request).await.ok()?;
        let ready = response.status() == 200;
        response.into_body().collect().await.ok()?;
        Some(ready)
    };
    ask().await.unwrap_or(false)
}

async fn ended(proxy: &mut Child) -> ExitStatus {
    loop {
        if let Ok(Some(status)) = proxy.try_wait() {
            return status;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Asks it to end. A terminal's Ctrl-C has reached it too, so that it may be gone already.
async fn stop(mut proxy: Child) -> Result<(), String> {
    if let Ok(None) = proxy.try_wait()
        && let Some(pid) = i32::try_from(proxy.id()).ok().and_then(Pid::from_raw)
    {
        let _ = kill_process(pid, Signal::TERM);
    }
    let status = ended(&mut proxy).await;
    if status.success() {
        Ok(())
    } else {
        Err(format!("Outrigger has ended with {status}"))
    }
}
