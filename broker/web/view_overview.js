// How it is, at a glance.

import { LineChart } from "./charts.js";
import { Table, empty, h, meter, setText, severity, since, state } from "./dom.js";
import { age, bytes, count, human, ms, plural, rate } from "./format.js";
import { History } from "./history.js";
import { spanButtons } from "./span.js";
import { Roster, hostsOf } from "./roster.js";

const REFRESH_MS = 5000;
const QUEUES_MAX = 12;
const HOSTS_MAX = 24;
const ALERTS_MAX = 8;

function tile(title) {
  const value = h("b", {}, "–");
  const note = h("p");
  return { value, note, element: h("section", { class: "card tile" }, h("h2", {}, title), value, note) };
}

function fill(target, value, unit, note, isBad) {
  target.value.replaceChildren(document.createTextNode(value), ...(unit ? [h("span", {}, unit)] : []));
  setText(target.note, note);
  target.element.classList.toggle("bad", Boolean(isBad));
}

// A link to the rest of a list that was cut.
function tellRest(link, rest, word) {
  link.hidden = rest <= 0;
  setText(link, `and ${plural(rest, word)} more`);
}

function notice(alert) {
  return h("p", { class: `notice${alert.severity === "critical" ? "" : " warn"}` }, h("a", { href: "#/alerts" }, severity(alert.severity), h("b", {}, alert.rule), ` ${human(alert.text)} `,
    typeof alert.since_age_ms === "number" ? h("span", { class: "muted" }, since(alert.since_age_ms, `for ${age(alert.since_age_ms)}`)) : null));
}

// What fires comes one by one, what is only about to, or known to somebody, as a number.
function alertNotices(alerts) {
  const firing = alerts.filter((row) => row.state === "firing");
  const loud = firing.filter((row) => !row.acknowledged && !row.silenced);
  const pending = alerts.filter((row) => row.state === "pending").length;
  const rest = [
    loud.length > ALERTS_MAX && `${count(loud.length - ALERTS_MAX)} more fire`, firing.length > loud.length && `${count(firing.length - loud.length)} that fire are acknowledged or silenced`,
    pending > 0 && `${count(pending)} may fire soon`,
  ].filter(Boolean);
  return [...loud.slice(0, ALERTS_MAX).map(notice), rest.length ? h("p", { class: "small" }, h("a", { href: "#/alerts" }, `Alerts: ${rest.join(", ")}`)) : null].filter(Boolean);
}

