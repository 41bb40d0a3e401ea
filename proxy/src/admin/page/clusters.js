// Every cluster with its hosts.

import { byId, element, fillRow, keep, row, say } from "./dom.js";
import * as figures from "./figures.js";

const { count, duration, rate } = figures;
const HOST_COLUMNS = ["Address", "Health", "Requests", "Errors", "Active", "Connections", "Failed connects", "Weight", "Locality"];

function hostCells(host) {
  const stats = new Map((host.stats ?? []).map((stat) => [stat.name, Number(stat.value ?? 0)]));
  const ill = figures.ailments(host);
  const { region = "", zone = "", sub_zone: sub = "" } = host.locality ?? {};
  const number = (name, kind = "") => [count(stats.get(name)), stats.get(name) ? `n ${kind}` : "n zero"];
  const address = figures.addressOf(host.address);
  return [
    host.hostname ? `${address} (${host.hostname})` : address,
    ill.length ? [ill.join(", "), "bad"] : "healthy",
    number("rq_total"),
    number("rq_error", "bad"),
    number("rq_active"),
    number("cx_active"),
    number("cx_connect_fail", "bad"),
    [count(host.weight), "n"],
    [region, zone, sub].filter(Boolean).join("/") || figures.NOTHING,
  ];
}

function limitsOf(cluster) {
  const words = { max_connections: "connections", max_pending_requests: "pending", max_requests: "requests", max_retries: "retries" };
  return (cluster.circuit_breakers?.thresholds ?? []).map((limits) => {
    const all = Object.entries(words).map(([key, word]) => `${word} ${limits[key] === 4294967295 ? "unlimited" : count(limits[key])}`);
    return `${limits.priority === "HIGH" ? "high" : "default"} priority: ${all.join(", ")}`;
  });
}

function create() {
  const fact = (key) => element("span", { class: "fact", "data-fact": key }, "", element("b"));
  const heads = HOST_COLUMNS.map((text, i) => element("th", i > 1 && i < 8 ? { scope: "col", class: "n" } : { scope: "col" }, text));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody"));
  return element(
    "details",
    { class: "item" },
    element("summary", {}, element("span", { class: "name" }), ...["hosts", "requests", "errors", "latency"].map(fact)),
    element("div", { class: "body" }, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Hosts" }, table), element("p", { class: "note" })),
  );
}

function update(node, cluster, live) {
  const stat = (name) => `cluster.${figures.sanitized(cluster.observability_name || cluster.name)}.${name}`;
  const hosts = cluster.host_statuses ?? [];
  const well = hosts.filter((host) => figures.ailments(host).length === 0).length;
  const failed = live.stats.get(stat("upstream_rq_5xx")) ?? 0;
  const bins = live.histograms.get(stat("upstream_rq_time"));
  const recent = figures.quantile(bins?.intervals ?? [], 0.99);
  const ever = figures.quantile(bins?.totals ?? [], 0.99);
  const facts = {
    hosts: [`${count(well)}/${count(hosts.length)}`, "healthy", well < hosts.length],
    requests: [`${rate(live.rate(stat("upstream_rq_total")))}/s`, `${count(live.stats.get(stat("upstream_rq_total")) ?? 0)} requests,`],
    errors: [count(failed), "5xx", failed > 0],
    latency: recent === null && ever !== null ? [duration(ever), "p99 since the start"] : [duration(recent), "p99"],
  };
  say(node.querySelector(".name"), cluster.name);
  for (const [key, [value, label, bad]] of Object.entries(facts)) {
    const span = node.querySelector(`[data-fact="${key}"]`);
    span.className = bad ? "fact bad" : "fact";
    const text = `${label} `;
    if (span.firstChild.data !== text) span.firstChild.data = text;
    say(span.lastChild, value);
  }
  if (!node.open) return;
  const body = node.querySelector("tbody");
  const keyOf = (host) => `${figures.addressOf(host.address)} ${host.priority ?? 0}`;
  keep(body, hosts, keyOf, (host) => row(hostCells(host)), (tr, host) => fillRow(tr, hostCells(host)));
  say(node.querySelector(".note"), `Limits of ${limitsOf(cluster).join("; of ")}.`);
}

let latest = null;

export function draw(live) {
  latest = live ?? latest;
  if (!latest) return;
  const wanted = byId("cluster-search").value.trim().toLowerCase();
  const text = (cluster) => [cluster.name, ...(cluster.host_statuses ?? []).map((host) => figures.addressOf(host.address))].join("\n").toLowerCase();
  const sorted = [...latest.clusters].sort((a, b) => a.name.localeCompare(b.name));
  const found = sorted.filter((cluster) => text(cluster).includes(wanted));
  say(byId("cluster-count"), wanted ? `${count(found.length)} of ${count(sorted.length)} clusters` : `${count(sorted.length)} clusters`);
  keep(
    byId("cluster-list"),
    found,
    (cluster) => cluster.name,
    (cluster) => {
      const node = create();
      node.addEventListener("toggle", () => draw());
      return node;
    },
    (node, cluster) => update(node, cluster, latest),
  );
}

export function start() {
  byId("cluster-search").addEventListener("input", () => draw());
  byId("cluster-search").form.addEventListener("submit", (event) => event.preventDefault());
}
