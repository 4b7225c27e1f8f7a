// The span of the charts of a page: an hour or a day.

import { h } from "./dom.js";

const SPANS = [["hour", "Hour"], ["day", "Day"]];

// The buttons; chosen(span) is called when another one is wanted. The hour is there first.
export function spanButtons(chosen) {
  const buttons = SPANS.map(([span, title]) => h("button", { type: "button", "aria-pressed": String(span === "hour"), onclick: (event) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button === event.currentTarget));
    chosen(span);
  } }, title));
  return h("div", { class: "push" }, h("span", { class: "group", role: "group", "aria-label": "Span of the charts" }, buttons));
}
