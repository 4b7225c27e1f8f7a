// One task: where it is and why, what it was given, what came of it.

import { action } from "./actions.js";
import { get } from "./api.js";
import { Table, empty, facts, h, setText, since, spread, state } from "./dom.js";
import { bytes, count, human, json, ms } from "./format.js";
import { Elements } from "./elements.js";
import { options } from "./options.js";
import { arrayParts } from "./view_tasks.js";

const REFRESH_MS = 1500;
const ENDED = new Set(["succeeded", "failed", "cancelled", "expired", "lost_at_restart", "lost"]);
const STEPS = [["queued_us", "waited"], ["transfer_us", "on the way"], ["run_us", "ran"], ["return_us", "on the way back"]];

function timeline(times) {
  const parts = STEPS.map(([key, word]) => [key, times[key] ?? 0, `${word} ${ms((times[key] ?? 0) / 1000)}`]);
  const total = parts.reduce((sum, part) => sum + part[1], 0);
  return h("div", { class: "stack" }, spread(parts, total, true), h("p", { class: "small muted key" }, parts.map(([kind, , words]) => h("span", {}, h("i", { class: kind }), words))));
}

function value(part) {
  if (!part) return null;
  const note = [bytes(part.bytes), part.content_type].filter(Boolean).join(" · ");
  const text = "value" in part ? json(part.value) : `${part.data ?? ""}${part.truncated ? "\n…" : ""}`;
  return h("div", { class: "stack" }, h("pre", {}, text), h("p", { class: "small muted" }, `${note}${"value" in part ? "" : " · base64"}`));
}

