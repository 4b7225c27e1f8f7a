// Lists of tasks and of arrays.

import { get } from "./api.js";
import { Table, empty, h, setText, since, spread, state } from "./dom.js";
import { count } from "./format.js";

const STATES = ["waiting", "delayed", "queued", "running", "succeeded", "failed", "cancelled", "expired"];
const PAGE = 100;
const ROWS_MAX = 1000; // of one question
const REFRESH_MS = 3000;
const SOON_MS = 500; // after a task was submitted
const SCANS_MAX = 20; // pages asked for in a row while a filter finds nothing

export function tasks(context, words, query) {
  const filter = { queue: query.get("queue") ?? "", type: query.get("type") ?? "", state: query.get("state") ?? "" };
  let cursor = null;
  let pages = 1;
  let serial = 0;
  let soon = 0;
  const table = new Table([
    { title: "Task", cell: (row) => h("a", { class: "mono", href: `#/task/${row.id}` }, row.id) },
    { title: "State", cell: (row) => state(row.state) },
    { title: "Type", cell: (row) => h("span", { class: "clip", title: row.type }, row.type) },
    { title: "Queue", cell: (row) => h("a", { class: "clip", title: row.queue, href: `#/queue/${encodeURIComponent(row.queue)}` }, row.queue) },
    { title: "Priority", num: true, cell: (row) => row.priority },
    { title: "Attempt", num: true, cell: (row) => row.attempt || "–" },
    { title: "Worker", cell: (row) => (row.worker ? h("a", { href: `#/worker/${encodeURIComponent(row.worker)}` }, row.worker) : row.count !== undefined ? `array of ${count(row.count)}` : "") },
    { title: "Submitted", num: true, cell: (row) => since(row.age_ms) },
  ], (row) => row.id, empty("No task matches.", "Tasks are kept for a while after they have ended. ", h("code", {}, "drover submit square 7 --wait")));
  const more = h("button", { type: "button", hidden: true, onclick: () => { pages++; load(); } }, "Show more");
  const trouble = h("p", { class: "notice", hidden: true });
  const queue = h("select", { "aria-label": "Queue", onchange: () => go({ queue: queue.value }) }, h("option", { value: "" }, "Every queue"));
  const type = h("select", { "aria-label": "Type", onchange: () => go({ type: type.value }) }, h("option", { value: "" }, "Every type"));
  const find = h("input", { type: "search", placeholder: "Task id", "aria-label": "Open a task by its id", onkeydown: (event) => { if (event.key === "Enter" && find.value.trim()) location.hash = `#/task/${find.value.trim()}`; } });

  function go(change) {
    const next = new URLSearchParams(Object.entries({ ...filter, ...change }).filter(([, value]) => value));
    location.hash = `#/tasks${next.size ? `?${next}` : ""}`;
  }

  function options(select, names, chosen) {
    const wanted = [...new Set([chosen, ...names].filter(Boolean))].sort();
    const have = [...select.options].slice(1).map((option) => option.value);
    if (wanted.join("\n") !== have.join("\n")) {
      select.replaceChildren(select.options[0], ...wanted.map((name) => h("option", { value: name }, name)));
    }
    select.value = chosen;
  }

  async function load() {
    const mine = ++serial;
    const found = [];
    let next = "";
    try {
      for (let asked = 0; asked < SCANS_MAX && found.length < pages * PAGE; asked++) {
        const parts = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
        parts.set("limit", String(Math.min(ROWS_MAX, pages * PAGE - found.length)));
        if (next) parts.set("cursor", next);
        const page = await get(`tasks?${parts}`);
        found.push(...page.tasks);
        next = page.cursor ?? "";
        if (!next) break;
      }
      trouble.hidden = true;
    } catch (error) {
      if (mine === serial) {
        trouble.hidden = false;
        setText(trouble, error.message);
      }
      return;
    }
    if (mine !== serial) return;
    found.sort((a, b) => a.age_ms - b.age_ms);
    cursor = next;
    more.hidden = !cursor;
    table.update(found);
  }

  const chips = h("span", { class: "group", role: "group", "aria-label": "State" },
    h("button", { type: "button", "aria-pressed": String(!filter.state), onclick: () => go({ state: "" }) }, "All"),
    STATES.map((name) => h("button", { type: "button", "aria-pressed": String(filter.state === name), onclick: () => go({ state: name }) }, name)));
  const timer = setInterval(load, REFRESH_MS);
  load();
  return {
    element: h("div", { class: "grid" },
      h("div", { class: "head wide" }, h("h1", {}, "Tasks"), h("div", { class: "push" }, queue, type, find)),
      h("div", { class: "scroll chips wide" }, chips),
      trouble,
      h("section", { class: "card wide" }, table.element, h("p", {}, more))),
    update(status) {
      options(queue, status.queues.map((row) => row.name), filter.queue);
      options(type, status.types.map((row) => row.name), filter.type);
    },
    event(event) {
      if (event.event === "task.submitted" && !soon) soon = setTimeout(() => { soon = 0; load(); }, SOON_MS);
    },
    destroy() {
      serial++;
      clearInterval(timer);
      clearTimeout(soon);
    },
  };
}

export function arrayParts(row) {
  const states = row.states ?? {};
  return ["succeeded", "failed", "expired", "cancelled", "running", "queued"].map((name) => [name, states[name] ?? 0, `${count(states[name] ?? 0)} ${name}`]);
}

export function arrays() {
  const table = new Table([
    { title: "Array", cell: (row) => h("a", { class: "mono", href: `#/task/${row.id}` }, row.id) },
    { title: "State", cell: (row) => state(row.state) },
    { title: "Type", cell: (row) => h("span", { class: "clip" }, row.type) },
    { title: "Progress", cell: (row) => spread(arrayParts(row), row.count) },
    { title: "Ended", num: true, cell: (row) => `${count(row.ended)} of ${count(row.count)}${row.sealed ? "" : " so far"}` },
    { title: "Failed", num: true, cell: (row) => count((row.states.failed ?? 0) + (row.states.expired ?? 0)) },
    { title: "Queue", cell: (row) => h("a", { href: `#/queue/${encodeURIComponent(row.queue)}` }, row.queue) },
    { title: "Submitted", num: true, cell: (row) => since(row.age_ms) },
  ], (row) => row.id, empty("There is no array.", "An array is many tasks of one type as one: ", h("code", {}, "seq 1000 | drover map square")));

  async function load() {
    const found = [];
    let next = "";
    try {
      for (let asked = 0; asked < SCANS_MAX && found.length < PAGE; asked++) {
        const page = await get(`arrays?limit=${PAGE}${next ? `&cursor=${next}` : ""}`);
        found.push(...page.arrays);
        next = page.cursor ?? "";
        if (!next) break;
      }
    } catch {
      return; // the stream tells that the broker is away
    }
    table.update(found.sort((a, b) => a.age_ms - b.age_ms));
  }
  const timer = setInterval(load, 1500);
  load();
  return { element: h("div", { class: "grid" }, h("div", { class: "head wide" }, h("h1", {}, "Arrays")), h("section", { class: "card wide" }, table.element)), destroy: () => clearInterval(timer) };
}
