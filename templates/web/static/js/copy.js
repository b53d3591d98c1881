// Buttons that copy a text. The clipboard's API wants HTTPS; on a plain LAN address the old way is all there is.
import { toast } from "./toast.js";

async function write(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.readOnly = true;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const copied = await write(button.dataset.copy).catch(() => false);
  button.focus();
  if (!copied) {
    toast(`The browser does not let this page copy. The text is: ${button.dataset.copy}`, "warn");
    return;
  }
  button.dataset.copied = "";
  toast(`Copied ${button.dataset.copy}`, "good", 2500);
  setTimeout(() => delete button.dataset.copied, 2000);
});
