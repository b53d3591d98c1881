// Sending a file: its bytes are the body, and how far they have come is told.
import { refreshAll } from "./live.js";
import { toast } from "./toast.js";

const MILLISECONDS_MOST = 3_600_000;

function send(url, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.timeout = MILLISECONDS_MOST;
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRF-Token", document.querySelector('meta[name="csrf-token"]').content);
    request.upload.addEventListener("progress", onProgress);
    request.addEventListener("load", () => {
      if (request.status < 300) return resolve();
      let message = `The server answered ${request.status}.`;
      try {
        message = JSON.parse(request.responseText).error.message;
      } catch {
        // What is no JSON has nothing more to say.
      }
      reject(new Error(message));
    });
    request.addEventListener("error", () => reject(new Error("The server cannot be reached.")));
    request.addEventListener("timeout", () => reject(new Error("It took too long.")));
    request.send(file);
  });
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-upload]");
  if (!form) return;
  event.preventDefault();
  const file = form.querySelector("#file").files[0];
  if (!file) return;
  if (file.size > Number(form.dataset.most)) return toast("The file is larger than is allowed.", "bad");
  const query = new URLSearchParams();
  for (const [id, name] of [["kind", "kind"], ["version", "version"], ["oui", "oui"], ["product-class", "product_class"]]) {
    const value = form.querySelector(`#${id}`).value.trim();
    if (value) query.set(name, value);
  }
  const progress = form.querySelector("[data-upload-progress]");
  const bar = progress.querySelector("progress");
  const text = progress.querySelector("[data-upload-text]");
  const button = form.querySelector("button");
  progress.hidden = false;
  button.disabled = true;
  try {
    await send(`/api/v1/files/${encodeURIComponent(file.name)}?${query}`, file, ({ loaded, total }) => {
      bar.value = total ? (100 * loaded) / total : 0;
      text.textContent = `${Math.round(bar.value)} %`;
    });
    toast("The file is added");
    form.reset();
    refreshAll();
  } catch (failure) {
    toast(failure.message, "bad");
  } finally {
    progress.hidden = true;
    button.disabled = false;
  }
});
