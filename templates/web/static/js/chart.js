// Charts: the server sends columns, uPlot draws them in the page's colours; the legend follows the pointer.
const PREFIXES = ["", "k", "M", "G", "T"];
const HEIGHT = 200;
const SYNC = "lastmile";
const WAIT_SECONDS = 20;
const FEW = 40;

function format(value, unit, digits = 1) {
  if (value === null || value === undefined) return "–";
  if (unit !== "bit/s" && unit !== "B") return `${String(Math.round(value * 10) / 10).replace("-", "−")} ${unit}`;
  let scaled = value;
  let step = 0;
  while (Math.abs(scaled) >= 999.5 && step < PREFIXES.length - 1) {
    scaled /= 1000;
    step += 1;
  }
  return `${scaled.toFixed(step && Math.abs(scaled) < 100 ? digits : 0)} ${PREFIXES[step]}${unit}`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

function formatTime(seconds, step) {
  const at = new Date(seconds * 1000);
  const midnight = at.getHours() === 0 && at.getMinutes() === 0;
  return step >= 86400 || midnight ? day.format(at) : clock.format(at);
}

function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faint(rgb) {
  return rgb.replace(/^rgb\(/, "rgba(").replace(/\)$/, ", 0.12)");
}

function legendOf(figure, data) {
  const legend = figure.querySelector("[data-legend]");
  legend.replaceChildren(
    ...data.lines.map((line, index) => {
      const item = document.createElement("span");
      item.dataset.series = index + 1;
      const value = document.createElement("b");
      item.append(`${line.label} `, value);
      return item;
    }),
  );
  return [...legend.querySelectorAll("b")];
}

function lastOf(values) {
  for (let index = values.length - 1; index >= 0; index -= 1) if (values[index] !== null) return values[index];
  return null;
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.place = figure.querySelector(".plot");
    this.at = 0;
    this.plot = null;
    this.data = null;
    this.busy = false;
    new ResizeObserver(() => this.resize()).observe(this.place);
    document.addEventListener("lastmile:theme", () => this.draw());
    document.addEventListener("lastmile:refresh", () => this.load());
  }

  async load() {
    if (this.busy) return;
    this.busy = true;
    this.at = Date.now();
    const source = this.figure.dataset.chart;
    try {
      const response = await fetch(source, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(WAIT_SECONDS * 1000) });
      if (!response.ok) throw new Error(String(response.status));
      this.data = await response.json();
      if (source === this.figure.dataset.chart) this.update();
    } catch {
      if (!this.plot) this.fail();
    } finally {
      this.busy = false;
      if (source !== this.figure.dataset.chart) this.load();
    }
  }

  fail() {
    const words = document.createElement("p");
    words.className = "nothing slim";
    words.textContent = "The chart cannot be loaded now; it is tried again.";
    this.place.replaceChildren(words);
  }

  columns() {
    return [this.data.times, ...this.data.lines.map((line) => line.values)];
  }

  update() {
    if (!this.data.lines.some((line) => line.values.some((value) => value !== null))) {
      this.plot?.destroy();
      this.plot = null;
      const words = document.createElement("p");
      words.className = "nothing slim";
      words.textContent = "Nothing was measured in this time.";
      this.place.replaceChildren(words);
      this.figure.querySelector("[data-legend]").replaceChildren();
      return;
    }
    if (this.plot && this.plot.series.length === this.data.lines.length + 1 && this.unit === this.data.unit) {
      this.plot.setData(this.columns());
      this.follow();
    } else this.draw();
  }

  draw() {
    if (!this.data || !this.data.lines.some((line) => line.values.some((value) => value !== null))) return;
    this.plot?.destroy();
    this.unit = this.data.unit;
    const unit = this.unit;
    this.values = legendOf(this.figure, this.data);
    const [text, line] = [colour("--muted"), colour("--line")];
    const area = this.figure.dataset.kind === "area";
    const axis = { stroke: text, font: "11px system-ui, sans-serif", grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const options = {
      width: this.place.clientWidth,
      height: HEIGHT,
      padding: [8, 20, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: SYNC }, y: false, points: { size: 6 } },
      scales: { y: { range: (_, low, high) => this.range(low, high, area) } },
      axes: [
        { ...axis, size: 28, space: 72, values: (_, splits, __, ___, step) => splits.map((at) => formatTime(at, step)) },
        { ...axis, size: 76, space: 32, values: (_, splits) => splits.map((value) => format(value, unit, 1)) },
      ],
      series: [
        {},
        ...this.data.lines.map((each, index) => {
          const stroke = colour(`--series-${index + 1}`);
          // A line needs two neighbours; where little was measured there may be none.
          const few = each.values.filter((value) => value !== null).length <= FEW;
          return { label: each.label, stroke, width: 1.5, fill: area ? faint(stroke) : undefined, points: few ? { show: true, size: 4, fill: stroke } : { show: false } };
        }),
      ],
      hooks: { setCursor: [() => this.follow()] },
    };
    this.place.replaceChildren();
    this.plot = new uPlot(options, this.columns(), this.place);
    this.follow();
  }

  range(low, high, area) {
    if (low === null || high === null) return [0, 1];
    if (area) return [0, Math.max(high * 1.1, 1000)];
    const room = Math.max((high - low) * 0.1, 2);
    return [Math.floor(low - room), Math.ceil(high + room)];
  }

  follow() {
    const index = this.plot?.cursor.idx;
    this.data.lines.forEach((line, number) => {
      const value = index === null || index === undefined ? lastOf(line.values) : line.values[index];
      this.values[number].textContent = format(value, this.unit);
    });
  }

  resize() {
    const width = this.place.clientWidth;
    if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }
}

/** Draw every chart of the page, and keep them up to date. */
export function startCharts() {
  const charts = [...document.querySelectorAll("[data-chart]")].map((figure) => new Chart(figure));
  charts.forEach((chart) => chart.load());
  setInterval(() => {
    if (document.hidden) return;
    for (const chart of charts) if (Date.now() - chart.at >= Number(chart.figure.dataset.every) * 1000) chart.load();
  }, 2000);
  // Buttons that choose the window of all charts of the page.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-hours]");
    if (!button) return;
    event.preventDefault();
    for (const each of button.parentElement.children) each.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    for (const chart of charts) {
      chart.figure.dataset.chart = chart.figure.dataset.chart.replace(/hours=\d+/, `hours=${button.dataset.hours}`);
      chart.load();
    }
  });
}
