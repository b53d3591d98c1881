// Everything that every page has; what only some pages need is loaded when they have it.
import "./theme.js";
import "./copy.js";
import "./actions.js";
import { renderTimes } from "./time.js";
import { startLive } from "./live.js";
import { startTables } from "./tables.js";

renderTimes(document);
startTables();
startLive();

// htmx replaces the part of a list that a filter, a sort or a page change asks for.
document.body.addEventListener("htmx:afterSettle", (event) => renderTimes(event.target));

if (document.querySelector("[data-chart]")) import("./chart.js").then((chart) => chart.startCharts());
if (document.querySelector("[data-console]")) import("./console.js").then((console) => console.startConsole());
if (document.querySelector("[data-ask-plan], ol.log")) import("./modem.js").then((modem) => modem.startModem());
