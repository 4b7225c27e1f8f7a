// What happens, while it happens.

import { empty, h, setText } from "./dom.js";
import { clock, ms } from "./format.js";

const SHOWN_MAX = 200;
const KINDS = [["", "All"], ["task", "Tasks"], ["worker", "Workers"], ["queue", "Queues"], ["broker", "Broker"]];

function words(event) {
  const { id, index, type, queue, worker, error, state, attempt, text, missed, count, run_ms: run } = event;
  const said = [
    id && h("a", { class: "mono", href: `#/task/${id}${index >= 0 ? `.${index}` : ""}` }, `${id}${index >= 0 ? `.${index}` : ""}`),
    type, queue && `in ${queue}`, worker && `on ${worker}`, attempt > 1 && `attempt ${attempt}`, state, error && `error: ${typeof error === "string" ? error : error.kind}`,
    typeof run === "number" && ms(run), text, missed && `${missed} events were not told: more happened than can be shown`, count !== undefined && `${count} tasks`,
  ].filter(Boolean);
  return said.flatMap((part, i) => (i ? [" · ", part] : [part]));
}

export function events(context) {
  let kind = "";
  let isHeld = false;
  const list = h("ul", { class: "feed", "aria-live": "off" });
  const nothing = empty("Nothing has happened since this page was opened.", "Tasks that start and end, workers that come and go, queues that are paused appear here.");
  const hold = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
    isHeld = !isHeld;
    hold.setAttribute("aria-pressed", String(isHeld));
    setText(hold, isHeld ? "Go on" : "Hold");
    if (!isHeld) fill();
  } }, "Hold");

  const fits = (event) => !kind || event.event.startsWith(`${kind}.`) || event.event === "gap";
  const line = (event) => h("li", {}, h("span", { class: "muted" }, clock(event.time_ms)), h("span", {}, event.event), h("span", {}, words(event)));

  function fill() {
    const shown = context.feed.filter(fits).slice(-SHOWN_MAX).reverse();
    list.replaceChildren(...shown.map(line));
    nothing.hidden = shown.length > 0;
  }

  const chips = h("span", { class: "group", role: "group", "aria-label": "Kind" }, KINDS.map(([name, title]) => h("button", { type: "button", "aria-pressed": String(name === kind), onclick: (event) => {
    kind = name;
    for (const button of chips.children) button.setAttribute("aria-pressed", String(button === event.target));
    fill();
  } }, title)));
  fill();
  return {
    element: h("div", { class: "grid" }, h("div", { class: "head wide" }, h("h1", {}, "Events"), h("div", { class: "push" }, chips, hold)), h("section", { class: "card wide" }, list, nothing)),
    event(event) {
      if (isHeld || !fits(event)) return;
      list.prepend(line(event));
      nothing.hidden = true;
      while (list.children.length > SHOWN_MAX) list.lastChild.remove();
    },
  };
}
