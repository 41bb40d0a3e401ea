// The forms of all endpoints: what reads opens, what changes something is sent from here and answers here.

import { ask, byId, say, show } from "./dom.js";

// What cannot be taken back, or is felt by clients.
const GRAVE = ["/quitquitquit", "/drain_listeners", "/healthcheck/fail", "/reset_counters"];

// Empty fields say nothing.
function queryOf(form) {
  const params = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value !== "") params.append(name, value);
  const text = params.toString().replaceAll("+", "%20");
  return text && `?${text}`;
}

async function send(form, path) {
  const output = form.querySelector("output");
  say(output, "…");
  try {
    const response = await ask(path, { method: "POST" });
    const text = await response.text();
    say(output, text.trim() || `${response.status} ${response.statusText}`);
  } catch (error) {
    say(output, error.message);
  }
}

function confirm(path, help, then) {
  const dialog = byId("confirm");
  say(byId("confirm-path"), `POST ${path}`);
  say(byId("confirm-help"), help);
  dialog.returnValue = "";
  dialog.addEventListener("close", () => dialog.returnValue === "send" && then(), { once: true });
  dialog.showModal();
}

function submitted(event) {
  const form = event.target;
  event.preventDefault();
  const path = form.getAttribute("action") + queryOf(form);
  if (form.method === "get") {
    location.assign(path);
    return;
  }
  const name = form.querySelector("code").textContent;
  if (GRAVE.includes(name)) confirm(`/${path}`, form.querySelector("p").textContent, () => send(form, path));
  else send(form, path);
}

export function start() {
  const list = byId("command-list");
  list.addEventListener("submit", submitted);
  const search = byId("command-search");
  search.form.addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    for (const command of list.children) show(command, command.textContent.toLowerCase().includes(wanted));
  });
}
