// Small tools over the document. Text goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// Leaves a node alone that says so already: what is selected stays selected.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, shown) {
  node.hidden = !shown;
}

// Brings the children of `parent` into line with `items`, and keeps the nodes of those that stay, so that nothing loses
// its focus or closes when numbers change.
export function keep(parent, items, keyOf, create, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let node = old.get(key);
    old.delete(key);
    if (!node) {
      node = create(item);
      node.dataset.key = key;
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    update(node, item);
  }
  for (const node of old.values()) node.remove();
}

// One row of a table: a heading, then cells, each a text or a text and a class.
export function row(cells) {
  const node = element("tr");
  cells.forEach((_, i) => node.append(element(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : {})));
  return node;
}

export function fillRow(node, cells) {
  cells.forEach((cell, i) => {
    const [text, kind] = Array.isArray(cell) ? cell : [cell, ""];
    const td = node.children[i];
    say(td, text);
    if (td.className !== kind) td.className = kind;
  });
}

const SVG = "http://www.w3.org/2000/svg";

// The last values as a line, from 0 up; a gap where nothing is known. It repeats what the figures beside it say.
export function sparkline(parent, values, kind = "") {
  let svg = parent.querySelector("svg");
  if (!svg) {
    svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 100 30");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("fill", "none");
    path.setAttribute("stroke", "currentColor");
    path.setAttribute("stroke-width", "1.5");
    path.setAttribute("stroke-linejoin", "round");
    svg.append(path);
    parent.append(svg);
  }
  svg.setAttribute("class", `spark ${kind}`);
  const top = Math.max(...values.filter((v) => v !== null), 0) || 1;
  const step = 100 / Math.max(values.length - 1, 1);
  let line = "";
  let drawn = false;
  values.forEach((value, i) => {
    if (value === null) {
      drawn = false;
      return;
    }
    line += `${drawn ? "L" : "M"}${(i * step).toFixed(2)} ${(28.5 - (value / top) * 27).toFixed(2)}`;
    drawn = true;
  });
  svg.firstChild.setAttribute("d", line);
}

const PATIENCE = 10000;

// What went wrong has the text that the proxy gave, if it gave one.
export async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
  if (!response.ok) {
    const error = new Error((await response.text()).trim() || response.statusText);
    error.status = response.status;
    throw error;
  }
  return response;
}

export const json = async (path) => (await ask(path)).json();
