// Search over all stats.

import { byId, fillRow, json, keep, row, say, show } from "./dom.js";
import * as figures from "./figures.js";

// More rows help nobody, and make the browser slow.
const MOST = 500;

function query() {
  const params = new URLSearchParams();
  if (byId("stats-search").value) params.set("filter", byId("stats-search").value);
  if (byId("stats-type").value !== "All") params.set("type", byId("stats-type").value);
  if (byId("stats-used").checked) params.set("usedonly", "");
  // The proxy takes `+` for itself.
  return params.toString().replaceAll("+", "%20");
}

function fill(id, items, cells) {
  const body = byId(id).tBodies[0];
  keep(body, items, (item) => item.name, (item) => row(cells(item)), (node, item) => fillRow(node, cells(item)));
}

function valueOf({ value }) {
  return [typeof value === "number" ? value.toLocaleString("en") : value, value === 0 ? "n zero" : "n mono"];
}

let asked = 0;

// Asks again; what was asked before and comes late is dropped.
export async function draw() {
  const mine = (asked += 1);
  const search = query();
  const and = search && `&${search}`;
  byId("as-text").href = `stats${search && `?${search}`}`;
  byId("as-json").href = `stats?format=json${and}`;
  byId("as-prometheus").href = `stats/prometheus${search && `?${search}`}`;
  let answer;
  try {
    answer = await json(`stats?format=json${and}`);
  } catch (error) {
    // A pattern that is not understood. All else is the reader's, who asks all the time.
    if (mine === asked && error.status === 400) {
      say(byId("stats-error"), error.message);
      byId("stats-search").setAttribute("aria-invalid", "true");
    }
    return;
  }
  if (mine !== asked) return;
  say(byId("stats-error"), "");
  byId("stats-search").removeAttribute("aria-invalid");
  const plain = answer.stats.filter((stat) => "name" in stat);
  const summary = answer.stats.find((stat) => "histograms" in stat)?.histograms;
  const histograms = summary?.computed_quantiles ?? [];
  const all = plain.length + histograms.length;
  const cut = Math.max(plain.length, histograms.length) > MOST ? `; the first ${MOST} of each kind are shown` : "";
  say(byId("stats-count"), `${figures.count(all)} ${all === 1 ? "stat" : "stats"}${cut}.`);
  fill("stats-table", plain.slice(0, MOST), (stat) => [stat.name, valueOf(stat)]);
  show(byId("histograms"), histograms.length > 0);
  const at = (percent) => summary.supported_quantiles.indexOf(percent);
  const number = (value) => (value === null || value === undefined ? figures.NOTHING : String(Number(value.toPrecision(4))));
  fill("histogram-table", histograms.slice(0, MOST), (histogram) => [
    histogram.name,
    ...[50, 90, 99, 99.9, 100].map((percent) => [number(histogram.values[at(percent)]?.cumulative), "n mono"]),
  ]);
}

// What the address says: `#stats?filter=…`, or `/stats?format=active-html&filter=…`.
export function take(search) {
  const params = new URLSearchParams(search);
  if (params.has("filter")) byId("stats-search").value = params.get("filter");
  if (params.has("type")) byId("stats-type").value = params.get("type");
  if (params.size > 0) byId("stats-used").checked = params.has("usedonly");
}

export function start() {
  let timer = 0;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      history.replaceState(null, "", `#stats?${query()}`);
      draw();
    }, 200);
  };
  byId("stats-form").addEventListener("input", soon);
  byId("stats-form").addEventListener("submit", (event) => {
    event.preventDefault();
    soon();
  });
}
