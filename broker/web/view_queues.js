// Queues and types, and one queue with its history.

import { action } from "./actions.js";
import { get } from "./api.js";
import { LineChart } from "./charts.js";
import { Table, empty, facts, h, setText, since, state } from "./dom.js";
import { age, bytes, count, ms, rate } from "./format.js";
import { History } from "./history.js";
import { spanButtons } from "./span.js";
import { Spark } from "./spark.js";

const REFRESH_MS = 5000;
const DETAILS_MS = 3000;
const LINES_MAX = 30; // rows with a line
const LINE_ROWS = 120; // of a line: ten minutes
const LATEST = 10; // tasks on the page of a queue

// How much waited in the last minutes, in the row of a queue.
class Line {
  constructor(name) {
    this.history = new History("hour", name, "queue");
    this.spark = new Spark("Waiting", count);
    this.cell = this.spark.svg;
    this.refresh();
  }

  async refresh() {
    try {
      await this.history.refresh();
    } catch {
      return; // it has none yet, or the broker is away
    }
    this.spark.update(this.history.get("queued").slice(-LINE_ROWS));
  }
}

export function queues(context) {
  const lines = new Map(); // by name, of the first rows
  const table = new Table([
    { title: "Queue", cell: (row) => h("a", { href: `#/queue/${encodeURIComponent(row.name)}` }, row.name) },
    { title: "State", cell: (row) => state(row.paused ? "paused" : "open") },
    { title: "Waiting", num: true, cell: (row) => count(row.depth) },
    { title: "Ten minutes", cell: (row) => lines.get(row.name)?.cell ?? "" },
    { title: "Delayed", num: true, cell: (row) => count(row.delayed) },
    { title: "Running", num: true, cell: (row) => count(row.running) },
    { title: "Ended", num: true, cell: (row) => `${rate(row.ended_per_s)} /s` },
    { title: "Oldest", num: true, cell: (row) => (row.depth ? age(row.oldest_age_ms) : "–") },
    { title: "Wait p50", num: true, cell: (row) => ms(row.wait?.p50_ms) },
    { title: "Wait p99", num: true, cell: (row) => ms(row.wait?.p99_ms) },
    { title: "Run p50", num: true, cell: (row) => ms(row.run?.p50_ms) },
    { title: "Run p99", num: true, cell: (row) => ms(row.run?.p99_ms) },
    { title: "Bytes", num: true, low: true, cell: (row) => bytes(row.bytes) },
    { title: "Weight", num: true, low: true, cell: (row) => row.weight },
    { title: "", cell: (row) => buttons.get(row.name, row.paused) ?? "" },
  ], (row) => row.name, empty("No queue is in use.", "A queue is there while it has tasks or settings of its own: ", h("code", {}, "drover queue set NAME --weight 3")));
  // One button a queue and state, so that a press is not lost to a refresh.
  const buttons = {
    made: new Map(),
    get(name, paused) {
      const key = `${name} ${paused} ${context.canAct()}`;
      if (!this.made.has(key)) {
        this.made.set(key, action(context, paused ? "Resume" : "Pause", `queue/${encodeURIComponent(name)}/${paused ? "resume" : "pause"}`, null, true));
      }
      return this.made.get(key);
    },
  };
  const types = new Table([
    { title: "Type", cell: (row) => h("a", { href: `#/tasks?type=${encodeURIComponent(row.name)}` }, row.name) },
    { title: "Workers", num: true, cell: (row) => count(row.workers) },
    { title: "Waiting", num: true, cell: (row) => count(row.depth) },
    { title: "Running", num: true, cell: (row) => count(row.running) },
    { title: "Run mean", num: true, low: true, cell: (row) => ms(row.run_ms) },
    { title: "Run p50", num: true, cell: (row) => ms(row.run?.p50_ms) },
    { title: "Run p99", num: true, cell: (row) => ms(row.run?.p99_ms) },
    { title: "Wait p99", num: true, cell: (row) => ms(row.wait?.p99_ms) },
    { title: "", cell: (row) => (row.depth && !row.workers ? h("span", { class: "state failed" }, "✕ no worker offers it") : "") },
  ], (row) => row.name, empty("No type is known.", "Types come with workers that offer them, and with tasks."));
  const note = h("span", { class: "muted small" });
  const timer = setInterval(() => lines.forEach((line) => line.refresh()), REFRESH_MS);
  return {
    element: h("div", { class: "grid" },
      h("div", { class: "head wide" }, h("h1", {}, "Queues"), note),
      h("section", { class: "card wide" }, table.element),
      h("section", { class: "card wide" }, h("h2", {}, "Types"), types.element)),
    update(status) {
      const rows = [...status.queues].sort((a, b) => a.name.localeCompare(b.name));
      const names = new Set(rows.slice(0, LINES_MAX).map((row) => row.name));
      for (const name of lines.keys()) if (!names.has(name)) lines.delete(name);
      for (const name of names) if (!lines.has(name)) lines.set(name, new Line(name));
      table.update(rows);
      setText(note, status.queue_count > rows.length ? `${count(rows.length)} of ${count(status.queue_count)}` : count(rows.length));
      types.update(status.types.filter((row) => row.depth || row.running || row.run_ms !== undefined || row.workers).sort((a, b) => b.depth + b.running - a.depth - a.running || a.name.localeCompare(b.name)));
    },
    destroy: () => clearInterval(timer),
  };
}

