// Hosts: what the workers on them tell, and how it went.

import { LineChart } from "./charts.js";
import { Table, empty, facts, h, meter, setText, state } from "./dom.js";
import { age, bytes, count, plural } from "./format.js";
import { History } from "./history.js";
import { Roster, hostsOf } from "./roster.js";
import { spanButtons } from "./span.js";
import { Spark } from "./spark.js";

const REFRESH_MS = 5000;
const PAGE = 24; // hosts with charts that are shown, and that "Show more" adds
const WORKERS_MAX = 16; // of a host, whose slots are added up
const ROWS = 120; // of a small chart: ten minutes

const percent = (value) => `${Math.round(value)} %`;
const perSecond = (value) => `${bytes(value)}/s`;

class HostCard {
  constructor(name) {
    this.note = h("span", { class: "muted small" });
    this.sparks = {
      busy: new Spark("Slots", percent, 100), cpu: new Spark("Processor", percent, 100), memory: new Spark("Memory", percent, 100), disk: new Spark("Disk /", percent, 100),
      received: new Spark("Network in", perSecond), sent: new Spark("Network out", perSecond),
    };
    this.element = h("section", { class: "card host" }, h("div", { class: "head" }, h("h2", { class: "plain" }, h("a", { href: `#/host/${encodeURIComponent(name)}` }, name)), this.note),
      Object.values(this.sparks).map((spark) => spark.element));
    this.teller = "";
  }

  update(host) {
    this.slots = host;
    setText(this.note, `${plural(host.workers.length, "worker")} · ${host.running} of ${host.slots} slots busy`);
    const teller = (host.teller ?? host.workers[0]).name;
    const isKnown = host.workers.some((worker) => worker.name === this.teller);
    if (!isKnown) {
      this.teller = teller;
      this.history = new History("hour", teller);
      this.refresh();
    }
  }

  async refresh() {
    const mine = this.history;
    try {
      await mine?.refresh();
    } catch {
      return; // it went away, or the broker did
    }
    if (!mine || mine !== this.history) return;
    const { busy, cpu, memory, disk, received, sent } = this.sparks;
    for (const [spark, name] of [[busy, "busy_percent"], [cpu, "cpu_percent"], [memory, "memory_percent"], [disk, "disk_percent"], [received, "bytes_recv_per_s"], [sent, "bytes_sent_per_s"]]) {
      spark.update(mine.get(name).slice(-ROWS));
    }
    // What is drawn is of one worker: of more it would not be the host's.
    if (this.slots.workers.length > 1) busy.update([]);
    if (this.slots.slots) busy.tell((100 * this.slots.running) / this.slots.slots);
  }
}

export function hosts() {
  const cards = new Map();
  let shown = PAGE;
  let status = null;
  const roster = new Roster(() => show());
  const grid = h("div", { class: "cards wide" });
  const nothing = empty("No worker is connected.", "A host is there while a worker on it is: ", h("code", {}, "drover-worker --broker tcp://HOST:7711 --load FILE.so"));
  const some = h("span", { class: "muted small" });
  const more = h("p", { class: "wide", hidden: true }, h("button", { type: "button", onclick: () => { shown += PAGE; show(); } }, "Show more"));
  nothing.hidden = true;

  function show() {
    const all = hostsOf(roster.rows);
    const names = new Set(all.slice(0, shown).map((host) => host.name));
    for (const [name, card] of cards) {
      if (names.has(name)) continue;
      card.element.remove();
      cards.delete(name);
    }
    all.slice(0, shown).forEach((host, i) => {
      const card = cards.get(host.name) ?? new HostCard(host.name);
      cards.set(host.name, card);
      if (grid.children[i] !== card.element) grid.insertBefore(card.element, grid.children[i] ?? null);
      card.update(host);
    });
    nothing.hidden = all.length > 0 || !status;
    more.hidden = all.length <= shown;
    const many = plural(all.length, "host");
    setText(some, `${shown < all.length ? `${count(shown)} of ${many}` : many}, the last ten minutes`);
  }

  const timer = setInterval(() => cards.forEach((card) => card.refresh()), REFRESH_MS);
  return {
    element: h("div", { class: "grid" }, h("div", { class: "head wide" }, h("h1", {}, "Hosts"), some), grid, h("div", { class: "wide" }, nothing), more),
    update(news) {
      status = news;
      roster.update(news);
      show();
    },
    destroy: () => clearInterval(timer),
  };
}

