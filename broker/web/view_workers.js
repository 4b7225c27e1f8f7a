// Workers and their hosts.

import { action } from "./actions.js";
import { get } from "./api.js";
import { LineChart } from "./charts.js";
import { Table, empty, facts, h, meter, setText, state } from "./dom.js";
import { age, bytes, count, ms } from "./format.js";
import { History } from "./history.js";
import { Roster } from "./roster.js";
import { spanButtons } from "./span.js";
import { Spark } from "./spark.js";

const REFRESH_MS = 5000;
const DETAILS_MS = 2000;
const PAGE = 100; // rows that are shown, and that "Show more" adds
const LINES_MAX = 30; // rows with a line
const LINE_ROWS = 120; // of a line: ten minutes

// The last minutes of one worker, in its row.
class Line {
  constructor(name) {
    this.history = new History("hour", name);
    this.spark = new Spark("Slots busy", (value) => `${Math.round(value)} %`, 100);
    this.cell = this.spark.svg;
    this.refresh();
  }

  async refresh() {
    try {
      await this.history.refresh();
    } catch {
      return; // it went away, or the broker did
    }
    this.spark.update(this.history.get("busy_percent").slice(-LINE_ROWS));
  }

  network() {
    const [received, sent] = ["bytes_recv_per_s", "bytes_sent_per_s"].map((name) => this.history.get(name).at(-1));
    return typeof received === "number" && typeof sent === "number" ? `${bytes(received)}/s in, ${bytes(sent)}/s out` : "–";
  }
}

export function workers() {
  const lines = new Map(); // by name, of the rows that are shown
  let shown = PAGE;
  const roster = new Roster(() => show());
  const table = new Table([
    { title: "Worker", cell: (row) => h("a", { href: `#/worker/${encodeURIComponent(row.name)}` }, row.name) },
    { title: "State", cell: (row) => state(row.state) },
    { title: "Host", cell: (row) => h("a", { href: `#/host/${encodeURIComponent(row.host)}` }, row.host) },
    { title: "Slots", cell: (row) => meter(row.slots ? (100 * row.running) / row.slots : 0, `${row.running} of ${row.slots}`) },
    { title: "Ten minutes", cell: (row) => lines.get(row.name)?.cell ?? "" },
    { title: "Done", num: true, cell: (row) => count(row.tasks_done) },
    { title: "Processor", cell: (row) => meter(row.stats?.cpu_percent) },
    { title: "Memory", cell: (row) => meter(row.stats?.memory_percent) },
    { title: "Disk", cell: (row) => meter(row.stats?.disk_percent) },
    { title: "Network", low: true, cell: (row) => lines.get(row.name)?.network() ?? "–" },
    { title: "Load", num: true, low: true, cell: (row) => (row.stats ? row.stats.load1.toFixed(2) : "–") },
    { title: "Heard of", num: true, cell: (row) => `${age(row.heartbeat_age_ms)} ago` },
  ], (row) => row.id, empty("No worker is connected.", "Tasks are kept until one comes: ", h("code", {}, "drover-worker --broker tcp://HOST:7711 --load FILE.so")));
  const note = h("span", { class: "muted small" });
  const more = h("p", { hidden: true }, h("button", { type: "button", onclick: () => { shown += PAGE; show(); } }, "Show more"));

  function show() {
    const all = [...roster.rows].sort((a, b) => a.name.localeCompare(b.name));
    const rows = all.slice(0, shown);
    const names = new Set(rows.slice(0, LINES_MAX).map((row) => row.name));
    for (const name of lines.keys()) if (!names.has(name)) lines.delete(name);
    for (const name of names) if (!lines.has(name)) lines.set(name, new Line(name));
    table.update(rows);
    more.hidden = all.length <= shown;
    setText(note, all.length > rows.length || roster.count > all.length ? `${count(rows.length)} of ${count(roster.count)}` : count(all.length));
  }

  const timer = setInterval(() => lines.forEach((line) => line.refresh()), REFRESH_MS);
  return {
    element: h("div", { class: "grid" }, h("div", { class: "head wide" }, h("h1", {}, "Workers"), note), h("section", { class: "card wide" }, table.element, more)),
    update(status) {
      roster.update(status);
      show();
    },
    destroy: () => clearInterval(timer),
  };
}

