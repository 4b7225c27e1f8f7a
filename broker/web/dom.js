// Elements out of words. Text only ever becomes text nodes: nothing here reads markup.

import { ago } from "./format.js";

export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Words and a sign for each state, so that nothing rests on colour.
const SIGNS = {
  queued: "○", waiting: "◌", delayed: "◔", running: "▶", succeeded: "✓", failed: "✕", cancelled: "⊘", expired: "⧗", lost: "?", unknown: "?",
  lost_at_restart: "?", connected: "●", draining: "◐", reattaching: "◌", blocked: "■", paused: "‖", open: "○", firing: "▲", pending: "◌", resolved: "✓", interrupted: "↺",
};

export function sign(name) {
  return SIGNS[name] ?? "·";
}

export function state(name) {
  const known = /^[a-z_]+$/.test(name) ? name : "";
  return h("span", { class: `state ${known}` }, h("span", { "aria-hidden": "true" }, sign(name)), String(name).replaceAll("_", " "));
}

const SEVERITIES = { critical: ["‼", "critical"], warning: ["▲", "warning"], info: ["i", "info"] };

export function severity(name) {
  const [mark, look] = SEVERITIES[name] ?? ["·", ""];
  return h("span", { class: `severity ${look}` }, h("span", { "aria-hidden": "true" }, mark), String(name ?? ""));
}

// How long ago, with the clock of it for whoever points at it. To the second: it is looked at again and again.
export function since(ageMs, text) {
  if (typeof ageMs !== "number") return "–";
  const at = new Date(Math.round((Date.now() - ageMs) / 1000) * 1000);
  return h("time", { datetime: at.toISOString(), title: at.toLocaleString("en-GB", { timeZoneName: "short" }) }, text ?? ago(ageMs));
}

export function meter(percent, text) {
  const known = typeof percent === "number";
  const fill = h("span", { class: "fill" });
  fill.style.width = `${known ? Math.min(100, Math.max(0, percent)) : 0}%`;
  return h("span", { class: `meter${known && percent >= 90 ? " high" : ""}` },
    h("span", { class: "track", "aria-hidden": "true" }, fill), h("span", { class: "value" }, text ?? (known ? `${Math.round(percent)} %` : "–")));
}

// Shares of a whole: [[class, amount, label]...]
export function spread(parts, total, tall) {
  const bar = h("div", { class: `spread${tall ? " tall" : ""}`, role: "img", "aria-label": parts.filter((part) => part[1] > 0).map((part) => `${part[2]}`).join(", ") });
  for (const [kind, amount, label] of parts) {
    if (amount <= 0) continue;
    const piece = h("span", { class: kind, title: label });
    piece.style.width = `${(100 * amount) / Math.max(1, total)}%`;
    bar.append(piece);
  }
  return bar;
}

export function empty(title, ...text) {
  return h("div", { class: "empty" }, h("b", {}, title), ...text);
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter((pair) => pair && pair[1] !== undefined && pair[1] !== null && pair[1] !== "")
    .map(([name, value, isWide]) => h("div", { class: isWide && "wide" }, h("dt", {}, name), h("dd", {}, value))));
}

const looks = (column) => ["num", "wrap", "low"].filter((name) => column[name]).join(" ") || null;

// A table whose rows keep their place and their focus while their cells change.
// columns: [{title, num?, wrap?, low?: not where it is narrow, cell(row) -> node or text}]; key(row) -> text
export class Table {
  constructor(columns, key, nothing) {
    this.columns = columns;
    this.key = key;
    this.rows = new Map();
    this.body = h("tbody");
    this.table = h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, columns.map((column) => h("th", { class: looks(column), scope: "col" }, column.title)))), this.body));
    this.nothing = nothing;
    this.element = h("div", {}, this.table, nothing);
    this.table.hidden = true; // until it is known
    if (nothing) nothing.hidden = true;
  }

  update(rows) {
    const seen = new Set();
    let before = null;
    for (const row of rows) {
      const key = this.key(row);
      if (seen.has(key)) continue;
      seen.add(key);
      let line = this.rows.get(key);
      if (!line) {
        line = h("tr", {}, this.columns.map((column) => h("td", { class: looks(column), "data-title": column.title })));
        this.rows.set(key, line);
      }
      this.columns.forEach((column, i) => this.fill(line.cells[i], column.cell(row)));
      const place = before ? before.nextSibling : this.body.firstChild;
      if (place !== line) this.body.insertBefore(line, place);
      before = line;
    }
    for (const [key, line] of this.rows) {
      if (!seen.has(key)) {
        line.remove();
        this.rows.delete(key);
      }
    }
    this.hideEmpty();
    this.table.hidden = rows.length === 0;
    if (this.nothing) this.nothing.hidden = rows.length > 0;
  }

  // A column without a title is for what there seldom is: without any it takes no room.
  hideEmpty() {
    this.columns.forEach((column, i) => {
      if (column.title !== "") return;
      const cells = [...this.rows.values()].map((line) => line.cells[i]);
      const isEmpty = cells.every((cell) => !cell.firstChild || cell.textContent === "");
      for (const cell of [this.body.previousSibling.rows[0].cells[i], ...cells]) cell.hidden = isEmpty;
    });
  }

  fill(cell, content) {
    if (!(content instanceof Node)) {
      setText(cell, String(content ?? ""));
    } else if (!(cell.firstChild && cell.childNodes.length === 1 && cell.firstChild.isEqualNode(content))) {
      if (cell.contains(document.activeElement)) return; // somebody is about to press it
      cell.replaceChildren(content);
    }
    cell.classList.toggle("unknown", cell.textContent === "–");
  }
}
