// Schedules and alerts: where the broker has them.

import { action } from "./actions.js";
import { get } from "./api.js";
import { Table, empty, h, setText, severity, since, state } from "./dom.js";
import { age, count, human, moment } from "./format.js";

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
    { title: "Next", num: true, cell: (row) => (row.next_in_ms !== undefined ? since(-row.next_in_ms, `in ${age(row.next_in_ms)}`) : "–") },
    { title: "Last", cell: (row) => (row.last ? h("a", { class: "mono", href: `#/task/${row.last.id}` }, row.last.state ?? row.last.id) : "never") },
    { title: "Runs", num: true, cell: (row) => count(row.runs) },
    { title: "Skipped", num: true, cell: (row) => count(row.skipped) },
    { title: "Unfinished", num: true, cell: (row) => count(row.unfinished) },
    { title: "", wrap: true, cell: (row) => row.trouble ?? "" },
  ], (row) => row.name, empty("There is no schedule.", "A schedule submits a task at its times: ", h("code", {}, "drover schedule add NAME '0 3 * * *' TYPE"))));
}

// Rules and silences, where the broker tells them.
class Rules {
  constructor(context) {
    this.isKnown = false;
    this.made = new Map(); // buttons, so that a press is not lost to a refresh
    const end = (row) => {
      const key = `${row.rule} ${row.subject} ${context.canAct()}`;
      if (!this.made.has(key)) {
        const subject = row.subject ? `?subject=${encodeURIComponent(row.subject)}` : "";
        this.made.set(key, row.rule ? action(context, "End it", `alert/${encodeURIComponent(row.rule)}/unsilence${subject}`, () => this.load(), true) : null);
      }
      return this.made.get(key) ?? "";
    };
    this.rules = new Table([
      { title: "Rule", cell: (row) => row.name },
      { title: "Severity", cell: (row) => severity(row.severity) },
      { title: "Fires when", wrap: true, cell: (row) => `${row.metric} is ${row.comparison} ${limit(row.threshold, row.unit)}${row.for_ms ? ` for ${age(row.for_ms)}` : ""}${row.subject ? `, only ${row.subject}` : ""}` },
      { title: "Looks at", cell: (row) => row.scope },
      { title: "From", cell: (row) => row.origin },
      { title: "Alerts", num: true, cell: (row) => count(row.alerts) },
    ], (row) => row.name, empty("There is no rule.", "A rule looks at a number once a second: ", h("code", {}, "drover alert add deep 'queue_depth > 1000 for 5m'")));
    this.silences = new Table([
      { title: "Rule", cell: (row) => row.rule || "every rule" },
      { title: "Of", cell: (row) => row.subject || "everything" },
      { title: "Silent for", num: true, cell: (row) => since(-row.left_ms, age(row.left_ms)) },
      { title: "", cell: end },
    ], (row) => `${row.rule} ${row.subject}`, empty("Nothing is silenced.", "A silence ends by itself: ", h("code", {}, "drover alert silence RULE --for 1h")));
    this.silencesCard = h("section", { class: "card wide", hidden: true }, h("h2", {}, "Silences"), this.silences.element);
    this.rulesCard = h("section", { class: "card wide", hidden: true }, h("h2", {}, "Rules"), this.rules.element);
  }

  async load() {
    let told;
    try {
      told = await get("alert-rules");
    } catch {
      return; // the broker is away
    }
    this.isKnown = true;
    this.rulesCard.hidden = this.silencesCard.hidden = false;
    this.rules.update([...told.rules].sort((one, other) => one.name.localeCompare(other.name)));
    this.silences.update(told.silences);
  }
}

function limit(number, unit) {
  if (unit === "s" && number >= 60) return age(number * 1000);
  return `${number}${unit ? ` ${unit}` : ""}`;
}

export function alerts(context) {
  const rules = new Rules(context);
  // Buttons of an alert are made once, so that a press is not lost to a refresh.
  const made = new Map();
  function buttons(row) {
    if (row.silenced) return "silenced";
    if (row.state !== "firing") return "";
    const key = `${row.rule} ${row.subject} ${row.acknowledged} ${rules.isKnown} ${context.canAct()}`;
    if (!made.has(key)) {
      const path = `alert/${encodeURIComponent(row.rule)}`;
      const subject = row.subject ? `subject=${encodeURIComponent(row.subject)}` : "";
      const acknowledge = row.acknowledged ? "acknowledged" : action(context, "Acknowledge", `${path}/acknowledge${subject && `?${subject}`}`, load, true);
      const silence = rules.isKnown ? action(context, "Silence for an hour", `${path}/silence?${[subject, "for=1h"].filter(Boolean).join("&")}`, load, true) : null;
      made.set(key, acknowledge || silence ? h("span", { class: "buttons" }, acknowledge, silence) : "");
    }
    return made.get(key);
  }
  const table = new Table([
    { title: "Alert", cell: (row) => row.rule },
    { title: "State", cell: (row) => (row.state === "firing" && row.severity !== "critical" ? h("span", { class: "mild" }, state(row.state)) : state(row.state)) },
    { title: "Severity", cell: (row) => severity(row.severity) },
    { title: "Of", cell: (row) => row.subject ?? "" },
    { title: "What", wrap: true, cell: (row) => human(row.text) },
    { title: "Since", num: true, cell: (row) => (row.since_age_ms !== undefined ? since(row.since_age_ms, `${moment(Date.now() - row.since_age_ms)} · ${age(row.since_age_ms)}`) : "–") },
    { title: "", cell: buttons },
  ], (row) => `${row.rule} ${row.subject}`, empty("Nothing is wrong.", "Rules that hold for long enough appear here."));

  async function load() {
    rules.load();
    try {
      table.update((await get("alerts")).alerts);
    } catch {
      // the stream tells that the broker is away
    }
  }
  // What became of commands and webhooks: that nobody is told is worth to be seen.
  const told = h("span", { class: "muted small" });
  function tell({ done = 0, failed = 0, dropped = 0, waiting = 0 }) {
    setText(told, done + failed + dropped + waiting === 0 ? "" : ["Commands and webhooks:", [
      `${count(done)} told`, waiting && `${count(waiting)} under way or waiting for another try`, failed && `${count(failed)} given up`, dropped && `${count(dropped)} left out`,
    ].filter(Boolean).join(", ")].join(" "));
    told.classList.toggle("trouble", waiting + failed + dropped > 0);
  }

  const timer = setInterval(load, REFRESH_MS);
  load();
  return {
    element: h("div", { class: "grid" }, h("div", { class: "head wide" }, h("h1", {}, "Alerts"), told), h("section", { class: "card wide" }, table.element), rules.silencesCard, rules.rulesCard),
    update: (status) => tell(status.alert_actions ?? {}),
    event(event) {
      if (event.event.startsWith("alert.")) load();
    },
    destroy: () => clearInterval(timer),
  };
}
