// The stream of the broker: one connection, over its restarts, without anything lost or told twice.
// Used by the worker that all pages share, and by a page that is alone: nothing here knows of a document.

const RARE_MAX = 256;
const TASKS_MAX = 512;

// What happened lately. Work does not push out what is rare.
export class Feed {
  constructor() {
    this.rare = [];
    this.tasks = [];
  }

  add(event) {
    const [list, max] = /^(task\.|gap)/.test(event.event) ? [this.tasks, TASKS_MAX] : [this.rare, RARE_MAX];
    list.push(event);
    if (list.length > max) list.shift();
  }

  // Oldest first.
  all() {
    return [...this.rare, ...this.tasks].sort((one, other) => one.number - other.number);
  }
}

// on(kind, data): "status", or "event" with its `number`; onState("on" | "off", {status, text}?)
export class Stream {
  constructor(token, on, onState) {
    this.token = token;
    this.on = on;
    this.onState = onState;
    this.since = 0;
    this.abort = null;
  }

  start() {
    if (this.abort) return;
    this.abort = new AbortController();
    this.run(this.abort.signal);
  }

  stop() {
    this.abort?.abort();
    this.abort = null;
  }

  async run(signal) {
    let pause = 500;
    while (!signal.aborted) {
      let failure;
      try {
        const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
        const answer = await fetch(`/api/v1/events?since=${this.since}`, { headers, cache: "no-store", signal });
        if (answer.ok) {
          this.onState("on");
          pause = 500;
          await this.read(answer.body.getReader(), signal);
        } else {
          failure = { status: answer.status };
        }
      } catch (error) {
        failure = { status: 0, text: error.message };
      }
      if (signal.aborted) return;
      this.onState("off", failure);
      await new Promise((resume) => setTimeout(resume, pause));
      pause = Math.min(5000, pause * 2);
    }
  }

  async read(reader, signal) {
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      text += decoder.decode(value, { stream: true });
      let end;
      while ((end = text.indexOf("\n\n")) >= 0) {
        this.deliver(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  }

  deliver(block) {
    let kind = "";
    let data = "";
    let number = 0;
    for (const line of block.split("\n")) {
      if (line.startsWith("id: ")) number = Number(line.slice(4));
      if (line.startsWith("event: ")) kind = line.slice(7);
      if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (!data) return;
    if (number) this.since = number;
    this.on(kind, kind === "event" ? { ...JSON.parse(data), number } : JSON.parse(data));
  }
}
