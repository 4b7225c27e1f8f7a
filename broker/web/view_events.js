// What happens, while it happens, and what happened before one looked.

import { empty, h, severity, setText } from "./dom.js";
import { age, human, moment, ms } from "./format.js";

const SHOWN_MAX = 800;
const KINDS = [["", "All"], ["task", "Tasks"], ["worker", "Workers"], ["queue", "Queues"], ["schedule", "Schedules"], ["alert", "Alerts"], ["broker", "Broker"]];

const link = (view, name, text) => h("a", { href: `#/${view}/${encodeURIComponent(name)}` }, text ?? name);

// What there is to say of each kind: parts that are nothing are left out.
const SAID = {
  task: (event) => {
    const id = `${event.id}${event.index >= 0 ? `.${event.index}` : ""}`;
    return [
      h("a", { class: "mono", href: `#/task/${id}` }, id), event.type, event.queue && `in ${event.queue}`, event.worker && ["on ", link("worker", event.worker)], event.attempt > 1 && `attempt ${event.attempt}`,
      event.state, event.error && `error: ${typeof event.error === "string" ? event.error : event.error.kind}`, typeof event.run_ms === "number" && `ran ${ms(event.run_ms)}`,
      typeof event.permille === "number" && `${(event.permille / 10).toFixed(1)} %`, event.delay_ms && `again in ${ms(event.delay_ms)}`, event.charged === false && "free of charge", event.charged && "charged to it", event.text,
    ];
  },
  worker: (event) => [link("worker", event.worker), event.host && ["on ", link("host", event.host)], event.slots && `${event.slots} slots`, event.leases > 0 && `held ${event.leases} tasks`],
  queue: (event) => [link("queue", event.queue), event.count !== undefined && `${event.count} tasks`, event.weight !== undefined && `weight ${event.weight}`, event.durability && `durability ${event.durability}`],
  schedule: (event) => [event.schedule, event.id && h("a", { class: "mono", href: `#/task/${event.id}` }, event.id), event.instant && `due ${event.instant}`, event.late_ms > 1000 && `${age(event.late_ms)} late`, event.count !== undefined && `${event.count} runs left out`, event.reason],
  alert: (event) => [severity(event.severity), event.rule, event.subject, human(event.text)],
  broker: (event) => [event.limit, event.message && `${event.message} was refused`, event.account && `account ${event.account}`, event.queue && `queue ${event.queue}`, event.event === "broker.draining" && "it goes down: it takes no new tasks"],
  gap: (event) => [`${event.missed} events were not told: more happened than can be shown`],
};

function words(event) {
  const said = (SAID[event.event.split(".")[0]] ?? (() => []))(event).filter((part) => part !== undefined && part !== null && part !== false && part !== "");
  return said.flatMap((part, i) => (i ? [" · ", part] : [part]));
}

export function events(context) {
  let kind = "";
  let isHeld = false;
  const list = h("ul", { class: "feed", "aria-live": "off" });
  const nothing = empty("Nothing of this kind has happened lately.", "Tasks that start and end, workers that come and go, queues that are paused, schedules and alerts appear here. What happens to tasks is kept only while somebody looks.");
  const hold = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
    isHeld = !isHeld;
    hold.setAttribute("aria-pressed", String(isHeld));
    setText(hold, isHeld ? "Go on" : "Hold");
    if (!isHeld) fill();
  } }, "Hold");

  const fits = (event) => !kind || event.event.startsWith(`${kind}.`) || event.event === "gap";
  const line = (event) => h("li", {}, h("time", { class: "muted", title: new Date(event.time_ms).toISOString() }, moment(event.time_ms)), h("span", { class: "kind" }, event.event), h("span", {}, words(event)));

  function fill() {
    const shown = context.feed.all().filter(fits).slice(-SHOWN_MAX).reverse();
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
    element: h("div", { class: "grid" }, h("div", { class: "head wide" }, h("h1", {}, "Events"), h("div", { class: "push" }, hold)), h("div", { class: "scroll chips wide" }, chips), h("section", { class: "card wide" }, list, nothing)),
    event(event) {
      if (isHeld || !fits(event)) return;
      list.prepend(line(event));
      nothing.hidden = true;
      while (list.children.length > SHOWN_MAX) list.lastChild.remove();
    },
    backlog() {
      if (!isHeld) fill();
    },
  };
}
