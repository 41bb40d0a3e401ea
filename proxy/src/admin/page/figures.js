// What numbers mean and how they are written: no part of this touches the document.

const SMALL = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
export const NOTHING = "–";

export function count(value) {
  if (value === null || value === undefined) return NOTHING;
  return value < 1e7 ? WHOLE.format(value) : SHORT.format(value);
}

export function rate(value) {
  if (value === null || value === undefined) return NOTHING;
  return value < 100 ? SMALL.format(value) : count(Math.round(value));
}

// Latencies are recorded in whole milliseconds.
export function duration(ms) {
  if (ms === null || ms === undefined) return NOTHING;
  if (ms < 1) return "<1 ms";
  if (ms < 10) return `${SMALL.format(ms)} ms`;
  if (ms < 1000) return `${WHOLE.format(ms)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}

export function bytes(value) {
  if (value === null || value === undefined) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${at === 0 ? value : value.toFixed(1)} ${units[at]}`;
}

export function share(part, whole) {
  if (!whole) return NOTHING;
  const percent = (part / whole) * 100;
  return percent > 0 && percent < 0.01 ? "<0.01 %" : `${percent.toFixed(percent < 10 ? 2 : 1)} %`;
}

export function age(seconds) {
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor((seconds % 86400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds)} s`;
}

// The answer of /stats?format=json as a map; text readouts are texts.
export function statsOf(answer) {
  return new Map(answer.stats.filter((stat) => "name" in stat).map((stat) => [stat.name, stat.value]));
}

// The histograms of an answer with histogram_buckets=detailed.
export function histogramsOf(answer) {
  const last = answer.stats.find((stat) => "histograms" in stat);
  return new Map((last?.histograms.details ?? []).map((one) => [one.name, one]));
}

export function merged(histograms, which) {
  return histograms.flatMap((histogram) => histogram[which]);
}

// A quantile of bins of {lower_bound, width, count}, as the proxy works it out for its own: within a bin, values are taken
// to be spread evenly.
export function quantile(bins, q) {
  const sorted = [...bins].sort((a, b) => a.lower_bound - b.lower_bound);
  const total = sorted.reduce((sum, bin) => sum + bin.count, 0);
  if (total === 0) return null;
  const wanted = q * total;
  let below = 0;
  // The same bin of several histograms is one.
  for (let i = 0; i < sorted.length; ) {
    const { lower_bound: low, width } = sorted[i];
    let inside = 0;
    for (; i < sorted.length && sorted[i].lower_bound === low; i += 1) inside += sorted[i].count;
    if (below + inside >= wanted) return low + (width * (wanted - below)) / (inside + 1);
    below += inside;
  }
  return null;
}

export const quantiles = (bins) => [0.5, 0.95, 0.99].map((q) => quantile(bins, q));

// How a host stands: its worst first; empty if nothing speaks against it.
export function ailments(host) {
  const { eds_health_status: eds, ...flags } = host.health_status ?? {};
  const said = Object.keys(flags).filter((flag) => flags[flag] === true);
  if (eds && !["HEALTHY", "UNKNOWN"].includes(eds)) said.push(eds.toLowerCase());
  return said.map((word) => word.replaceAll("_", " "));
}

export function addressOf(address) {
  const socket = address?.socket_address;
  if (!socket) return address?.pipe?.path ?? NOTHING;
  const host = socket.address.includes(":") ? `[${socket.address}]` : socket.address;
  return `${host}:${socket.port_value}`;
}

// As names of stats have it.
export const sanitized = (name) => name.replaceAll(":", "_");
