// Queues and types.

import { action } from "./actions.js";
import { Table, empty, h, state } from "./dom.js";
import { age, bytes, count, ms } from "./format.js";

export function queues(context) {
  const table = new Table([
    { title: "Queue", cell: (row) => h("a", { href: `#/tasks?queue=${encodeURIComponent(row.name)}` }, row.name) },
    { title: "State", cell: (row) => state(row.paused ? "paused" : "open") },
    { title: "Waiting", num: true, cell: (row) => count(row.depth) },
    { title: "Delayed", num: true, cell: (row) => count(row.delayed) },
    { title: "Running", num: true, cell: (row) => count(row.running) },
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
  return {
    element: h("div", { class: "grid" },
      h("div", { class: "head wide" }, h("h1", {}, "Queues")),
      h("section", { class: "card wide" }, table.element),
      h("section", { class: "card wide" }, h("h2", {}, "Types"), types.element)),
    update(status) {
      table.update([...status.queues].sort((a, b) => a.name.localeCompare(b.name)));
      types.update(status.types.filter((row) => row.depth || row.running || row.run_ms !== undefined || row.workers).sort((a, b) => b.depth + b.running - a.depth - a.running || a.name.localeCompare(b.name)));
    },
  };
}
