// The history of the broker, of a worker or of a queue, kept up with a cursor.

import { get } from "./api.js";

const ROWS = { hour: 720, day: 1440 };

export class History {
  // kind: "worker" or "queue", when it has a name
  constructor(span, name, kind = "worker") {
    this.span = span;
    this.name = name;
    this.kind = kind;
    this.series = {};
    this.cursor = "";
    this.step = span === "hour" ? 5 : 60;
  }

  // True when there is something new.
  async refresh() {
    const parts = [`span=${this.span}`];
    if (this.name) parts.push(`${this.kind}=${encodeURIComponent(this.name)}`);
    if (this.cursor) parts.push(`cursor=${this.cursor}`);
    const news = await get(`history?${parts.join("&")}`);
    const isAnew = this.number !== undefined && news.number < this.number; // the broker was started anew
    if (isAnew) {
      this.series = {};
      this.cursor = "";
      this.number = undefined;
      return this.refresh();
    }
    this.cursor = news.cursor;
    this.number = news.number;
    this.step = news.step_ms / 1000;
    for (const [name, rows] of Object.entries(news.series)) {
      this.series[name] = [...(this.series[name] ?? []), ...rows].slice(-ROWS[this.span]);
    }
    return news.count > 0;
  }

  get(name, scale = 1) {
    return (this.series[name] ?? []).map((value) => (value === null ? null : value * scale));
  }

  // What was counted in each step, a second.
  rate(name) {
    return this.get(name, 1 / this.step);
  }
}
