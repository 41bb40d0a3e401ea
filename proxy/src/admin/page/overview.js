// The first view: what is running and how it fares.

import { byId, element, fillRow, keep, row, say, show, sparkline } from "./dom.js";
import * as figures from "./figures.js";

const { count, duration, rate } = figures;

// Puts figures and a detail into a tile; each figure is [value, unit, kind].
function tile(id, parts, detail) {
  const node = byId(id);
  let list = node.querySelector(".figures");
  if (!list) {
    list = element("div", { class: "figures" });
    node.append(list, element("p", { class: "detail" }));
  }
  keep(
    list,
    parts,
    ([, unit]) => unit,
    () => element("span", { class: "figure" }, document.createTextNode(""), element("small")),
    (span, [value, unit, kind = ""]) => {
      if (span.firstChild.data !== value) span.firstChild.data = value;
      say(span.lastChild, unit);
      span.className = `figure ${kind}`;
    },
  );
  say(node.querySelector(".detail"), detail);
  return node;
}

const whose = (live, pattern) => {
  const found = [...live.stats.keys()].map((name) => name.match(pattern)).filter(Boolean);
  return found.map((match) => match[1]).filter((name) => name !== "admin").sort();
};

export const managersOf = (live) => whose(live, /^http\.(.+)\.downstream_rq_total$/);
const listenersOf = (live) => whose(live, /^listener\.(.+)\.downstream_cx_active$/).filter((name) => !/\.worker_\d+$|\.main_thread$/.test(name));

const sum = (names, value) => names.reduce((total, name) => total + (value(name) ?? 0), 0);
const sumRates = (names, value) => {
  const rates = names.map(value);
  return rates.some((one) => one === null) ? null : rates.reduce((a, b) => a + b, 0);
};

// What the tiles are about, once for each reading; also what the lines are drawn from.
export function summary(live) {
  const managers = managersOf(live);
  const stat = (prefix, name) => live.stats.get(`http.${prefix}.downstream_${name}`);
  const times = managers.map((prefix) => live.histograms.get(`http.${prefix}.downstream_rq_time`)).filter(Boolean);
  const hosts = live.clusters.flatMap((cluster) => cluster.host_statuses ?? []);
  return {
    requests: sumRates(managers, (prefix) => live.rate(`http.${prefix}.downstream_rq_total`)),
    errors: sumRates(managers, (prefix) => live.rate(`http.${prefix}.downstream_rq_5xx`)),
    total: sum(managers, (prefix) => stat(prefix, "rq_total")),
    active: sum(managers, (prefix) => stat(prefix, "rq_active")),
    failed: sum(managers, (prefix) => stat(prefix, "rq_5xx")),
    responses: sum(["1xx", "2xx", "3xx", "4xx", "5xx"], (kind) => sum(managers, (prefix) => stat(prefix, `rq_${kind}`))),
    connections: sum(listenersOf(live), (name) => live.stats.get(`listener.${name}.downstream_cx_active`)),
    accepted: sum(listenersOf(live), (name) => live.stats.get(`listener.${name}.downstream_cx_total`)),
    recent: figures.quantiles(figures.merged(times, "intervals")),
    ever: figures.quantiles(figures.merged(times, "totals")),
    hosts: hosts.length,
    well: hosts.filter((host) => figures.ailments(host).length === 0).length,
    refused: sum([...live.stats.keys()].filter((name) => name.endsWith(".upstream_cx_connect_fail")), (name) => live.stats.get(name)),
  };
}

