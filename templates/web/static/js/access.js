// Pages about accounts: dialogs that hold a form, and answers that are shown once.
//   <button data-open="dialog-id">, <button data-close>
//   <form data-submit="…" data-reveal="dialog-id">, <button data-action="…" data-reveal="dialog-id">: the answer fills
//   [data-fill="name"] of that dialog (a list makes <li>, an image its src; data-address: a path becomes a whole address).

function valueAt(answer, path) {
  return path.split(".").reduce((value, name) => value?.[name], answer);
}

function fill(dialog, answer) {
  for (const place of dialog.querySelectorAll("[data-fill]")) {
    const value = valueAt(answer, place.dataset.fill);
    if (place.matches("img")) place.src = value ?? "";
    else if (Array.isArray(value)) place.replaceChildren(...value.map((each) => Object.assign(document.createElement("li"), { textContent: each, className: "mono" })));
    else place.textContent = "address" in place.dataset ? new URL(value ?? "", location.origin).href : (value ?? "");
  }
}

document.addEventListener("click", (event) => {
  const open = event.target.closest("[data-open]");
  if (open) document.getElementById(open.dataset.open)?.showModal();
  event.target.closest("[data-close]")?.closest("dialog")?.close();
});

document.addEventListener("lastmile:done", (event) => {
  const answer = event.detail;
  if (answer?.csrf_token) document.querySelector('meta[name="csrf-token"]').content = answer.csrf_token;
  const shown = event.target.dataset.reveal;
  if (!shown) return;
  event.target.closest("dialog")?.close();
  const dialog = document.getElementById(shown);
  fill(dialog, answer);
  if ("revealOnce" in dialog.dataset && !dialog.querySelector("form[data-submit]")) dialog.addEventListener("close", () => location.reload(), { once: true });
  dialog.showModal();
});
