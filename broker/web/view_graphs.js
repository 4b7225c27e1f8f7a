// Graphs: how far they are, and one of them as a picture.

import { get } from "./api.js";
import { Table, empty, facts, h, setText, since, spread, state } from "./dom.js";
import { count, human, ms, plural } from "./format.js";
import { GraphPicture } from "./graph_picture.js";

const REFRESH_MS = 1500;
const PAGES_MAX = 10;
const ORDER = ["succeeded", "failed", "expired", "cancelled", "unknown", "running", "queued", "delayed", "waiting"];

const ID = /\b[0-9A-HJKMNP-TV-Z]{26}\b/g;

const parts = (row) => ORDER.map((name) => [name, row.states[name] ?? 0, `${count(row.states[name] ?? 0)} ${name}`]);
const ended = (row) => ["succeeded", "failed", "expired", "cancelled", "unknown"].reduce((sum, name) => sum + (row.states[name] ?? 0), 0);

export function graphs() {
  const table = new Table([
    { title: "Graph", cell: (row) => h("a", { href: `#/graph/${encodeURIComponent(row.name)}` }, row.name) },
    { title: "State", cell: (row) => state(row.state) },
    { title: "Progress", cell: (row) => spread(parts(row), row.count) },
    { title: "Ended", num: true, cell: (row) => `${count(ended(row))} of ${count(row.count)}` },
    { title: "Failed", num: true, cell: (row) => count((row.states.failed ?? 0) + (row.states.expired ?? 0)) },
    { title: "Submitted", num: true, cell: (row) => since(row.age_ms) },
  ], (row) => row.id, empty("There is no graph.", "A graph is tasks that wait for each other: ", h("code", {}, "drover graph submit FILE.json")));

  async function load() {
    const found = [];
    let next = "";
    try {
      for (let asked = 0; asked < PAGES_MAX; asked++) {
        const page = await get(`graphs${next ? `?cursor=${next}` : ""}`);
        found.push(...page.graphs);
        next = page.cursor ?? "";
        if (!next) break;
      }
    } catch {
      return; // the stream tells that the broker is away
    }
    table.update(found.sort((a, b) => (a.age_ms ?? Infinity) - (b.age_ms ?? Infinity)));
  }
  const timer = setInterval(load, REFRESH_MS);
  load();
  return { element: h("div", { class: "grid" }, h("div", { class: "head wide" }, h("h1", {}, "Graphs")), h("section", { class: "card wide" }, table.element)), destroy: () => clearInterval(timer) };
}

export function graph(context, [name]) {
  const head = h("span");
  const trouble = h("p", { class: "notice warn wide", hidden: true });
  const about = h("div", { class: "stack" });
  const path = h("p", { class: "small muted" });
  const picture = new GraphPicture();
  const body = h("div", { class: "grid wide", hidden: true });
  let names = [];
  let ids = new Set();
  const table = new Table([
    { title: "Node", cell: (row) => h("a", { href: `#/task/${row.id}` }, row.name) },
    { title: "State", cell: (row) => state(row.state) },
    { title: "Type", cell: (row) => h("span", { class: "clip" }, row.type) },
    { title: "Ran", num: true, cell: (row) => (row.run_ms === undefined ? "–" : ms(row.run_ms)) },
    { title: "Path", cell: (row) => (row.critical ? "◆ critical" : "") },
    { title: "Waits for", wrap: true, cell: (row) => row.after.map(([parent, always]) => `${names[parent]}${always ? " (ended in any way)" : ""}`).join(", ") },
    { title: "Why", wrap: true, cell: (row) => human(row.why) },
  ], (row) => row.name, null);

  async function load() {
    let told;
    try {
      told = await get(`graphs/${encodeURIComponent(name)}`);
    } catch (failure) {
      trouble.hidden = false;
      setText(trouble, failure.status === 404 ? "There is no such graph; one is found for seven days after it was submitted." : failure.message);
      return;
    }
    trouble.hidden = !told.truncated;
    setText(trouble, "The graph has more nodes than are told here.");
    body.hidden = false;
    names = told.nodes.map((node) => node.name);
    const nameOf = new Map(told.nodes.map((node) => [node.id, node.name]));
    ids = new Set(nameOf.keys());
    for (const node of told.nodes) node.why = node.why?.replace(ID, (id) => nameOf.get(id) ?? id);
    head.replaceChildren(state(told.state));
    const some = parts(told).filter((part) => part[1] > 0);
    about.replaceChildren(spread(parts(told), told.count, true), h("p", { class: "small muted" }, some.map((part) => part[2]).join(" · ")), facts([
      ["Nodes", count(told.count)], ["Ended", count(ended(told))], ["Submitted", since(told.age_ms)],
      ["Critical path", told.critical_path_ms > 0 ? ms(told.critical_path_ms) : "nothing has run yet"], ["Id", h("span", { class: "mono" }, told.id), true]]));
    const critical = told.nodes.filter((node) => node.critical);
    setText(path, critical.length ? `◆ Critical path, ${plural(critical.length, "node")}: ${critical.map((node) => node.name).join(" → ")}` : "");
    picture.update(told.nodes);
    table.update(told.nodes);
  }

  body.append(h("section", { class: "card wide" }, about), h("section", { class: "card wide" }, h("h2", {}, "Picture"), picture.element, path),
    h("section", { class: "card wide" }, h("h2", {}, "Nodes"), table.element));
  const timer = setInterval(load, REFRESH_MS);
  load();
  return {
    element: h("div", { class: "grid" }, h("div", { class: "head wide" }, h("a", { href: "#/graphs" }, "Graphs"), h("span", { class: "muted" }, "/"), h("h1", {}, name), head), trouble, body),
    event(event) {
      if (ids.has(event.id)) load();
    },
    destroy() {
      clearInterval(timer);
      picture.destroy();
    },
  };
}
