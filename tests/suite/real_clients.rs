//! The clients that people have, through the proxy to a service that people could have written: each checks by itself that
//! what it gets is what it sent.
//!
//! `make clients` builds what they need into `target/clients`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use outrigger_tests::browser::Browser;
use outrigger_tests::ports;
use outrigger_tests::process::{Role, workspace};
use outrigger_tests::running::Running;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One listener for everybody, and one that goes to the gRPC service.
const BOOTSTRAP: &str = "
listeners:
  main:
    http: {upgrade_configs: [{upgrade_type: websocket}]}
  grpc:
    http: {codec_type: HTTP2}
    routes:
      - {match: {prefix: /}, route: {cluster: calls, timeout: 0s}}
clusters:
  up: {}
  calls:
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
";

/// The service, which ends with the test.
struct Origin {
    process: Child,
    http: u16,
    grpc: u16,
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn built(name: &str) -> PathBuf {
    let path = workspace().join("target/clients").join(name);
    let path_text = path.display();
    assert!(
        path.exists(),
        "{path_text} does not exist: `make clients` builds it"
    );
    path
}

fn source(name: &str) -> PathBuf {
    workspace().join("tests/clients").join(name)
}

impl Origin {
    fn start() -> Self {
        let mut process = Command::new(built("bin/python"))
            .arg(source("origin.py"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        let ports: Vec<u16> = line
            .split_whitespace()
            .map(|port| port.parse().unwrap())
            .collect();
        let [http, grpc] = ports[..] else {
            panic!("the service said {line:?}");
        };
        Self {
            process,
            http,
            grpc,
        }
    }

    fn behind_proxy(&self) -> Running {
        let ports = [("up", self.http), ("calls", self.grpc)];
        Running::start(Role::Subject, BOOTSTRAP, &ports).unwrap()
    }
}

/// nginx in front of files, as it comes from a distribution.
struct Nginx {
    process: Child,
    port: u16,
    dir: TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Nginx {
    fn start() -> Self {
        let (dir, port) = (TempDir::new().unwrap(), ports::free().unwrap());
        let root = dir.path().display();
        // One process: whoever ends it ends all of it.
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; events {{}} \
             http {{ access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; \
             fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi; \
             gzip on; gzip_types text/plain; gzip_proxied any; default_type text/plain; \
             server {{ listen 127.0.0.1:{port}; root {root}; }} }}"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let process = Command::new("nginx").arg("-c").arg(&file).spawn().unwrap();
        let nginx = Self { process, port, dir };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        nginx
    }

    /// Puts a file where it serves it.
    fn add(&self, name: &str, content: &str) {
        std::fs::write(self.dir.path().join(name), content).unwrap();
    }
}

/// What the program says; it must end well.
fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    let program = program.display();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{said}\n{complained}",
        output.status
    );
    said
}

#[test]
fn curl() {
    let origin = Origin::start();
    let proxy = origin.behind_proxy();
    let url = format!("http://127.0.0.1:{}/echo", proxy.port("main").unwrap());
    for version in [
        "--http1.0",
        "--http1.1",
        "--http2",
        "--http2-prior-knowledge",
    ] {
        if version == "--http1.0" {
            // As with Envoy, unless it is allowed.
            let said = run(
                Path::new("curl"),
                &["-s", "-o", "/dev/null", "-w", "%{http_code}", version, &url],
            );
            assert_eq!(said, "426", "{version}");
            continue;
        }
        let body = "x".repeat(100_000);
        let said = run(
            Path::new("curl"),
            &["-sS", "--fail", "-H", "expect:", "-d", &body, version, &url],
        );
        assert_eq!(said, body, "{version}");
        let said = run(
            Path::new("curl"),
            &[
                "-sS",
                "--fail",
                "-H",
                "expect: 100-continue",
                "-d",
                &body,
                version,
                &url,
            ],
        );
        assert_eq!(said, body, "{version}, 100-continue");
    }
}

#[test]
fn wrk_and_curl_with_nginx_behind() {
    let nginx = Nginx::start();
    let proxy = Running::start(Role::Subject, BOOTSTRAP, &[("up", nginx.port)]).unwrap();
    let url = |file| format!("http://127.0.0.1:{}/{file}", proxy.port("main").unwrap());
    let (small, large) = ("x".repeat(1024), "0123456789".repeat(300_000));
    nginx.add("small", &small);
    nginx.add("large", &large);

    let curl =
        |arguments: &[&str]| run(Path::new("curl"), &[&["-sS", "--fail"], arguments].concat());
    assert_eq!(curl(&[&url("small")]), small);
    assert_eq!(curl(&[&url("large")]), large);
    assert_eq!(curl(&["--http2-prior-knowledge", &url("large")]), large);
    // Chunked and compressed by nginx.
    assert_eq!(curl(&["--compressed", &url("large")]), large);
    assert_eq!(curl(&["-r", "10-14", &url("large")]), "01234");
    let head = curl(&["-I", &url("small")]);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");

    for file in ["small", "large"] {
        let said = run(Path::new("wrk"), &["-t1", "-c16", "-d1s", &url(file)]);
        // It has a line for each kind of trouble, if there was any.
        assert!(said.contains("requests in"), "{said}");
        assert!(
            !said.contains("Non-2xx") && !said.contains("Socket errors"),
            "{said}"
        );
    }
}

#[test]
fn nghttp_and_h2load() {
    let origin = Origin::start();
    let proxy = origin.behind_proxy();
    let url = format!(
        "http://127.0.0.1:{}/stream?pieces=100",
        proxy.port("main").unwrap()
    );
    assert_eq!(run(Path::new("nghttp"), &[&url]).len(), 700);
    let said = run(
        Path::new("h2load"),
        &["-n", "2000", "-c", "10", "-m", "10", &url],
    );
    assert!(
        said.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"),
        "{said}"
    );
}

#[test]
fn python_httpx_aiohttp_and_grpc() {
    let origin = Origin::start();
    let proxy = origin.behind_proxy();
    let ports = ["main", "grpc"].map(|name| proxy.port(name).unwrap().to_string());
    let script = source("clients.py");
    run(
        &built("bin/python"),
        &[&script.display().to_string(), &ports[0], &ports[1]],
    );
}

#[test]
fn go_net_http() {
    let origin = Origin::start();
    let proxy = origin.behind_proxy();
    let address = format!("127.0.0.1:{}", proxy.port("main").unwrap());
    run(&built("go-client"), &[&address]);
}

#[test]
fn java_http_client() {
    let origin = Origin::start();
    let proxy = origin.behind_proxy();
    let address = format!("127.0.0.1:{}", proxy.port("main").unwrap());
    let classes = built("java");
    run(
        Path::new("java"),
        &[
            "-Xshare:auto",
            "-cp",
            &classes.display().to_string(),
            "Client",
            &address,
        ],
    );
}

#[test]
fn a_browser_with_a_web_socket() {
    let origin = Origin::start();
    let proxy = origin.behind_proxy();
    let address = format!("127.0.0.1:{}", proxy.port("main").unwrap());
    let mut browser = Browser::start().unwrap();
    // A page of the same origin, so that the browser lets its script ask.
    browser
        .open(&format!("http://{address}/stream?pieces=2"))
        .unwrap();
    browser
        .wait("document.body.innerText.trim()", "000000\n000001")
        .unwrap();
    let script = format!(
        "const heard = []; window.heard = heard; const socket = new WebSocket('ws://{address}/socket', 'echo'); \
         socket.onopen = () => {{ socket.send('hello'); socket.send('x'.repeat(70000)); }}; \
         socket.onmessage = message => {{ heard.push(message.data.length); if (heard.length == 2) socket.close(1000); }}; \
         socket.onclose = event => heard.push(event.code); true"
    );
    browser.evaluate(&script).unwrap();
    browser.wait("window.heard.join()", "5,70000,1000").unwrap();
    browser.evaluate("fetch('/echo', {method: 'POST', body: 'from a page'}).then(r => r.text()).then(t => { window.fetched = t; }); true").unwrap();
    browser.wait("window.fetched || ''", "from a page").unwrap();
}
