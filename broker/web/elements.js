// The elements of an array, by state: the one that failed is a click away.

import { get } from "./api.js";
import { Table, empty, h, setText, since, state } from "./dom.js";
import { count, human, ms } from "./format.js";

const PAGE = 100;
const ROWS_MAX = 1000; // of one question
const SCANS_MAX = 40; // pages asked for in a row while nothing is found
const REFRESH_MS = 3000;
const CHOICES = [["failed,expired", "Failed"], ["cancelled", "Cancelled"], ["running", "Running"], ["waiting,delayed,queued", "Waiting"], ["succeeded", "Succeeded"], ["", "All"]];

export class Elements {
  constructor(id) {
    this.id = id;
    this.pressed = null; // until somebody presses one: what went wrong, if anything did
    this.choice = "";
    this.pages = 1;
    this.serial = 0;
    const name = (row) => `${id}.${row.index}`;
    this.table = new Table([
      { title: "Index", num: true, cell: (row) => h("a", { href: `#/task/${name(row)}` }, count(row.index)) },
      { title: "State", cell: (row) => state(row.state) },
      { title: "Attempt", num: true, cell: (row) => row.attempt || "–" },
      { title: "Ran", num: true, cell: (row) => (row.run_ms === undefined ? "–" : ms(row.run_ms)) },
      { title: "Ended", num: true, cell: (row) => since(row.ended_age_ms) },
      { title: "Worker", cell: (row) => (row.worker ? h("a", { href: `#/worker/${encodeURIComponent(row.worker)}` }, row.worker) : "") },
      { title: "What went wrong", wrap: true, cell: (row) => (row.error ? `${row.error.kind}: ${human(row.error.text)}` : "") },
    ], name, empty("There is no such element."));
    this.chips = h("span", { class: "group", role: "group", "aria-label": "State of the elements" }, CHOICES.map(([states, title]) =>
      h("button", { type: "button", "data-states": states, onclick: () => this.choose(states) }, title)));
    this.more = h("p", { hidden: true }, h("button", { type: "button", onclick: () => { this.pages++; this.load(); } }, "Show more"));
    this.trouble = h("p", { class: "notice", hidden: true });
    this.element = h("section", { class: "card wide", hidden: true });
  }

  // The document of the array; null: it is none.
  update(array) {
    this.element.hidden = !array;
    if (!array) return;
    if (!this.element.firstChild) this.element.append(h("h2", {}, "Elements"), h("div", { class: "scroll chips" }, this.chips), this.trouble, this.table.element, this.more);
    const states = array.states ?? {};
    const sum = (names) => names.split(",").reduce((all, state_) => all + (states[state_] ?? 0), 0);
    const before = this.choice;
    this.choice = this.pressed ?? CHOICES.find(([names]) => names && sum(names) > 0 && names !== "succeeded")?.[0] ?? "";
    for (const button of this.chips.children) {
      const names = button.dataset.states;
      const title = CHOICES.find((choice) => choice[0] === names)[1];
      setText(button, `${title} ${count(names ? sum(names) : array.count)}`);
      button.setAttribute("aria-pressed", String(names === this.choice));
    }
    const seen = JSON.stringify(states);
    if (before !== this.choice) this.load();
    else if (seen !== this.seen && !(this.loadedAt > performance.now() - REFRESH_MS)) {
      this.load();
    } else {
      return; // the next look will be at these
    }
    this.seen = seen;
  }

  choose(states) {
    this.choice = this.pressed = states;
    this.pages = 1;
    for (const button of this.chips.children) button.setAttribute("aria-pressed", String(button.dataset.states === states));
    this.load();
  }

  async load() {
    const mine = ++this.serial;
    const found = [];
    let next = "";
    this.loadedAt = performance.now();
    try {
      for (let asked = 0; asked < SCANS_MAX && found.length < this.pages * PAGE; asked++) {
        const parts = new URLSearchParams({ limit: Math.min(ROWS_MAX, this.pages * PAGE - found.length) });
        if (this.choice) parts.set("state", this.choice);
        if (next) parts.set("cursor", next);
        const page = await get(`elements/${this.id}?${parts}`);
        found.push(...page.elements);
        next = page.cursor ?? "";
        if (!next || mine !== this.serial) break;
      }
      this.trouble.hidden = true;
    } catch (error) {
      this.trouble.hidden = false;
      setText(this.trouble, error.message);
      return;
    }
    if (mine !== this.serial) return;
    this.table.update(found);
    this.more.hidden = !next;
  }

  destroy() {
    this.serial++;
  }
}