const limit = (number, text) => (number ? text ?? count(number) : "none");

export function queue(context, [name]) {
  let history = new History("hour", name, "queue");
  let row = null;
  const charts = {
    flow: new LineChart("Attempts that ended a second", [{ name: "ended" }], rate),
    backlog: new LineChart("Tasks", [{ name: "waiting" }, { name: "running" }, { name: "delayed" }], count, undefined, true),
    oldest: new LineChart("Age of the oldest that waits", [{ name: "oldest" }], age, undefined, false, 1000),
    times: new LineChart("How long it takes", [{ name: "wait, mean" }, { name: "wait, 99 %" }, { name: "run, mean", colour: "--third" }], ms),
  };
  const head = h("span");
  const buttons = h("span");
  const about = h("div");
  const trouble = h("p", { class: "notice warn wide", hidden: true }, "This queue is not there now: it has no tasks and no settings of its own.");
  const latest = new Table([
    { title: "Task", cell: (task) => h("a", { class: "mono", href: `#/task/${task.id}` }, task.id) },
    { title: "State", cell: (task) => state(task.state) },
    { title: "Type", cell: (task) => h("span", { class: "clip", title: task.type }, task.type) },
    { title: "Worker", cell: (task) => task.worker ?? (task.count !== undefined ? `array of ${count(task.count)}` : "") },
    { title: "Submitted", num: true, cell: (task) => since(task.age_ms) },
  ], (task) => task.id, empty("It has no task.", h("code", {}, `drover submit TYPE JSON --queue ${name}`)));
  let shown = "";

  function show() {
    trouble.hidden = Boolean(row);
    head.replaceChildren(row ? state(row.paused ? "paused" : "open") : "");
    about.replaceChildren(facts(row ? [
      ["Waiting", count(row.depth)], ["Running", count(row.running)], ["Delayed", count(row.delayed)], ["Oldest", row.depth ? age(row.oldest_age_ms) : "–"], ["Ended", `${rate(row.ended_per_s)} /s`],
      ["Wait p50, p99", `${ms(row.wait?.p50_ms)}, ${ms(row.wait?.p99_ms)}`], ["Run p50, p99", `${ms(row.run?.p50_ms)}, ${ms(row.run?.p99_ms)}`], ["Payloads", bytes(row.bytes)], ["Weight", row.weight],
      ["Starts at most", limit(row.rate, `${rate(row.rate)} /s`)], ["At once", limit(row.concurrency)], ["At once of a key", limit(row.per_key)],
      ["Holds at most", `${limit(row.max_count)}${row.max_bytes ? `, ${bytes(row.max_bytes)}` : ""}`], ["Durability", row.durability === "default" ? "as the broker" : row.durability], ["Placement", row.placement],
    ] : []));
    const key = `${row?.paused} ${context.canAct()}`;
    if (key !== shown) { // a press is not lost to a refresh
      shown = key;
      const verb = row?.paused ? "Resume" : "Pause";
      const button = row && action(context, verb, `queue/${encodeURIComponent(name)}/${verb.toLowerCase()}`, null, true);
      buttons.replaceChildren(...(button ? [button] : []));
    }
  }

  async function refresh() {
    const mine = history;
    try {
      await mine.refresh();
    } catch {
      return; // it has none yet, or the broker is away
    }
    if (mine !== history) return;
    const step = mine.step;
    charts.flow.update([mine.rate("ended")], step);
    charts.backlog.update([mine.get("queued"), mine.get("running"), mine.get("delayed")], step);
    charts.oldest.update([mine.get("oldest_age_ms")], step);
    charts.times.update([mine.get("wait_ms"), mine.get("wait_p99_ms"), mine.get("run_ms")], step);
  }

  async function load() {
    try {
      latest.update((await get(`tasks?queue=${encodeURIComponent(name)}&limit=${LATEST}`)).tasks);
    } catch {
      // the stream tells that the broker is away
    }
  }

  const spans = spanButtons((span) => {
    history = new History(span, name, "queue");
    refresh();
  });
  const timers = [setInterval(refresh, REFRESH_MS), setInterval(load, DETAILS_MS)];
  refresh();
  load();
  return {
    element: h("div", { class: "grid" },
      h("div", { class: "head wide" }, h("a", { href: "#/queues" }, "Queues"), h("span", { class: "muted" }, "/"), h("h1", {}, name), head, buttons,
        spans),
      trouble,
      h("section", { class: "card wide" }, about),
      h("div", { class: "grid four wide" }, Object.values(charts).map((chart) => chart.element)),
      h("section", { class: "card wide" }, h("h2", {}, "Latest tasks"), latest.element, h("a", { class: "small more", href: `#/tasks?queue=${encodeURIComponent(name)}` }, "All of its tasks"))),
    async update(status) {
      row = status.queues.find((item) => item.name === name) ?? null;
      if (!row && status.queues.length < status.queue_count) { // the status has no room for all
        try {
          [row] = (await get(`queue/${encodeURIComponent(name)}`)).queues;
        } catch {
          // it is not there
        }
      }
      show();
    },
    destroy() {
      timers.forEach(clearInterval);
      for (const chart of Object.values(charts)) chart.destroy();
    },
  };
}
