// Search over the configuration that runs.

import { byId, element, json, say, show } from "./dom.js";
import { count } from "./figures.js";

let groups = null;

const TITLES = {
  BootstrapConfigDump: "Bootstrap",
  ClustersConfigDump: "Clusters",
  EndpointsConfigDump: "Endpoints",
  ListenersConfigDump: "Listeners",
  RoutesConfigDump: "Routes",
  ScopedRoutesConfigDump: "Scoped routes",
  SecretsConfigDump: "Secrets",
};

// The name of a resource, which lies in it or one message below.
function nameOf(value, otherwise) {
  const inside = [value, ...Object.values(value)].filter((one) => one && typeof one === "object");
  const named = inside.find((one) => one.name || one.cluster_name);
  return named?.name ?? named?.cluster_name ?? otherwise;
}

// A dump has lists of resources, or is one.
function resourcesOf(dump) {
  const lists = Object.entries(dump).filter(([, value]) => Array.isArray(value));
  if (lists.length === 0) return Object.keys(dump).length > 1 ? [{ name: "bootstrap", kind: "", value: dump }] : [];
  return lists.flatMap(([key, list]) =>
    list.map((value, i) => ({ name: nameOf(value, `${key}[${i}]`), kind: key.replaceAll("_", " ").replace(/s$/, ""), value })),
  );
}

function occurrences(text, wanted) {
  let found = 0;
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) found += 1;
  return found;
}

// The text with what is wanted marked.
function marked(text, wanted) {
  if (!wanted) return [text];
  const lower = text.toLowerCase();
  const pieces = [];
  let from = 0;
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
    pieces.push(text.slice(from, at), element("mark", {}, text.slice(at, at + wanted.length)));
    from = at + wanted.length;
  }
  pieces.push(text.slice(from));
  return pieces;
}

function item(resource) {
  const pre = element("pre", { tabindex: "0" });
  const fact = element("span", { class: "fact" });
  const summary = element("summary", {}, element("span", { class: "name" }, resource.name), fact);
  const node = element("details", { class: "item" }, summary, element("div", { class: "body" }, pre));
  // What is closed costs nothing.
  const fill = () => node.open && pre.replaceChildren(...marked(resource.text, wantedText()));
  node.addEventListener("toggle", () => {
    fill();
    const first = pre.querySelector("mark");
    if (first) pre.scrollTop = first.offsetTop - pre.offsetTop - 60;
  });
  return { ...resource, node, fact, fill };
}

const wantedText = () => byId("config-search").value.trim().toLowerCase();

function filter() {
  if (!groups) return;
  const wanted = wantedText();
  let shown = 0;
  let all = 0;
  for (const { title, items } of groups) {
    let any = false;
    for (const one of items) {
      const found = wanted ? occurrences(one.lower, wanted) : 0;
      const fits = !wanted || found > 0;
      show(one.node, fits);
      say(one.fact, found ? `${count(found)} ${found === 1 ? "place" : "places"}` : one.kind);
      one.fill();
      any ||= fits;
      shown += Number(fits);
      all += 1;
    }
    show(title, any);
  }
  say(byId("config-count"), wanted ? `${count(shown)} of ${count(all)} resources.` : `${count(all)} resources.`);
}

async function load() {
  const path = byId("config-eds").checked ? "config_dump?include_eds" : "config_dump";
  byId("config-json").href = path;
  let dump;
  try {
    dump = await json(path);
  } catch (error) {
    say(byId("config-count"), `The configuration cannot be read: ${error.message}`);
    return;
  }
  groups = (dump.configs ?? []).map((one) => {
    const type = one["@type"].split(".").pop();
    const items = resourcesOf(one).map((resource) => {
      const text = JSON.stringify(resource.value, null, 2);
      return item({ ...resource, text, lower: text.toLowerCase() });
    });
    return { title: element("h3", {}, TITLES[type] ?? type), items };
  });
  const nodes = groups.filter(({ items }) => items.length > 0).flatMap(({ title, items }) => [title, ...items.map(({ node }) => node)]);
  byId("config-list").replaceChildren(...nodes);
  filter();
}

// Read when it is looked at for the first time, and when somebody asks.
export async function draw() {
  if (!groups) await load();
}

export function start() {
  byId("config-search").addEventListener("input", filter);
  byId("config-search").form.addEventListener("submit", (event) => event.preventDefault());
  byId("config-eds").addEventListener("change", load);
  byId("config-reload").addEventListener("click", load);
}
