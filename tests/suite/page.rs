//! The page at `/` in a real browser: that it shows what is so, what a person can do there, and what other pages cannot.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use outrigger_tests::browser::Browser;
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use outrigger_tests::{admin, ports};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// One service that answers, one that nobody listens at and whose name is markup, and a field that changes nothing.
const SHORT: &str = "
bootstrap: {node: {id: the-node, cluster: the-cluster}, admin: {profile_path: /dev/null}}
listeners:
  main:
    http: {}
    routes:
      - {match: {prefix: /refused}, route: {cluster: \"<b>bold</b>\"}}
      - {match: {prefix: /}, route: {cluster: up}}
clusters:
  up: {}
  \"<b>bold</b>\": {to: [no_listener]}
";

/// Answers every connection once: `/bad` with 500, all else with 200, or with `page` if there is one.
fn serve(listener: TcpListener, page: Option<String>) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines
                .next()
                .map_or(String::new(), Result::unwrap_or_default);
            lines
                .take_while(|l| l.as_ref().is_ok_and(|l| !l.is_empty()))
                .count();
            let status = if first.contains("/bad") {
                "500 bad"
            } else {
                "200 OK"
            };
            let body = page.as_deref().unwrap_or("ok");
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
}

fn get(port: u16, path: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

struct Setup {
    proxy: Running,
    browser: Browser,
    /// Of the admin interface, with a slash at the end.
    url: String,
}

/// A proxy that has served 14 requests, and a browser that shows its page.
fn setup() -> Setup {
    let (service, up) = ports::listen().unwrap();
    serve(service, None);
    let proxy = Running::start(Role::Subject, SHORT, &[("up", up)]).unwrap();
    let main = proxy.port("main").unwrap();
    (0..10).for_each(|_| get(main, "/"));
    (0..3).for_each(|_| get(main, "/bad"));
    get(main, "/refused");
    let url = format!("http://127.0.0.1:{}/", proxy.port("admin").unwrap());
    let mut browser = Browser::start().unwrap();
    browser.look(1280, 900, false).unwrap();
    browser.open(&url).unwrap();
    browser
        .wait("document.getElementById('state').textContent", "LIVE")
        .unwrap();
    Setup {
        proxy,
        browser,
        url,
    }
}

impl Setup {
    fn text(&mut self, selector: &str) -> String {
        let expression = format!("document.querySelector({selector:?}).textContent");
        let value = self.browser.evaluate(&expression).unwrap();
        value.as_str().unwrap().to_owned()
    }

    /// The texts of all that a selector finds.
    fn texts(&mut self, selector: &str) -> Vec<String> {
        let expression =
            format!("[...document.querySelectorAll({selector:?})].map((n) => n.textContent)");
        serde_json::from_value(self.browser.evaluate(&expression).unwrap()).unwrap()
    }

    fn wait(&mut self, expression: &str, wanted: impl Into<Value>) {
        self.browser.wait(expression, wanted).unwrap();
    }

    fn go(&mut self, view: &str) {
        self.browser
            .evaluate(&format!("location.hash = '#{view}'"))
            .unwrap();
        self.wait("document.querySelector('.view.shown').id", view);
    }

    fn ready(&self) -> String {
        let port = self.proxy.port("admin").unwrap();
        admin::get(port, "/ready").unwrap().text()
    }

    /// Nothing has failed, nothing was forbidden by the policy, and nobody else was asked.
    fn assert_clean(&mut self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
        let asked = self.browser.asked();
        assert!(
            asked.iter().all(|url| url.starts_with(&self.url)),
            "{asked:?}"
        );
    }
}

#[test]
fn it_shows_what_runs_and_how_it_fares() {
    let mut page = setup();
    assert_eq!(
        page.text("#tile-requests .detail"),
        "14 in all, 0 in flight"
    );
    assert_eq!(
        page.text("#tile-errors .detail"),
        "4 in all, 28.6 % of responses"
    );
    assert_eq!(page.text("#tile-upstreams .figure"), "2 of 2healthy");
    let refused = page.text("#tile-upstreams .detail");
    assert!(
        refused.starts_with("1 failed connect since the start"),
        "{refused}"
    );
    assert_eq!(page.text("#tile-connections .detail"), "14 accepted in all");
    assert_eq!(page.text("#tile-warnings .figure"), "1warning");
    assert_eq!(page.texts("#warnings code"), ["admin.profile_path"]);
    let row = page.texts("#managers tbody tr > *");
    let counts = ["main", "0", "14", "10", "0", "0", "4"];
    assert_eq!([&row[..1], &row[2..8]].concat(), counts, "{row:?}");
    let main = page.proxy.port("main").unwrap();
    let row = page.texts("#listeners tbody tr > *");
    assert_eq!(row, ["main", &format!("127.0.0.1:{main}"), "0", "14"]);
    let facts = page.text("#facts");
    assert!(
        facts.contains("the-node") && facts.contains("the-cluster"),
        "{facts}"
    );

    // The numbers live: rates are known from the second reading on, and latencies from the first flush on.
    let rate = "document.querySelector('#tile-requests .figure').firstChild.data";
    page.wait(rate, "0");
    get(main, "/");
    page.wait(
        "document.querySelector('#tile-requests .detail').textContent",
        "15 in all, 0 in flight",
    );
    let known = "!document.querySelector('#tile-latency .figure').textContent.startsWith('–')";
    page.wait(known, true);

    page.go("clusters");
    page.wait(
        "document.querySelectorAll('#cluster-list details').length",
        2,
    );
    assert_eq!(page.texts("#cluster-list .name"), ["<b>bold</b>", "up"]);
    page.browser
        .evaluate(
            "document.querySelectorAll('#cluster-list details').forEach((d) => { d.open = true; })",
        )
        .unwrap();
    page.wait(
        "document.querySelectorAll('#cluster-list tbody tr').length",
        2,
    );
    let hosts = page.texts("#cluster-list tbody tr:first-child > :nth-child(7)");
    assert_eq!(hosts, ["1", "0"], "failed connects");
    page.assert_clean();
}

#[test]
fn stats_and_config_are_found_with_the_keyboard() {
    let mut page = setup();
    page.browser.press("Tab").unwrap();
    page.wait("document.activeElement.className", "skip");
    page.browser.press("/").unwrap();
    page.wait("document.activeElement.id", "stats-search");
    page.browser
        .type_text("cluster.up.upstream_rq_5..$")
        .unwrap();
    page.wait(
        "document.querySelectorAll('#stats-table tbody tr').length",
        2,
    );
    assert_eq!(
        page.texts("#stats-table tbody tr > *"),
        [
            "cluster.up.upstream_rq_500",
            "3",
            "cluster.up.upstream_rq_5xx",
            "3"
        ]
    );
    let hash = page.browser.evaluate("location.hash").unwrap();
    assert!(
        hash.as_str().unwrap().contains("filter=cluster.up"),
        "{hash}"
    );
    page.assert_clean();
    page.browser.type_text("(").unwrap();
    page.wait(
        "document.getElementById('stats-search').ariaInvalid",
        "true",
    );
    assert!(page.text("#stats-error").contains("missing )"));
    // The browser itself tells of the answer's status.
    assert!(page.browser.complaints().iter().all(|c| c.contains("400")));

    page.go("config");
    page.wait(
        "document.querySelectorAll('#config-list details').length > 3",
        true,
    );
    page.browser.press("/").unwrap();
    page.wait("document.activeElement.id", "config-search");
    page.browser.type_text("<b>BOLD").unwrap();
    page.wait(
        "[...document.querySelectorAll('#config-list details:not([hidden]) .name')].map((n) => n.textContent).join()",
        "bootstrap,<b>bold</b>,main,main_routes",
    );
    page.browser
        .evaluate("[...document.querySelectorAll('#config-list details')].find((d) => d.textContent.startsWith('<b>bold</b>')).open = true")
        .unwrap();
    page.wait(
        "document.querySelector('#config-list mark').textContent",
        "<b>bold",
    );
    assert_eq!(
        page.texts("b:not(.fact b)"),
        Vec::<String>::new(),
        "no markup"
    );

    // What Envoy shows there is found as well.
    let url = format!(
        "{}stats?format=active-html&filter=rq_total&usedonly",
        page.url
    );
    page.browser.open(&url).unwrap();
    page.wait("document.querySelector('.view.shown')?.id", "stats");
    page.wait("document.getElementById('stats-search').value", "rq_total");
    page.wait(
        "document.querySelectorAll('#stats-table tbody tr').length > 2",
        true,
    );
    page.assert_clean();
}

/// The worst contrast of any text that is shown, with that text.
const CONTRAST: &str = "(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let worst = [100, ''];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility() || node.closest('noscript, option')) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, texts.currentNode.data];
  }
  return worst;
})()";

