// Short messages at the corner; failures stay until they are closed.
const place = document.getElementById("toasts");
const MOST = 5;
const SYMBOLS = { good: "check", bad: "fault", warn: "fault", busy: "clock" };

function symbol(name) {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(namespace, "use");
  use.setAttribute("href", `${place.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

/** Say `text` in a tone (good, busy, warn, bad); it goes by itself after `milliseconds`, failures do not. */
export function toast(text, tone = "good", milliseconds = tone === "bad" ? 0 : 6000) {
  const element = document.createElement("div");
  element.className = "toast";
  element.dataset.tone = tone;
  const words = document.createElement("p");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "copy";
  close.setAttribute("aria-label", "Close this message");
  close.append(symbol("cross"));
  const remove = () => {
    element.remove();
    if (!place.childElementCount && place.matches(":popover-open")) place.hidePopover();
  };
  close.addEventListener("click", remove);
  element.append(symbol(SYMBOLS[tone] ?? "check"), words, close);
  place.append(element);
  while (place.childElementCount > MOST) place.firstElementChild.remove();
  // The top layer: above a dialog that is open.
  if (place.matches(":popover-open")) place.hidePopover();
  place.showPopover();
  if (milliseconds) setTimeout(remove, milliseconds);
}
