// Dialogs that say what will happen.

/** Show the dialog of this id; true when its action was agreed to. `fill` may write into it first. */
export function agreed(id, fill = undefined) {
  const dialog = document.getElementById(id);
  if (!dialog) return Promise.resolve(false);
  fill?.(dialog);
  dialog.returnValue = "no";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
}