// Bytes that are not UTF-8, as far as they can be read.
function readable(base64) {
  return new TextDecoder().decode(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
}

function certificate(error) {
  const words_ = error.stderr ?? (error.stderr_bytes ? `${readable(error.stderr_bytes)}\n(not all of it is text)` : "");
  const words = [
    ["Kind", error.kind], ["Code", error.code], ["Exit code", error.exit_code], ["Signal", error.signal],
  ];
  return h("div", { class: "stack" }, h("p", { class: "notice" }, error.text || error.kind), facts(words), words_ ? h("pre", { class: "last" }, h("span", { class: "stderr" }, words_)) : null);
}

export function task(context, [id]) {
  const head = h("span");
  const buttons = h("span", { class: "push" });
  const why = h("p", { class: "muted wide" });
  const trouble = h("p", { class: "notice warn wide", hidden: true });
  const body = h("div", { class: "grid wide" });
  const about = h("div", { class: "stack" });
  const time = h("section", { class: "card wide", hidden: true });
  const error = h("section", { class: "card wide", hidden: true });
  const payload = h("section", { class: "card" });
  const result = h("section", { class: "card" });
  const logs = h("pre");
  const logsCard = h("section", { class: "card wide", hidden: true }, h("h2", {}, "Output"), logs);
  const attempts = new Table([
    { title: "Attempt", cell: (row) => row.attempt },
    { title: "Outcome", cell: (row) => state(row.outcome) },
    { title: "Worker", cell: (row) => (row.worker ? h("a", { href: `#/worker/${encodeURIComponent(row.worker)}` }, row.worker) : "") },
    { title: "Host", cell: (row) => (row.host ? h("a", { href: `#/host/${encodeURIComponent(row.host)}` }, row.host) : "") },
    { title: "Where the time went", cell: (row) => spread(STEPS.map(([key, word]) => [key, row[key] ?? 0, `${word} ${ms((row[key] ?? 0) / 1000)}`]), STEPS.reduce((sum, [key]) => sum + (row[key] ?? 0), 0)) },
    { title: "Ran", num: true, cell: (row) => ms((row.run_us ?? 0) / 1000) },
    { title: "Exit", num: true, cell: (row) => (row.signal ? `signal ${row.signal}` : row.exit_code ?? "") },
    { title: "Peak memory", num: true, cell: (row) => bytes(row.peak_rss_bytes) },
    { title: "Ended", num: true, cell: (row) => since(row.age_ms) },
  ], (row) => String(row.attempt), empty("No attempt has ended.", "Each one is kept here, with where its time went and how it ended."));
  const attemptsCard = h("section", { class: "card wide" }, h("h2", {}, "Attempts"), attempts.element);
  const elements = new Elements(id);
  let hasStderr = false;
  let tone = "";
  let isOver = false;

  // The end of what it printed is in its certificate: where all of it is shown, that is once enough.
  function hideTwice() {
    const last = error.querySelector(".last");
    if (last) last.hidden = hasStderr;
  }

  function card(target, title, content, nothing) {
    target.replaceChildren(h("h2", {}, title), content ?? h("p", { class: "muted" }, nothing));
  }

  async function loadValues(document_) {
    const values = await get(`values/${id}`);
    card(payload, "Payload", value(values.payload), ENDED.has(document_.state) ? "Not kept any more." : "None.");
    card(result, "Result", value(values.result), ENDED.has(document_.state) ? "None." : "It has not ended.");
  }

  async function loadLogs() {
    const told = await get(`logs/${id}`);
    logsCard.hidden = told.pieces.length === 0;
    hasStderr = told.pieces.some((piece) => piece.stream === "stderr");
    hideTwice();
    logs.replaceChildren(...told.pieces.map((piece) => h("span", { class: piece.stream }, piece.text ?? (piece.text_base64 ? `${piece.text_base64} (base64)\n` : `${json(piece.value)}\n`))));
  }

  async function load() {
    let document_;
    try {
      document_ = await get(`task/${encodeURIComponent(id)}`);
      trouble.hidden = true;
      body.hidden = false;
    } catch (failure) {
      trouble.hidden = false;
      body.hidden = body.dataset.filled !== "yes";
      setText(trouble, failure.status === 404 ? "There is no such task: it was never submitted here, or was forgotten." : failure.message);
      return;
    }
    body.dataset.filled = "yes";
    const isArray = document_.count !== undefined;
    head.replaceChildren(state(document_.state));
    setText(why, human(document_.why));
    about.replaceChildren(...[
      isArray ? h("div", { class: "stack" }, spread(arrayParts(document_), document_.count, true), h("p", { class: "small muted" }, arrayParts(document_).filter((part) => part[1] > 0).map((part) => part[2]).join(" · "))) : null,
      facts([
        ["Type", h("a", { href: `#/tasks?type=${encodeURIComponent(document_.type)}` }, document_.type)], ["Queue", h("a", { href: `#/queue/${encodeURIComponent(document_.queue)}` }, document_.queue)], ["Priority", document_.priority], ["Submitted", since(document_.submitted_age_ms)], document_.started_age_ms !== undefined && ["Started", since(document_.started_age_ms)], document_.ended_age_ms !== undefined && ["Ended", since(document_.ended_age_ms)],
        document_.worker && ["Worker", h("a", { href: `#/worker/${encodeURIComponent(document_.worker)}` }, document_.worker)],
        !isArray && ["Attempt", document_.attempt || "none yet"], ["Retries left", `${document_.retries_left} of ${document_.retries}`], ["Losses left", document_.losses_left],
        ["Time limit", document_.timeout_ms ? ms(document_.timeout_ms) : "none"], ["Durability", document_.level], !isArray && ["Payload", bytes(document_.payload_bytes)],
        isArray && ["Elements", `${count(document_.ended ?? 0)} of ${count(document_.count)} ended${document_.sealed ? "" : ", still open"}`],
        document_.progress && ["Progress", `${(document_.progress.permille / 10).toFixed(1)} %  ${document_.progress.text}`],
        document_.retry_of && ["Retries", h("a", { class: "mono", href: `#/task/${document_.retry_of}` }, document_.retry_of)],
        document_.retried_as && ["Retried as", h("a", { class: "mono", href: `#/task/${document_.retried_as}` }, document_.retried_as)],
        ...options(document_),
      ])].filter(Boolean));
    time.hidden = !document_.timeline;
    if (document_.timeline) time.replaceChildren(h("h2", {}, "Where the time went"), timeline(document_.timeline));
    error.hidden = !document_.error;
    if (document_.error) error.replaceChildren(h("h2", {}, "How it ended"), certificate(document_.error));
    hideTwice();
    attempts.update(document_.attempts ?? []);
    attemptsCard.hidden = isArray && !document_.attempts?.length;
    elements.update(isArray ? document_ : null);
    payload.hidden = result.hidden = isArray;
    if (!isOver) {
      await Promise.allSettled([isArray ? null : loadValues(document_), isArray ? null : loadLogs()]);
    }
    isOver = ENDED.has(document_.state);
    const key = `${isOver} ${context.canAct()}`;
    if (key !== tone) {
      tone = key;
      const button = isOver
        ? action(context, "Retry", `task/${id}/retry`, (answer) => { location.hash = `#/task/${answer.retried_as}`; }, true)
        : action(context, "Cancel", `task/${id}/cancel`, load, false);
      buttons.replaceChildren(...(button && !(isOver && id.includes(".")) ? [button] : []));
    }
  }

  const timer = setInterval(load, REFRESH_MS);
  load();
  body.append(
    h("section", { class: "card wide" }, about), error, elements.element, time, payload, result, logsCard,
    attemptsCard);
  return {
    element: h("div", { class: "grid" },
      h("div", { class: "head wide" }, h("a", { href: "#/tasks" }, "Tasks"), h("span", { class: "muted" }, "/"), id.includes(".") ? [h("a", { class: "mono", href: `#/task/${id.split(".")[0]}` }, id.split(".")[0]), h("span", { class: "muted" }, "/"), h("h1", { class: "mono" }, `element ${id.split(".")[1]}`)] : h("h1", { class: "mono" }, id), head, buttons),
      trouble, why, body),
    event(event) {
      if (event.id && id.startsWith(event.id)) load();
    },
    destroy() {
      clearInterval(timer);
      elements.destroy();
    },
  };
}
