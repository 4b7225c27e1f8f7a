// The frame of the page: views by address, the stream of the broker, theme and token.

import { get, hasToken, setToken, tokenOf } from "./api.js";
import { repaint } from "./charts.js";
import { h, setText, empty } from "./dom.js";
import { age, bytes } from "./format.js";
import { Feed } from "./sse.js";
import { listen } from "./stream.js";
import { overview } from "./view_overview.js";
import { workers, worker } from "./view_workers.js";
import { hosts, host } from "./view_hosts.js";
import { queue, queues } from "./view_queues.js";
import { tasks, arrays } from "./view_tasks.js";
import { task } from "./view_task.js";
import { events } from "./view_events.js";
import { schedules, alerts } from "./view_more.js";
import { graph, graphs } from "./view_graphs.js";

const VIEWS = [
  ["", "Overview", overview],
  ["tasks", "Tasks", tasks],
  ["arrays", "Arrays", arrays],
  ["queues", "Queues", queues],
  ["workers", "Workers", workers],
  ["hosts", "Hosts", hosts],
  ["schedules", "Schedules", schedules, (about) => about.has?.includes("schedules")],
  ["graphs", "Graphs", graphs, (about) => about.has?.includes("graphs")],
  ["alerts", "Alerts", alerts, (about) => about.has?.includes("alerts")],
  ["events", "Events", events],
];
const DETAILS = { worker, host, queue, task, graph };
const PARENTS = { worker: "workers", host: "hosts", queue: "queues", task: "tasks", graph: "graphs" };

// What all views share.
const context = { status: null, feed: new Feed(), about: { actions: false }, canAct: () => context.about.actions && hasToken() };
let view = null;
let heardAt = 0;
let isOn = false;
let known = ""; // what the views were last made for

const $ = (id) => document.getElementById(id);

// ---- views ----

function parts() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { words: path.split("/").map(decodeURIComponent), query: new URLSearchParams(query) };
}

function show() {
  const { words, query } = parts();
  view?.destroy?.();
  const make = DETAILS[words[0]] ?? VIEWS.find((item) => item[0] === words[0])?.[2];
  view = make ? make(context, words.slice(1), query) : { element: empty("There is nothing here.", h("a", { href: "#/" }, "Back to the overview")) };
  $("view").replaceChildren(view.element);
  window.scrollTo(0, 0);
  for (const link of $("nav").children) {
    if (link.dataset.view === (PARENTS[words[0]] ?? words[0])) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  showCurrent();
  document.title = words[0] ? `${words.filter(Boolean).join(" ")} · drover` : "drover";
  if (context.status) view.update?.(context.status);
}

// On a narrow screen the tabs scroll: that of this view is seen.
function showCurrent() {
  const link = $("nav").querySelector("[aria-current]");
  if (link) $("nav").scrollLeft = link.offsetLeft - ($("nav").clientWidth - link.offsetWidth) / 2 - $("nav").offsetLeft;
}

function buildNav() {
  $("nav").replaceChildren(...VIEWS.filter((item) => !item[3] || item[3](context.about))
    .map(([name, title]) => h("a", { href: `#/${name}`, "data-view": name }, title)));
}

// ---- the stream ----

function onStream(kind, data) {
  if (kind === "status") {
    context.status = data;
    heardAt = Date.now();
    const broker = data.broker;
    setText($("foot"), `${broker.version} · ${broker.endpoint ?? ""} · up ${age(broker.uptime_ms)} · ${broker.store} store · ${bytes(broker.rss_bytes)}${broker.draining ? " · draining" : ""}`);
    view?.update?.(data);
  } else if (kind === "event") {
    context.feed.add(data);
    view?.event?.(data);
  } else {
    context.feed = new Feed();
    for (const event of data) context.feed.add(event);
    view?.backlog?.();
  }
  showLive();
}

function onState(state, failure) {
  const wasOn = isOn;
  isOn = state === "on";
  if (failure?.status === 401 || failure?.status === 403) askToken();
  if (isOn && !wasOn) loadAbout();
  showLive();
}

function showLive() {
  const late = heardAt ? Date.now() - heardAt : 0;
  const live = $("live");
  const isFresh = isOn && heardAt && late < 4000;
  live.className = `live ${isFresh ? "on" : "off"}`;
  setText(live, isFresh ? "live" : heardAt ? `no news for ${age(Math.max(late, 1000))}` : isOn ? "connected" : "connecting");
}

async function loadAbout() {
  const mine = tokenOf();
  let about;
  try {
    about = await get("about");
  } catch (error) {
    if (mine !== tokenOf()) return; // it was changed meanwhile, and asked about again
    if (error.status === 403 && mine) refuseToken();
    else if (error.status === 401 || error.status === 403) askToken();
    return;
  }
  if (mine !== tokenOf()) return;
  context.about = about;
  if (mine && about.actions && about.may_act === false) refuseToken();
  showUnlock();
  const seen = JSON.stringify([context.about, hasToken()]);
  if (seen === known) return; // what is shown stays
  known = seen;
  buildNav();
  show();
}

// ---- token ----

function showUnlock() {
  $("unlock").hidden = !context.about.actions;
  setText($("unlock"), hasToken() ? "Lock" : "Unlock");
}

function askToken() {
  if (!$("dialog").open) $("dialog").showModal();
}

function refuseToken() {
  setToken("");
  retoken();
  askToken();
  setText($("token-wrong"), "This is not the broker's token.");
}

$("unlock").addEventListener("click", () => {
  if (hasToken()) {
    setToken("");
    retoken();
    loadAbout();
  } else {
    askToken();
  }
});
$("dialog").addEventListener("close", () => {
  if ($("dialog").returnValue === "ok") {
    setToken($("token").value.trim());
    retoken();
  }
  $("token").value = "";
  setText($("token-wrong"), "");
  loadAbout();
});

// ---- theme ----

const THEMES = ["auto", "light", "dark"];
const dark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const saved = localStorage.getItem("drover-theme");
  return THEMES.includes(saved) ? saved : "auto";
}

function applyTheme() {
  const name = theme() === "auto" ? (dark.matches ? "dark" : "light") : theme();
  document.documentElement.dataset.theme = name;
  setText($("theme"), { auto: "Auto", light: "Light", dark: "Dark" }[theme()]);
  $("theme").setAttribute("aria-label", `Theme: ${theme()}`);
  repaint();
}

$("theme").addEventListener("click", () => {
  localStorage.setItem("drover-theme", THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
  applyTheme();
});
dark.addEventListener("change", applyTheme);
matchMedia("(min-width: 2000px)").addEventListener("change", repaint); // letters are larger there

// ---- begin ----

applyTheme();
buildNav();
show();
window.addEventListener("hashchange", show);
window.addEventListener("resize", showCurrent);
setInterval(showLive, 1000);
const retoken = listen(onStream, onState);