/// Fields without a label, and headings, buttons and links without a name.
const NAMELESS: &str =
    "[...document.querySelectorAll('input, select, button, a, h1, h2, h3, summary')]
  .filter((n) => !(n.labels?.length || n.textContent.trim() || n.ariaLabel))
  .map((n) => n.outerHTML)";

#[test]
fn it_can_be_read_in_light_and_dark_wide_and_narrow() {
    let mut page = setup();
    for (width, dark) in [(1280, false), (1280, true), (360, false), (360, true)] {
        page.browser.look(width, 800, dark).unwrap();
        for view in ["overview", "clusters", "stats", "config", "commands"] {
            page.go(view);
            let place = format!("{view}, {width} px, dark: {dark}");
            let worst = page.browser.evaluate(CONTRAST).unwrap();
            assert!(worst[0].as_f64().unwrap() >= 4.5, "{place}: {worst}");
            let overflow = "document.documentElement.scrollWidth - innerWidth";
            let overflow = page.browser.evaluate(overflow).unwrap();
            assert!(
                overflow.as_i64().unwrap() <= 0,
                "{place}: {overflow} px too wide"
            );
        }
        let ground = "getComputedStyle(document.body).backgroundColor";
        let ground = page.browser.evaluate(ground).unwrap();
        assert_eq!(ground == "rgb(16, 22, 23)", dark, "{ground}");
    }
    let nameless = page.browser.evaluate(NAMELESS).unwrap();
    assert_eq!(nameless, serde_json::json!([]));
    page.assert_clean();
}

