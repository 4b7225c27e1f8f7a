// Lines over time. The lines of a chart differ in dash as well as in colour; what they say last stands below them.

import { h, setText } from "./dom.js";

const DASHES = [[], [6, 4], [2, 3]];
const COLOURS = ["--accent", "--second", "--bad"];
const all = new Set();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function ago(seconds) {
  if (seconds === 0) return "now";
  const past = -seconds;
  if (past >= 7200) return `−${Math.round(past / 3600)} h`;
  return past > 120 || past % 60 === 0 ? `−${Math.round(past / 60)} min` : `−${Math.round(past)} s`;
}

// Steps of the axis that people count in, at most six of them.
function stepFor(span) {
  return [15, 30, 60, 120, 300, 600, 1800, 3600, 10800, 14400].find((step) => span / step <= 6) ?? 21600;
}

const tickSize = () => 0.8 * parseFloat(getComputedStyle(document.documentElement).fontSize);

// A point with nothing beside it is no line: it is drawn as what it is.
function radii(list) {
  const isKnown = (at) => typeof list[at] === "number";
  return list.map((value, at) => (isKnown(at) && !isKnown(at - 1) && !isKnown(at + 1) ? 2 : 0));
}

// title; lines: [{name, colour?}]; format(number) -> text; max?: fixed end of the scale; isWhole?: no fractions on the scale;
// least?: the scale goes that far at least
export class LineChart {
  constructor(title, lines, format, max, isWhole, least = 1) {
    this.isWhole = isWhole;
    this.least = least;
    this.format = format;
    this.lines = lines;
    this.title = title;
    this.canvas = h("canvas", { role: "img", "aria-label": title });
    this.nothing = h("p", { class: "nothing" }, "Nothing is known yet: the first point comes within seconds.");
    this.values = lines.map(() => h("b", {}, "–"));
    this.swatches = lines.map(() => h("i"));
    this.element = h("section", { class: "card" }, h("h2", {}, title), h("div", { class: "chart" }, this.canvas, this.nothing),
      h("div", { class: "legend" }, lines.map((line, i) => h("span", {}, this.swatches[i], `${line.name} `, this.values[i]))));
    this.max = max;
    all.add(this);
  }

  begin() {
    const tick = { font: {}, maxRotation: 0, padding: 6 };
    this.chart = new window.Chart(this.canvas, {
      type: "line",
      data: { datasets: this.lines.map((line, i) => ({ label: line.name, data: [], borderWidth: 1.75, borderDash: DASHES[i % 3], pointRadius: 0, pointHitRadius: 8, clip: 4, cubicInterpolationMode: "monotone", spanGaps: false, fill: i === 0 })) },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: true,
        interaction: { mode: "index", intersect: false, axis: "x" },
        scales: {
          x: { type: "linear", max: 0, ticks: { ...tick, maxTicksLimit: 8, callback: ago }, grid: { display: false, drawBorder: false } },
          y: { beginAtZero: true, max: this.max, suggestedMax: this.least, ticks: { ...tick, maxTicksLimit: 5, precision: this.isWhole ? 0 : undefined, callback: (value) => (value === 0 ? "0" : this.format(value)) }, grid: { drawBorder: false } },
        },
        plugins: {
          legend: { display: false },
          tooltip: { displayColors: false, padding: 10, callbacks: { title: (items) => ago(items[0].parsed.x), label: (item) => `${item.dataset.label} ${this.format(item.parsed.y)}` } },
        },
      },
    });
    this.paint();
  }

  paint() {
    if (!this.chart) return;
    this.chart.data.datasets.forEach((set, i) => {
      const tone = colour(this.lines[i].colour ?? COLOURS[i % 3]);
      set.borderColor = tone;
      set.backgroundColor = i === 0 ? `${colour("--accent")}1f` : "transparent";
      this.swatches[i].style.borderTopColor = tone;
      this.swatches[i].style.borderTopStyle = ["solid", "dashed", "dotted"][i % 3];
    });
    for (const scale of [this.chart.options.scales.x, this.chart.options.scales.y]) {
      scale.ticks.font = { size: tickSize() };
      scale.ticks.color = colour("--muted");
      scale.grid.color = colour("--line");
    }
    this.chart.update("none");
  }

  // series: one list of numbers for each line, oldest first; the last is at this instant
  update(series, stepSeconds) {
    if (!this.chart) this.begin();
    const span = Math.max(1, ...series.map((list) => list.length)) - 1;
    const { x } = this.chart.options.scales;
    x.min = -Math.max(60, span * stepSeconds);
    x.ticks.stepSize = stepFor(-x.min);
    series.forEach((list, i) => {
      this.chart.data.datasets[i].data = list.map((y, k) => ({ x: (k - list.length + 1) * stepSeconds, y: y === null ? NaN : y }));
      this.chart.data.datasets[i].pointRadius = radii(list);
      const last = list.at(-1);
      setText(this.values[i], last === null || last === undefined ? "–" : this.format(last));
    });
    this.nothing.hidden = series.some((list) => list.some((value) => value !== null));
    this.canvas.setAttribute("aria-label", `${this.title}: ${this.lines.map((line, i) => `${line.name} ${this.values[i].textContent}`).join(", ")}`);
    this.chart.update("none");
  }

  destroy() {
    all.delete(this);
    this.chart?.destroy();
  }
}

export function repaint() {
  for (const chart of all) chart.paint();
}
