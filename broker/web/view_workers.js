// Workers and their hosts.

import { action } from "./actions.js";
import { get } from "./api.js";
import { LineChart } from "./charts.js";
import { Table, empty, facts, h, meter, setText, state } from "./dom.js";
import { age, bytes, count, ms } from "./format.js";
import { History } from "./history.js";

const REFRESH_MS = 5000;
const DETAILS_MS = 2000;

export function workers() {
  const before = new Map(); // counters of the last look, for rates
  function net(row) {
    const stats = row.stats;
    if (!stats) return "–";
    const now = { at: performance.now(), sent: stats.bytes_sent, received: stats.bytes_recv };
    let last = before.get(row.id);
    if (!last || now.sent !== last.sent || now.received !== last.received) {
      const seconds = last ? (now.at - last.at) / 1000 : 0;
      now.text = last && now.sent >= last.sent && seconds > 0 ? `${bytes((now.sent - last.sent) / seconds)}/s out, ${bytes((now.received - last.received) / seconds)}/s in` : "–";
      before.set(row.id, now);
      last = now;
    }
    return last.text;
  }
  const table = new Table([
    { title: "Worker", cell: (row) => h("a", { href: `#/worker/${encodeURIComponent(row.name)}` }, row.name) },
    { title: "State", cell: (row) => state(row.state) },
    { title: "Host", cell: (row) => row.host },
    { title: "Slots", cell: (row) => meter(row.slots ? (100 * row.running) / row.slots : 0, `${row.running} of ${row.slots}`) },
    { title: "Done", num: true, cell: (row) => count(row.tasks_done) },
    { title: "Processor", cell: (row) => meter(row.stats?.cpu_percent) },
    { title: "Memory", cell: (row) => meter(row.stats?.memory_percent) },
    { title: "Disk", cell: (row) => meter(row.stats?.disk_percent) },
    { title: "Network", cell: net },
    { title: "Load", num: true, cell: (row) => (row.stats ? row.stats.load1.toFixed(2) : "–") },
    { title: "Heard of", num: true, cell: (row) => `${(row.heartbeat_age_ms / 1000).toFixed(1)} s ago` },
  ], (row) => row.id, empty("No worker is connected.", "Tasks are kept until one comes: ", h("code", {}, "drover-worker --broker tcp://HOST:7711 --load FILE.so")));
  const more = h("p", { class: "muted small", hidden: true });
  return {
    element: h("div", { class: "grid" }, h("div", { class: "head wide" }, h("h1", {}, "Workers")), h("section", { class: "card wide" }, table.element, more)),
    update(status) {
      table.update([...status.workers].sort((a, b) => a.name.localeCompare(b.name)));
      more.hidden = status.worker_count <= status.workers.length;
      setText(more, `${count(status.workers.length)} of ${count(status.worker_count)} are shown; drover worker ls lists all.`);
    },
  };
}

export function worker(context, [name]) {
  const history = new History("hour", name);
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
  const buttons = h("span", { class: "push" });
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
      ["Host", document_.host], ["Process", document_.pid], ["Slots", `${document_.running} running, ${document_.assigned} assigned, of ${document_.slots}`],
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
    try {
      await history.refresh();
    } catch {
      return;
    }
    charts.busy.update([history.get("busy_percent")], history.step);
    charts.cpu.update([history.get("cpu_percent")], history.step);
    charts.memory.update([history.get("memory_percent"), history.get("disk_percent")], history.step);
    charts.net.update([history.get("bytes_recv_per_s"), history.get("bytes_sent_per_s")], history.step);
  }

  const timers = [setInterval(refresh, REFRESH_MS), setInterval(refreshDetails, DETAILS_MS)];
  refresh();
  refreshDetails();
  return {
    element: h("div", { class: "grid" },
      h("div", { class: "head wide" }, h("a", { href: "#/workers" }, "Workers"), h("span", { class: "muted" }, "/"), h("h1", {}, name), head, buttons),
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
