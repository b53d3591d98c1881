// Pages about devices: paths are suggested while they are typed, menus close, tags are added, values are changed in place.
import { call, explain } from "./api.js";
import { refreshAll } from "./live.js";
import { startEditing } from "./parameters.js";
import { toast } from "./toast.js";

const PATHS = "/devices/_paths?q=";
let typing = 0;

async function suggest(text) {
  const list = document.getElementById("paths");
  if (!list) return;
  try {
    const response = await fetch(PATHS + encodeURIComponent(text), { headers: { "X-Fragment": "1" }, credentials: "same-origin" });
    if (response.ok) list.innerHTML = await response.text();
  } catch {
    // Without suggestions a path can still be typed.
  }
}

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-paths]")) return;
  clearTimeout(typing);
  typing = setTimeout(() => suggest(event.target.value.trim()), 200);
});
document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-paths]")) suggest(event.target.value.trim());
});

// Menus are <details>: a click beside them and Escape close them.
const open = () => document.querySelector("details.menu[open]");
document.addEventListener("click", (event) => {
  const menu = open();
  if (menu && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = open();
  if (event.key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-tag-form]");
  if (!form) return;
  event.preventDefault();
  const input = form.querySelector("input");
  try {
    await call("PUT", form.dataset.tagForm + encodeURIComponent(input.value.trim()));
    input.value = "";
    refreshAll();
  } catch (failure) {
    toast(explain(failure), "bad");
  }
});


startEditing();
