//! Requests and the answers that Envoy 1.40 gives.
#![allow(clippy::unwrap_used)]

use super::{start, start_limited, start_with};
use outrigger_core::runtime::RuntimeUint64;
use outrigger_listener::ConnectionLimit;
use serde_json::json;
use std::sync::Arc;
use tokio::{io::AsyncReadExt, net::TcpStream};

#[tokio::test]
async fn every_answer_has_envoys_headers() {
    let admin = start().await;
    let answer = admin.get("/ready").await;
    let names: Vec<&str> = answer
        .head
        .lines()
        .skip(1)
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "content-type",
            "cache-control",
            "x-content-type-options",
            "date",
            "server",
            "connection",
            "transfer-encoding"
        ]
    );
    for line in [
        "HTTP/1.1 200 OK\r\n",
        "content-type: text/plain; charset=UTF-8\r\n",
        "cache-control: no-cache, max-age=0\r\n",
        "x-content-type-options: nosniff\r\n",
        "server: envoy\r\n",
    ] {
        assert!(answer.head.contains(line), "{}", answer.head);
    }
    assert_eq!(answer.body, "LIVE\n");
    assert_eq!(admin.ask("HEAD", "/ready").await.body, "");
    assert_eq!(admin.ask("PUT", "//ready?x").await.body, "LIVE\n");
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let admin = start().await;
    for path in ["/nope", "/ready/", "/READY", "/stats/", "/tap"] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.body.starts_with(
            "invalid path. admin commands are:\n  /: Admin home page\n  /allocprofiler (POST): enable/disable the allocation profiler (if supported)\n"
        ));
    }
    for path in [
        "/quitquitquit",
        "/logging",
        "/reset_counters",
        "/drain_listeners",
    ] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status(), 405);
        assert_eq!(answer.body, "Method GET not allowed, POST required.");
    }
    assert!(admin.fake.calls.lock().is_empty());
    let answer = admin.send("GET /ready HTTP/1.0\r\n\r\n").await;
    assert!(
        answer
            .head
            .contains(" 426 Upgrade Required\r\ncontent-length: 16\r\n")
    );
    assert_eq!(answer.body, "Upgrade Required");
}

#[tokio::test]
async fn allow_paths_guards() {
    let admin = start_with(&["/ready"]).await;
    assert_eq!(admin.get("/ready").await.status(), 200);
    let answer = admin.get("/ready?x").await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.body, "request to path /ready?x not allowed");
    assert_eq!(admin.post("/quitquitquit").await.status(), 403);
    assert!(admin.fake.calls.lock().is_empty());
}

#[tokio::test]
async fn control_reaches_the_server() {
    let admin = start().await;
    for path in [
        "/reopen_logs",
        "/drain_listeners?graceful&inboundonly",
        "/healthcheck/fail",
        "/quitquitquit",
    ] {
        assert_eq!(admin.post(path).await.body, "OK\n");
    }
    assert_eq!(
        *admin.fake.calls.lock(),
        [
            "reopen",
            "DrainRequest { inbound_only: true, graceful: true, skip_exit: false }",
            "fail true",
            "shutdown"
        ]
    );
    let answer = admin.get("/ready").await;
    assert_eq!((answer.status(), answer.body.as_str()), (503, "DRAINING\n"));
    admin.state.stats.counter("x").inc();
    assert_eq!(admin.post("/reset_counters").await.body, "OK\n");
    assert_eq!(admin.state.stats.counter("x").get(), 0);
}

#[tokio::test]
async fn logging_shows_and_changes_levels() {
    let admin = start().await;
    let shown = |http: &str, router: &str| {
        format!("active loggers:\n  http: {http}\n  router: {router}\n\n")
    };
    assert_eq!(admin.post("/logging").await.body, shown("info", "info"));
    assert_eq!(
        admin.post("/logging?http=debug").await.body,
        shown("debug", "info")
    );
    assert_eq!(
        admin
            .post("/logging?paths=http:off,router:warning")
            .await
            .body,
        shown("off", "warning")
    );
    assert_eq!(
        admin.post("/logging?level=error").await.body,
        shown("error", "error")
    );
    assert_eq!(
        admin.post("/logging?level=").await.body,
        shown("error", "error")
    );
    for (query, reason) in [
        ("level=bogus", "unknown logger level"),
        ("level=warn", "unknown logger level"),
        ("foo=info", "unknown logger name"),
        ("http=info&router=info", "invalid number of parameters"),
        ("paths=http:info,router:bogus", "unknown logger level"),
        ("paths=http:info,foo:info", "unknown logger name"),
        ("paths=http", "empty logger name or empty logger level"),
        (
            "group=http:info",
            "group parameter requires fine-grain logging to be enabled",
        ),
    ] {
        let answer = admin.post(&format!("/logging?{query}")).await;
        assert_eq!(answer.status(), 400, "{query}");
        let usage = "usage: /logging?<name>=<level> (change single level)\n";
        assert!(
            answer
                .body
                .starts_with(&format!("error: {reason}\n\n{usage}")),
            "{}",
            answer.body
        );
        assert!(answer.body.ends_with(&format!(
            "levels: trace debug info warning error critical off \n{}",
            shown("error", "error")
        )));
    }
    let form = "POST /logging HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 11\r\n\
                content-type: application/x-www-form-urlencoded\r\n\r\nlevel=trace";
    assert_eq!(admin.send(form).await.body, shown("trace", "trace"));
}