export function worker(context, [name]) {
  let history = new History("hour", name);
  const percent = (value) => `${Math.round(value)} %`;
  const perSecond = (value) => `${bytes(value)}/s`;
  const charts = {
    busy: new LineChart("Slots busy", [{ name: "busy" }], percent, 100),
    cpu: new LineChart("Processor", [{ name: "host" }], percent, 100),
    memory: new LineChart("Memory and disk", [{ name: "memory" }, { name: "disk /" }], percent, 100),
    net: new LineChart("Network", [{ name: "in" }, { name: "out" }], perSecond),
  };
  const about = h("div");
  const head = h("span");
  const buttons = h("span");
  const trouble = h("p", { class: "notice warn wide", hidden: true });
  const leases = new Table([
    { title: "Task", cell: (row) => h("a", { class: "mono", href: `#/task/${row.id}${row.index >= 0 ? `.${row.index}` : ""}` }, `${row.id}${row.index >= 0 ? `.${row.index}` : ""}`) },
    { title: "Type", cell: (row) => row.type },
    { title: "", cell: (row) => (row.started ? state("running") : state("queued")) },
    { title: "Attempt", num: true, cell: (row) => row.attempt },
    { title: "For", num: true, cell: (row) => age(row.age_ms) },
  ], (row) => `${row.id}.${row.index}`, empty("It holds no task.", "What it is given appears here."));
  const executors = new Table([
    { title: "Process", cell: (row) => row.pid },
    { title: "State", cell: (row) => row.state },
    { title: "Runs", cell: (row) => row.type ?? "" },
    { title: "Processor", num: true, cell: (row) => (typeof row.cpu_percent === "number" ? `${Math.round(row.cpu_percent)} %` : "–") },
    { title: "Memory", num: true, cell: (row) => bytes(row.rss_bytes) },
    { title: "Done", num: true, cell: (row) => count(row.done) },
    { title: "Crashes", num: true, cell: (row) => count(row.crashes) },
  ], (row) => `${row.pid}.${row.thread ?? 0}`, empty("No executor is told.", "The worker tells them with ", h("code", {}, "--stats executors")));
  const mounts = new Table([
    { title: "Mounted at", cell: (row) => h("span", { class: "clip", title: row.path }, row.path) },
    { title: "Type", cell: (row) => row.type },
    { title: "Used", cell: (row) => (row.remote ? "remote, not asked" : meter(row.percent)) },
    { title: "Free", num: true, cell: (row) => bytes(row.available) },
  ], (row) => row.path, empty("No file system is told.", "The worker tells them with ", h("code", {}, "--stats disk")));
  let tone = "";

  async function refreshDetails() {
    let document_;
    try {
      document_ = await get(`worker/${encodeURIComponent(name)}`);
      trouble.hidden = true;
    } catch (error) {
      trouble.hidden = false;
      setText(trouble, error.status === 404 ? "This worker is not there any more." : error.message);
      return;
    }
    const { details = {}, stats } = document_;
    head.replaceChildren(state(document_.state));
    about.replaceChildren(facts([
      ["Host", h("a", { href: `#/host/${encodeURIComponent(document_.host)}` }, document_.host)], ["Process", document_.pid], ["Slots", `${document_.running} running, ${document_.assigned} assigned, of ${document_.slots}`],
      ["Model", document_.model], ["Tasks done", count(document_.tasks_done)], ["Heard of", `${age(document_.heartbeat_age_ms)} ago`],
      ["Queues", document_.queues.join(", ") || "all"], ["Labels", Object.entries(document_.labels).map(([key, value]) => `${key}=${value}`).join(", ") || "none"],
      stats && ["Processors", count(stats.cpu_count)], stats && ["Memory", `${bytes(stats.memory_used)} of ${bytes(stats.memory_total)}`], stats && ["Processes", count(stats.process_count)],
      details.cgroup?.cpus && ["Quota", `${details.cgroup.cpus} processors`],
      details.host && ["Load", [details.host.load1, details.host.load5, details.host.load15].map((value) => value?.toFixed(2) ?? "–").join("  ")],
      details.host?.swap_total && ["Swap", `${bytes(details.host.swap_used)} of ${bytes(details.host.swap_total)}`],
      ["Types", document_.types.join(", "), true],
    ]));
    leases.update(document_.leases);
    executors.update(details.executors?.list ?? []);
    mounts.update(details.disk?.mounts ?? []);
    const key = `${document_.state === "draining"} ${context.canAct()}`;
    if (key !== tone) {
      tone = key;
      const isDraining = document_.state === "draining";
      const button = action(context, isDraining ? "Resume" : "Drain", `worker/${encodeURIComponent(name)}/${isDraining ? "resume" : "drain"}`, refreshDetails, isDraining);
      buttons.replaceChildren(...(button ? [button] : []));
    }
  }

  async function refresh() {
    const mine = history;
    try {
      await mine.refresh();
    } catch {
      return; // it went away, or the broker did
    }
    if (mine !== history) return;
    const step = mine.step;
    charts.busy.update([mine.get("busy_percent")], step);
    charts.cpu.update([mine.get("cpu_percent")], step);
    charts.memory.update([mine.get("memory_percent"), mine.get("disk_percent")], step);
    charts.net.update([mine.get("bytes_recv_per_s"), mine.get("bytes_sent_per_s")], step);
  }

  const spans = spanButtons((span) => {
    history = new History(span, name);
    refresh();
  });
  const timers = [setInterval(refresh, REFRESH_MS), setInterval(refreshDetails, DETAILS_MS)];
  refresh();
  refreshDetails();
  return {
    element: h("div", { class: "grid" },
      h("div", { class: "head wide" }, h("a", { href: "#/workers" }, "Workers"), h("span", { class: "muted" }, "/"), h("h1", {}, name), head, buttons,
        spans),
      trouble,
      h("section", { class: "card wide" }, about),
      h("div", { class: "grid four wide" }, Object.values(charts).map((chart) => chart.element)),
      h("section", { class: "card wide" }, h("h2", {}, "Tasks it holds"), leases.element),
      h("section", { class: "card" }, h("h2", {}, "Executors"), executors.element),
      h("section", { class: "card" }, h("h2", {}, "File systems"), mounts.element)),
    destroy() {
      timers.forEach(clearInterval);
      for (const chart of Object.values(charts)) chart.destroy();
    },
  };
}
