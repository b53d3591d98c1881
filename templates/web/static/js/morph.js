// Makes a part of the page equal to new HTML while everything that is the same stays: focus, selection, scroll, open details.

const STATE = { DETAILS: ["open"], DIALOG: ["open"], INPUT: ["value", "checked"], OPTION: ["selected"] };

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id || null : null;
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);
}

function copyAttributes(from, to) {
  // What the viewer has set, and what is under way, is not the server's to change.
  const kept = [...(STATE[to.nodeName] ?? []), "aria-busy", "data-copied"];
  for (const { name, value } of from.attributes) if (!kept.includes(name) && to.getAttribute(name) !== value) to.setAttribute(name, value);
  for (const { name } of [...to.attributes]) if (!kept.includes(name) && !from.hasAttribute(name)) to.removeAttribute(name);
}

function morphNode(to, from) {
  if (to.nodeType !== Node.ELEMENT_NODE) {
    if (to.nodeValue !== from.nodeValue) to.nodeValue = from.nodeValue;
    return;
  }
  if (to.isEqualNode(from) || "keep" in to.dataset) return;
  copyAttributes(from, to);
  morphChildren(to, from);
}

/** Make the children of `to` those of `from`; elements with the same data-key or id are the same element. */
export function morphChildren(to, from) {
  const keyed = new Map();
  for (const child of to.children) if (keyOf(child)) keyed.set(keyOf(child), child);
  let place = to.firstChild;
  for (const wanted of [...from.childNodes]) {
    const known = keyOf(wanted) ? keyed.get(keyOf(wanted)) : undefined;
    if (known && alike(known, wanted)) {
      if (known === place) place = place.nextSibling;
      else to.insertBefore(known, place);
      morphNode(known, wanted);
    } else if (!keyOf(wanted) && place && alike(place, wanted)) {
      const next = place.nextSibling;
      morphNode(place, wanted);
      place = next;
    } else {
      to.insertBefore(wanted, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}