#[tokio::test]
async fn runtime_can_be_modified() {
    let admin = start().await;
    assert_eq!(
        admin.get("/runtime").await.body,
        "{\n \"entries\": {},\n \"layers\": [\n  \"admin\"\n ]\n}\n"
    );
    assert_eq!(admin.post("/runtime_modify?a=b").await.body, "OK\n");
    assert_eq!(
        admin.get("/runtime").await.json(),
        json!({"entries": {"a": {"final_value": "b", "layer_values": ["b"]}}, "layers": ["admin"]})
    );
    let answer = admin.post("/runtime_modify").await;
    assert_eq!(answer.status(), 400);
    assert!(
        answer
            .body
            .starts_with("usage: /runtime_modify?key1=value1")
    );
    let answer = admin.post("/runtime_modify?refuse=1").await;
    assert_eq!(
        (answer.status(), answer.body.as_str()),
        (503, "No admin layer specified")
    );
}

#[tokio::test]
async fn listeners_as_text_and_json() {
    let admin = start().await;
    assert_eq!(
        admin.get("/listeners").await.body,
        "l::127.0.0.1:80\nl::[::1]:81\nm::[::1]:82\n"
    );
    let answer = admin.get("/listeners?format=json").await;
    assert!(answer.head.contains("content-type: application/json\r\n"));
    let socket = |address: &str, port: u16| json!({"socket_address": {"address": address, "port_value": port}});
    assert_eq!(
        answer.json(),
        json!({"listener_statuses": [
            {"name": "l", "local_address": socket("127.0.0.1", 80),
             "additional_local_addresses": [socket("::1", 81)]},
            {"name": "m", "local_address": socket("::1", 82)},
        ]})
    );
}

#[tokio::test]
async fn clusters_as_text_and_json() {
    let admin = start().await;
    let answer = admin.get("/clusters?filter=^u").await;
    assert_eq!(
        answer.body,
        "up::observability_name::up\n\
         up::default_priority::max_connections::1024\n\
         up::default_priority::max_pending_requests::1024\n\
         up::default_priority::max_requests::1024\n\
         up::default_priority::max_retries::3\n\
         up::high_priority::max_connections::1024\n\
         up::high_priority::max_pending_requests::1024\n\
         up::high_priority::max_requests::1024\n\
         up::high_priority::max_retries::3\n\
         up::added_via_api::false\n\
         up::127.0.0.1:27102::cx_active::0\n\
         up::127.0.0.1:27102::cx_connect_fail::0\n\
         up::127.0.0.1:27102::cx_total::0\n\
         up::127.0.0.1:27102::rq_active::0\n\
         up::127.0.0.1:27102::rq_error::0\n\
         up::127.0.0.1:27102::rq_pending_active::0\n\
         up::127.0.0.1:27102::rq_success::0\n\
         up::127.0.0.1:27102::rq_timeout::0\n\
         up::127.0.0.1:27102::rq_total::0\n\
         up::127.0.0.1:27102::hostname::\n\
         up::127.0.0.1:27102::health_flags::healthy\n\
         up::127.0.0.1:27102::weight::1\n\
         up::127.0.0.1:27102::region::\n\
         up::127.0.0.1:27102::zone::\n\
         up::127.0.0.1:27102::sub_zone::\n\
         up::127.0.0.1:27102::canary::false\n\
         up::127.0.0.1:27102::priority::0\n\
         up::127.0.0.1:27102::success_rate::-1\n\
         up::127.0.0.1:27102::local_origin_success_rate::-1\n"
    );
    assert_eq!(
        admin.get("/clusters?filter=(").await.body,
        "Invalid re2 regex"
    );
    let answer = admin.get("/clusters?format=json&filter=up").await;
    let limits = json!({"max_connections": 1024, "max_pending_requests": 1024, "max_requests": 1024, "max_retries": 3});
    let mut high = limits.clone();
    high["priority"] = "HIGH".into();
    assert_eq!(
        answer.json(),
        json!({"cluster_statuses": [{
            "name": "up",
            "host_statuses": [{
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 27102}},
                "stats": [
                    {"name": "cx_connect_fail"}, {"name": "cx_total"}, {"name": "rq_error"},
                    {"name": "rq_success"}, {"name": "rq_timeout"}, {"name": "rq_total"},
                    {"type": "GAUGE", "name": "cx_active"}, {"type": "GAUGE", "name": "rq_active"},
                    {"type": "GAUGE", "name": "rq_pending_active"},
                ],
                "health_status": {"eds_health_status": "HEALTHY"},
                "weight": 1,
                "locality": {},
            }],
            "circuit_breakers": {"thresholds": [limits, high]},
            "observability_name": "up",
        }]})
    );
}

