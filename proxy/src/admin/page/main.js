// The page at large: which view is shown, when the proxy is read, and what is said if it does not answer.

import { byId, element, json, keep, say, show } from "./dom.js";
import * as figures from "./figures.js";
import * as overview from "./overview.js";
import * as clusters from "./clusters.js";
import * as stats from "./stats.js";
import * as config from "./config.js";
import * as commands from "./commands.js";

// Milliseconds between two readings, and how much longer than a reading the pause after it is at least: a proxy with a
// large configuration is not kept busy by those who look at it.
const INTERVAL = 2000;
const RESTRAINT = 10;
// Readings that the lines show.
const HISTORY = 90;
const VIEWS = { overview, clusters, stats, config, commands };

const LIVE_STATS =
  "^(http\\..+\\.downstream_rq_(total|[1-5]xx|active)|listener\\..+\\.downstream_cx_(active|total)" +
  "|tcp\\..+\\.downstream_cx_(total|rx_bytes_total|tx_bytes_total)" +
  "|cluster\\..+\\.upstream_(rq_(total|5xx)|cx_connect_fail))$";
const LIVE_TIMES = "^(http\\..+\\.downstream_rq_time|cluster\\..+\\.upstream_rq_time)$";

let view = "overview";
let paused = false;
let timer = 0;
let last = null;
let readAt = null;
const history = [];

async function read() {
  const [numbers, times, clustersAnswer, listeners, info, warnings] = await Promise.all([
    json(`stats?format=json&filter=${encodeURIComponent(LIVE_STATS)}`),
    json(`stats?format=json&type=Histograms&histogram_buckets=detailed&usedonly&filter=${encodeURIComponent(LIVE_TIMES)}`),
    json("clusters?format=json"),
    json("listeners?format=json"),
    json("server_info"),
    json("outrigger/config_warnings"),
  ]);
  const live = {
    at: performance.now(),
    stats: figures.statsOf(numbers),
    histograms: figures.histogramsOf(times),
    clusters: clustersAnswer.cluster_statuses ?? [],
    listeners: listeners.listener_statuses ?? [],
    info,
    warnings,
  };
  const before = last;
  // Nothing is known from one reading alone, nor across a reset of the counters.
  live.rate = (name) => {
    if (!before) return null;
    const more = (live.stats.get(name) ?? 0) - (before.stats.get(name) ?? 0);
    return more < 0 ? null : (more * 1000) / (live.at - before.at);
  };
  // Only one reading back: what is older can go.
  if (before) before.rate = null;
  return live;
}

// Revision, version, state of the sources, kind of build, TLS library; a revision that nobody has set is none.
function version(text) {
  const [revision, number, ...rest] = text.split("/");
  if (!number) return text;
  const known = /[^0]/.test(revision) ? [revision.slice(0, 12)] : [];
  return `${number} (${[...known, ...rest].join(", ")})`;
}

function facts({ info }) {
  const state = byId("state");
  say(state, info.state);
  state.className = `badge scripted ${info.state === "LIVE" ? "good" : "warn"}`;
  const options = info.command_line_options;
  const all = [
    ["Node", info.node?.id || figures.NOTHING],
    ["Cluster", info.node?.cluster || figures.NOTHING],
    ["Version", version(info.version)],
    ["Up for", figures.age(parseFloat(info.uptime_current_epoch))],
    ["Workers", figures.count(options.concurrency)],
    ["Config", options.config_path || "given on the command line"],
  ];
  keep(
    byId("facts"),
    all,
    ([name]) => name,
    ([name]) => element("div", {}, element("dt", {}, name), element("dd")),
    (node, [, value]) => say(node.lastChild, value),
  );
}

function draw() {
  if (view === "overview" && last) overview.draw(last, history);
  if (view === "clusters" && last) clusters.draw(last);
  if (view === "stats") stats.draw();
  if (view === "config") config.draw();
}

function freshness() {
  const time = readAt ? readAt.toLocaleTimeString("en-GB") : null;
  say(byId("freshness"), time ? `${paused ? "Stopped at" : "Read at"} ${time}` : "Not read yet");
}

async function turn() {
  clearTimeout(timer);
  const began = performance.now();
  try {
    const live = await read();
    last = live;
    readAt = new Date();
    history.push(overview.summary(live));
    if (history.length > HISTORY) history.shift();
    say(byId("trouble"), "");
    document.body.classList.remove("stale");
    facts(live);
    draw();
  } catch (error) {
    const since = readAt ? ` What is shown is from ${readAt.toLocaleTimeString("en-GB")}.` : "";
    say(byId("trouble"), `The proxy does not answer: ${error.message}.${since}`);
    document.body.classList.add("stale");
  }
  freshness();
  const took = performance.now() - began;
  if (!paused && !document.hidden) timer = setTimeout(turn, Math.max(INTERVAL, took * RESTRAINT));
}

function go(name, search) {
  view = name;
  for (const section of document.querySelectorAll(".view")) section.classList.toggle("shown", section.id === name);
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === `#${name}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (here) document.title = name === "overview" ? "Outrigger" : `${link.textContent} · Outrigger`;
  }
  if (name === "stats") stats.take(search);
  draw();
}

function route() {
  const [name, search = ""] = location.hash.slice(1).split("?");
  if (name in VIEWS) go(name, search);
  else if (!name && /\/stats$/.test(location.pathname)) go("stats", location.search);
  else if (!name) go("overview", "");
  // Any other is a place within the view, such as the content.
}

function key(event) {
  const typing = event.target.closest?.("input, select, textarea, dialog[open]");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (view === "overview") location.hash = "#stats";
  // The view changes when the address has.
  setTimeout(() => document.querySelector(".view.shown input[type=search]")?.focus());
}

document.documentElement.classList.remove("static");
for (const part of [clusters, stats, config, commands]) part.start();
window.addEventListener("hashchange", route);
document.addEventListener("keydown", key);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused) turn();
});
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  freshness();
  if (paused) clearTimeout(timer);
  else turn();
});
show(byId("tcp"), false);
show(byId("histograms"), false);
route();
turn();
