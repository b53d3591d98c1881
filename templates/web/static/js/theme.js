// Light or dark: the system's choice until the switch is used; pressing it twice more leads back to the system's.
const ORDER = ["system", "light", "dark"];
const LABELS = { system: "Colours: system", light: "Colours: light", dark: "Colours: dark" };
const root = document.documentElement;
const button = document.querySelector("[data-theme-switch]");

function current() {
  return root.dataset.theme ?? "system";
}

function apply(theme) {
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", theme);
  } catch {
    // Kept for this page only.
  }
  label();
  document.dispatchEvent(new CustomEvent("lastmile:theme"));
}

function label() {
  if (button) button.querySelector("span").textContent = LABELS[current()];
}

button?.addEventListener("click", () => apply(ORDER[(ORDER.indexOf(current()) + 1) % ORDER.length]));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("lastmile:theme")));
label();