#[tokio::test]
async fn server_info_is_handwritten() {
    let admin = start().await;
    let info = admin.get("/server_info").await.json();
    assert_eq!(
        info,
        json!({
            "version": "v", "state": "LIVE", "uptime_current_epoch": "0s", "uptime_all_epochs": "0s",
            "hot_restart_version": "disabled", "command_line_options": {"concurrency": 1},
            "node": {
                "id": "nid", "cluster": "", "extensions": [], "client_features": [], "listening_addresses": [],
                "dynamic_parameters": {},
            },
            "hot_restart_initializing": false,
        })
    );
    assert_eq!(admin.get("/hot_restart_version").await.body, "disabled");
    let memory = admin.get("/memory").await.json();
    assert!(memory["total_physical_bytes"].is_string());
}

#[tokio::test]
async fn the_home_page_links_what_can_be_read() {
    let admin = start().await;
    let answer = admin.get("/").await;
    assert!(
        answer
            .head
            .contains("content-type: text/html; charset=UTF-8\r\n")
    );
    assert!(answer.body.contains("<a href='/stats/prometheus'>"));
    assert!(
        answer
            .body
            .contains("<form action='/quitquitquit' method='post'>")
    );
    assert!(
        admin
            .get("/help")
            .await
            .body
            .starts_with("admin commands are:\n")
    );
}

#[tokio::test]
async fn browsers_get_a_page_that_may_load_nothing_from_elsewhere() {
    let admin = start().await;
    let browser = async |target: &str| {
        let accept = "accept: text/html,application/xhtml+xml;q=0.9\r\nconnection: close\r\n";
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\n{accept}\r\n");
        admin.send(&request).await
    };
    let policy = "content-security-policy: default-src 'none'; script-src 'self';";
    for target in ["/", "/?x", "/stats?format=active-html"] {
        let page = browser(target).await;
        assert_eq!(page.status(), 200);
        assert!(page.head.contains(policy) && page.head.contains("x-frame-options: DENY"));
        assert!(
            page.body
                .contains("<form action=\"quitquitquit\" method=\"post\">")
        );
    }
    let script = browser("/outrigger/main.js").await;
    assert!(script.head.contains("content-type: text/javascript"));
    assert_eq!(browser("/outrigger/nope.js").await.status(), 404);
    let stats = browser("/stats?format=html").await;
    assert!(stats.head.contains(policy) && stats.body.contains("<pre>"));
    // Programs see what they see of Envoy.
    let home = admin.get("/").await;
    assert!(!home.head.contains("content-security-policy") && home.body.contains("<table>"));
    assert_eq!(
        admin.get("/outrigger/config_warnings").await.json(),
        json!({
            "ignored_fields": [
                {"path": "a.b[0].c", "field": "x.y.Z.c", "reason": "it is not needed"},
            ],
            "unknown_fields": ["a.bogus"],
        })
    );
    let some = start_with(&["/"]).await;
    assert_eq!(some.get("/outrigger/main.js").await.status(), 403);
}