// Rows of several workers, added up: what is not known of one counts as nothing.
function total(histories, weights) {
  const length = Math.max(0, ...histories.map((history) => history.get("busy_percent").length));
  return Array.from({ length }, (_, i) => {
    let sum = null;
    histories.forEach((history, k) => {
      const rows = history.get("busy_percent");
      const value = rows[rows.length - length + i];
      if (typeof value === "number") sum = (sum ?? 0) + (value * weights[k]) / 100;
    });
    return sum;
  });
}

export function host(context, [name]) {
  let span = "hour";
  let histories = new Map(); // worker -> history
  let found = null;
  const roster = new Roster(() => show());
  const charts = {
    busy: new LineChart("Tasks running", [{ name: "busy slots" }], count, undefined, true),
    cpu: new LineChart("Processor", [{ name: "used" }], percent, 100),
    memory: new LineChart("Memory and disk", [{ name: "memory" }, { name: "disk /" }], percent, 100),
    net: new LineChart("Network", [{ name: "in" }, { name: "out" }], perSecond),
  };
  const about = h("div");
  const trouble = h("p", { class: "notice warn wide", hidden: true }, "No worker on this host is connected.");
  const table = new Table([
    { title: "Worker", cell: (row) => h("a", { href: `#/worker/${encodeURIComponent(row.name)}` }, row.name) },
    { title: "State", cell: (row) => state(row.state) },
    { title: "Slots", cell: (row) => meter(row.slots ? (100 * row.running) / row.slots : 0, `${row.running} of ${row.slots}`) },
    { title: "Done", num: true, cell: (row) => count(row.tasks_done) },
    { title: "Process", num: true, cell: (row) => row.pid },
    { title: "Heard of", num: true, cell: (row) => `${age(row.heartbeat_age_ms)} ago` },
  ], (row) => row.id, null);

  async function refresh() {
    const workers = found?.workers.slice(0, WORKERS_MAX) ?? [];
    for (const old of histories.keys()) if (!workers.some((row) => row.name === old)) histories.delete(old);
    for (const row of workers) if (!histories.has(row.name)) histories.set(row.name, new History(span, row.name));
    const mine = histories;
    const known = [...mine];
    const done = await Promise.allSettled(known.map(([, history]) => history.refresh()));
    if (mine !== histories || !found) return;
    const good = known.filter((_, i) => done[i].status === "fulfilled");
    const teller = mine.get(found.teller?.name) ?? good[0]?.[1];
    if (!teller) return;
    charts.busy.update([total(good.map(([, history]) => history), good.map(([worker]) => workers.find((row) => row.name === worker)?.slots ?? 0))], teller.step);
    charts.cpu.update([teller.get("cpu_percent")], teller.step);
    charts.memory.update([teller.get("memory_percent"), teller.get("disk_percent")], teller.step);
    charts.net.update([teller.get("bytes_recv_per_s"), teller.get("bytes_sent_per_s")], teller.step);
  }

  function show() {
    const wasFound = Boolean(found);
    found = hostsOf(roster.rows).find((row) => row.name === name) ?? null;
    trouble.hidden = Boolean(found);
    table.update(found?.workers ?? []);
    if (!found) return;
    const { stats } = found;
    about.replaceChildren(facts([
      ["Workers", count(found.workers.length)], ["Slots", `${found.running} busy of ${found.slots}`],
      stats && ["Processor", percent(stats.cpu_percent)], stats && ["Processors", count(stats.cpu_count)], stats && ["Load", stats.load1.toFixed(2)],
      stats && ["Memory", `${bytes(stats.memory_used)} of ${bytes(stats.memory_total)}`], stats && ["Disk /", `${Math.round(stats.disk_percent)} % used`],
      stats && ["Processes", count(stats.process_count)], stats && ["Up for", age(stats.uptime_ms)],
      stats && ["Network since it started", `${bytes(stats.bytes_recv)} in, ${bytes(stats.bytes_sent)} out`],
    ]));
    if (!wasFound) refresh();
  }

  const spans = spanButtons((wanted) => {
    span = wanted;
    histories = new Map();
    refresh();
  });
  const timer = setInterval(refresh, REFRESH_MS);
  return {
    element: h("div", { class: "grid" },
      h("div", { class: "head wide" }, h("a", { href: "#/hosts" }, "Hosts"), h("span", { class: "muted" }, "/"), h("h1", {}, name),
        spans),
      trouble,
      h("section", { class: "card wide" }, about),
      h("div", { class: "grid four wide" }, Object.values(charts).map((chart) => chart.element)),
      h("section", { class: "card wide" }, h("h2", {}, "Workers on it"), table.element)),
    update(status) {
      roster.update(status);
      show();
    },
    destroy() {
      clearInterval(timer);
      for (const chart of Object.values(charts)) chart.destroy();
    },
  };
}
