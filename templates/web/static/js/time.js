// Times in the viewer's zone. The server writes UTC; `data-time` says how much of it is wanted.
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const year = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

function ago(at, now) {
  const seconds = Math.round((now - at) / 1000);
  const amount = Math.abs(seconds);
  let text;
  if (amount < 5) return "just now";
  if (amount < 60) text = `${amount} s`;
  else if (amount < 3600) text = `${Math.floor(amount / 60)} min`;
  else if (amount < 86400) text = `${Math.floor(amount / 3600)} h`;
  else text = `${Math.floor(amount / 86400)} d`;
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}

function say(at, kind) {
  const now = new Date();
  if (kind === "ago") return ago(at, now);
  if (kind === "clock" && at.toDateString() === now.toDateString()) return clock.format(at);
  return `${(at.getFullYear() === now.getFullYear() ? day : year).format(at)}, ${clock.format(at)}`;
}

/** Write every time below `root` as the viewer reads it. */
export function renderTimes(root) {
  for (const element of root.querySelectorAll("time[data-time]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = say(at, element.dataset.time);
    if (element.textContent !== text) element.textContent = text;
    const title = whole.format(at);
    if (element.title !== title) element.title = title;
  }
}

setInterval(() => {
  if (!document.hidden) renderTimes(document);
}, 10_000);