#[tokio::test]
async fn what_this_build_lacks_says_so() {
    let admin = start().await;
    for (path, status) in [
        ("/cpuprofiler?enable=y", 500),
        ("/cpuprofiler?enable=n", 200),
        ("/cpuprofiler?enable=n&x=y", 400),
        ("/heapprofiler?enable=y", 501),
        ("/allocprofiler?enable=y", 501),
        ("/allocprofiler", 400),
        ("/heap_dump", 501),
        ("/memory/tcmalloc", 501),
        ("/contention", 200),
        ("/stats/recentlookups", 200),
        ("/stats/recentlookups/enable", 200),
        ("/stats/recentlookups/disable", 200),
        ("/stats/recentlookups/clear", 200),
    ] {
        assert_eq!(admin.ask("POST", path).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn lookups_can_be_recorded_though_there_are_none() {
    let admin = start().await;
    let shown = async || admin.get("/stats/recentlookups").await.body;
    let off =
        "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n";
    assert_eq!(shown().await, off);
    admin.post("/stats/recentlookups/enable").await;
    assert_eq!(shown().await, "   Count Lookup\n\ntotal: 0\n");
    admin.post("/stats/recentlookups/disable").await;
    assert_eq!(shown().await, off);
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let admin = start().await;
    for (method, headers, status) in [
        ("GET", "host: 127.0.0.1:15000\r\n", 200),
        ("GET", "host: evil.example.com\r\n", 403),
        ("POST", "host: a\r\norigin: http://a\r\n", 200),
        ("POST", "host: a\r\norigin: http://b\r\n", 403),
        ("GET", "host: a\r\nsec-fetch-site: cross-site\r\n", 403),
    ] {
        let request = format!("{method} /ready HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        let answer = admin.send(&request).await;
        assert_eq!(answer.status(), status, "{headers}");
        assert_eq!(answer.body == "LIVE\n", status == 200);
    }
    admin
        .send("POST /quitquitquit HTTP/1.1\r\nhost: a\r\norigin: null\r\nconnection: close\r\n\r\n")
        .await;
    assert!(admin.fake.calls.lock().is_empty());
}

/// What Envoy 1.40 answers to these.
#[tokio::test]
async fn a_request_names_a_host_and_a_path() {
    let admin = start().await;
    for (line, host, status) in [
        ("GET /ready HTTP/1.1", "", 400),
        ("GET /ready HTTP/1.1", "host: \r\n", 200),
        ("GET http://x.y/ready HTTP/1.1", "host: a\r\n", 404),
        ("OPTIONS * HTTP/1.1", "host: a\r\n", 404),
        ("GET /ready HTTP/1.0", "", 426),
    ] {
        let request = format!("{line}\r\n{host}connection: close\r\n\r\n");
        let answer = admin.send(&request).await;
        assert_eq!(answer.status(), status, "{line} {host}");
        assert_eq!(answer.body.is_empty(), [400, 404].contains(&status));
    }
}

#[tokio::test]
async fn the_processs_limit_counts_admin_connections() {
    let limit = || {
        let max = RuntimeUint64::fixed(1);
        Arc::new(ConnectionLimit::new(max).counting_exempt())
    };
    let process = limit();
    let admin = start_limited(&[], false, Some(process.clone())).await;
    assert_eq!(admin.get("/ready").await.status(), 200);
    // The answer is there a moment before its connection has gone.
    while process.open() > 0 {
        tokio::task::yield_now().await;
    }
    let elsewhere = process.acquire().unwrap();
    let mut refused = TcpStream::connect(admin.address).await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    drop(elsewhere);
    let counted = admin.get("/stats?filter=admin.downstream_global_cx").await;
    assert_eq!(
        counted.body,
        "listener.admin.downstream_global_cx_overflow: 1\n"
    );

    let process = limit();
    let admin = start_limited(&[], true, Some(process.clone())).await;
    let _elsewhere = process.acquire().unwrap();
    assert_eq!(admin.get("/ready").await.status(), 200);
    let open = TcpStream::connect(admin.address).await.unwrap();
    while process.open() < 2 {
        tokio::task::yield_now().await;
    }
    drop(open);
}

#[tokio::test]
async fn listeners_are_unready_while_the_server_starts() {
    let admin = start().await;
    assert_eq!(admin.get("/init_dump").await.body, "{}\n");
    admin.fake.calls.lock().push("starting".into());
    let answer = admin.get("/init_dump?mask=listener").await.body;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let first = answer["unready_targets_dumps"][0]["name"].as_str().unwrap();
    let expected = "init manager Listener-local-init-manager l ";
    assert!(first.starts_with(expected), "{first}");
    assert_eq!(admin.get("/init_dump?mask=x").await.body, "{}\n");
}
