// Changing values in the table of parameters: in place, checked by type, as a task whose outcome shows in the row.
import { call, explain } from "./api.js";
import { refresh } from "./live.js";

const RANGES = { int: [-(2n ** 31n), 2n ** 31n - 1n], unsignedInt: [0n, 2n ** 32n - 1n], long: [-(2n ** 63n), 2n ** 63n - 1n], unsignedLong: [0n, 2n ** 64n - 1n] };
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$/;

/** What is wrong with a value of a type; empty when nothing is. */
export function problemWith(type, value) {
  if (type in RANGES) {
    const [least, most] = RANGES[type];
    if (!/^[+-]?\d{1,20}$/.test(value.trim())) return "A whole number is wanted.";
    const number = BigInt(value.trim().replace("+", ""));
    return number < least || number > most ? `It must be between ${least} and ${most}.` : "";
  }
  if (type === "dateTime" && !TIME.test(value.trim())) return "A time is wanted, such as 2026-01-31T12:00:00Z.";
  if (type === "base64" && !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(value)) return "Base64 is wanted.";
  if (type === "hexBinary" && !/^([0-9A-Fa-f]{2})*$/.test(value)) return "Pairs of hexadecimal digits are wanted.";
  return "";
}

function element(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function fieldFor(type, value, label) {
  if (type === "boolean") {
    const select = element("select", { "aria-label": label });
    const known = ["true", "1"].includes(value.toLowerCase());
    for (const word of ["true", "false"]) select.add(new Option(word, word, false, (word === "true") === known));
    return select;
  }
  if (type === "string" && (value.length > 60 || value.includes("\n"))) {
    const area = element("textarea", { "aria-label": label, rows: "3" });
    area.value = value;
    return area;
  }
  const input = element("input", { class: "input", type: "text", "aria-label": label, autocomplete: "off", spellcheck: "false" });
  if (type in RANGES) input.inputMode = "numeric";
  input.value = value;
  return input;
}

function edit(row, path) {
  const cell = row.querySelector("td.value");
  if (cell.querySelector("form")) return;
  const { name, type } = row.dataset;
  const before = cell.querySelector("[data-value]")?.textContent ?? "";
  const kept = [...cell.childNodes];
  const form = element("form", { class: "editor" });
  const field = fieldFor(type, before, `New value of ${name}`);
  const wrong = element("p", { class: "wrong", role: "alert" });
  const save = element("button", { class: "button primary slim" }, "Set");
  const cancel = element("button", { class: "button slim", type: "button" }, "Cancel");
  form.append(field, save, cancel);
  cell.replaceChildren(form);
  // Live changes of the row wait until this is over.
  cell.dataset.keep = "";
  field.focus();
  field.select?.();

  const close = () => {
    delete cell.dataset.keep;
    cell.replaceChildren(...kept);
    cell.querySelector("[data-edit]")?.focus();
  };
  cancel.addEventListener("click", close);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = problemWith(type, field.value);
    field.setAttribute("aria-invalid", String(Boolean(problem)));
    if (problem) {
      wrong.textContent = problem;
      form.append(wrong);
      return;
    }
    save.disabled = true;
    save.textContent = "Asking …";
    try {
      const value = { name, value: ["string", "base64"].includes(type) ? field.value : field.value.trim() };
      await call("PUT", path, [value]);
      close();
      refresh(row.closest("[data-fragment]"));
    } catch (failure) {
      save.disabled = false;
      save.textContent = "Set";
      wrong.textContent = explain(failure);
      form.append(wrong);
    }
  });
}

/** Make the values of a table of parameters editable. */
export function startEditing() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-edit]");
    const place = button?.closest("[data-parameters]");
    if (place) edit(button.closest("tr"), place.dataset.parameters);
  });
}
