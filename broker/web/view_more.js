// Schedules and alerts: where the broker has them.

import { action } from "./actions.js";
import { get } from "./api.js";
import { Table, empty, h, state } from "./dom.js";
import { age, count } from "./format.js";

const REFRESH_MS = 3000;

function listView(title, path, key, table) {
  async function load() {
    try {
      table.update((await get(path))[key] ?? []);
    } catch {
      // the stream tells that the broker is away
    }
  }
  const timer = setInterval(load, REFRESH_MS);
  load();
  return { element: h("div", { class: "grid" }, h("div", { class: "head wide" }, h("h1", {}, title)), h("section", { class: "card wide" }, table.element)), destroy: () => clearInterval(timer) };
}

export function schedules() {
  return listView("Schedules", "schedules", "schedules", new Table([
    { title: "Schedule", cell: (row) => row.name },
    { title: "State", cell: (row) => state(row.paused ? "paused" : "open") },
    { title: "When", cell: (row) => (row.cron ? `${row.cron}  ${row.zone ?? ""}` : `every ${age(row.every_ms)}`) },
    { title: "Type", cell: (row) => h("a", { href: `#/tasks?type=${encodeURIComponent(row.type)}` }, row.type) },
    { title: "Next", num: true, cell: (row) => (row.next_in_ms !== undefined ? `in ${age(row.next_in_ms)}` : "–") },
    { title: "Last", cell: (row) => (row.last ? h("a", { class: "mono", href: `#/task/${row.last.id}` }, row.last.state ?? row.last.id) : "never") },
    { title: "Runs", num: true, cell: (row) => count(row.runs) },
    { title: "Skipped", num: true, cell: (row) => count(row.skipped) },
    { title: "Unfinished", num: true, cell: (row) => count(row.unfinished) },
    { title: "", wrap: true, cell: (row) => row.trouble ?? "" },
  ], (row) => row.name, empty("There is no schedule.", "A schedule submits a task at its times: ", h("code", {}, "drover schedule add NAME '0 3 * * *' TYPE"))));
}

export function alerts(context) {
  // One button an alert and state, so that a press is not lost to a refresh.
  const made = new Map();
  function button(row) {
    if (row.state !== "firing" || row.acknowledged) return row.acknowledged ? "acknowledged" : "";
    const key = `${row.rule} ${row.subject} ${context.canAct()}`;
    if (!made.has(key)) {
      made.set(key, action(context, "Acknowledge", `alert/${encodeURIComponent(row.rule)}/acknowledge${row.subject ? `?subject=${encodeURIComponent(row.subject)}` : ""}`, null, true));
    }
    return made.get(key) ?? "";
  }
  return listView("Alerts", "alerts", "alerts", new Table([
    { title: "Alert", cell: (row) => row.rule },
    { title: "State", cell: (row) => state(row.state) },
    { title: "Severity", cell: (row) => row.severity },
    { title: "Of", cell: (row) => row.subject ?? "" },
    { title: "What", wrap: true, cell: (row) => row.text ?? "" },
    { title: "Since", num: true, cell: (row) => (row.since_age_ms !== undefined ? age(row.since_age_ms) : "–") },
    { title: "", cell: (row) => (row.silenced ? "silenced" : button(row)) },
  ], (row) => `${row.rule} ${row.subject}`, empty("Nothing is wrong.", "Rules that hold for long enough appear here.")));
}
