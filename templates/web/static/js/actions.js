// Buttons and forms that change something: they ask first where it is dangerous, call the API, and say what came of it.
//   <button data-action="/api/v1/…" data-method="POST" data-body='{…}' data-confirm="dialog-id" data-names="what it is about" data-done="…" data-then="reload | /path">
//   <form data-submit="/api/v1/…" data-method="PUT" data-done="…" data-then="…">: its named fields are the JSON body.
// `data-type` of a field: number, boolean, list (lines), choices (numbers of a select), text (default); an empty field with data-optional is left out,
// one with data-null is null, as is one whose data-null-if names a box that is ticked. A name with dots (`scope.tags`) is a place in an object in the object.
import { call, explain } from "./api.js";
import { agreed } from "./confirm.js";
import { refreshAll } from "./live.js";
import { toast } from "./toast.js";

function valueOf(field) {
  if ("null" in field.dataset && field.value.trim() === "") return null;
  if (field.dataset.nullIf && document.getElementById(field.dataset.nullIf).checked) return null;
  switch (field.dataset.type ?? field.type) {
    case "number":
      return field.value === "" ? null : Number(field.value);
    case "boolean":
    case "checkbox":
      return field.type === "checkbox" ? field.checked : field.value === "true";
    case "choices":
      return [...field.selectedOptions].map((option) => Number(option.value));
    case "list":
      return field.value.split("\n").map((line) => line.trim()).filter(Boolean);
    default:
      return field.value;
  }
}

function put(object, [name, ...rest], value) {
  if (rest.length) put((object[name] ??= {}), rest, value);
  else object[name] = value;
}

/** The JSON object that the named fields of a form make. */
export function bodyOf(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled || (field.type === "radio" && !field.checked)) continue;
    if ("optional" in field.dataset && field.value === "") continue;
    put(body, field.name.split("."), valueOf(field));
  }
  return body;
}

async function perform(element, path, method, body) {
  const { done, then } = element.dataset;
  element.setAttribute("aria-busy", "true");
  const buttons = element.matches("form") ? [...element.querySelectorAll("button")] : [element];
  for (const button of buttons) button.disabled = true;
  try {
    const answer = await call(method, path, body);
    element.dispatchEvent(new CustomEvent("lastmile:done", { bubbles: true, detail: answer }));
    if (done) toast(done);
    if (then === "reload") location.reload();
    else if (then) location.assign(then);
    else refreshAll();
  } catch (failure) {
    const event = new CustomEvent("lastmile:failed", { bubbles: true, cancelable: true, detail: failure });
    if (element.dispatchEvent(event)) toast(explain(failure), "bad");
  } finally {
    element.removeAttribute("aria-busy");
    for (const button of buttons) button.disabled = false;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-action]");
  if (!button || button.disabled || button.getAttribute("aria-busy")) return;
  const { action, method = "POST", body, confirm, names = "" } = button.dataset;
  const name = (dialog) => {
    const place = dialog.querySelector("[data-names]");
    if (place) place.textContent = names;
  };
  if (confirm && !(await agreed(confirm, name))) return;
  await perform(button, action, method, body ? JSON.parse(body) : undefined);
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-submit]");
  if (!form) return;
  event.preventDefault();
  if (form.getAttribute("aria-busy")) return;
  const { submit, method = "POST", confirm } = form.dataset;
  if (confirm && !(await agreed(confirm))) return;
  await perform(form, submit, method, bodyOf(form));
});
