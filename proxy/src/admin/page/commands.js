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

// What is done if the open question is answered with yes.
let confirmed = null;

function confirm(path, help, then) {
  const dialog = byId("confirm");
  say(byId("confirm-path"), `POST ${path}`);
  say(byId("confirm-help"), help);
  dialog.returnValue = "";
  confirmed = then;
  dialog.showModal();
}

// The event comes some time after the dialog has closed: one that finds it open again is of an earlier question.
function closed(event) {
  const dialog = event.target;
  if (dialog.open) return;
  const then = confirmed;
  confirmed = null;
  if (dialog.returnValue === "send") then?.();
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
  byId("confirm").addEventListener("close", closed);
  const search = byId("command-search");
  search.form.addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    for (const command of list.children) show(command, command.textContent.toLowerCase().includes(wanted));
  });
}
