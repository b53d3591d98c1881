// The console of a modem: one command at a time, its answer as it came, and what was sent before by the arrow keys.
import { call, explain } from "./api.js";

const KEPT = 50;
const SHOWN = 200;
const STORE = "console";
const REFUSED = new Set(["secret_refused"]);

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
  } catch {
    return [];
  }
}

function remember(history) {
  try {
    sessionStorage.setItem(STORE, JSON.stringify(history.slice(-KEPT)));
  } catch {
    // Kept for this page only.
  }
}

function write(screen, text, kind) {
  const line = document.createElement("pre");
  line.className = kind;
  line.textContent = text;
  screen.querySelector("p")?.remove();
  screen.append(line);
  while (screen.childElementCount > SHOWN) screen.firstElementChild.remove();
  screen.scrollTop = screen.scrollHeight;
  return line;
}

function render(result) {
  if (Array.isArray(result.lines)) return [...result.lines, result.final].filter(Boolean).join("\n");
  return Object.entries(result).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join("\n") || "OK";
}

function start(element) {
  const [screen, form, kind, line] = ["[data-screen]", "form", "[data-kind]", "[data-line]"].map((each) => element.querySelector(each));
  const button = form.querySelector("button");
  const history = remembered();
  let place = history.length;
  const choose = () => {
    const at = kind.value === "at";
    line.disabled = !at;
    line.placeholder = at ? "AT+CSQ" : "";
    if (at) line.focus();
  };
  kind.addEventListener("change", choose);
  line.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !history.length) return;
    event.preventDefault();
    place = Math.max(0, Math.min(history.length, place + step));
    line.value = history[place] ?? "";
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const at = kind.value === "at";
    const text = line.value.trim();
    if ((at && !text) || button.disabled) return;
    button.disabled = true;
    line.value = "";
    write(screen, at ? text : `QMI ${kind.value.replaceAll("_", " ")}`, "sent");
    const waits = write(screen, "…", "waits");
    const begun = performance.now();
    let refused = false;
    try {
      const answer = await call("POST", element.dataset.console, at ? { at: text } : { qmi: kind.value });
      waits.textContent = render(answer.result);
      waits.className = "answer";
      waits.dataset.took = `${Math.round(performance.now() - begun)} ms`;
    } catch (failure) {
      refused = REFUSED.has(failure.code);
      waits.textContent = explain(failure);
      waits.className = "failed";
    }
    // What holds a secret is not kept.
    if (at && !refused && history.at(-1) !== text) {
      history.push(text);
      remember(history);
    }
    place = history.length;
    button.disabled = false;
    screen.scrollTop = screen.scrollHeight;
    if (at) line.focus();
  });
}

/** Start every console of the page. */
export function startConsole() {
  document.querySelectorAll("[data-console]").forEach(start);
}
