// Lists: ticking many rows and asking the same of each, with a list that says how far it is.
import { call, explain } from "./api.js";
import { agreed } from "./confirm.js";
import { refreshAll } from "./live.js";
import { toast } from "./toast.js";

const AT_ONCE = 4;

function ticked(table) {
  return [...table.querySelectorAll("tbody input[data-tick]:checked")].map((box) => box.value);
}

function count(table) {
  const all = [...table.querySelectorAll("tbody input[data-tick]")];
  const chosen = all.filter((box) => box.checked).length;
  const head = table.querySelector("input[data-tick-all]");
  if (head) {
    head.checked = chosen > 0 && chosen === all.length;
    head.indeterminate = chosen > 0 && chosen < all.length;
  }
  const tools = document.querySelector(`[data-bulk="${table.id}"]`);
  if (!tools) return;
  tools.hidden = chosen === 0;
  tools.querySelector("[data-bulk-count]").textContent = `${chosen} chosen`;
}

function line(list, name) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.textContent = name;
  const state = document.createElement("span");
  state.className = "badge";
  const set = (text, tone) => {
    state.textContent = text;
    state.dataset.tone = tone;
  };
  set("waits", "off");
  item.append(label, state);
  list.append(item);
  return set;
}

async function runAll(button, names) {
  const dialog = document.getElementById("bulk-progress");
  const list = dialog.querySelector("ol");
  const bar = dialog.querySelector("progress");
  const close = dialog.querySelector("button");
  dialog.querySelector("h2").textContent = `${button.textContent.trim()}: ${names.length}`;
  list.replaceChildren();
  bar.max = names.length;
  bar.value = 0;
  close.disabled = true;
  const set = new Map(names.map((name) => [name, line(list, name)]));
  dialog.showModal();
  const queue = [...names];
  let failed = 0;
  const work = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      set.get(name)("under way", "busy");
      try {
        const body = button.dataset.body ? JSON.parse(button.dataset.body) : undefined;
        await call(button.dataset.method ?? "POST", button.dataset.each.replace("{}", encodeURIComponent(name)), body);
        set.get(name)("done", "good");
      } catch (failure) {
        failed += 1;
        set.get(name)(explain(failure), "bad");
      }
      bar.value += 1;
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, names.length) }, work));
  close.disabled = false;
  close.focus();
  if (failed) toast(`${failed} of ${names.length} failed`, "bad");
  refreshAll();
}

/** Make the ticks of lists work. */
export function startTables() {
  document.addEventListener("change", (event) => {
    const table = event.target.closest("table");
    if (!table || !event.target.matches("[data-tick], [data-tick-all]")) return;
    if (event.target.matches("[data-tick-all]")) for (const box of table.querySelectorAll("tbody input[data-tick]")) box.checked = event.target.checked;
    count(table);
  });
  document.addEventListener("lastmile:refreshed", (event) => {
    const table = event.target.closest("table");
    if (table?.id) count(table);
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-each]");
    if (!button) return;
    const table = document.getElementById(button.closest("[data-bulk]").dataset.bulk);
    const names = ticked(table);
    if (!names.length) return;
    const fill = (dialog) => {
      const place = dialog.querySelector("[data-names]");
      if (place) place.textContent = names.length > 6 ? `${names.slice(0, 6).join(", ")} and ${names.length - 6} more` : names.join(", ");
    };
    if (button.dataset.confirm && !(await agreed(button.dataset.confirm, fill))) return;
    await runAll(button, names);
  });
}
