// All workers: those of the status, or, where they are more than it has room for, those of their own list.

import { get } from "./api.js";

const REFRESH_MS = 10000;
const PAGES_MAX = 40;

export class Roster {
  constructor(onNews) {
    this.onNews = onNews;
    this.rows = [];
    this.isAll = true;
    this.readAt = -Infinity;
  }

  update(status) {
    this.count = status.worker_count;
    this.isAll = status.workers.length >= status.worker_count;
    if (this.isAll) {
      this.rows = status.workers;
      this.list = null;
      return;
    }
    if (!this.list) this.rows = status.workers;
    else this.merge(status.workers);
    if (performance.now() - this.readAt > REFRESH_MS) this.read();
  }

  // Those that the status has are newer than the list.
  merge(workers) {
    const fresh = new Map(workers.map((row) => [row.id, row]));
    this.rows = this.list.map((row) => fresh.get(row.id) ?? row);
  }

  async read() {
    this.readAt = performance.now();
    const found = [];
    let next = "";
    try {
      for (let asked = 0; asked < PAGES_MAX; asked++) {
        const page = await get(`workers?limit=1000${next ? `&cursor=${next}` : ""}`);
        found.push(...page.workers);
        next = page.cursor ?? "";
        if (!next) break;
      }
    } catch {
      return; // the stream tells that the broker is away
    }
    if (this.isAll) return;
    this.rows = this.list = found;
    this.onNews?.();
  }
}

// Workers of one host tell the same numbers of it: each host once.
export function hostsOf(workers) {
  const hosts = new Map();
  for (const worker of workers) {
    const host = hosts.get(worker.host) ?? { name: worker.host, workers: [], slots: 0, running: 0, stats: null, teller: null };
    host.workers.push(worker);
    host.slots += worker.slots;
    host.running += worker.running;
    if (worker.stats && (!host.teller || worker.heartbeat_age_ms < host.teller.heartbeat_age_ms - 5000)) {
      host.stats = worker.stats;
      host.teller = worker;
    }
    hosts.set(worker.host, host);
  }
  for (const host of hosts.values()) host.workers.sort((a, b) => a.name.localeCompare(b.name));
  return [...hosts.values()].sort((a, b) => a.name.localeCompare(b.name));
}