export function overview() {
  const tiles = { done: tile("Throughput"), queued: tile("Waiting"), running: tile("Running"), failed: tile("Failed"), oldest: tile("Longest wait"), workers: tile("Workers") };
  const charts = {
    flow: new LineChart("Tasks a second", [{ name: "succeeded" }, { name: "submitted" }, { name: "failed" }], rate),
    backlog: new LineChart("Backlog", [{ name: "queued" }, { name: "delayed or waiting" }], count, undefined, true),
    slots: new LineChart("Slots", [{ name: "busy" }, { name: "all" }], count, undefined, true),
    delay: new LineChart("Broker", [{ name: "longest turn" }, { name: "journal" }], ms),
  };
  const queueTable = new Table([
    { title: "Queue", cell: (row) => h("a", { href: `#/queue/${encodeURIComponent(row.name)}` }, row.name) },
    { title: "Waiting", num: true, cell: (row) => count(row.depth) },
    { title: "Running", num: true, cell: (row) => count(row.running) },
    { title: "Oldest", num: true, cell: (row) => (row.depth ? age(row.oldest_age_ms) : "–") },
    { title: "Wait p99", num: true, cell: (row) => ms(row.wait?.p99_ms) },
    { title: "", cell: (row) => (row.paused ? state("paused") : "") },
  ], (row) => row.name, empty("No queue is in use.", "Queues appear with their first task: ", h("code", {}, "drover submit TYPE JSON --queue NAME")));
  const hostTable = new Table([
    { title: "Host", cell: (row) => h("a", { href: `#/host/${encodeURIComponent(row.name)}` }, row.name) },
    { title: "Slots", num: true, cell: (row) => `${row.running} of ${row.slots}` },
    { title: "Processor", cell: (row) => meter(row.stats?.cpu_percent) },
    { title: "Memory", cell: (row) => meter(row.stats?.memory_percent) },
    { title: "Disk", cell: (row) => meter(row.stats?.disk_percent) },
  ], (row) => row.name, empty("No worker is connected.", "Tasks are kept until one comes: ", h("code", {}, "drover-worker --load FILE.so")));
  const moreQueues = h("a", { class: "small more", href: "#/queues", hidden: true });
  const moreHosts = h("a", { class: "small more", href: "#/hosts", hidden: true });
  const roster = new Roster(null);
  const notices = h("div", { class: "stack", hidden: true });
  let history = new History("hour");
  const spans = spanButtons((span) => {
    history = new History(span);
    refresh();
  });
  const element = h("div", { class: "grid overview" },
    h("div", { class: "head wide" }, h("h1", {}, "Overview"), spans),
    h("div", { class: "wide" }, notices),
    h("div", { class: "tiles wide" }, Object.values(tiles).map((item) => item.element)),
    Object.values(charts).map((chart) => chart.element),
    h("section", { class: "card half" }, h("h2", {}, "Queues"), queueTable.element, moreQueues),
    h("section", { class: "card half" }, h("h2", {}, "Hosts"), hostTable.element, moreHosts));

  async function refresh() {
    const mine = history;
    try {
      await mine.refresh();
    } catch {
      return; // the stream tells that the broker is away
    }
    if (mine !== history) return;
    const step = mine.step;
    charts.flow.update([mine.rate("succeeded"), mine.rate("submitted"), mine.rate("failed")], step);
    charts.backlog.update([mine.get("queued"), mine.get("waiting")], step);
    charts.slots.update([mine.get("busy"), mine.get("slots")], step);
    charts.delay.update([mine.get("loop_ms"), mine.get("journal_ms")], step);
  }

  const timer = setInterval(refresh, REFRESH_MS);
  refresh();

  return {
    element,
    update(status) {
      const { tasks, rates = {}, times = {}, broker } = status;
      fill(tiles.done, rate(rates.succeeded_per_s), "/s", `${count(tasks.succeeded)} succeeded in all`);
      fill(tiles.queued, count(tasks.queued), "", tasks.delayed + tasks.waiting ? `${count(tasks.delayed + tasks.waiting)} delayed or waiting` : "nothing is delayed");
      fill(tiles.running, count(tasks.running), status.slots ? `of ${count(status.slots)} slots` : "", times.run ? `half run under ${ms(times.run.p50_ms)}` : "none has ended lately");
      fill(tiles.failed, count(tasks.failed), "", rates.failed_per_s > 0 ? `${rate(rates.failed_per_s)} a second now` : "none just now", rates.failed_per_s > 0);
      fill(tiles.oldest, status.oldest_age_ms ? age(status.oldest_age_ms) : "none", "", times.wait ? `99 % lately began in ${ms(Math.max(1, times.wait.p99_ms))}` : "nothing has waited lately");
      roster.update(status);
      const hosts = hostsOf(roster.rows);
      const away = roster.rows.filter((row) => row.state === "reattaching").length;
      const isAll = roster.rows.length >= status.worker_count;
      fill(tiles.workers, count(status.worker_count - away), away ? `and ${count(away)} away` : "", `on ${plural(hosts.length, "host")}${isAll ? "" : " or more"} · broker ${bytes(broker.rss_bytes)}`);
      queueTable.update([...status.queues].sort((a, b) => b.depth + b.running - a.depth - a.running || a.name.localeCompare(b.name)).slice(0, QUEUES_MAX));
      tellRest(moreQueues, status.queue_count - Math.min(QUEUES_MAX, status.queues.length), "queue");
      hostTable.update(hosts.slice(0, HOSTS_MAX));
      tellRest(moreHosts, hosts.length - HOSTS_MAX, "host");
      const told = alertNotices(status.alerts ?? []);
      if (broker.draining) told.push(h("p", { class: "notice warn" }, "The broker is going down: it takes no new tasks."));
      notices.replaceChildren(...told);
      notices.hidden = told.length === 0;
      notices.parentNode.hidden = told.length === 0;
    },
    destroy() {
      clearInterval(timer);
      for (const chart of Object.values(charts)) chart.destroy();
    },
  };
}