#[test]
fn it_sends_commands_and_says_when_the_proxy_is_gone() {
    let mut page = setup();
    page.go("commands");
    let form = |action: &str| format!("document.querySelector('form[action=\"{action}\"]')");
    let send = |page: &mut Setup, action: &str, answer: &str| {
        let click = format!("{}.querySelector('button').click()", form(action));
        page.browser.evaluate(&click).unwrap();
        page.wait("document.getElementById('confirm').open", true);
        let click = format!("document.querySelector('#confirm button[value={answer}]').click()");
        page.browser.evaluate(&click).unwrap();
        page.wait("document.getElementById('confirm').open", false);
    };
    send(&mut page, "healthcheck/fail", "cancel");
    assert_eq!(page.ready(), "LIVE\n");
    send(&mut page, "healthcheck/fail", "send");
    let output = format!(
        "{}.querySelector('output').textContent",
        form("healthcheck/fail")
    );
    page.wait(&output, "OK");
    page.wait("document.getElementById('state').textContent", "DRAINING");
    assert_eq!(page.ready(), "DRAINING\n");
    page.assert_clean();

    send(&mut page, "quitquitquit", "send");
    let status = page.proxy.process.wait_end(LIMIT).expect("it does not end");
    assert!(status.success());
    page.wait("document.body.classList.contains('stale')", true);
    assert!(
        page.text("#trouble")
            .starts_with("The proxy does not answer")
    );
}

#[test]
fn pages_of_other_sites_can_only_link_to_it() {
    let mut page = setup();
    let (elsewhere, port) = ports::listen().unwrap();
    let action = format!("{}healthcheck/fail", page.url);
    let link = page.url.clone();
    serve(
        elsewhere,
        Some(format!(
            "<form method=post action='{action}' target=answer><button></button></form><a href='{link}'>x</a>\
             <iframe name=answer></iframe>"
        )),
    );
    page.browser
        .open(&format!("http://localhost:{port}/"))
        .unwrap();
    // A request of a script, with an answer that it cannot read, and a form that it fills in.
    let fetch =
        format!("fetch('{action}', {{method: 'POST', mode: 'no-cors'}}).then((r) => r.type)");
    assert_eq!(page.browser.evaluate(&fetch).unwrap(), "opaque");
    page.browser
        .evaluate("new Promise((done) => { document.querySelector('iframe').onload = done; document.querySelector('button').click(); }).then(() => 0)")
        .unwrap();
    assert_eq!(page.ready(), "LIVE\n");
    let port = page.proxy.port("admin").unwrap();
    let refused = admin::get(port, "/stats?filter=^http.admin.downstream_rq_4xx");
    let refused = refused.unwrap().text();
    assert_eq!(refused, "http.admin.downstream_rq_4xx: 2\n");
    page.browser
        .evaluate("document.querySelector('a').click()")
        .unwrap();
    page.wait("document.getElementById('state')?.textContent", "LIVE");
}
