// Shared by all pages of this browser: a browser has six connections to a broker for all its pages, and one
// stream is enough for them. There is one for each token that pages have; without a page that is seen it ends.

import { Feed, Stream } from "./sse.js";

const LINGER_MS = 5000; // between the last page that was seen and the end of the stream

class Hub {
  constructor(token) {
    this.pages = new Map(); // port -> whether it is seen
    this.feed = new Feed();
    this.status = null;
    this.state = null;
    this.stream = new Stream(token, (kind, data) => this.hear(kind, data), (...state) => this.tell("state", this.state = state));
  }

  hear(kind, data) {
    if (kind === "status") this.status = data;
    else this.feed.add(data);
    this.tell(kind, data);
  }

  tell(kind, data) {
    for (const [port, isSeen] of this.pages) if (isSeen) port.postMessage([kind, data]);
  }

  set(port, isSeen) {
    const wasSeen = this.pages.get(port);
    this.pages.set(port, isSeen);
    if (isSeen && !wasSeen) {
      const runs = Boolean(this.stream.abort);
      port.postMessage(["backlog", this.feed.all()]);
      if (runs && this.state) port.postMessage(["state", this.state]);
      if (runs && this.status) port.postMessage(["status", this.status]);
    }
    this.tend();
  }

  leave(port) {
    this.pages.delete(port);
    this.tend();
  }

  tend() {
    clearTimeout(this.timer);
    if ([...this.pages.values()].includes(true)) {
      this.stream.start();
    } else {
      this.timer = setTimeout(() => {
        this.stream.stop();
        this.state = null;
        if (this.pages.size === 0) hubs.delete(this.stream.token);
      }, LINGER_MS);
    }
  }
}

const hubs = new Map();

self.addEventListener("connect", ({ ports: [port] }) => {
  let hub = null;
  port.onmessage = ({ data }) => {
    if (data.isGone) {
      hub?.leave(port);
      hub = null;
      return;
    }
    if (hub?.stream.token !== data.token) {
      hub?.leave(port);
      hub = hubs.get(data.token) ?? new Hub(data.token);
      hubs.set(data.token, hub);
    }
    hub.set(port, data.isSeen);
  };
  port.postMessage(["hello"]);
});
