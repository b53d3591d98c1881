// Live pages: one stream of events, and every element that depends on what has changed fetches its own fragment again.
//   data-live="modem:860… modems"   what the element depends on; see keysOf
//   data-fragment="/modems/_rows?…" where its content comes from (the inside of the element)
//   data-every="30"                 also refreshed every so many seconds (signal and counters are no events)
// A tab that nobody sees holds no stream: browsers allow a server six connections.
import { morphChildren } from "./morph.js";
import { renderTimes } from "./time.js";

const STREAM = "/api/v1/events";
const SPACING = 250;
const SILENCE = 40_000;
const HIDDEN = 10_000;
const WAITS = [500, 1000, 2000, 4000, 8000, 15_000];
const FRAGMENT_SECONDS = 20;

const bar = document.getElementById("connection");
const states = new WeakMap();
let lastId = null;
let stream = null;
let tries = 0;
let lost = false;
let waiting = 0;

/** What elements may depend on, for one event. */
export function keysOf(event) {
  const keys = ["events", `kind:${event.kind}`];
  if (event.serial) keys.push("modems", `modem:${event.serial}`);
  if (event.device_id) keys.push("devices", `device:${event.device_id}`);
  if (event.kind.startsWith("task_")) keys.push("tasks");
  if (event.kind.startsWith("fault_") || event.kind === "task_failed" || event.kind === "discovery_failed") keys.push("faults");
  if (event.kind.startsWith("session_")) keys.push("sessions");
  if (event.kind.startsWith("alert")) keys.push("alerts");
  return keys;
}

// -- fragments ----------------------------------------------------------------------------------------------------

async function load(element, state) {
  state.busy = true;
  state.again = false;
  state.at = Date.now();
  try {
    const url = element.dataset.fragment;
    const response = await fetch(url, {
      headers: { Accept: "text/html", "X-Fragment": "1" },
      credentials: "same-origin",
      signal: AbortSignal.timeout(FRAGMENT_SECONDS * 1000),
    });
    // Signed out: the page itself leads to the sign-in, and back.
    if (response.status === 401 || (response.redirected && new URL(response.url).pathname === "/login")) return location.reload();
    // A filter may have given the element another source meanwhile.
    if (response.ok && element.isConnected && element.dataset.fragment === url) {
      const template = document.createElement(element.nodeName === "TBODY" ? "table" : "div");
      template.innerHTML = element.nodeName === "TBODY" ? `<tbody>${await response.text()}</tbody>` : await response.text();
      renderTimes(template);
      morphChildren(element, element.nodeName === "TBODY" ? template.tBodies[0] : template);
      window.htmx?.process(element);
      element.removeAttribute("data-stale");
      element.dispatchEvent(new CustomEvent("lastmile:refreshed", { bubbles: true }));
    } else if (!response.ok) {
      element.dataset.stale = response.status;
    }
  } catch {
    element.dataset.stale = "unreachable";
  } finally {
    state.busy = false;
    if (state.again) refresh(element);
  }
}

/** Fetch an element's fragment soon: at most four times a second, one request at a time, and never an old answer last. */
export function refresh(element) {
  const state = states.get(element) ?? { busy: false, again: false, at: 0, timer: 0 };
  states.set(element, state);
  if (state.busy) {
    state.again = true;
    return;
  }
  if (state.timer) return;
  state.timer = setTimeout(() => {
    state.timer = 0;
    if (element.isConnected) load(element, state);
  }, Math.max(0, state.at + SPACING - Date.now()));
}

/** Refresh everything on the page. */
export function refreshAll() {
  for (const element of document.querySelectorAll("[data-fragment]")) refresh(element);
  document.dispatchEvent(new CustomEvent("lastmile:refresh"));
}

function announce(event) {
  const keys = new Set(keysOf(event));
  for (const element of document.querySelectorAll("[data-live][data-fragment]")) {
    if (element.dataset.live.split(" ").some((key) => keys.has(key))) refresh(element);
  }
  document.dispatchEvent(new CustomEvent("lastmile:event", { detail: event }));
}

function tick() {
  if (document.hidden) return;
  const now = Date.now();
  for (const element of document.querySelectorAll("[data-fragment][data-every]")) {
    const state = states.get(element) ?? { busy: false, again: false, at: now, timer: 0 };
    states.set(element, state);
    if (now - state.at >= Number(element.dataset.every) * 1000) refresh(element);
  }
}

// -- the stream ---------------------------------------------------------------------------------------------------

function say(text) {
  if (!bar) return;
  bar.textContent = text;
  bar.hidden = !text;
}

function dispatch(block) {
  let kind = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("id: ")) lastId = line.slice(4);
    else if (line.startsWith("event: ")) kind = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (!data.length) return;
  const content = JSON.parse(data.join("\n"));
  if (kind === "ready") {
    if (lost) refreshAll();
    lost = false;
    tries = 0;
    say("");
  } else if (kind === "session_progress") announce({ kind, device_id: content.device, progress: content });
  else announce(content);
}

async function read(controller) {
  const headers = { Accept: "text/event-stream" };
  if (lastId !== null) headers["Last-Event-ID"] = lastId;
  const response = await fetch(STREAM, { headers, credentials: "same-origin", signal: controller.signal, cache: "no-store" });
  if (response.status === 401) return "signed out";
  if (!response.ok) return response.status === 503 ? "busy" : "refused";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let alarm = setTimeout(() => controller.abort(), SILENCE);
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "ended";
      clearTimeout(alarm);
      alarm = setTimeout(() => controller.abort(), SILENCE);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      blocks.forEach(dispatch);
    }
  } finally {
    clearTimeout(alarm);
  }
}

const LOST = {
  "signed out": "You are signed out. Load the page again to sign in.",
  busy: "Not live: as many pages are open as the server allows. Trying again …",
  refused: "Not live: the server refuses the stream of events. Trying again …",
};

async function connect() {
  clearTimeout(waiting);
  if (stream || document.hidden) return;
  const controller = new AbortController();
  stream = controller;
  let outcome = "lost";
  try {
    outcome = await read(controller);
  } catch {
    outcome = "lost";
  }
  if (stream !== controller) return;
  stream = null;
  lost = true;
  if (document.hidden) return;
  // The first try to come back is quick and goes unmentioned.
  if (tries > 0 || LOST[outcome]) say(LOST[outcome] ?? "Connection lost: what you see may be old. Trying again …");
  waiting = setTimeout(connect, WAITS[Math.min(tries, WAITS.length - 1)] * (0.75 + Math.random() / 2));
  tries += 1;
}

function disconnect() {
  const controller = stream;
  stream = null;
  clearTimeout(waiting);
  controller?.abort();
  lost = true;
}

/** Begin to be live. */
export function startLive() {
  if (!document.querySelector("[data-live], [data-chart]") || !window.TextDecoderStream) return;
  let leaving = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.hidden) leaving = setTimeout(disconnect, HIDDEN);
    else connect();
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => {
    if (event.persisted) connect();
  });
  setInterval(tick, 1000);
  connect();
}
