// A line over time that is small: in a row, or one of many on a card.

import { setText, h } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 100;
const HEIGHT = 24;

function piece(tag, name) {
  const element = document.createElementNS(SVG, tag);
  element.setAttribute("class", name);
  return element;
}

// title; format(number) -> text; max?: the end of the scale, else the largest number
export class Spark {
  constructor(title, format, max) {
    this.title = title;
    this.format = format;
    this.max = max;
    this.area = piece("path", "area");
    this.line = piece("path", "line");
    this.svg = piece("svg", "spark");
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("role", "img");
    this.svg.append(this.area, this.line);
    this.value = h("b", {}, "–");
    this.element = h("div", { class: "sparkline" }, h("span", {}, title), this.svg, this.value);
  }

  // Oldest first; null where nothing is known.
  update(numbers) {
    const max = Math.max(this.max ?? 0, ...numbers.filter((number) => number !== null), Number.MIN_VALUE);
    const step = WIDTH / Math.max(1, numbers.length - 1);
    const y = (number) => (HEIGHT - 1 - (HEIGHT - 2) * (number / max)).toFixed(1);
    let line = "";
    let area = "";
    let begin = null;
    numbers.forEach((number, i) => {
      const x = (i * step).toFixed(1);
      if (number === null) {
        if (begin !== null) area += `V${HEIGHT}H${begin}Z`;
        begin = null;
        return;
      }
      line += begin === null ? `M${x} ${y(number)}h0` : `L${x} ${y(number)}`; // alone it is a dot
      area += begin === null ? `M${x} ${HEIGHT}V${y(number)}` : `L${x} ${y(number)}`;
      begin ??= x;
    });
    if (begin !== null) area += `V${HEIGHT}H${begin}Z`;
    this.line.setAttribute("d", line);
    this.area.setAttribute("d", area);
    this.tell(numbers.at(-1));
  }

  // The number beside the line, when it is told apart from it.
  tell(number) {
    const text = typeof number === "number" ? this.format(number) : "–";
    setText(this.value, text);
    this.svg.setAttribute("aria-label", `${this.title}: ${text}`);
  }
}