function tiles(live, now, history) {
  const past = (key) => history.map((one) => one[key]);
  const requests = tile("tile-requests", [[rate(now.requests), "per second"]], `${count(now.total)} in all, ${count(now.active)} in flight`);
  sparkline(requests, past("requests"));

  const bad = now.errors > 0 ? "bad" : "";
  const part = figures.share(now.failed, now.responses);
  const errors = tile("tile-errors", [[rate(now.errors), "per second", bad]], `${count(now.failed)} in all${now.responses ? `, ${part} of responses` : ""}`);
  sparkline(errors, past("errors"), history.some((one) => one.errors > 0) ? "bad" : "");

  const quiet = now.recent[0] === null;
  const shown = quiet ? now.ever : now.recent;
  const detail =
    now.ever[0] === null
      ? "No request yet"
      : quiet
        ? "Since the start; none in the last stats interval"
        : `Last stats interval; since the start ${now.ever.map(duration).join(", ")}`;
  const latency = tile("tile-latency", [[duration(shown[0]), "p50"], [duration(shown[1]), "p95"], [duration(shown[2]), "p99"]], detail);
  sparkline(latency, history.map((one) => one.recent[1]));

  const connections = tile("tile-connections", [[count(now.connections), "open"]], `${count(now.accepted)} accepted in all`);
  sparkline(connections, past("connections"));

  const ill = now.hosts - now.well;
  const refused = now.refused ? `${count(now.refused)} failed ${now.refused === 1 ? "connect" : "connects"} since the start` : "No failed connect since the start";
  tile("tile-upstreams", [[`${count(now.well)} of ${count(now.hosts)}`, "healthy", ill ? "bad" : now.hosts ? "good" : ""]], `${refused}. A host that nobody checks counts as healthy.`);

  const { ignored_fields: ignored, unknown_fields: unknown } = live.warnings;
  const warned = ignored.length + unknown.length;
  tile("tile-warnings", [[count(warned), warned === 1 ? "warning" : "warnings", warned ? "warn" : "good"]], warned ? `${count(ignored.length)} without effect, ${count(unknown.length)} unknown` : "Everything is honoured");
}

function managers(live) {
  const cells = (prefix) => {
    const name = (rest) => `http.${prefix}.downstream_${rest}`;
    const total = (rest) => live.stats.get(name(rest));
    const bins = live.histograms.get(name("rq_time"))?.intervals ?? [];
    const failed = total("rq_5xx");
    return [
      prefix,
      [rate(live.rate(name("rq_total"))), "n"],
      ...["rq_active", "rq_total", "rq_2xx", "rq_3xx", "rq_4xx"].map((rest) => [count(total(rest)), total(rest) ? "n" : "n zero"]),
      [count(failed), failed ? "n bad" : "n zero"],
      ...figures.quantiles(bins).map((ms) => [duration(ms), ms === null ? "n zero" : "n"]),
    ];
  };
  table("managers", managersOf(live), cells);
}

function table(id, names, cells) {
  const body = byId(id).tBodies[0];
  keep(body, names, (name) => name, (name) => row(cells(name)), (node, name) => fillRow(node, cells(name)));
}

function proxies(live) {
  const prefixes = whose(live, /^tcp\.(.+)\.downstream_cx_total$/);
  show(byId("tcp"), prefixes.length > 0);
  table("proxies", prefixes, (prefix) => {
    const value = (rest) => live.stats.get(`tcp.${prefix}.downstream_cx_${rest}`);
    return [prefix, [count(value("total")), "n"], [figures.bytes(value("rx_bytes_total")), "n"], [figures.bytes(value("tx_bytes_total")), "n"]];
  });
}

function listeners(live) {
  const rows = live.listeners.map((listener) => [listener.name, addresses(listener)]);
  const body = new Map(rows);
  table("listeners", [...body.keys()], (name) => {
    const all = body.get(name);
    const value = (rest) => {
      const found = all.map((address) => live.stats.get(`listener.${figures.sanitized(address)}.downstream_cx_${rest}`));
      return found.every((one) => one === undefined) ? undefined : found.reduce((a, b) => a + (b ?? 0), 0);
    };
    return [name, [all.join(", "), "mono"], [count(value("active")), "n"], [count(value("total")), "n"]];
  });
}

function addresses(listener) {
  const all = [listener.local_address, ...(listener.additional_local_addresses ?? [])];
  return all.map(figures.addressOf);
}

function warnings({ ignored_fields: ignored, unknown_fields: unknown }) {
  const items = [
    ...ignored.map(({ path, reason }) => ({ path, text: `has no effect: ${reason}` })),
    ...unknown.map((path) => ({ path, text: "is not a field that Envoy knows" })),
  ];
  show(byId("no-warnings"), items.length === 0);
  keep(
    byId("warnings"),
    items,
    (item) => `${item.path} ${item.text}`,
    (item) => element("li", {}, element("code", {}, item.path), element("span", {}, item.text)),
    () => {},
  );
}

export function draw(live, history) {
  tiles(live, history[history.length - 1], history);
  managers(live);
  proxies(live);
  listeners(live);
  warnings(live.warnings);
}
