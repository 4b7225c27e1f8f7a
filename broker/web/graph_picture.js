// A picture of tasks that wait for each other: nodes in columns, each behind all that it waits for.
// Text only ever becomes text nodes; looks come from the style sheet.

import { h, sign } from "./dom.js";
import { ms } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const NODE = { width: 168, height: 46 };
const GAP = { x: 60, y: 16 };
const EDGE = 12; // around all
const VIA = 6; // of an edge in a column that it passes
const SHRINK = 0.62; // smaller than that is scrolled
const LETTERS = 20; // of a name, in its box

function s(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(props)) if (value !== undefined && value !== false) element.setAttribute(key, String(value));
  element.append(...children.filter((child) => child !== null));
  return element;
}

const cut = (text) => ([...text].length > LETTERS ? `${[...text].slice(0, LETTERS - 1).join("")}…` : text);

// Where each node stands and what each edge goes through. Parents come first in the list. An edge that passes a
// column has a place of its own in it, so that it runs beside the boxes and not behind them.
function place(nodes) {
  const column = [];
  nodes.forEach((node, i) => {
    column[i] = node.after.reduce((far, [parent]) => Math.max(far, column[parent] + 1), 0);
  });
  const columns = [];
  const put = (at, item) => (columns[at] ??= []).push(item);
  const boxes = nodes.map((_, i) => ({ height: NODE.height, before: [], column: column[i] }));
  boxes.forEach((box) => put(box.column, box));
  const edges = nodes.flatMap((node, to) => node.after.map(([from, always]) => {
    const vias = [];
    let last = boxes[from];
    for (let at = column[from] + 1; at < column[to]; at++) {
      last = { height: VIA, before: [last], column: at };
      vias.push(last);
      put(at, last);
    }
    boxes[to].before.push(last);
    return { from, to, always, vias };
  }));
  const tall = (list) => list.reduce((sum, item) => sum + item.height + GAP.y, -GAP.y);
  const tallest = Math.max(...columns.map(tall));
  for (const list of columns) {
    // Beside the middle of what they wait for; the order of the file decides between equals.
    const wish = new Map(list.map((item) => [item, item.before.reduce((sum, other) => sum + other.middle, 0) / (item.before.length || 1)]));
    list.sort((one, other) => wish.get(one) - wish.get(other));
    let y = EDGE + (tallest - tall(list)) / 2;
    for (const item of list) {
      item.x = EDGE + item.column * (NODE.width + GAP.x);
      item.y = y;
      item.middle = y + item.height / 2;
      y += item.height + GAP.y;
    }
  }
  return { boxes, edges, width: columns.length * (NODE.width + GAP.x) - GAP.x + 2 * EDGE, height: tallest + 2 * EDGE };
}

export class GraphPicture {
  constructor() {
    this.shape = "";
    this.svg = s("svg", { class: "graph", role: "group", "aria-label": "The tasks and what they wait for" });
    this.element = h("div", { class: "scroll" }, this.svg);
    this.boxes = [];
    this.lines = [];
    this.resize = new ResizeObserver(() => this.fit());
    this.resize.observe(this.element);
  }

  update(nodes) {
    const shape = JSON.stringify(nodes.map((node) => [node.name, node.type, node.id, node.after]));
    if (shape !== this.shape) {
      this.shape = shape;
      this.draw(nodes);
    }
    nodes.forEach((node, i) => this.paint(node, this.boxes[i]));
    for (const { line, from, to } of this.lines) {
      const isOnPath = Boolean(nodes[from].critical && nodes[to].critical && this.follows(nodes, from, to));
      line.classList.toggle("critical", isOnPath);
      line.classList.toggle("met", nodes[from].state === "succeeded");
    }
  }

  // Of all parents on the path the last one is the one that was waited for.
  follows(nodes, from, to) {
    const onPath = nodes[to].after.map(([parent]) => parent).filter((parent) => nodes[parent].critical);
    return onPath.length > 0 && Math.max(...onPath) === from;
  }

  draw(nodes) {
    const { boxes, edges, width, height } = place(nodes);
    this.width = width;
    this.height = height;
    this.boxes = nodes.map((node, i) => this.box(node, boxes[i]));
    this.lines = edges.map((edge) => ({ from: edge.from, to: edge.to, line: this.line(boxes[edge.from], edge.vias, boxes[edge.to], edge.always) }));
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.replaceChildren(...this.lines.map((item) => item.line), ...this.boxes.map((box) => box.link));
    this.fit();
  }

  box(node, at) {
    const title = s("title", {});
    const state = s("text", { x: 12, y: 36, class: "what" });
    const time = s("text", { x: NODE.width - 12, y: 36, class: "what end" });
    const link = s("a", { class: "node", href: `#/task/${node.id}`, transform: `translate(${at.x} ${at.y})` },
      title, s("rect", { width: NODE.width, height: NODE.height, rx: 8 }), s("text", { x: 12, y: 19, class: "name" }, cut(node.name)), state, time);
    return { title, state, time, link };
  }

  line(from, vias, to, always) {
    let x = from.x + NODE.width;
    let y = from.middle;
    let way = `M${x} ${y}`;
    for (const stop of [...vias, to]) {
      const end = stop === to ? stop.x - 8 : stop.x;
      const bend = Math.max(24, (end - x) / 2);
      way += `C${x + bend} ${y} ${end - bend} ${stop.middle} ${end} ${stop.middle}`;
      if (stop !== to) way += `h${NODE.width}`;
      x = stop.x + NODE.width;
      y = stop.middle;
    }
    return s("g", { class: `line${always ? " always" : ""}` },
      s("path", { class: "way", d: way }), s("path", { class: "tip", d: `M${to.x - 1} ${to.middle}l-8 -4v8z` }));
  }

  paint(node, box) {
    const words = [`${node.name} (${node.type})`, node.state.replaceAll("_", " "), node.run_ms !== undefined ? `ran ${ms(node.run_ms)}` : "", node.critical ? "on the critical path" : "", node.why ?? ""];
    box.link.setAttribute("class", `node ${/^[a-z_]+$/.test(node.state) ? node.state : ""}${node.critical ? " critical" : ""}`);
    box.title.textContent = words.filter(Boolean).join(" · ");
    box.state.textContent = `${sign(node.state)} ${node.state.replaceAll("_", " ")}`;
    box.time.textContent = node.run_ms === undefined ? "" : ms(node.run_ms);
  }

  // As wide as there is room for, but never so small that nothing can be read.
  fit() {
    if (!this.width) return;
    const room = this.element.clientWidth - 32;
    const scale = Math.min(1, Math.max(SHRINK, room / this.width));
    this.svg.setAttribute("width", Math.floor(this.width * scale));
    this.svg.setAttribute("height", Math.floor(this.height * scale));
  }

  destroy() {
    this.resize.disconnect();
  }
}
