// The page of one modem: what the agent would do, which part of the log is shown, and whether it moves.
import { call, explain } from "./api.js";
import { refresh } from "./live.js";
import { toast } from "./toast.js";

function show(result) {
  const place = document.querySelector("#plan [data-plan]");
  const actions = result.actions ?? [];
  const list = document.createElement("ol");
  list.className = "plan";
  for (const action of actions) {
    const item = document.createElement("li");
    item.textContent = action;
    list.append(item);
  }
  const words = document.createElement("p");
  words.textContent = actions.length ? `It is ${result.state}${result.reason ? `: ${result.reason}` : ""}.` : `Nothing: it is ${result.state ?? "as it should be"}, and all is as it should be.`;
  place.replaceChildren(words, ...(actions.length ? [list] : []));
}

/** Start what only this page has. */
export function startModem() {
  const log = document.querySelector("ol.log");
  document.addEventListener("click", async (event) => {
    const plan = event.target.closest("[data-ask-plan]");
    if (plan && !plan.disabled) {
      plan.disabled = true;
      try {
        show((await call("POST", plan.dataset.askPlan, { action: "plan" })).result);
        document.getElementById("plan").showModal();
      } catch (failure) {
        toast(explain(failure), "bad");
      } finally {
        plan.disabled = false;
      }
    }
    const channel = event.target.closest("[data-log]");
    if (channel) {
      event.preventDefault();
      for (const each of channel.parentElement.children) each.removeAttribute("aria-current");
      channel.setAttribute("aria-current", "true");
      const source = log.dataset.fragment ?? log.dataset.paused;
      const url = source.split("?")[0] + (channel.dataset.log ? `?channel=${channel.dataset.log}` : "");
      if (log.dataset.fragment) {
        log.dataset.fragment = url;
        refresh(log);
      } else log.dataset.paused = url;
    }
    const pause = event.target.closest("[data-pause]");
    if (pause) {
      const paused = pause.getAttribute("aria-pressed") !== "true";
      pause.setAttribute("aria-pressed", String(paused));
      const [from, to] = paused ? ["fragment", "paused"] : ["paused", "fragment"];
      log.dataset[to] = log.dataset[from];
      delete log.dataset[from];
      if (!paused) refresh(log);
    }
  });
}
