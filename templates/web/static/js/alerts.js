// Targets of alerts: what became of a test.
import { toast } from "./toast.js";

document.addEventListener("lastmile:done", (event) => {
  const name = event.target.dataset.tried;
  if (!name) return;
  const { state, reason } = event.detail;
  if (state === "sent") toast(reason ? `${name} was told: ${reason}` : `${name} was told`);
  else if (reason) toast(`${name} was not told: ${reason}`, "bad");
  else toast(`${name} was not told yet; does lastmile-worker run?`, "bad");
});
